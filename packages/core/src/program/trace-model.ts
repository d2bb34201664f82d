import type { Optimizer } from '../language/definition.ts'
import { type LayoutChoice, parameterShape } from '../language/layout.ts'
import { signatureOf } from '../language/signature.ts'
import type { ParameterShape } from '../language/slots.ts'
import { didYouMean } from '../language/suggest.ts'
import { elementsIn, mainRule } from '../language/walk.ts'
import { checkShape, type NamedShape, type RunModel, type Shapes, settingsFor, type TracedModel } from './model.ts'
import { type ChainElement, elementsOf, Resolver } from './resolve.ts'
import type { TracedParameter, TraceSettings } from './trace.ts'
import { traceParameter } from './trace-chain.ts'

/**
 * Traces every parameter of a model.
 * @param settings.later parameters that groups may match as well.
 * @param settings.streams other names for random numbers to follow, by parameter.
 * @param settings.layout which dimensions are outputs; `outputFirst` by default.
 * @param settings.delaysEigendecompositions true for those within `every` to be of the matrix at the refresh before.
 * @param settings.plainSlots true to keep in float32 what could be kept exactly in less.
 * @param settings.separate who cannot join parameters for rules that take them as one vector.
 */
export function traceModel(
  optimizer: Optimizer,
  shapes: Shapes,
  telemetry: boolean,
  settings: {
    readonly later?: Shapes
    readonly streams?: ReadonlyMap<string, string>
    readonly layout?: LayoutChoice
    readonly delaysEigendecompositions?: boolean
    readonly plainSlots?: boolean
    readonly separate?: string
  } = {},
): TracedModel {
  const { later = {}, streams = new Map<string, string>() } = settings
  const resolver = new Resolver()
  const resolve = ([name, shape]: [string, readonly number[]]) => {
    checkShape(name, shape)
    const facts = parameterShape(name, shape, settings.layout)
    return { shape: facts, chain: resolver.resolve(optimizer, facts) }
  }
  const parameters = joined(Object.entries(shapes).map(resolve), settings.separate)
  for (const entry of Object.entries(later)) {
    try {
      resolve(entry)
    } catch {
      // What does not fit is an error when it comes.
    }
  }
  resolver.hyper.checkOrder((path, name) => resolver.hyper.get(path, name))
  resolver.checkGroups([...Object.keys(shapes), ...Object.keys(later)])
  const { plainSlots = false, delaysEigendecompositions = false } = settings
  const own = { telemetry, streams, plainSlots, delaysEigendecompositions }
  const tracing: TraceSettings = { ...settingsFor(resolver.hyper), ...own }
  const trace = () =>
    parameters.map(({ shape, chain }) => ({ shape, traced: chain && traceNamed(chain, shape, tracing) }))
  // Whether a scalar state is a host or a device number shows only after tracing: repeat until nothing moves.
  for (;;) {
    const known = tracing.deviceSlots.size
    const traced = trace()
    if (tracing.deviceSlots.size > known) continue
    checkGradientReaders(tracing)
    checkStateNames(traced)
    const signature = (without?: ReadonlySet<string>) => signatureOf(optimizer, without)
    const suggestion = didYouMean
    const { hyper, facts } = tracing
    const rule = mainRule(optimizer).definition.name
    return { optimizer, rule, signature, wrappers: wrappersIn(optimizer), hyper, facts, parameters: traced, suggestion }
  }
}

function wrappersIn(optimizer: Optimizer): RunModel['wrappers'] {
  const wrappers = elementsIn(optimizer).filter(({ kind }) => kind === 'wrapped')
  return wrappers.map((wrapper) => ({ name: wrapper.definition.name, switches: 'earlier' in wrapper }))
}

/** @throws Error when the state of two parameters would have one name in a checkpoint. */
function checkStateNames(parameters: TracedModel['parameters']): void {
  const owners = new Map<string, string>()
  for (const { shape, traced } of parameters) {
    for (const slot of traced?.slots ?? []) {
      if (slot.shared) continue
      const name = `${shape.name}/${slot.key}`
      const other = owners.get(name)
      if (other !== undefined && other !== shape.name) {
        throw new Error(
          `compile: the state of '${other}' and of '${shape.name}' would both be named '${name}'; rename a parameter or a group`,
        )
      }
      owners.set(name, shape.name)
    }
  }
}

/** @throws Error when a wrapper changes the gradient for nothing. */
function checkGradientReaders({ gradientReaders }: TraceSettings): void {
  for (const [{ definition }, { reader, reads }] of gradientReaders) {
    if (reads) continue
    const { title, name } = reader.definition
    const instead = reader.kind === 'base' ? 'leave it out' : `put it inside: ${name}(${definition.name}(...))`
    throw new Error(`${definition.title} changes the gradient, which ${title} does not read; ${instead}`)
  }
}

interface Resolved {
  readonly shape: ParameterShape & NamedShape
  readonly chain: ChainElement[] | undefined
}

/**
 * Joins the parameters that one rule takes as a vector, in the place of the first of them.
 * @throws Error where they cannot be joined, or a parameter has the name of what they become.
 */
function joined(parameters: readonly Resolved[], separate: string | undefined): Resolved[] {
  const sets = new Map<string, Resolved[]>()
  for (const resolved of parameters) {
    const { chain, shape } = resolved
    const title = chain && jointTitle(chain)
    const key = title === undefined ? `parameter ${shape.name}` : `joined ${chain!.at(-1)!.hyperPath}`
    const together = sets.get(key) ?? []
    sets.set(key, [...together, resolved])
    if (separate !== undefined && together.length > 0) {
      throw new Error(
        `${title} takes all parameters as one vector, and ${separate} keeps them apart: join them into one parameter, or take ` +
          "the step with compile of 'fallline'",
      )
    }
  }
  return [...sets.values()].map((together) => {
    const [first] = together as [Resolved]
    if (together.length === 1) return first
    const parts = together.map(({ shape }) => shape)
    const name = `${first.shape.name} to ${parts.at(-1)!.name}`
    if (parameters.some(({ shape }) => shape.name === name)) {
      throw new Error(`compile: rename the parameter '${name}'; that is what joined parameters are called`)
    }
    const size = parts.reduce((sum, part) => sum + part.size, 0)
    return { ...first, shape: { ...parameterShape(name, [size]), parts } }
  })
}

/**
 * The title of the optimizer of a chain that takes all its parameters as one vector, if one does.
 * @throws Error when one that does follows one that does not.
 */
function jointTitle(chain: readonly ChainElement[]): string | undefined {
  const bases = elementsOf(chain).flatMap(({ optimizer }) => (optimizer.kind === 'base' ? [optimizer.definition] : []))
  const joint = bases.find((definition) => definition.joint)
  const other = bases.find((definition) => !definition.joint)
  if (joint && other) {
    throw new Error(
      `${joint.title} takes all parameters as one vector and ${other.title} each by itself: neither can follow the other`,
    )
  }
  return joint?.title
}

/** Traces one parameter; an error says which, and of which optimizer. */
function traceNamed(chain: readonly ChainElement[], shape: ParameterShape, settings: TraceSettings): TracedParameter {
  try {
    return traceParameter(chain, shape, settings)
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause)
    const titles = chain.map((element) => element.optimizer.definition.title)
    const prefix = titles.some((title) => message.includes(title)) ? '' : `${titles.at(-1)}: `
    throw new Error(`${prefix}${message} (parameter '${shape.name}', shape [${shape.shape.join(', ')}])`, { cause })
  }
}
