import type { Backend, BackendInstance, BackendTensor, FloatArray, Work } from './backends/backend.ts'
import { type HostEnvironment, HostEvaluator } from './backends/host.ts'
import { wasm } from './backends/wasm/backend.ts'
import {
  type BaseOptimizer,
  checkHyperValues,
  checkNames,
  checkOptimizer,
  inputsOf,
  type Optimizer,
  type WrappedOptimizer,
} from './language/definition.ts'
import { validateHyperparameter } from './language/hyperparameters.ts'
import { type Input, lossInput } from './language/inputs.ts'
import { checkLayout, type LayoutChoice, parameterShape } from './language/layout.ts'
import type { ParameterShape } from './language/slots.ts'
import { didYouMean } from './language/suggest.ts'
import {
  type Firing,
  firesAt,
  leavesOf,
  type Program,
  programsOf,
  type SlotStorage,
  type VariantTree,
} from './program/program.ts'
import { type ChainElement, HyperFacts, type HyperStore, Resolver } from './program/resolve.ts'
import {
  isLoss,
  lossKey,
  pointsOf,
  type TracedEvaluation,
  type TracedParameter,
  type TraceSettings,
  traceParameter,
} from './program/trace.ts'
import { evaluateSchedule, type HyperValue } from './schedules/schedule.ts'
import { type Checkpoint, decodeCheckpoint, encodeCheckpoint } from './state/checkpoint.ts'

/** Names and shapes of a model's parameters, `[]` for a single number. The order is kept. */
export type Shapes<Name extends string = string> = Readonly<Record<Name, readonly number[]>>

/** What `step` does when a gradient has an element that is infinite or not a number. */
export type NonFinitePolicy = 'throw' | 'skip' | 'allow'

export interface CompileOptions {
  /** Where the kernels run: `wasm()` (default) or `reference()`. */
  readonly backend?: Backend
  /**
   * `throw` (default): an error names the tensors. `skip`: the step is skipped and counted. Both leave parameters and
   * state untouched and cost one more read of the gradients. `allow`: no check, a single pass.
   */
  readonly nonFinite?: NonFinitePolicy
  /**
   * Which dimensions of a parameter are its outputs, for rules that treat outputs and inputs unlike (Muon, gradient
   * centralization, Nero and so on). `outputFirst` (default) is `[out, in, height, width]`, as in PyTorch, `outputLast` is
   * `[height, width, in, out]`, as in TensorFlow and JAX, `depthwise` is `[height, width, in, multiplier]`; a function chooses
   * for each parameter by name and shape.
   */
  readonly layout?: LayoutChoice
  /** Norms of gradient, update and parameter and the count of non-finite gradients, from the same pass. Default false. */
  readonly telemetry?: boolean
}

/** Numbers about one tensor in one step, summed in float64 within the update's own pass. */
export interface TensorTelemetry {
  /** ‖g‖, as given, before any transform. */
  readonly gradientNorm: number
  /** ‖θ after - θ before‖. */
  readonly updateNorm: number
  /** ‖θ after‖. */
  readonly parameterNorm: number
  /** How many elements of g are infinite or not a number. */
  readonly nonFinite: number
}

export interface StepResult<Name extends string = string> {
  /** Steps taken so far, this one included unless it was skipped. */
  readonly step: number
  /** True when `nonFinite: 'skip'` left everything as it was. */
  readonly skipped: boolean
  /** The tensors whose gradient was not finite, and the inputs that were not (with `skip`). */
  readonly nonFinite: readonly string[]
  /** By parameter name, with `telemetry: true`. */
  readonly telemetry?: Readonly<Record<Name, TensorTelemetry>>
}

export interface StepOptions<Name extends string = string> {
  /**
   * Gradients to copy in before the step. A parameter whose name is absent, or whose gradient is null, has no gradient
   * this step: it keeps its value and its state, and its step count does not advance.
   */
  readonly gradients?: { readonly [name in Name]?: ArrayLike<number> | null | undefined }
  /** Parameters that have no gradient this step. */
  readonly without?: Iterable<Name>
  /** What the optimizer needs besides gradients, by name: numbers such as `loss`, or arrays by parameter name. */
  readonly inputs?: Readonly<Record<string, number | { readonly [name in Name]?: ArrayLike<number> }>>
}

/** What `minimize` asks of the model: an evaluation at `parameters`. */
export interface EvaluationRequest<Name extends string = string> {
  /** Where to evaluate. Views of the optimizer's own memory: read them, do not write. */
  readonly parameters: Readonly<Record<Name, FloatArray>>
  /** Write the gradients here when `wants` has `gradient`. */
  readonly gradients: Readonly<Record<Name, FloatArray>>
  /** Arrays to write when `wants` has their name, by name and parameter. */
  readonly inputs: Readonly<Record<string, Readonly<Record<string, FloatArray>>>>
  /** `gradient`, `loss`, and names of inputs that the optimizer declares. */
  readonly wants: ReadonlySet<string>
  /** Which evaluation of this step this is, from 0; all of them must use the same batch. */
  readonly evaluation: number
  readonly evaluations: number
}

/** What an evaluation gives back: the loss alone, or more. */
export type EvaluationResult =
  | number
  | undefined
  | {
      readonly loss?: number
      /** Numbers that the optimizer declares as inputs. */
      readonly inputs?: Readonly<Record<string, number>>
      /** Parameters that have no gradient. */
      readonly without?: Iterable<string>
    }

type Answer = EvaluationResult | void

/** Evaluates the model for `minimize`. */
export type Evaluate<Name extends string = string> = (request: EvaluationRequest<Name>) => Answer | Promise<Answer>

/** Plain arrays by parameter name. */
export type ArraysByName<Name extends string = string> = {
  readonly [name in Name]?: Float32Array | Float64Array | number[]
}

interface Tensor {
  readonly index: number
  readonly shape: ParameterShape
  readonly traced: TracedParameter | undefined
  readonly hostUpdates: Map<Program, HostEvaluator>
  /** Steps of this tensor, by clock. */
  counts: Map<string, number>
  /** State that the host keeps. */
  readonly host: Map<string, number>
  /** The program of a tensor that has no cadences and no state on the host: all such tensors of one age share scalars. */
  readonly only: Program | undefined
}

/** One tensor's part in a step: what to run, and what to note when it has run. */
interface Update {
  readonly tensor: Tensor
  readonly work: Work
  readonly counts: Map<string, number> | undefined
  readonly host: readonly number[]
}

/** Attached arrays, without those that were left undefined. */
type Given = Readonly<Record<string, Float32Array | Float64Array | number[]>>

function given(arrays: ArraysByName = {}): Given {
  return Object.fromEntries(Object.entries(arrays).flatMap(([name, array]) => (array ? [[name, array]] : [])))
}

interface Attached {
  readonly view: FloatArray
  readonly array: Float32Array | Float64Array | number[]
}

interface Opening {
  readonly clock: string
  readonly fires: Firing
  readonly count: number | string
  readonly opens: string
}

/**
 * Compiles an optimizer for a model: traces the rule for every parameter, plans it, and generates one kernel for each
 * distinct plan. Hyperparameters are arguments of the kernels, so changing them never compiles again.
 *
 * ```ts
 * import { adan, compile, cosine } from 'fallline'
 *
 * const optimizer = await compile(adan({ learningRate: cosine({ from: 1e-3, to: 0, steps: 1000 }) }), {
 *   'dense/kernel': [784, 128],
 *   'dense/bias': [128],
 * })
 * optimizer.parameters['dense/kernel']!.fill(0.01)
 * optimizer.gradients['dense/kernel']!.fill(0.1)
 * optimizer.step()
 * ```
 *
 * @throws Error for an invalid shape, a group that matches nothing, or a rule that does not fit a parameter; the message
 * names the optimizer and the parameter.
 */
export async function compile<const Name extends string>(
  optimizer: Optimizer,
  shapes: Shapes<Name>,
  options: CompileOptions = {},
): Promise<CompiledOptimizer<Name>> {
  checkOptimizer('compile: the first argument', optimizer)
  if (typeof shapes !== 'object' || shapes === null) {
    throw new Error(
      `compile: the second argument must give the shape of every parameter by name, not ${String(shapes)}`,
    )
  }
  checkNames('compile', options, ['backend', 'nonFinite', 'telemetry', 'layout'])
  if (options.backend !== undefined && typeof options.backend?.create !== 'function') {
    throw new Error(`compile: backend must be wasm() or reference(), not ${String(options.backend)}`)
  }
  const nonFinite = options.nonFinite ?? 'throw'
  if (!['throw', 'skip', 'allow'].includes(nonFinite)) {
    throw new Error(`compile: nonFinite must be throw, skip or allow, not ${String(nonFinite)}`)
  }
  const { layout = 'outputFirst' } = options
  checkLayout('compile', layout)
  const program = traceModel(optimizer, shapes, options.telemetry ?? false, { layout })
  const tensors: BackendTensor[] = program.parameters.map(({ shape, traced }) => ({
    name: shape.name,
    size: shape.size,
    slots: traced?.slots ?? [],
    variants: traced?.variants,
    evaluation: traced?.evaluation,
    points: traced ? pointsOf(traced) : [],
  }))
  const instance = await (options.backend ?? wasm()).create(tensors)
  return new CompiledOptimizer<Name>(program, instance, nonFinite, options.telemetry ?? false)
}

/** @internal a model's parameters with their programs */
export interface TracedModel {
  readonly optimizer: Optimizer
  readonly hyper: HyperStore
  readonly facts: HyperFacts
  readonly parameters: readonly { readonly shape: ParameterShape; readonly traced: TracedParameter | undefined }[]
}

/**
 * @internal traces every parameter of a model
 * @param settings.later parameters that groups may match as well.
 * @param settings.streams other names for random numbers to follow, by parameter.
 * @param settings.layout which dimensions are outputs; `outputFirst` by default.
 */
export function traceModel(
  optimizer: Optimizer,
  shapes: Shapes,
  telemetry: boolean,
  settings: {
    readonly later?: Shapes
    readonly streams?: ReadonlyMap<string, string>
    readonly layout?: LayoutChoice
  } = {},
): TracedModel {
  const { later = {}, streams = new Map<string, string>() } = settings
  const resolver = new Resolver()
  const facts = new HyperFacts()
  const resolve = ([name, shape]: [string, readonly number[]]) => {
    if (!Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size >= 0)) {
      throw new Error(
        `compile: the shape of parameter '${name}' must be a list of whole numbers from 0 up, not ${String(shape)}`,
      )
    }
    const facts = parameterShape(name, shape, settings.layout)
    return { shape: facts, chain: resolver.resolve(optimizer, facts) }
  }
  const parameters = Object.entries(shapes).map(resolve)
  for (const entry of Object.entries(later)) {
    try {
      resolve(entry)
    } catch {
      // What does not fit is an error when it comes.
    }
  }
  resolver.checkGroups([...Object.keys(shapes), ...Object.keys(later)])
  const tracing: TraceSettings = {
    hyper: resolver.hyper,
    facts,
    telemetry,
    deviceSlots: new Set(),
    gradientReaders: new Map(),
    streams,
  }
  const trace = () =>
    parameters.map(({ shape, chain }) => ({ shape, traced: chain && traceNamed(chain, shape, tracing) }))
  // Whether a scalar state is a host or a device number shows only after tracing: repeat until nothing moves.
  for (;;) {
    const known = tracing.deviceSlots.size
    const traced = trace()
    if (tracing.deviceSlots.size > known) continue
    checkGradientReaders(tracing)
    checkStateNames(traced)
    return { optimizer, hyper: resolver.hyper, facts, parameters: traced }
  }
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

function record<T>(names: readonly string[], value: (index: number) => T): Readonly<Record<string, T>> {
  const result: Record<string, T> = Object.create(null)
  names.forEach((name, index) => {
    result[name] = value(index)
  })
  // A replaced array would be ignored: the kernel has only its own.
  return Object.freeze(result)
}

/** An optimizer with its parameters, gradients, state and kernels. Made by `compile`. */
export class CompiledOptimizer<Name extends string = string> {
  /** Parameter names in creation order. */
  readonly names: readonly Name[]
  /** The parameters: views of the kernel's own memory. Write initial values here; `step` updates them in place. */
  readonly parameters: Readonly<Record<Name, FloatArray>>
  /** The gradients: views of the kernel's own memory. Write here before `step`. */
  readonly gradients: Readonly<Record<Name, FloatArray>>
  /** Arrays besides the gradients that the optimizer declares as inputs, by name and parameter: write here before `step`. */
  readonly inputs: Readonly<Record<string, Readonly<Record<string, FloatArray>>>>
  /** What a step takes besides gradients, by name: `step` is given it, `minimize` asks for it. */
  readonly needs: Readonly<Record<string, Input>>
  /** True when a step evaluates the model elsewhere than where the parameters stand: then only `minimize` takes one. */
  readonly moves: boolean
  private readonly tensors: readonly Tensor[]
  private readonly indices: ReadonlyMap<string, number>
  private skippedSteps = 0
  private counts = new Map<string, number>([['', 0]])
  private readonly shared = new Map<string, number>()
  private readonly openings: readonly Opening[]
  private readonly sharedKeys = new Set<string>()
  /** Attached arrays with the views that follow them. */
  private attachedParameters: readonly Attached[] = []
  private attachedGradients: readonly Attached[] = []
  /** What `minimize` hands to `evaluate`: attached arrays where there are any, else the views. */
  private shown: Pick<EvaluationRequest, 'parameters' | 'gradients'>
  /** What is being done, in words, as long as nothing else may be. */
  private busy: string | undefined
  private disposed = false
  /** The tensors that are not frozen. */
  private readonly trained: readonly Tensor[]
  /** Evaluations of the model per step. */
  private readonly evaluations: number
  private readonly needsNumbers: boolean
  private readonly needsArrays: boolean
  /** The numbers that the user supplied for this step. */
  private given: ReadonlyMap<string, number> = new Map()
  private readonly model: TracedModel
  private readonly instance: BackendInstance
  private readonly nonFinite: NonFinitePolicy
  private readonly reportsTelemetry: boolean

  /** @internal use `compile` */
  constructor(model: TracedModel, instance: BackendInstance, nonFinite: NonFinitePolicy, telemetry: boolean) {
    this.model = model
    this.instance = instance
    this.nonFinite = nonFinite
    this.reportsTelemetry = telemetry
    this.names = Object.freeze(model.parameters.map(({ shape }) => shape.name as Name))
    this.indices = new Map(this.names.map((name, index) => [name, index]))
    this.parameters = record(this.names, (index) => instance.parameters[index]!)
    this.gradients = record(this.names, (index) => instance.gradients[index]!)
    this.inputs = this.inputViews()
    // Not a number until it is written: what is missing must not act as zeros.
    for (const arrays of instance.inputs) for (const array of arrays.values()) array.fill(Number.NaN)
    this.shown = { parameters: this.parameters, gradients: this.gradients }
    const openings = new Map<string, Opening>()
    this.tensors = model.parameters.map(({ shape, traced }, index) => {
      const host = new Map<string, number>()
      for (const slot of traced?.slots ?? []) {
        if (slot.shared) this.sharedKeys.add(slot.key)
        if (slot.residency === 'host') (slot.shared ? this.shared : host).set(slot.key, slot.initial as number)
      }
      const hostUpdates = new Map<Program, HostEvaluator>()
      if (traced) {
        for (const program of programsOf(traced.variants)) {
          hostUpdates.set(program, new HostEvaluator(program.hostOutputs.map((output) => output.node)))
        }
        collectOpenings(traced.variants, openings)
      }
      const tree = traced?.variants
      const only =
        tree && 'program' in tree && tree.program.hostOutputs.length === 0 && host.size === 0 ? tree.program : undefined
      return { index, shape, traced, hostUpdates, counts: startingCounts(tree), host, only }
    })
    this.openings = [...openings.values()]
    for (const { opens } of this.openings) this.counts.set(opens, 0)
    this.trained = this.tensors.filter((tensor) => tensor.traced)
    this.evaluations = Math.max(1, ...this.trained.map(({ traced }) => traced!.evaluations.length))
    this.moves = this.trained.some(({ traced }) => traced!.evaluations.some(({ point }) => point))
    this.needs = this.declaredInputs()
    const programs = this.trained.flatMap(({ traced }) => [...programsOf(traced!.variants), ...pointsOf(traced!)])
    this.needsNumbers = programs.some((program) => leavesOf(program).numbers.length > 0)
    this.needsArrays = instance.inputs.some((arrays) => arrays.size > 0)
    // Assigning to them would change nothing but what callers see.
    for (const name of ['names', 'parameters', 'gradients', 'inputs', 'needs', 'moves']) {
      Object.defineProperty(this, name, { writable: false, configurable: false })
    }
  }

  /** How many steps `nonFinite: 'skip'` has skipped. */
  get skipped(): number {
    return this.skippedSteps
  }

  /** Steps taken. */
  get steps(): number {
    return this.counts.get('')!
  }

  /** The hyperparameters of the default group, schedules evaluated at the last step (before any, at the first). */
  get hyper(): Readonly<Record<string, number>> {
    return this.hyperOf('')
  }

  /** The hyperparameters of a group, schedules evaluated at the last step. */
  hyperOf(group: string): Readonly<Record<string, number>> {
    const result: Record<string, number> = {}
    for (const path of [...this.pathsOf(group)].reverse()) {
      for (const name of Object.keys(this.model.hyper.owner(path).definition.hyper)) {
        result[name] = evaluateSchedule(
          this.model.hyper.get(path, name),
          Math.max(this.counts.get(this.clockOf(path)) ?? 0, 1),
        )
      }
    }
    return result
  }

  /**
   * Changes hyperparameters from the next step on. Nothing is compiled.
   * @param values numbers, schedules or functions of the step, by name.
   * @param options.group the name of a group; default: the optimizer of the parameters that no group takes.
   * @throws Error for an unknown group or name or an invalid value, or in the middle of a step; nothing is changed then.
   */
  set(values: Readonly<Record<string, HyperValue>>, options: { readonly group?: string } = {}): void {
    this.refuseWhileBusy('set')
    const paths = this.pathsOf(options.group ?? '')
    const changes = Object.entries(values).map(([name, value]) => {
      const path = paths.find((candidate) => Object.hasOwn(this.model.hyper.owner(candidate).definition.hyper, name))
      if (path === undefined) {
        const known = paths.flatMap((candidate) => Object.keys(this.model.hyper.owner(candidate).definition.hyper))
        const names = [...new Set(known)]
        throw new Error(
          `set: unknown hyperparameter '${name}'; valid names are ${names.join(', ')}${didYouMean(name, names)}`,
        )
      }
      checkHyperValues(this.model.hyper.owner(path).definition, { [name]: value })
      this.model.facts.check(this.model.hyper, path, name, value)
      return { path, name, value }
    })
    for (const { path, name, value } of changes) this.model.hyper.set(path, name, value)
  }

  /**
   * Uses plain arrays, which from now on are where the attached parameters and gradients are kept: write and read them
   * instead of the views in `parameters` and `gradients`, which follow. They are copied in before whatever looks at them (a
   * step, `save`, `evaluationParameters`), and parameters are copied out after whatever changes them (a step, `load`).
   * `minimize` hands them to `evaluate`. Arrays must have the parameter's number of elements. Replaces what was attached
   * before.
   * @throws Error for an unknown name, a wrong length, memory that is attached twice, or in the middle of a step.
   */
  attach(arrays: { readonly parameters?: ArraysByName<Name>; readonly gradients?: ArraysByName<Name> }): void {
    this.refuseWhileBusy('attach')
    checkNames('attach', arrays, ['parameters', 'gradients'])
    const parameters: Given = given(arrays.parameters)
    const gradients: Given = given(arrays.gradients)
    for (const [name, array] of [...Object.entries(parameters), ...Object.entries(gradients)]) {
      this.checkLength('attach', name, array)
    }
    checkSeparateMemory(parameters, gradients)
    const pairs = (arrays: Given, views: Readonly<Record<string, FloatArray>>) =>
      Object.entries(arrays).map(([name, array]) => ({ view: views[name]!, array }))
    this.attachedParameters = pairs(parameters, this.parameters)
    this.attachedGradients = pairs(gradients, this.gradients)
    this.shown = {
      parameters: replaced(this.parameters, parameters),
      gradients: replaced(this.gradients, gradients),
    }
    this.readAttached()
  }

  /** Brings attached arrays to where the kernels read them. */
  private readAttached(): void {
    for (const { view, array } of this.attachedParameters) view.set(array)
    for (const { view, array } of this.attachedGradients) view.set(array)
  }

  /** Brings parameters to the attached arrays. */
  private writeAttached(): void {
    for (const { view, array } of this.attachedParameters) copy(view, array)
  }

  /**
   * Takes one step: updates every parameter that has a gradient.
   * @throws Error when a gradient is not finite (policy `throw`), an array does not fit or a schedule gives an invalid value,
   * or while `minimize` waits for an evaluation; parameters and state are untouched then.
   */
  step(options?: StepOptions<Name>): StepResult<Name> {
    this.refuseWhileBusy('step')
    if (this.moves) {
      throw new Error(
        `${this.evaluatingTitle()} evaluates the model at points of its own: use await optimizer.minimize(evaluate) instead of step`,
      )
    }
    const tensors = options ? this.present(options) : this.trained
    const numbers = this.readInputs(options?.inputs)
    this.readAttached()
    for (const [name, array] of Object.entries(options?.gradients ?? {}))
      if (array) this.gradients[name as Name].set(array as ArrayLike<number>)
    return this.update(tensors, numbers, [])
  }

  /**
   * Takes one step with a function that evaluates the model: once for most optimizers, several times at other points for
   * those that look around (sharpness-aware, exact variance reduction, methods without gradients). `evaluate` finds the
   * point in `parameters`, writes what `wants` names into `gradients` and `inputs`, and returns the loss. The same function
   * serves every optimizer.
   *
   * ```ts
   * import { adamW, compile } from 'fallline'
   *
   * const optimizer = await compile(adamW({ learningRate: 0.1 }), { x: [1] })
   * optimizer.parameters.x![0] = 3
   * await optimizer.minimize(({ parameters, gradients }) => {
   *   const x = parameters.x![0]!
   *   gradients.x![0] = 2 * x
   *   return x ** 2
   * })
   * ```
   *
   * Until it has taken its step nothing else may be done with the optimizer: `step`, another `minimize`, `set`, `attach`,
   * `save`, `load`, `evaluationParameters` and `dispose` throw, also inside `evaluate`. Await one step before the next.
   *
   * @throws Error when `evaluate` throws, does not return a loss that is wanted, or gives one (or a gradient) that is not
   * finite; parameters and state are untouched then, up to rounding where an optimizer finds its way back from the point.
   */
  async minimize(evaluate: Evaluate<Name>): Promise<StepResult<Name>> {
    if (typeof evaluate !== 'function')
      throw new Error(`minimize: evaluate must be a function, not ${String(evaluate)}`)
    const step = this.evaluating(evaluate, [])
    let turn = step.next()
    while (!turn.done) {
      turn = await Promise.resolve(turn.value).then(
        (answer) => step.next(answer),
        (error) => step.throw(error),
      )
    }
    return turn.value
  }

  /** @internal `minimize` at once; parameters that are `absent` take no part and are not moved. */
  minimizeNow(evaluate: (request: EvaluationRequest) => Answer, absent: Iterable<string>): StepResult {
    const step = this.evaluating(evaluate, absent)
    let turn = step.next()
    while (!turn.done) turn = step.next(turn.value as Answer)
    return turn.value
  }

  /** The course of `minimize`: yields what `evaluate` returned and is sent it, awaited or as it is. */
  private *evaluating(
    evaluate: Evaluate,
    absent: Iterable<string>,
  ): Generator<Answer | Promise<Answer>, StepResult, Answer> {
    this.refuseWhileBusy('minimize')
    const without = new Set(absent)
    let present = this.present({ without })
    this.readAttached()
    const counts = this.advanceCounts()
    const numbers = new Map<string, number>()
    /** Those that stand at a point of the step. */
    let moved: readonly Tensor[] = []
    let evaluation = 0
    this.busy = 'minimize is waiting for an evaluation of the model'
    try {
      for (; evaluation < this.evaluations; evaluation++) {
        this.given = numbers
        if (this.moveTo(evaluation, counts, present, moved.length > 0)) moved = present
        const wants = this.wantsOf(evaluation, counts, present)
        const { inputs, evaluations } = this
        const { parameters, gradients } = this.shown
        const result = yield evaluate({ parameters, gradients, inputs, wants, evaluation, evaluations })
        if (wants.has('gradient')) for (const { view, array } of this.attachedGradients) view.set(array)
        const given: Exclude<EvaluationResult, number | undefined> =
          typeof result === 'object' ? result : typeof result === 'number' ? { loss: result } : {}
        if (given.loss !== undefined) {
          numbers.set(lossKey(this.evaluations - 1 - evaluation), given.loss)
          numbers.set('loss', given.loss)
        } else if (wants.has('loss')) throw new Error('minimize: evaluate must return the loss, or { loss }')
        for (const [name, value] of Object.entries(given.inputs ?? {})) numbers.set(name, value)
        checkList('minimize', given.without)
        for (const name of given.without ?? []) without.add(name)
        // What has no gradient before anything moved stays where it is.
        if (moved.length === 0) present = this.present({ without })
      }
      present = this.present({ without })
      if (present.length < moved.length) this.checkSeparate()
      return this.update(present, numbers, moved)
    } catch (error) {
      if (moved.length > 0) {
        // The way back is known from the last point only.
        while (++evaluation < this.evaluations) this.moveTo(evaluation, counts, moved, true)
        this.goBack(counts, moved)
      }
      throw error
    } finally {
      this.busy = undefined
    }
  }

  /** @internal lets nothing else be done with the optimizer until `action` is done */
  async exclusively<T>(what: string, action: () => Promise<T>): Promise<T> {
    this.refuseWhileBusy(what)
    this.busy = `${what} is waiting for evaluations of the model`
    try {
      return await action()
    } finally {
      this.busy = undefined
    }
  }

  private refuseAfterDispose(caller: string): void {
    if (this.disposed) throw new Error(`${caller}: this optimizer has been disposed; compile a new one`)
  }

  /** @throws Error in the middle of a step, and after `dispose`. */
  private refuseWhileBusy(caller: string): void {
    this.refuseAfterDispose(caller)
    if (this.busy === undefined) return
    throw new Error(`${caller}: ${this.busy}; await the step that is being taken first`)
  }

  /** The update itself, from gradients and inputs that are in place; `moved`: the tensors that stand elsewhere. */
  private update(
    tensors: readonly Tensor[],
    numbers: ReadonlyMap<string, number>,
    moved: readonly Tensor[],
  ): StepResult {
    this.given = numbers
    const gradients = this.findNonFinite(tensors)
    const nonFinite = [...gradients, ...this.findNonFiniteNumbers(numbers)]
    if (nonFinite.length > 0) {
      if (this.nonFinite === 'throw') {
        const what = gradients.length > 0 ? 'the gradient of' : 'the input'
        throw new Error(
          `step ${this.steps + 1}: ${what} ${nonFinite.map((name) => `'${name}'`).join(', ')} is not finite; ` +
            "parameters and state are unchanged (nonFinite: 'skip' skips such steps, 'allow' does not check)",
        )
      }
      this.goBack(this.advanceCounts(), moved)
      this.skippedSteps++
      return { step: this.steps, skipped: true, nonFinite }
    }
    const counts = this.advanceCounts()
    const values = new Map<string, number>()
    const ages = new Map<number, HostEnvironment>()
    const updates = tensors.map((tensor) => this.planUpdate(tensor, counts, values, ages))
    if (this.needsNumbers) for (const { work } of updates) this.checkNumbers(work.program)
    if (this.needsArrays) for (const { work } of updates) this.checkArrays(work)
    if (moved.length > 0)
      this.goBack(
        counts,
        moved.filter((tensor) => !tensors.includes(tensor)),
      )
    else for (const { tensor, counts: own } of updates) this.startCopies(tensor, own)
    this.instance.run(updates.map(({ work }) => work))
    this.commit(updates, counts)
    this.writeAttached()
    const result = { step: this.steps, skipped: false, nonFinite }
    return this.reportsTelemetry ? { ...result, telemetry: this.collectTelemetry(tensors) } : result
  }

  /**
   * What to evaluate the model with: the averaged sequence of schedule-free methods and of parameter averaging, else the
   * parameters themselves. Copies; training goes on from `parameters`.
   * @throws Error in the middle of a step.
   */
  evaluationParameters(): Record<Name, FloatArray> {
    this.refuseWhileBusy('evaluationParameters')
    this.readAttached()
    const work = this.evaluationWork()
    const computed = new Map(this.instance.evaluate(work).map((array, index) => [work[index]!.tensor, array]))
    const result: Record<string, FloatArray> = Object.create(null)
    for (const { index, shape } of this.tensors)
      result[shape.name] = computed.get(index) ?? this.instance.parameters[index]!.slice()
    return result
  }

  /** @internal what to compute for the parameters whose evaluation differs from them */
  evaluationWork(): Work[] {
    const work: Work[] = []
    for (const tensor of this.tensors) {
      // Before its first step a tensor has no average yet.
      const program = tensor.counts.get('')! > 0 ? tensor.traced?.evaluation : undefined
      if (program)
        work.push({
          tensor: tensor.index,
          program,
          environment: this.environment(tensor, tensor.counts, this.counts, new Map()),
        })
    }
    return work
  }

  /**
   * The state of one parameter by slot name: arrays are live views, numbers are copies. Wrapped optimizers prefix names
   * that occur twice with their path.
   * @throws Error for an unknown name, and after `dispose`.
   */
  state(name: Name): Readonly<Record<string, FloatArray | number>> {
    this.refuseAfterDispose('state')
    const tensor = this.tensors[this.indexOf('state', name)]!
    const slots = tensor.traced?.slots ?? []
    const result: Record<string, FloatArray | number> = {}
    for (const slot of slots) {
      const unique = slots.filter((other) => other.name === slot.name).length === 1
      result[unique ? slot.name : slot.key] = this.slotValue(tensor, slot)
    }
    return result
  }

  /**
   * Parameters, state and step counts as the bytes of a safetensors file. Hyperparameters are not part of it.
   * @throws Error in the middle of a step, when the parameters may stand elsewhere.
   */
  save(): Uint8Array {
    this.refuseWhileBusy('save')
    this.readAttached()
    return encodeCheckpoint(this.checkpoint())
  }

  /**
   * Continues from what `save` gave, to the bit on the same backend.
   * @throws Error when the bytes are of another model, optimizer or version, or damaged, or in the middle of a step; nothing
   * is changed then.
   */
  load(bytes: Uint8Array): void {
    this.refuseWhileBusy('load')
    const loaded = decodeCheckpoint(bytes, this.checkpoint())
    for (const { index, shape } of this.tensors)
      this.instance.parameters[index]!.set(loaded.arrays.get(`parameters/${shape.name}`)!.data)
    this.restore(loaded)
    this.writeAttached()
  }

  /** @internal takes over the state, the numbers and the counts that a checkpoint has; others stay as they are */
  restore({ arrays, numbers, counts, skipped }: Checkpoint): void {
    for (const tensor of this.tensors) {
      const { name } = tensor.shape
      for (const slot of tensor.traced?.slots ?? []) {
        const key = slot.shared ? `shared/${slot.key}` : `state/${name}/${slot.key}`
        const array = arrays.get(key)
        const number = numbers.get(key)
        if (array) this.instance.writeSlot(tensor.index, slot.key, array.data)
        if (number !== undefined) this.writeNumber(tensor, slot, number)
      }
      const own = counts.get(`parameters/${name}`)
      if (own) tensor.counts = new Map(own)
    }
    this.counts = new Map(counts.get('')!)
    this.skippedSteps = skipped
  }

  /**
   * Ends worker threads and frees memory; the optimizer cannot be used afterwards. A second call does nothing.
   * @throws Error in the middle of a step.
   */
  dispose(): void {
    if (this.disposed) return
    this.refuseWhileBusy('dispose')
    this.disposed = true
    this.instance.dispose()
  }

  /** @internal parameters, state and counts; `hostOnly`: the counts and numbers that the host keeps */
  checkpoint({ hostOnly = false } = {}): Checkpoint {
    const arrays: Checkpoint['arrays'] = new Map()
    const numbers: Checkpoint['numbers'] = new Map()
    const counts: Checkpoint['counts'] = new Map([['', this.counts]])
    for (const tensor of this.tensors) {
      const { name, shape } = tensor.shape
      if (!hostOnly) arrays.set(`parameters/${name}`, { shape, data: this.instance.parameters[tensor.index]! })
      counts.set(`parameters/${name}`, tensor.counts)
      for (const slot of tensor.traced?.slots ?? []) {
        if (hostOnly && slot.residency !== 'host') continue
        const value = this.slotValue(tensor, slot)
        const key = slot.shared ? `shared/${slot.key}` : `state/${name}/${slot.key}`
        if (typeof value === 'number') numbers.set(key, value)
        else
          arrays.set(key, {
            shape: slot.dimensions.every((size, axis) => size === this.fullDimensions(tensor)[axis])
              ? shape
              : slot.dimensions,
            data: value,
          })
      }
    }
    return { optimizer: signature(this.model.optimizer), arrays, numbers, counts, skipped: this.skipped }
  }

  private fullDimensions(tensor: Tensor): readonly number[] {
    const { shape } = tensor.shape
    return [shape.slice(0, -2).reduce((product, size) => product * size, 1), shape.at(-2) ?? 1, shape.at(-1) ?? 1]
  }

  private slotValue(tensor: Tensor, slot: SlotStorage): FloatArray | number {
    if (slot.residency === 'array') return this.instance.slotArray(tensor.index, slot.key)
    if (slot.residency === 'device') return this.instance.readScalar(tensor.index, slot.key)
    return (slot.shared ? this.shared : tensor.host).get(slot.key)!
  }

  private writeNumber(tensor: Tensor, slot: SlotStorage, value: number): void {
    if (slot.residency === 'device') this.instance.writeScalar(tensor.index, slot.key, value)
    else (slot.shared ? this.shared : tensor.host).set(slot.key, value)
  }

  /** The clock that counts the updates of an optimizer: that of the innermost wrapper around it that skips steps. */
  private clockOf(path: string): string {
    const around = this.openings.map(({ opens }) => opens).filter((opens) => path.startsWith(`${opens}/`))
    return around.reduce((longest, opens) => (opens.length > longest.length ? opens : longest), '')
  }

  private pathsOf(group: string): readonly string[] {
    const paths = this.model.hyper.groups.get(group)
    if (!paths) {
      const known = [...this.model.hyper.groups.keys()].filter((name) => name !== '')
      throw new Error(
        `unknown group '${group}'; ${known.length > 0 ? `there are ${known.join(', ')}` : 'there are none'}`,
      )
    }
    return paths
  }

  private indexOf(caller: string, name: string): number {
    const index = this.indices.get(name)
    if (index === undefined)
      throw new Error(
        `${caller}: unknown parameter '${name}'; there are ${this.names.join(', ')}${didYouMean(name, this.names)}`,
      )
    return index
  }

  private checkLength(caller: string, name: string, array: ArrayLike<number>): void {
    const { size, shape } = this.tensors[this.indexOf(caller, name)]!.shape
    if (typeof array !== 'object')
      throw new Error(`${caller}: '${name}' must be an array of numbers, not ${String(array)}`)
    if (array.length !== size) {
      throw new Error(`${caller}: '${name}' has shape [${shape.join(', ')}], so ${size} elements, not ${array.length}`)
    }
  }

  /** The tensors that have a gradient this step. */
  private present(options: StepOptions): Tensor[] {
    checkNames('step', options, ['gradients', 'without', 'inputs'])
    const { gradients, without } = options
    const missing = new Set<number>()
    checkList('step', without)
    for (const name of without ?? []) missing.add(this.indexOf('step', name))
    if (gradients) {
      for (const [name, array] of Object.entries(gradients)) {
        this.indexOf('step', name)
        if (array) this.checkLength('step', name, array)
      }
      for (const { index, shape } of this.tensors) {
        if (!Object.hasOwn(gradients, shape.name) || !gradients[shape.name]) missing.add(index)
      }
    }
    return this.trained.filter((tensor) => !missing.has(tensor.index))
  }

  private findNonFinite(tensors: readonly Tensor[]): string[] {
    if (this.nonFinite === 'allow') return []
    return this.instance.findNonFinite(tensors.map((tensor) => tensor.index)).map((index) => this.names[index]!)
  }

  private advanceCounts(): Map<string, number> {
    const counts = new Map(this.counts)
    counts.set('', this.steps + 1)
    if (this.openings.length === 0) return counts
    const values = new Map<string, number>()
    // A clock opened by another clock comes after it, because outer wrappers are traced first.
    for (const { clock, fires, count, opens } of this.openings) {
      const before = counts.get(opens) ?? 0
      const moved = counts.get(clock) !== (this.counts.get(clock) ?? 0)
      const opened = moved && firesAt(counts.get(clock)!, fires, this.cadence(count, clock, counts, values))
      counts.set(opens, opened ? before + 1 : before)
    }
    return counts
  }

  private planUpdate(
    tensor: Tensor,
    counts: Map<string, number>,
    values: Map<string, number>,
    ages: Map<number, HostEnvironment>,
  ): Update {
    if (tensor.only) {
      const age = tensor.counts.get('')! + 1
      let environment = ages.get(age)
      if (!environment) {
        environment = this.environment(tensor, new Map([['', age]]), counts, values)
        ages.set(age, environment)
      }
      const work = { tensor: tensor.index, program: tensor.only, environment }
      return { tensor, work, counts: undefined, host: [] }
    }
    const { program, own } = this.choose(tensor, counts, values)
    const environment = this.environment(tensor, own, counts, values)
    const evaluator = tensor.hostUpdates.get(program)!
    const host: number[] = []
    evaluator.evaluate(environment, host)
    const work: Work = { tensor: tensor.index, program, environment }
    return { tensor, work, counts: own, host }
  }

  /** The program that a tensor's next update runs, and its counts then. */
  private choose(
    tensor: Tensor,
    counts: Map<string, number>,
    values: Map<string, number>,
  ): { program: Program; own: Map<string, number> } {
    const own = new Map(tensor.counts)
    own.set('', own.get('')! + 1)
    let tree: VariantTree = tensor.traced!.variants
    while (!('program' in tree)) {
      const count = this.cadence(tree.count, tree.clock, counts, values)
      const fires = firesAt(own.get(tree.clock)!, tree.fires, count)
      if (fires && tree.opens !== undefined) own.set(tree.opens, (own.get(tree.opens) ?? 0) + 1)
      tree = fires ? tree.fired : tree.held
    }
    return { program: tree.program, own }
  }

  private cadence(
    count: number | string,
    clock: string,
    counts: ReadonlyMap<string, number>,
    values: Map<string, number>,
  ): number {
    return typeof count === 'number' ? count : this.hyperValue(count, clock, counts, values)
  }

  private hyperValue(
    key: string,
    clock: string,
    counts: ReadonlyMap<string, number>,
    values: Map<string, number>,
  ): number {
    const { hyper } = this.model
    const [path, name] = hyper.placeOf(key)
    const given = hyper.get(path, name)
    const { definition } = hyper.owner(path)
    const { floor = Number.NEGATIVE_INFINITY } = definition.hyper[name]!
    // Numbers were checked when they were given.
    if (typeof given === 'number') return Math.max(given, floor)
    const known = values.get(key)
    if (known !== undefined) return known
    const scheduled = evaluateSchedule(given, Math.max(counts.get(clock) ?? 0, 1))
    validateHyperparameter(definition.title, name, scheduled, definition.hyper[name]!)
    const value = Math.max(scheduled, floor)
    values.set(key, value)
    return value
  }

  private environment(
    tensor: Tensor,
    own: ReadonlyMap<string, number>,
    counts: ReadonlyMap<string, number>,
    values: Map<string, number>,
  ): HostEnvironment {
    return {
      hyper: (key, clock) => this.hyperValue(key, clock, counts, values),
      count: (clock, perTensor) => (perTensor ? own : counts).get(clock) ?? 0,
      slot: (key) => tensor.host.get(key) ?? this.shared.get(key)!,
      input: (key) => this.given.get(key) ?? Number.NaN,
    }
  }

  private inputViews(): Record<string, Record<string, FloatArray>> {
    const result: Record<string, Record<string, FloatArray>> = Object.create(null)
    this.instance.inputs.forEach((arrays, index) => {
      for (const [name, array] of arrays) {
        result[name] ??= Object.create(null) as Record<string, FloatArray>
        result[name][this.names[index]!] = array
      }
    })
    for (const arrays of Object.values(result)) Object.freeze(arrays)
    return Object.freeze(result)
  }

  /** @internal @throws Error for a name that is no input */
  inputNamed(name: string): Input {
    if (Object.hasOwn(this.needs, name)) return this.needs[name]!
    const declared = Object.keys(this.needs)
    const known = declared.length > 0 ? `it takes ${declared.join(', ')}` : 'it takes none'
    throw new Error(`step: unknown input '${name}' of this optimizer; ${known}${didYouMean(name, declared)}`)
  }

  /** Copies arrays in and returns the numbers. */
  private readInputs(inputs: StepOptions['inputs']): Map<string, number> {
    const numbers = new Map<string, number>()
    if (!inputs) return numbers
    for (const [name, value] of Object.entries(inputs)) {
      if (this.inputNamed(name).kind === 'number') {
        if (typeof value !== 'number') throw new Error(`step: input '${name}' must be a number, not ${String(value)}`)
        numbers.set(name, value)
        if (name === 'loss') numbers.set(lossKey(0), value)
      } else {
        if (typeof value !== 'object' || value === null)
          throw new Error(`step: input '${name}' must be arrays by parameter name, not ${String(value)}`)
        for (const [parameter, array] of Object.entries(value)) this.checkLength('step', parameter, array!)
      }
    }
    for (const [name, value] of Object.entries(inputs)) {
      if (typeof value === 'number') continue
      for (const [parameter, array] of Object.entries(value)) this.inputs[name]?.[parameter]?.set(array!)
    }
    return numbers
  }

  private declaredInputs(): Record<string, Input> {
    const result: Record<string, Input> = {}
    for (const owner of this.owners) Object.assign(result, inputsOf(owner))
    const wants = this.trained.flatMap(({ traced }) => traced!.evaluations.flatMap((evaluation) => evaluation.wants))
    return wants.includes('loss') ? { loss: lossInput, ...result } : result
  }

  /** @throws Error when a program needs a number that was not given. */
  private checkNumbers(program: Program): void {
    for (const name of leavesOf(program).numbers) {
      if (this.given.has(name)) continue
      const input = this.needs[name]
      throw new Error(
        `step ${this.steps + 1}: ${this.titleOf(name)} needs ${input?.description ?? lossInput.description}: pass ` +
          `step({ inputs: { ${input ? name : 'loss'}: ... } }), or use minimize(evaluate)`,
      )
    }
  }

  /** @throws Error when an array that a program reads was never written, or has an element that is not finite. */
  private checkArrays({ tensor, program }: Work): void {
    const name = this.names[tensor]!
    for (const input of leavesOf(program).arrays) {
      const array = this.instance.inputs[tensor]!.get(input)!
      if (array.length > 0 && array.every(Number.isNaN)) {
        throw new Error(
          `step ${this.steps + 1}: ${this.titleOf(input)} needs ${this.needs[input]!.description}, for '${name}' too: pass ` +
            `step({ inputs: { ${input}: { '${name}': ... } } }), or write inputs.${input} in minimize(evaluate)`,
        )
      }
      if (this.nonFinite !== 'allow' && !array.every(Number.isFinite)) {
        throw new Error(
          `step ${this.steps + 1}: the input '${input}' of '${name}' is not finite; parameters and state are unchanged`,
        )
      }
    }
  }

  private findNonFiniteNumbers(numbers: ReadonlyMap<string, number>): string[] {
    if (this.nonFinite === 'allow' || numbers.size === 0) return []
    const wrong = [...numbers].filter(([, value]) => !Number.isFinite(value))
    return [...new Set(wrong.map(([name]) => (isLoss(name) ? 'loss' : name)))]
  }

  private get owners() {
    return [...this.model.hyper.groups.values()].flat().map((path) => this.model.hyper.owner(path))
  }

  private evaluatingTitle(): string {
    return this.owners.find(({ definition, options }) => definition.evaluations?.(options).length)!.definition.title
  }

  /** What declares an input, or else wants the losses of its evaluations. */
  private titleOf(input: string): string {
    const owner = this.owners.find((candidate) => Object.hasOwn(inputsOf(candidate), input))
    return owner?.definition.title ?? this.evaluatingTitle()
  }

  /** The evaluation of a tensor's own that is the `evaluation`-th of the step: those of fewer are the last ones. */
  private ownEvaluation({ traced }: Tensor, evaluation: number): TracedEvaluation | undefined {
    return traced!.evaluations[evaluation - (this.evaluations - traced!.evaluations.length)]
  }

  private wantsOf(evaluation: number, counts: Map<string, number>, tensors: readonly Tensor[]): Set<string> {
    const wants = new Set<string>()
    const last = evaluation === this.evaluations - 1
    for (const tensor of tensors) {
      for (const want of this.ownEvaluation(tensor, evaluation)?.wants ?? []) wants.add(want)
      // What the next program reads: the update, or the way to the next point.
      const next = last
        ? this.choose(tensor, counts, new Map()).program
        : this.ownEvaluation(tensor, evaluation + 1)?.point
      if (next === undefined) continue
      const { gradient, numbers, arrays } = leavesOf(next)
      const named = numbers.filter((name) => name === 'loss' || !isLoss(name))
      for (const name of [...(gradient ? ['gradient'] : []), ...named, ...arrays]) wants.add(name)
    }
    return wants
  }

  /** Moves parameters to the point of an evaluation; true when something moved. */
  private moveTo(
    evaluation: number,
    counts: Map<string, number>,
    tensors: readonly Tensor[],
    movedBefore: boolean,
  ): boolean {
    const moves = tensors.flatMap((tensor) => {
      const program = this.ownEvaluation(tensor, evaluation)?.point
      return program ? [{ tensor, program }] : []
    })
    if (moves.length === 0) return false
    for (const tensor of movedBefore ? [] : tensors) {
      this.startCopies(tensor, undefined)
      // What a switch begins in this step.
      this.startCopies(tensor, this.choose(tensor, counts, new Map()).own)
    }
    this.runPrograms(moves, counts)
    this.writeAttached()
    return true
  }

  /** @throws Error when parameters come back together or not at all, and one has no gradient. */
  private checkSeparate(): void {
    if (!this.trained.some(({ traced }) => traced!.origin && leavesOf(traced!.origin).collective)) return
    throw new Error(
      `${this.evaluatingTitle()} looks at all parameters to find its way back, so each needs its gradient: leave out without`,
    )
  }

  /** Brings parameters back from the points of a step: all when it failed, else those that turned out to have no gradient. */
  private goBack(counts: Map<string, number>, tensors: readonly Tensor[]): void {
    const moves = tensors.flatMap((tensor) => {
      const program = tensor.traced!.origin
      return program ? [{ tensor, program }] : []
    })
    if (moves.length === 0) return
    this.runPrograms(moves, counts)
    this.writeAttached()
  }

  private runPrograms(programs: readonly { tensor: Tensor; program: Program }[], counts: Map<string, number>): void {
    const values = new Map<string, number>()
    const work = programs.map(({ tensor, program }) => {
      const { own } = this.choose(tensor, counts, values)
      return { tensor: tensor.index, program, environment: this.environment(tensor, own, counts, values) }
    })
    if (this.needsArrays) for (const item of work) this.checkArrays(item)
    this.instance.run(work)
  }

  /** Copies the parameter to the slots that start as a copy of it and whose clock makes its first step. */
  private startCopies(tensor: Tensor, own: ReadonlyMap<string, number> | undefined): void {
    if (!own && tensor.counts.get('') !== 0) return
    for (const slot of tensor.traced!.slots) {
      if (slot.initial !== 'copy') continue
      const clock = own ? this.clockOf(slot.key) : ''
      if ((tensor.counts.get(clock) ?? 0) === 0 && (!own || own.get(clock) === 1)) {
        this.instance.copyParameter(tensor.index, slot.key)
      }
    }
  }

  private commit(updates: readonly Update[], counts: Map<string, number>): void {
    for (const { tensor, work, counts: own, host } of updates) {
      if (!own) {
        tensor.counts.set('', tensor.counts.get('')! + 1)
        continue
      }
      work.program.hostOutputs.forEach(({ key }, index) => {
        const target = this.sharedKeys.has(key) ? this.shared : tensor.host
        target.set(key, host[index]!)
      })
      tensor.counts = own
    }
    this.counts = counts
  }

  private collectTelemetry(tensors: readonly Tensor[]): Record<string, TensorTelemetry> {
    const result: Record<string, TensorTelemetry> = Object.create(null)
    for (const { index, shape } of tensors) {
      const read = (name: keyof TensorTelemetry) => this.instance.telemetry(index, name) ?? 0
      result[shape.name] = {
        gradientNorm: read('gradientNorm'),
        updateNorm: read('updateNorm'),
        parameterNorm: read('parameterNorm'),
        nonFinite: read('nonFinite'),
      }
    }
    return result
  }
}

/** The views, with the attached arrays in place of those that follow them. */
function replaced(views: Readonly<Record<string, FloatArray>>, arrays: Given): Readonly<Record<string, FloatArray>> {
  return Object.freeze(Object.assign(Object.create(null), views, arrays))
}

/** @throws Error when two of the arrays share memory: what is written for one would be lost. */
function checkSeparateMemory(parameters: Given, gradients: Given): void {
  const all = [
    ...Object.entries(parameters).map(([name, array]) => ({ what: `the parameter '${name}'`, array })),
    ...Object.entries(gradients).map(([name, array]) => ({ what: `the gradient of '${name}'`, array })),
  ]
  const seen = new Map<object, (typeof all)[number][]>()
  for (const entry of all) {
    const key = Array.isArray(entry.array) ? entry.array : entry.array.buffer
    const others = seen.get(key) ?? []
    const other = others.find((candidate) => overlap(candidate.array, entry.array))
    if (other) {
      throw new Error(
        `attach: ${other.what} and ${entry.what} are given the same memory; each needs an array of its own`,
      )
    }
    seen.set(key, [...others, entry])
  }
}

function overlap(a: Given[string], b: Given[string]): boolean {
  if (Array.isArray(a) || Array.isArray(b)) return a === b
  return a.byteOffset < b.byteOffset + b.byteLength && b.byteOffset < a.byteOffset + a.byteLength
}

/** @throws Error for a text, whose letters would be taken for names. */
function checkList(caller: string, without: unknown): void {
  if (without === undefined || (typeof without === 'object' && without !== null && Symbol.iterator in without)) return
  const given = typeof without === 'string' ? `the text '${without}'` : String(without)
  throw new Error(`${caller}: without must be a list of names such as ['bias'], not ${given}`)
}

function copy(from: FloatArray, to: Float32Array | Float64Array | number[]): void {
  if (Array.isArray(to)) for (let index = 0; index < from.length; index++) to[index] = from[index]!
  else to.set(from)
}

function collectOpenings(tree: VariantTree, found: Map<string, Opening>): void {
  if ('program' in tree) return
  if (tree.opens !== undefined) {
    const { clock, fires, count, opens } = tree
    found.set(opens, { clock, fires, count, opens })
  }
  collectOpenings(tree.held, found)
  collectOpenings(tree.fired, found)
}

/** All clocks of a tensor, before its first step. */
function startingCounts(tree: VariantTree | undefined): Map<string, number> {
  const openings = new Map<string, Opening>()
  if (tree) collectOpenings(tree, openings)
  return new Map([['', 0], ...[...openings.keys()].map((clock) => [clock, 0] as const)])
}

/** What an optimizer is made of, without its hyperparameters: checkpoints of equal signature fit each other. */
function signature(optimizer: Optimizer): string {
  if (optimizer.kind === 'wrapped') {
    const settings = changedOptions(optimizer).map((setting) => `, ${setting}`)
    const parts = [...(optimizer.earlier ? [optimizer.earlier] : []), optimizer.inner].map(signature)
    return `${optimizer.definition.name}(${parts.join(', ')}${settings.join('')})`
  }
  if (optimizer.kind === 'grouped') {
    const list = optimizer.groups.map(({ name, frozen, optimizer: own }) => {
      const what = frozen ? 'frozen' : own ? signature(own) : 'hyper'
      return `${name}: ${what}`
    })
    return `groups(${signature(optimizer.base)}, ${list.join(', ')})`
  }
  const { definition, decay, maximize, fallback } = optimizer
  const settings = changedOptions(optimizer)
  if (decay !== definition.decay) settings.push(`decay: ${decay}`)
  if (maximize) settings.push('maximize: true')
  if (fallback) settings.push(`fallback: ${signature(fallback)}`)
  return `${definition.name}(${settings.join(', ')})`
}

function changedOptions({ definition, options }: BaseOptimizer | WrappedOptimizer): string[] {
  const changed = Object.entries(options).filter(([name, value]) => value !== definition.options?.[name])
  return changed.map(([name, value]) => `${name}: ${value}`)
}
