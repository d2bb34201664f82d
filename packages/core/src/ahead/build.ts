import { backendTensors } from '../backends/backend.ts'
import { formsOf } from '../backends/forms.ts'
import { everything } from '../backends/wasm/everything.ts'
import { GatheringBuilder } from '../backends/wasm/gathering-builder.ts'
import { generateModule } from '../backends/wasm/kernels.ts'
import type { LaidOut, PreparedProgram, PreparedStage } from '../backends/wasm/prepared.ts'
import { waitsForOthers } from '../backends/wasm/work-list.ts'
import { checkNames, checkOptimizer, type Optimizer } from '../language/definition.ts'
import type { Hyperparameter } from '../language/hyperparameters.ts'
import { checkLayout, type LayoutChoice } from '../language/layout.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { schedule } from '../plan/schedule.ts'
import type { HostEvaluator, HostProgram } from '../program/host.ts'
import type { HyperOwner } from '../program/hyper-store.ts'
import { checkParameters, checkShapes, type Shapes } from '../program/model.ts'
import type { Program, VariantTree } from '../program/program.ts'
import { traceModel } from '../program/trace-model.ts'
import { Conductor } from '../run/conductor.ts'
import { takesInputs } from '../run/no-inputs.ts'
import { PortableNames } from '../run/portable.ts'
import * as schedules from '../schedules/index.ts'
import { type HyperValue, isSchedule } from '../schedules/schedule.ts'
import {
  type BuiltOptimizer,
  type BuiltOwner,
  type BuiltProgram,
  type BuiltTree,
  type BuiltValue,
  builtVersion,
  countedFrom,
  type Origins,
  relocated,
  textOfBytes,
  usualOwner,
  usualRange,
} from './built.ts'
import { hostCode } from './host-code.ts'

export interface BuildOptions {
  /** Which dimensions of a parameter are its outputs; see `compile`. Default `outputFirst`. */
  readonly layout?: LayoutChoice
  /** Whether steps report norms; see `compile`. Default false. */
  readonly telemetry?: boolean
}

/** A module that starts an optimizer, and its types. */
export interface BuiltModule {
  /** The text of an ECMAScript module that exports `create`. */
  readonly code: string
  /** The text of its declaration file. */
  readonly declaration: string
}

/**
 * Makes an optimizer ready for the parameters of one model, ahead of time: traces, plans and generates its kernels, and writes
 * a module that starts it with a small runtime, without planner or generator. The trajectories are those of `compile` with
 * `wasm()` on one thread, to the bit, and so are checkpoints, `set` and schedules.
 *
 * ```ts
 * import { adamW, cosine } from 'fallline'
 * import { build } from 'fallline/build'
 *
 * const learningRate = cosine({ from: 1e-3, to: 0, steps: 1000 })
 * const { code } = build(adamW({ learningRate }), { 'dense/kernel': [784, 10], 'dense/bias': [10] })
 * console.log(code.includes('export const create')) // true
 * ```
 *
 * @param shapes the model's parameters, as for `compile`.
 * @throws Error as `compile` does, and for a schedule of your own, which cannot be written down: build with a number, and `set`
 * the schedule when it has been started.
 */
export function build(optimizer: Optimizer, shapes: Shapes, options: BuildOptions = {}): BuiltModule {
  checkOptimizer('build: the first argument', optimizer)
  checkShapes('build', shapes)
  checkNames('build', options, ['layout', 'telemetry'])
  const { layout = 'outputFirst', telemetry = false } = options
  checkLayout('build', layout)
  const model = traceModel(optimizer, shapes, telemetry, { layout })
  checkParameters(model, 'what build writes')
  const tensors = backendTensors(model)
  const { forms, programs: distinct } = formsOf(tensors)
  const { bytes, ...kernels } = generateModule(distinct, everything(false))
  const { laidOut, prepared } = new GatheringBuilder({ tensors, forms, kernels }).layOut()

  const operations = new Map<string, string>()
  const numbersOf = (program: HostProgram) => new Code(hostCode(program, operations))
  const programs: BuiltProgramCode[] = []
  const texts: string[] = []
  const places = new Map<Program, number>()
  const placeOf = (program: Program): number => places.get(program)!
  for (const own of prepared) {
    // Programs of one tensor that the host cannot tell apart have kernels of their own, or arrays.
    const taken = new Set<number>()
    for (const program of own.keys()) {
      const { host, leaves } = program
      const numbers = numbersOf(forms.get(program)!.computation)
      const { keys, computation } = host
      // Tracing makes no other.
      const own = keys.length > 0 ? { host: { keys, numbers: numbersOf((computation as HostEvaluator).program) } } : {}
      const built = { numbers, ...own, leaves }
      const text = codeOf('a program', built, new Set())
      const known = texts.findIndex((other, place) => other === text && !taken.has(place))
      const place = known < 0 ? programs.push(built) - 1 : known
      texts[place] = text
      taken.add(place)
      places.set(program, place)
    }
  }
  const treeOf = (tree: VariantTree): BuiltTree =>
    'program' in tree ? placeOf(tree.program) : { ...defined(tree), held: treeOf(tree.held), fired: treeOf(tree.fired) }
  const waits = prepared.some((own) => [...own.values()].some(waitsForOthers))
  const ordered = (run: PreparedProgram) => (waits ? run : { ...run, stages: stagesInOrder(run) })
  const origins = originsOf(laidOut, prepared)
  const parameters = model.parameters.map(({ shape: { name, shape, parts }, traced }, index) => {
    const memory = laidOut.tensors[index]!
    const own = origins[index]!
    const counted = (number: number) => countedFrom(own, origins[index + 1]!, number)
    const { parameter, gradient, average: evaluated, finiteEntry, arrays, numbers } = memory
    const lies = {
      name,
      shape,
      origins: own,
      addresses: [parameter, gradient, evaluated, finiteEntry].map(counted),
      slots: (traced?.slots ?? []).map(({ key }) =>
        counted(arrays.get(key)?.address ?? numbers.get(key) ?? laidOut.shared.get(key) ?? 0),
      ),
      settling: memory.settling.map(({ entry }) => counted(entry)),
      inputs: Object.fromEntries(
        [...memory.inputs].map(([input, { address, size }]) => [input, [counted(address), size] as const]),
      ),
      words: laidOut.words
        .filter(({ address }) => ownerOf(address, origins) === index)
        .map(({ address, values }) => [address, ...values].map(counted)),
      runs: Object.fromEntries(
        [...prepared[index]!].map(([program, run]) => [placeOf(program), relocated(ordered(run), counted)]),
      ),
    }
    if (!traced) return lies
    const { slots, evaluations, origin, variants, average } = traced
    return {
      ...lies,
      ...(parts ? { parts: parts.map((part) => ({ name: part.name, shape: part.shape })) } : {}),
      traced: {
        slots,
        evaluations: evaluations.map(({ point, wants }) => ({ wants, ...(point ? { point: placeOf(point) } : {}) })),
        variants: treeOf(variants),
        ...(origin ? { origin: placeOf(origin) } : {}),
        ...(average ? { average: placeOf(average) } : {}),
      },
    }
  })

  const schedulesInCode = new Map<HyperValue, string>()
  const factories = new Set<string>()
  const builtValue = (what: string, value: HyperValue): BuiltValue => {
    if (typeof value === 'number') return value
    if (!schedulesInCode.has(value)) schedulesInCode.set(value, codeOf(what, value, factories))
    return { schedule: [...schedulesInCode.keys()].indexOf(value) }
  }
  const owners = [...new Set([...model.hyper.entries.values()].map(({ owner }) => owner))]
  const hyper = [...model.hyper.entries].map(([path, { owner, values, parent, main }]) => ({
    path,
    owner: owners.indexOf(owner),
    values: Object.fromEntries(
      [...values].map(([name, value]) => [name, builtValue(`${owner.title}: ${name}`, value)] as const),
    ),
    ...(parent === undefined ? {} : { parent }),
    ...(main === undefined ? {} : { main }),
  }))
  const built: Omit<BuiltOptimizer, 'programs'> & { readonly programs: readonly BuiltProgramCode[] } = {
    version: builtVersion,
    kernels: textOfBytes(bytes),
    library: laidOut.library,
    bytes: laidOut.end,
    tables: [...laidOut.tables],
    regions: laidOut.regions,
    totals: Object.fromEntries(laidOut.totals),
    parameters,
    programs,
    owners: owners.map(unusual),
    hyper,
    groups: Object.fromEntries(model.hyper.groups),
    facts: Object.fromEntries(model.facts.facts),
    signature: model.signature(),
    statefulSignature: new PortableNames(new Conductor(model)).optimizer,
    wrappers: model.wrappers,
    telemetry,
  }
  const settings = model.hyper.groups.get('')!.flatMap((path) => Object.keys(model.hyper.owner(path).hyper))
  const slots = model.parameters.flatMap(({ traced }) => traced?.slots ?? [])
  const staged = slots.some(({ storage }) => storage !== 'float32')
  const takes = takesInputs(model)
  const parts = [...(takes ? ['declaredInputs'] : []), ...(waits ? ['listTogether'] : [])]
  const imports = [...factories, ...parts, ...(staged ? ['provideStorages'] : []), 'start'].sort()
  const code = `// Made by build: do not edit, build again.
import { ${imports.join(', ')} } from 'fallline/runtime'

${staged ? 'provideStorages()\n' : ''}${[...operations].map(([name, text]) => `const ${name} = ${text}\n`).join('')}const built = ${codeOf('the optimizer', built, factories)}

export const create = (options) => start(built, [${[...schedulesInCode.values()].join(', ')}], options${parts.length > 0 ? `, { ${parts.join(', ')} }` : ''})
`
  const union = (texts: readonly string[]) =>
    [...new Set(texts)].map((text) => JSON.stringify(text)).join(' | ') || 'never'
  const declaration = `// Made by build: do not edit, build again.
import type { RunningOptimizer, StartOptions } from 'fallline/runtime'

export type Name = ${union(Object.keys(shapes))}
export type Hyperparameter = ${union(settings)}

/** Starts the optimizer. */
export declare const create: (options?: StartOptions) => Promise<RunningOptimizer<Name, Hyperparameter>>
`
  return { code, declaration }
}

/** What is written as it is. */
class Code {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** A program as it is written down. */
interface BuiltProgramCode extends Pick<BuiltProgram, 'leaves'> {
  readonly numbers: Code
  readonly host?: { readonly keys: readonly string[]; readonly numbers: Code }
}

/**
 * The code that makes a schedule.
 * @param factories is given the names of what the code calls.
 * @throws Error for a schedule that no factory of the library makes.
 */
function codeOf(what: string, value: unknown, factories: Set<string>): string {
  const code = (part: unknown): string => codeOf(what, part, factories)
  if (Object.is(value, -0)) return '-0'
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(code).join(', ')}]`
  if (value instanceof Code) return value.text
  if (isSchedule(value)) {
    if (value.arguments && (Object.hasOwn(schedules, value.kind) || value.kind === relativeRate.name)) {
      factories.add(value.kind)
      return `${value.kind}(${value.arguments.map(code).join(', ')})`
    }
  } else if (typeof value === 'object' && value !== null) {
    // Written otherwise, this key would set the prototype.
    const keyOf = (key: string) => (key === '__proto__' ? '["__proto__"]' : JSON.stringify(key))
    const items = Object.entries(value).filter(([, item]) => item !== undefined)
    return `{ ${items.map(([key, item]) => `${keyOf(key)}: ${code(item)}`).join(', ')} }`
  }
  throw new Error(
    `build: ${what} is a schedule of your own, which cannot be written down; build with a number and set the schedule when it ` +
      'has been started',
  )
}

/** Without `opens` where it is undefined, which JSON does not know. */
function defined({ opens, ...tree }: Exclude<VariantTree, { program: Program }>) {
  return opens === undefined ? tree : { ...tree, opens }
}

/** The owner of hyperparameters without what is as usual. */
function unusual({ hyper, inputs: all, ...own }: HyperOwner): BuiltOwner {
  // Which dimensions an array has is known by now.
  const inputs = Object.entries(all).map(([name, { kind, description }]) => [name, { kind, description }] as const)
  const owner = { ...own, inputs: Object.fromEntries(inputs) }
  const ranges = Object.entries(hyper).map(([name, range]) => {
    const { default: _, ...limits } = range as Hyperparameter
    return [name, different(limits, usualRange)] as const
  })
  return { ...different(owner, usualOwner), title: owner.title, hyper: Object.fromEntries(ranges) }
}

/** What something does not share with what is usual. */
function different<T extends object>(own: T, usual: object): Partial<T> {
  const entries = Object.entries(own).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify((usual as Record<string, unknown>)[name]),
  )
  return Object.fromEntries(entries) as Partial<T>
}

/** The stages of a program that waits for no other, in the order in which they run, without what says when that is. */
function stagesInOrder(run: PreparedProgram): PreparedStage[] {
  const rounds = schedule([run], () => [])
  return rounds.flatMap(({ work }) => work.map(({ stage: { kind, items } }) => ({ kind, items })))
}

/** Where the arrays of every tensor begin and what its kernels are called with, and behind the last where these end. */
function originsOf({ tensors, end }: LaidOut, prepared: readonly ReadonlyMap<Program, PreparedProgram>[]): Origins[] {
  const calls: number[] = []
  let next = end
  for (const own of [...prepared].reverse()) {
    next = Math.min(next, ...[...own.values()].map(({ entry }) => entry))
    calls.unshift(next)
  }
  const origins = tensors.map(({ parameter }, index): Origins => [parameter, calls[index]!])
  return [...origins, [calls[0] ?? end, end]]
}

/** The tensor that an address belongs to. */
function ownerOf(address: number, origins: readonly Origins[]): number {
  const which = address < origins.at(-1)![0] ? 0 : 1
  return origins.slice(0, -1).findLastIndex((own) => own[which]! <= address)
}
