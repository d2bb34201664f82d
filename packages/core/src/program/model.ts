import { Beyond } from '../graph/graph.ts'
import type { BaseOptimizer, Optimizer } from '../language/definition.ts'
import { type LayoutChoice, parameterShape } from '../language/layout.ts'
import { signatureOfRule } from '../language/rule-signature.ts'
import type { ParameterShape } from '../language/slots.ts'
import { didYouMean } from '../language/suggest.ts'
import { declareHyper, ownerOf } from './declare-hyper.ts'
import { HyperFacts, HyperStore } from './hyper-store.ts'
import { isParameterSlot } from './program.ts'
import { type TracedParameter, type TraceSettings, traceRule } from './trace.ts'

/** Names and shapes of a model's parameters, `[]` for a single number. The order is kept. */
export type Shapes<Name extends string = string> = Readonly<Record<Name, readonly number[]>>

/** @throws Error when the shapes of a model are no object. */
export function checkShapes(caller: string, shapes: unknown): asserts shapes is Shapes {
  if (typeof shapes === 'object' && shapes !== null) return
  throw new Error(
    `${caller}: the second argument must give the shape of every parameter by name, not ${String(shapes)}`,
  )
}

/** @throws Error for what is no shape of a parameter. */
export function checkShape(name: string, shape: unknown): void {
  if (Array.isArray(shape) && shape.every((size) => Number.isInteger(size) && size >= 0)) return
  throw new Error(
    `compile: the shape of parameter '${name}' must be a list of whole numbers from 0 up, not ${String(shape)}`,
  )
}

/** A parameter as a run knows it; one that was joined from several has them as parts, behind one another. */
export type NamedShape = Pick<ParameterShape, 'name' | 'shape' | 'size'> & { readonly parts?: readonly NamedShape[] }

/** What a run needs to know of an optimizer and a model. */
export interface RunModel {
  /** What the optimizer is made of, without its hyperparameters and the wrappers that are named. */
  readonly signature: (without?: ReadonlySet<string>) => string
  readonly wrappers: readonly {
    readonly name: string /** True when it runs one optimizer first. */
    readonly switches: boolean
  }[]
  readonly hyper: HyperStore
  readonly facts: HyperFacts
  readonly parameters: readonly { readonly shape: NamedShape; readonly traced: TracedParameter | undefined }[]
  /** What an error message adds to a list of valid names: what was probably meant. Absent where it is content with the list. */
  readonly suggestion?: typeof didYouMean
}

/** A model's parameters with their programs, traced from the rules of an optimizer. */
export interface TracedModel extends RunModel {
  readonly optimizer: Optimizer
  /** The name of the rule of the parameters that no group takes. */
  readonly rule: string
  readonly parameters: readonly {
    readonly shape: ParameterShape & NamedShape
    readonly traced: TracedParameter | undefined
  }[]
}

/** What tracing begins with. */
export function settingsFor(hyper: HyperStore): TraceSettings {
  return {
    hyper,
    facts: new HyperFacts(),
    telemetry: false,
    deviceSlots: new Set(),
    gradientReaders: new Map(),
    totals: new Map(),
    streams: new Map(),
    plainSlots: false,
    delaysEigendecompositions: false,
  }
}

/**
 * Traces the parameters of a model whose optimizer is a rule that goes by the gradient alone.
 * @returns nothing where it is another, or something is wrong: `traceModel`, which knows all, traces it or says what is wrong.
 */
export function traceAlone(optimizer: Optimizer, shapes: Shapes, layout: LayoutChoice): TracedModel | undefined {
  if (optimizer.kind !== 'base' || !isAlone(optimizer)) return undefined
  try {
    const { definition, options } = optimizer
    const rule = definition.name
    const settings = settingsFor(new HyperStore())
    const { hyper, facts } = settings
    const values = new Map(Object.entries(optimizer.hyper))
    const entry = { owner: ownerOf(optimizer), values, parent: undefined, main: undefined }
    const element = { optimizer, path: rule, hyperPath: rule, overridden: new Set<string>() }
    const parameters = Object.entries(shapes).map(([name, sizes]) => {
      checkShape(name, sizes)
      const shape = parameterShape(name, sizes, layout)
      if (definition.accepts?.(shape, options as never) === false) throw new Beyond()
      declareHyper(hyper, rule, entry, '')
      return { shape, traced: traceRule(element, shape, settings) }
    })
    hyper.checkOrder((path, name) => hyper.get(path, name))
    if (settings.deviceSlots.size > 0) throw new Beyond()
    const signature = () => signatureOfRule(optimizer)
    return { optimizer, rule, signature, wrappers: [], hyper, facts, parameters, suggestion: didYouMean }
  } catch {
    return undefined
  }
}

/** True for what may be a rule that goes by the gradient alone: only tracing it shows. */
function isAlone({ definition, decay, fallback }: BaseOptimizer): boolean {
  const { inputs, evaluations, origin, average, joint } = definition
  return !(fallback || inputs || evaluations || origin || average || joint || decay === 'corrected')
}

/**
 * @param holder who has the parameters in float32.
 * @throws Error when some are to be kept otherwise.
 */
export function checkParameters({ parameters }: Pick<TracedModel, 'parameters'>, holder: string): void {
  const found = parameters.find(({ traced }) => traced?.slots.some(isParameterSlot))
  if (!found) return
  throw new Error(
    `${holder} holds '${found.shape.name}' in float32: leave out 'parameters' of quantized, or take the step with compile of 'fallline'`,
  )
}
