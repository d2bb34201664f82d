import * as tf from '@tensorflow/tfjs-core'
import type { LayoutChoice, NonFinitePolicy, Optimizer, Rebased, StepResult, TensorTelemetry } from 'fallline'
import {
  backendTensors,
  bytesOf,
  type Checkpoint,
  Conductor,
  Course,
  checkLayout,
  checkNames,
  checkOptimizer,
  checkParameters,
  checkpointOf,
  checkpointPlaces,
  copiesOf,
  DeclaredInputs,
  EvaluatingCourse,
  type HyperValue,
  hyperBeforeTraining,
  keptAs,
  movedAlong,
  PortableNames,
  placesInBoth,
  programsOfTensor,
  readTelemetry,
  restart,
  restore,
  sizeOf,
  type TracedModel,
  traceModel,
  withHyper,
} from 'fallline/internal'
import type { Bound, Execution, VariableInstance } from './backends/instance.ts'
import { SlotStore } from './backends/operations.ts'
import { createInstance } from './backends/select.ts'
import { describe, revive } from './config.ts'
import { beginsHere, Evaluations, movingTitle } from './evaluations.ts'
import { layoutOf } from './layout.ts'
import {
  checkpointFrom,
  fromWeights,
  type NamedTensor,
  type SavedState,
  type SavedVariable,
  savedFrom,
  toWeights,
  withVariables,
} from './state.ts'

/** How an optimizer behaves inside TensorFlow.js; hyperparameters are not here. */
export interface TensorFlowOptions {
  /**
   * What happens when a gradient has an element that is infinite or not a number. `throw`: an error names the variables.
   * `skip`: the step is skipped and counted. Both leave variables and state untouched. `allow`: no check. Default `throw` on
   * the backends `wasm` and `cpu`; `allow` on all others, where a check waits for the device in every step.
   */
  readonly nonFinite?: NonFinitePolicy
  /** Computes norms for `telemetry()` with every step. Default false. */
  readonly telemetry?: boolean
  /**
   * Which dimensions of the variables are outputs, for rules that treat outputs and inputs unlike, such as Muon: a layout for
   * all, or a function of name and shape. Default `layoutOf`, which knows how TensorFlow.js keeps its kernels.
   */
  readonly layout?: LayoutChoice
  /** Uses the fused kernels where there are any. `false`: an operation of TensorFlow.js for each of the rule. Default true. */
  readonly fused?: boolean
}

/** How much `setWeights` takes. */
export interface LoadWeightsOptions {
  /** `everything` (default) refuses what does not fit, `fitting` takes what does. */
  readonly take?: 'everything' | 'fitting'
}

/** What the optimizer has compiled for the variables that it knows. */
interface Compiled {
  readonly backend: string
  readonly model: TracedModel
  readonly instance: VariableInstance
  readonly conductor: Conductor
  readonly course: Course
  readonly inputs: DeclaredInputs
  /** How files name the state. */
  readonly portable: PortableNames
  /** The variables whose gradient is read. */
  readonly differentiated: ReadonlySet<string>
}

/** What an optimizer keeps in TensorFlow.js or beside it, which nobody else would free. */
class Holdings {
  instance: VariableInstance | undefined
  readonly slots = new SlotStore()
  exported: NamedTensor[] = []
  /** What a function to minimize has kept in evaluations after the first of the last step. */
  kept: tf.Tensor[] = []

  dispose(): void {
    this.releaseState()
    this.disposeExported()
    this.disposeKept()
  }

  releaseState(): void {
    this.instance?.dispose()
    this.instance = undefined
    this.slots.dispose()
  }

  disposeExported(): void {
    for (const { tensor } of this.exported) tensor.dispose()
    this.exported = []
  }

  disposeKept(): void {
    for (const tensor of this.kept) tensor.dispose()
    this.kept = []
  }
}

/** The optimizers that hold state. */
const holders = new Map<Holdings, WeakRef<TensorFlowOptimizer>>()

/** Frees what an optimizer held that the program has lost. */
const lost = new FinalizationRegistry<Holdings>((holdings) => {
  holdings.dispose()
  holders.delete(holdings)
})

/** Whether a variable can still be trained: not disposed, also not by `tf.disposeVariables`. */
const isAlive = (variable: tf.Variable): boolean => tf.engine().registeredVariables[variable.name] === variable

/** What an optimizer needs besides gradients, by name: numbers, or tensors by variable name. */
export type StepInputs = Readonly<Record<string, number | tf.NamedTensorMap>>

/** What a step takes when there is nothing besides gradients. */
const noInputs: ReadonlyMap<string, tf.Tensor> = new Map()

/** @throws Error for an input that the optimizer does not take. */
function split(inputs: StepInputs, declared: DeclaredInputs) {
  const numbers: Record<string, number> = {}
  const arrays: [string, tf.NamedTensorMap][] = []
  for (const [name, input] of Object.entries(inputs)) {
    declared.named(name)
    if (typeof input === 'number') numbers[name] = input
    else arrays.push([name, input])
  }
  return { numbers, arrays }
}

/** The inputs of one variable, by the names of the inputs. */
function inputsFor(
  name: string,
  arrays: readonly (readonly [string, tf.NamedTensorMap])[],
): ReadonlyMap<string, tf.Tensor> {
  if (arrays.length === 0) return noInputs
  return new Map(arrays.flatMap(([input, tensors]) => (tensors[name] ? [[input, tensors[name]] as const] : [])))
}

/** The names of trainable variables: of all that can be trained unless a list is given. */
function trainable(variables?: readonly tf.Variable[]): string[] {
  const all = variables ?? Object.values(tf.engine().registeredVariables).filter(({ dtype }) => dtype === 'float32')
  const names = all.filter((variable) => variable.trainable).map(({ name }) => name)
  if (names.length === 0) throw new Error('minimize: there is no trainable variable')
  return names
}

/**
 * An optimizer of Fallline inside TensorFlow.js: for `model.compile({ optimizer })`, `minimize` and `applyGradients`.
 *
 * The state belongs to the variables, so any call may bring other variables, more of them, or leave some out: what has no
 * gradient keeps its value, its state and its step count. Everything is compiled at the first step, and again when a
 * variable comes for the first time or a known one is gone, with the state of the others carried over; changing a
 * hyperparameter never compiles. A new variable under the name of one that was disposed begins anew.
 *
 * The random numbers of a variable follow the order in which variables had their first gradient, and not its name, which
 * TensorFlow.js may count up within a process: the same program with the same seed takes the same steps.
 *
 * TensorFlow.js does not dispose optimizers that it was given: call `dispose` when you no longer need one. What it holds is
 * part of `tf.memory()`. Without `dispose` the state of a variable is freed at a step after the variable was disposed; that
 * of an optimizer whose variables are all disposed also when any optimizer compiles (what they shared, as the distance of
 * Prodigy, goes with them; the count of steps and the hyperparameters stay), and that of an optimizer that the program has
 * lost when JavaScript collects it.
 */
export class TensorFlowOptimizer<H extends string = string> extends tf.Optimizer {
  /** The name under which TensorFlow.js saves it. @nocollapse */
  static readonly className: string = 'Fallline'

  /** What it is made of, with the hyperparameters as they were last set. */
  get rule(): Optimizer<H> {
    return this.current as Optimizer<H>
  }

  /** The options it was made with. */
  readonly options: TensorFlowOptions
  private current: Optimizer
  /** What evaluates the model at points of its own; hyperparameters do not change that. */
  private readonly moving: string | undefined
  private compiled: Compiled | undefined
  /** Variables in the order in which they first had a gradient. */
  private readonly variables = new Map<string, tf.Variable>()
  /** The names that the random numbers of variables follow. */
  private streams: ReadonlyMap<string, string> = new Map()
  private readonly held = new Holdings()
  private pending: SavedState | undefined
  /** Whether what is pending may be of another model or optimizer. */
  private fitting = false
  private last: StepResult | undefined
  private disposed = false
  /** What is being done, in words, as long as nothing else may be. */
  private busy: string | undefined

  /** Use a factory such as `adan` or `toTensorFlow`. */
  constructor(rule: Optimizer<H>, options: TensorFlowOptions = {}) {
    super()
    checkOptimizer('TensorFlowOptimizer', rule)
    checkNames('TensorFlowOptimizer', options, ['nonFinite', 'telemetry', 'fused', 'layout'])
    checkLayout('TensorFlowOptimizer', options.layout ?? layoutOf)
    const { nonFinite } = options
    if (nonFinite !== undefined && !['throw', 'skip', 'allow'].includes(nonFinite)) {
      throw new Error(`TensorFlowOptimizer: nonFinite must be throw, skip or allow, not ${String(nonFinite)}`)
    }
    this.current = rule
    this.moving = movingTitle(rule)
    this.options = options
    lost.register(this, this.held, this.held)
  }

  /** Makes the optimizer that `getConfig` described. */
  static override fromConfig<T extends tf.serialization.Serializable>(
    _: tf.serialization.SerializableConstructor<T>,
    config: tf.serialization.ConfigDict,
  ): T {
    const { rule, options } = JSON.parse(config.name as string) as { rule: string; options: TensorFlowOptions }
    return new TensorFlowOptimizer(revive(rule), options) as unknown as T
  }

  override getClassName(): string {
    return TensorFlowOptimizer.className
  }

  /**
   * The optimizer as text under `name`: the one key whose strings TensorFlow.js leaves alone when it saves and loads.
   * @throws Error when a schedule, the match of a group or the layout is a function.
   */
  override getConfig(): tf.serialization.ConfigDict {
    if (typeof this.options.layout === 'function') {
      throw new Error(
        'the layout is a function, which cannot be saved with the model; use the name of a layout, or none',
      )
    }
    return { name: JSON.stringify({ rule: describe(this.current), options: this.options }) }
  }

  /** How many steps have been taken. */
  override get iterations(): number {
    return this.compiled?.conductor.steps ?? this.pending?.steps ?? 0
  }

  /** How many steps `nonFinite: 'skip'` has skipped. */
  get skipped(): number {
    return this.compiled?.conductor.skipped ?? this.pending?.skipped ?? 0
  }

  /** What the last step did; `undefined` before the first. */
  get lastStep(): StepResult | undefined {
    return this.last
  }

  /** How steps are executed; known after the first. */
  get execution(): Execution | undefined {
    return this.compiled?.instance.execution
  }

  /** The hyperparameters, schedules evaluated at the last step (before any, at the first). */
  get hyper(): Readonly<Record<H, number>> {
    return this.hyperOf('') as Readonly<Record<H, number>>
  }

  /** The hyperparameters of a group. */
  hyperOf(group: string): Readonly<Record<string, number>> {
    return (
      this.compiled?.conductor.hyperOf(group) ?? hyperBeforeTraining(this.current, group, Math.max(this.iterations, 1))
    )
  }

  /**
   * Changes hyperparameters from the next step on, to numbers or schedules. Nothing is compiled again.
   * @throws Error for an unknown group or name or an invalid value, or in the middle of a step; nothing is changed then.
   */
  set(values: { readonly [K in H]?: HyperValue }): void
  set(values: Readonly<Record<string, HyperValue>>, options: { readonly group?: string }): void
  set(values: { readonly [name: string]: HyperValue | undefined }, options: { readonly group?: string } = {}): void {
    this.refuseWhileBusy('set')
    checkNames('set', options, ['group'])
    const { group = '' } = options
    const given = values as Readonly<Record<string, HyperValue>>
    const changed = withHyper(this.current, given, group)
    this.compiled?.conductor.set(given, group)
    this.current = changed
  }

  /** The learning rate; short for `hyper.learningRate` and `set({ learningRate })`. */
  get learningRate(): number {
    return this.hyperOf('').learningRate!
  }

  set learningRate(value: HyperValue) {
    this.set({ learningRate: value }, {})
  }

  /**
   * Takes a step with a function that evaluates the model: once for most optimizers, several times with the variables
   * at other points for those that look around (sharpness-aware, exact variance reduction, methods without gradients). It
   * must use the same batch each time.
   *
   * Numbers that `f` has marked with `tf.keep` in evaluations after the first are disposed with the next step: a Layers model
   * does that to its metrics.
   * @param f gives the loss, a scalar.
   * @param returnCost whether to return the loss of the first evaluation; the caller then disposes it.
   * @param variables what to change; default: all trainable variables. Those that the loss does not depend on stay as they
   * are, but only gradients tell: an optimizer that reads the loss alone (`mezo`) changes all that are listed.
   * @param inputs what the optimizer needs besides gradients and the loss: see `applyGradients`.
   * @throws Error when `f` throws, or gives no scalar, or a loss or gradient that is not finite (policy `throw`); variables and
   * state are untouched then, up to rounding where an optimizer finds its way back from the point. Also when `f` itself uses
   * the optimizer, whose variables may stand elsewhere.
   */
  override minimize(
    f: () => tf.Scalar,
    returnCost = false,
    variables?: tf.Variable[],
    inputs: StepInputs = {},
  ): tf.Scalar | null {
    this.begin('minimize')
    const evaluations = new Evaluations(f)
    this.busy = 'minimize is evaluating the model'
    try {
      const here = beginsHere(this.current)
      if (here) evaluations.differentiate(variables)
      this.step(evaluations, here ? Object.keys(evaluations.gradients) : trainable(variables), inputs, here)
    } catch (error) {
      evaluations.first?.dispose()
      throw error
    } finally {
      this.busy = undefined
      evaluations.free()
      this.held.kept = evaluations.kept
    }
    if (returnCost) return evaluations.first!
    evaluations.first!.dispose()
    return null
  }

  private step(evaluations: Evaluations, names: readonly string[], inputs: StepInputs, evaluated: boolean): void {
    const present = new Map(names.map((name) => [name, this.variableNamed(name, evaluations.gradients[name])]))
    const compiled = this.prepare(present)
    const { conductor, course, instance, differentiated } = compiled
    const { numbers, arrays } = split(inputs, compiled.inputs)
    const read = [...present.values()].filter(({ name }) => differentiated.has(name))
    const bind = () => this.bind(compiled, present, evaluations.gradients, arrays)
    const absent = conductor.names.filter((name) => !present.has(name))
    bind()
    try {
      this.last = new EvaluatingCourse(course).evaluatedNow(({ wants, evaluation }) => {
        const without: string[] = []
        if (evaluation > 0 || !evaluated) {
          instance.finish()
          try {
            if (wants.has('gradient')) evaluations.differentiate(read)
            else evaluations.look()
            if (wants.has('gradient'))
              without.push(...read.flatMap(({ name }) => (evaluations.gradients[name] ? [] : [name])))
          } catch (error) {
            // The way back may lead through programs that read it.
            evaluations.fill(read)
            bind()
            throw error
          }
          if (this.options.telemetry) evaluations.fill(present.values())
          bind()
        }
        return { ...(wants.has('loss') ? { loss: evaluations.loss } : {}), inputs: numbers, without }
      }, absent)
    } finally {
      instance.finish()
    }
  }

  /**
   * Takes one step.
   * @param gradients by variable name; a variable that is absent, or whose gradient is null or undefined, is left alone.
   * @param inputs what the optimizer needs besides gradients, by name: numbers such as `loss`, or tensors by variable name.
   * @throws Error for a name that is no variable, a gradient of another shape, one that is not finite (policy `throw`), an
   * input that is missing, or an optimizer that evaluates the model several times in a step; variables and state are
   * untouched then.
   */
  override applyGradients(gradients: tf.NamedTensorMap | NamedTensor[], inputs: StepInputs = {}): void {
    this.begin('applyGradients')
    if (this.moving !== undefined) {
      throw new Error(
        `applyGradients: ${this.moving} evaluates the model at points of its own: use minimize(f), or compile and fit of a model`,
      )
    }
    const given = Array.isArray(gradients)
      ? Object.fromEntries(gradients.map(({ name, tensor }) => [name, tensor]))
      : gradients
    const present = new Map<string, tf.Variable>()
    for (const name of Object.keys(given)) {
      const gradient = given[name]
      if (gradient) present.set(name, this.variableNamed(name, gradient))
    }
    if (present.size === 0) return
    const compiled = this.prepare(present)
    const { conductor, course, instance } = compiled
    const { numbers, arrays } = split(inputs, compiled.inputs)
    this.bind(compiled, present, given, arrays)
    const tensors = conductor.present(conductor.names.filter((name) => !present.has(name)))
    this.last = course.update(tensors, compiled.inputs.numbers(numbers))
    instance.finish()
  }

  /** What comes before every step. */
  private begin(caller: string): void {
    this.refuseWhileBusy(caller)
    this.held.disposeExported()
    this.held.disposeKept()
  }

  /** @throws Error while something is being done that others would disturb, and after `dispose`. */
  private refuseWhileBusy(caller: string): void {
    if (this.disposed) throw new Error(`${caller}: this optimizer has been disposed; make a new one`)
    if (this.busy !== undefined) throw new Error(`${caller}: ${this.busy}; wait until that is done`)
  }

  private bind(
    { conductor, instance }: Compiled,
    present: ReadonlyMap<string, tf.Variable>,
    gradients: tf.NamedTensorMap,
    arrays: readonly (readonly [string, tf.NamedTensorMap])[],
  ): void {
    const bound: Bound[] = []
    conductor.names.forEach((name, index) => {
      const variable = present.get(name)
      if (!variable) return
      bound.push({ index, variable, gradient: gradients[name], inputs: inputsFor(name, arrays) })
    })
    instance.bind(bound)
  }

  /**
   * Norms of gradient, update and parameter by variable, of the last step. Waits for the device.
   * @throws Error unless the optimizer was made with `{ telemetry: true }` and has taken a step.
   */
  async telemetry(): Promise<Record<string, TensorTelemetry>> {
    if (!this.options.telemetry) {
      throw new Error('telemetry: make the optimizer with it, as in adan({ learningRate: 1e-3 }, { telemetry: true })')
    }
    if (!this.compiled) throw new Error('telemetry: there is none before the first step')
    const { instance, conductor } = this.compiled
    return readTelemetry(conductor.trained, instance.readback)
  }

  /**
   * Runs `action` with the values that the optimizer says to evaluate with (the average of schedule-free methods and of
   * `parameterAverage`) in the variables, and puts the trained values back afterwards, also after an error. Without such a
   * rule the variables stay as they are.
   *
   * Meanwhile the optimizer refuses steps, changes, and `getWeights`: `model.save` inside stores what to evaluate with, which
   * training cannot go on from, so it must be without `includeOptimizer`.
   *
   * @throws Error in the middle of a step, or of another call of this.
   */
  async withEvaluationParameters<T>(action: () => T | Promise<T>): Promise<T> {
    this.refuseWhileBusy('withEvaluationParameters')
    const swapped = this.evaluationValues().map(({ variable, value }) => {
      const trained = tf.keep(tf.clone(variable as tf.Tensor))
      variable.assign(value)
      value.dispose()
      return { variable, trained }
    })
    this.busy = 'withEvaluationParameters has other values in the variables'
    try {
      return await action()
    } finally {
      this.busy = undefined
      for (const { variable, trained } of swapped) {
        variable.assign(trained)
        trained.dispose()
      }
    }
  }

  /** What to evaluate the variables with that have such a value; the caller disposes it. */
  private evaluationValues(): { variable: tf.Variable; value: tf.Tensor }[] {
    const variables = [...this.variables.values()]
    const work = (this.compiled?.conductor.averages() ?? []).filter(({ tensor }) => isAlive(variables[tensor]!))
    const values = this.compiled?.instance.compute(work, variables) ?? []
    return work.map(({ tensor }, position) => ({ variable: variables[tensor]!, value: values[position]! }))
  }

  /**
   * Ends training in place: leaves in the variables what the optimizer says to evaluate with, as the model is to be used and
   * saved, and disposes the optimizer, because training cannot go on from there.
   * @throws Error in the middle of a step and inside `withEvaluationParameters`.
   */
  finish(): void {
    this.refuseWhileBusy('finish')
    for (const { variable, value } of this.evaluationValues()) {
      variable.assign(value)
      value.dispose()
    }
    this.dispose()
  }

  /**
   * The state as tensors for `model.save`, which does not dispose them. They belong to the optimizer and live until its next
   * step, the next call of this, or `dispose`.
   * @throws Error in the middle of a step and inside `withEvaluationParameters`.
   */
  override async getWeights(): Promise<NamedTensor[]> {
    this.refuseWhileBusy('getWeights')
    this.busy = 'getWeights is reading the state'
    const saved = await this.save().finally(() => {
      this.busy = undefined
    })
    this.held.disposeExported()
    this.held.exported = toWeights(saved)
    for (const { tensor } of this.held.exported) tf.keep(tensor)
    return this.held.exported
  }

  /**
   * Continues from what `getWeights` gave. Variables take over the state saved under their name, or, where a loaded model has
   * given them other names, the state in order. Hyperparameters may differ, and so may wrappers that have no state, such as
   * clipping.
   *
   * With `take: 'fitting'` other changes are accepted too: a variable takes over the state that was saved under its name, where
   * variable and state have the same shapes, and otherwise its state begins anew. The count of steps, which schedules follow, goes
   * on. `untaken` says what was not taken.
   * @throws Error for the weights of another optimizer (unless `take` was given), or in the middle of a step; nothing is changed
   * then. Variables that come later are checked at their first step.
   */
  override async setWeights(weights: NamedTensor[], options: LoadWeightsOptions = {}): Promise<void> {
    checkNames('setWeights', options, ['take'])
    const { take = 'everything' } = options
    if (take !== 'everything' && take !== 'fitting') {
      throw new Error(`setWeights: take must be everything or fitting, not ${String(take)}`)
    }
    const fitting = take === 'fitting'
    const saved = await fromWeights(weights)
    this.refuseWhileBusy('setWeights')
    if (this.compiled) {
      const names = [...this.variables.values()].filter(isAlive).map(({ name }) => name)
      const { taken, left } = match(saved, names, this.variables, fitting)
      const fits = checkState(saved, taken, this.compiled, fitting)
      const streams = withStreams([...this.variables.keys()], this.streams, taken, left)
      if (JSON.stringify([...streams]) !== JSON.stringify([...this.streams])) {
        // Random numbers that follow other names are other programs.
        const renamed = this.compile(this.variables, streams)
        this.carryOver(this.compiled, renamed)
        this.hold(renamed)
        this.streams = streams
      }
      const { conductor, instance, portable } = this.compiled
      if (fitting) restart(conductor, instance.readback)
      restore(conductor, instance.readback, portable.restore(checkpointFrom(saved, fits)))
      this.pending = { ...saved, variables: saved.variables.filter((variable) => !isTaken(variable, fits)) }
    } else this.pending = saved
    this.fitting = fitting
  }

  /**
   * Goes on from other values of variables, such as an average over several machines or a clipped copy, with the state that
   * there is. Assigning to a variable leaves copies of it in the state (the slow weights of lookahead, z of schedule-free
   * methods, the start of Prodigy and DoG, averages) where they were; this moves them along by as much as the variable.
   * State made of gradients, numbers and counts stay.
   * @param values by variable name; variables that are left out stay. They still belong to the caller.
   * @returns the names of the state that moved and of what stayed, of the variables that were given.
   * @throws Error for a name that is no variable, another shape, state that was loaded and waits for the first step of its variable,
   * or in the middle of a step; nothing is changed then.
   */
  async rebase(values: tf.NamedTensorMap): Promise<Rebased> {
    this.refuseWhileBusy('rebase')
    const given = Object.entries(values).map(([name, value]) => {
      const variable = this.variableNamed(name)
      checkShape(variable, 'new value', value)
      if (this.untaken.includes(name)) {
        throw new Error(
          `rebase: the state that was loaded for '${name}' is taken over at its first step; rebase after that`,
        )
      }
      return { name, variable, value }
    })
    this.busy = 'rebase is reading the state'
    try {
      const { compiled } = this
      if (!compiled) {
        for (const { variable, value } of given) variable.assign(value)
        return { moved: [], kept: [] }
      }
      const { conductor, instance } = compiled
      const { moved, kept, copies } = copiesOf(conductor, Object.keys(values))
      const state = await instance.readback.read(copies)
      const data = await Promise.all(
        given.map(async ({ name, variable, value }) => [name, [await variable.data(), await value.data()]] as const),
      )
      const numbers = new Map(data)
      copies.forEach((place, index) => {
        const [before, after] = numbers.get(conductor.names[place.tensor]!)!
        instance.readback.write(place, movedAlong(state[index]!, before!, after!))
      })
      for (const { variable, value } of given) variable.assign(value)
      return { moved, kept }
    } finally {
      this.busy = undefined
    }
  }

  /** The names of state that was loaded and that no variable has taken over. */
  get untaken(): readonly string[] {
    return (this.pending?.variables ?? []).map(({ name }) => name)
  }

  /**
   * Frees the state. The optimizer cannot be used afterwards. A second call does nothing.
   * @throws Error in the middle of a step.
   */
  override dispose(): void {
    if (this.disposed) return
    this.refuseWhileBusy('dispose')
    this.held.dispose()
    holders.delete(this.held)
    lost.unregister(this.held)
    this.compiled = undefined
    this.pending = undefined
    this.variables.clear()
    this.disposed = true
  }

  /** Frees the state when no variable is left that it belongs to. */
  private releaseUnused(): void {
    if (!this.compiled || [...this.variables.values()].some(isAlive)) return
    const { conductor, portable } = this.compiled
    const { skipped } = conductor
    const { optimizer, counts } = portable.shorten(checkpointOf(conductor, 'host', []))
    const variables = this.loadedVariables()
    this.fitting = false
    this.pending = { optimizer, steps: conductor.steps, counts: [...counts.get('')!], shared: {}, skipped, variables }
    this.compiled = undefined
    this.variables.clear()
    this.streams = new Map()
    this.held.releaseState()
    holders.delete(this.held)
  }

  private async save(): Promise<SavedState> {
    if (!this.compiled) {
      return this.pending ?? { optimizer: '', steps: 0, counts: [['', 0]], shared: {}, skipped: 0, variables: [] }
    }
    const { conductor, instance, model, portable } = this.compiled
    const values = await instance.readback.read(checkpointPlaces(conductor, 'state'))
    const checkpoint = portable.shorten(checkpointOf(conductor, 'state', values))
    const saved = savedFrom(checkpoint, conductor.skipped, portable, model, this.streams)
    return withVariables(saved, this.loadedVariables())
  }

  /** Loaded state that is this optimizer's and that no variable has taken over. */
  private loadedVariables(): readonly SavedVariable[] {
    return this.fitting ? [] : (this.pending?.variables ?? [])
  }

  private variableNamed(name: string, gradient?: tf.Tensor): tf.Variable {
    const variable = tf.engine().registeredVariables[name]
    if (!variable) throw new Error(`there is no variable '${name}'`)
    if (variable.dtype !== 'float32') {
      throw new Error(`the variable '${name}' must be float32 to be trained, not ${variable.dtype}`)
    }
    if (gradient) checkShape(variable, 'gradient', gradient)
    return variable
  }

  /** What takes the step; made anew when there are new variables or another backend, or when variables are gone. */
  private prepare(present: ReadonlyMap<string, tf.Variable>): Compiled {
    this.releaseUnused()
    const before = this.compiled
    const gone = [...this.variables.values()].filter((variable) => !isAlive(variable)).map(({ name }) => name)
    const known = new Map([...this.variables].filter(([name]) => !gone.includes(name)))
    const fresh = [...present.keys()].filter((name) => !known.has(name))
    if (!before || fresh.length > 0 || gone.length > 0 || before.backend !== tf.getBackend()) {
      for (const holder of holders.values()) {
        const optimizer = holder.deref()
        if (optimizer !== this && optimizer?.busy === undefined) optimizer?.releaseUnused()
      }
      for (const name of gone) this.held.slots.release(name)
      const all = new Map([...known, ...present])
      const matched = this.pending && match(this.pending, fresh, all, this.fitting)
      const carried = new Map([...this.streams].filter(([name]) => known.has(name)))
      const streams = withStreams([...all.keys()], carried, matched?.taken, matched?.left)
      const compiled = this.compile(all, streams)
      try {
        this.carryOver(before, compiled, matched, gone)
      } catch (error) {
        compiled.instance.dispose()
        throw error
      }
      this.hold(compiled)
      this.streams = streams
      for (const name of gone) this.variables.delete(name)
      for (const [name, variable] of all) this.variables.set(name, variable)
    }
    return this.compiled!
  }

  private hold(compiled: Compiled): void {
    this.compiled = compiled
    this.held.instance = compiled.instance
    if (!holders.has(this.held)) holders.set(this.held, new WeakRef(this))
  }

  private compile(variables: ReadonlyMap<string, tf.Variable>, streams: ReadonlyMap<string, string>): Compiled {
    const { telemetry = false, fused = true, nonFinite, layout = layoutOf } = this.options
    const shapes = Object.fromEntries([...variables].map(([name, { shape }]) => [name, shape]))
    const all = Object.entries(tf.engine().registeredVariables)
    const later = Object.fromEntries(all.flatMap(([name, { shape }]) => (variables.has(name) ? [] : [[name, shape]])))
    // Exact slots in float32, so that the state goes from one backend of TensorFlow.js to another.
    const settings = { later, streams, layout, plainSlots: true, separate: 'TensorFlow.js' }
    const model = traceModel(this.current, shapes, telemetry, settings)
    checkParameters(model, 'TensorFlow.js')
    const tensors = backendTensors(model)
    const backend = tf.getBackend()
    const policy = nonFinite ?? (backend === 'wasm' || backend === 'cpu' ? 'throw' : 'allow')
    const instance = createInstance(tensors, this.held.slots, fused, model.rule)
    // Telemetry is read on request and not by the step, which would wait for the device.
    const conductor = new Conductor(model)
    const inputs = new DeclaredInputs(conductor)
    const course = new Course(conductor, instance, inputs, { nonFinite: policy })
    const reading = tensors.filter((tensor) => programsOfTensor(tensor).some((program) => program.leaves.gradient))
    const differentiated = new Set(reading.map(({ name }) => name))
    return {
      backend,
      model,
      instance,
      conductor,
      course,
      inputs,
      portable: new PortableNames(conductor),
      differentiated,
    }
  }

  /** Gives what was just compiled the state so far, and loaded state to the variables that are new. */
  private carryOver(
    before: Compiled | undefined,
    compiled: Compiled,
    matched?: Matched,
    gone: readonly string[] = [],
  ): void {
    const { conductor, instance } = compiled
    const { readback } = instance
    const { pending } = this
    if (pending && matched) {
      const fits = checkState(pending, matched.taken, compiled, this.fitting)
      const loaded = compiled.portable.restore(checkpointFrom(pending, fits))
      // The counts and numbers that all variables share were loaded with the first of them.
      const numbers = before ? withoutShared(loaded.numbers) : loaded.numbers
      restore(conductor, readback, { ...loaded, numbers })
      this.pending = { ...pending, variables: pending.variables.filter((variable) => !isTaken(variable, fits)) }
    }
    if (!before) return
    // Tensors stay where they are, and what lies on a device there; what lies in the memory of a kernel is copied.
    const stays = isKernel(before.instance)
      ? instance.takeOver?.(before.instance, placesInBoth(before.conductor, conductor, gone))
      : !isKernel(instance)
    const scope = stays ? 'host' : 'state'
    const values = before.instance.readback.readSync(checkpointPlaces(before.conductor, scope))
    const carried = checkpointOf(before.conductor, scope, values)
    restore(conductor, readback, withoutState(carried, before.model, gone))
    before.instance.dispose()
    if (isKernel(instance)) this.held.slots.dispose()
  }
}

// From now on `tf.loadLayersModel` knows the class; what it is made of, programs make known by using it.
tf.serialization.registerClass(
  TensorFlowOptimizer as unknown as tf.serialization.SerializableConstructor<TensorFlowOptimizer>,
)

/** @throws Error when what belongs to a variable is not shaped like it. */
function checkShape({ name, shape }: tf.Variable, what: string, tensor: tf.Tensor): void {
  if (tf.util.arraysEqual(tensor.shape, shape)) return
  throw new Error(`the variable '${name}' has shape [${shape}], but its ${what} has shape [${tensor.shape}]`)
}

const isKernel = ({ execution }: VariableInstance): boolean => ['wasm', 'cpu', 'webgpu'].includes(execution)

const withoutShared = (numbers: ReadonlyMap<string, number>): Map<string, number> =>
  new Map([...numbers].filter(([key]) => !key.startsWith('shared/')))

/** A checkpoint without what belongs to some variables. */
function withoutState(checkpoint: Checkpoint, { parameters }: TracedModel, names: readonly string[]): Checkpoint {
  for (const { shape, traced } of parameters) {
    if (!names.includes(shape.name)) continue
    checkpoint.counts.delete(`parameters/${shape.name}`)
    for (const slot of traced?.slots ?? []) {
      const { key } = slot
      checkpoint.arrays.delete(`state/${shape.name}/${keptAs(slot, key)}`)
      checkpoint.numbers.delete(`state/${shape.name}/${key}`)
    }
  }
  return checkpoint
}

interface Matched {
  /** The saved variable that each name takes over. */
  readonly taken: ReadonlyMap<string, SavedVariable>
  readonly left: readonly SavedVariable[]
}

/**
 * What the random numbers of each variable follow: of one that is known or takes over a state, what they began with; of a
 * new one, its place in the order.
 */
function withStreams(
  names: readonly string[],
  known: ReadonlyMap<string, string>,
  taken: ReadonlyMap<string, SavedVariable> = new Map(),
  left: readonly SavedVariable[] = [],
): ReadonlyMap<string, string> {
  const streams = new Map(known)
  for (const [name, saved] of taken) streams.set(name, streamOf(saved))
  const used = [...streams.values(), ...left.map(streamOf)].map((stream) => /^variable (\d+)$/.exec(stream)?.[1])
  let next = used.reduce((most, number) => Math.max(most, Number(number ?? -1)), -1) + 1
  for (const name of names) if (!streams.has(name)) streams.set(name, `variable ${next++}`)
  return streams
}

const streamOf = ({ stream, name }: SavedVariable): string => stream ?? name

/** Which of the saved variables each name takes over: the one of that name, else (unless only what fits is taken) the next. */
function match(
  saved: SavedState,
  names: readonly string[],
  variables: ReadonlyMap<string, { readonly shape: readonly number[] }>,
  fitting: boolean,
): Matched {
  const byName = new Map(saved.variables.map((variable) => [variable.name, variable]))
  const left = [...saved.variables]
  const taken = new Map<string, SavedVariable>()
  const renamed = !fitting && names.some((name) => !byName.has(name))
  for (const name of names) {
    const found = renamed ? left[0] : byName.get(name)
    if (!found) continue
    const { shape } = variables.get(name)!
    if (String(found.shape) !== String(shape)) {
      if (fitting) continue
      throw new Error(
        `setWeights: the state of '${found.name}' is for shape [${found.shape}] and does not fit '${name}' of shape [${shape}]`,
      )
    }
    left.splice(left.indexOf(found), 1)
    taken.set(name, found)
  }
  return { taken, left }
}

const isTaken = (variable: SavedVariable, taken: ReadonlyMap<string, SavedVariable>): boolean =>
  [...taken.values()].includes(variable)

/**
 * Which of the variables can go on with the state.
 * @throws Error when the state is of another optimizer or lacks something, unless only what fits is asked for.
 */
function checkState(
  saved: SavedState,
  taken: ReadonlyMap<string, SavedVariable>,
  { model, portable }: Compiled,
  fitting: boolean,
): ReadonlyMap<string, SavedVariable> {
  // Saved before its first step it is the state of any optimizer.
  if (!fitting && saved.optimizer !== '' && saved.optimizer !== portable.optimizer) {
    throw new Error(`setWeights: the state is of the optimizer ${saved.optimizer}, this one is ${portable.optimizer}`)
  }
  const fits = new Map<string, SavedVariable>()
  for (const { shape, traced } of model.parameters) {
    const found = taken.get(shape.name)
    if (!found) continue
    const lacking = (traced?.slots ?? []).find((slot) => {
      const { key, space, shared, dimensions, storage } = slot
      const short = keptAs(slot, portable.slot(key))
      const size = found.arrays.get(short)?.data.length
      return space === 'array'
        ? size !== (storage === 'float32' ? sizeOf(dimensions) : bytesOf(storage, sizeOf(dimensions)))
        : !Object.hasOwn(shared ? (fitting ? saved.shared : { [short]: 0 }) : found.numbers, short)
    })
    if (!lacking) fits.set(shape.name, found)
    else if (!fitting)
      throw new Error(
        `setWeights: the state of '${shape.name}' lacks '${keptAs(lacking, lacking.key)}', or it has another size`,
      )
  }
  return fits
}
