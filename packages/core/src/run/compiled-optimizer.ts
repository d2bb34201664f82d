import type { BackendInstance, FloatArray, Work } from '../backends/backend.ts'
import { checkNames } from '../language/definition.ts'
import type { Input } from '../language/inputs.ts'
import type { TracedModel } from '../program/model.ts'
import type { HyperValue } from '../schedules/schedule.ts'
import {
  type Checkpoint,
  decodeCheckpoint,
  decodeFitting,
  encodeCheckpoint,
  type Loaded,
  type LoadOptions,
} from '../state/checkpoint.ts'
import { type ArraysByName, AttachedArrays, givenArrays } from './attached-arrays.ts'
import { checkpointOf, type Rebased, rebase, restart, restore, stateOf } from './checkpointing.ts'
import { Conductor, type Tensor } from './conductor.ts'
import { Course, type CourseSettings, checkList } from './course.ts'
import { StepInputs } from './inputs.ts'
import { PortableNames } from './portable.ts'
import type { Answer, Evaluate, EvaluationRequest, StepOptions, StepResult } from './step.ts'

type Steps = Generator<Answer | Promise<Answer>, StepResult, Answer>

function record<T>(names: readonly string[], value: (index: number) => T): Readonly<Record<string, T>> {
  const result: Record<string, T> = Object.create(null)
  names.forEach((name, index) => {
    result[name] = value(index)
  })
  // A replaced array would be ignored: the kernel has only its own.
  return Object.freeze(result)
}

/** An optimizer with its parameters, gradients, state and kernels. Made by `compile`. */
export class CompiledOptimizer<Name extends string = string, H extends string = string> {
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
  private readonly conductor: Conductor
  private readonly instance: BackendInstance
  private readonly stepInputs: StepInputs
  private readonly course: Course
  private attached: AttachedArrays
  /** What is being done, in words, as long as nothing else may be. */
  private busy: string | undefined
  private disposed = false
  private finished = false

  /** @internal use `compile` */
  constructor(model: TracedModel, instance: BackendInstance, settings: Omit<CourseSettings, 'changed'>) {
    this.instance = instance
    this.conductor = new Conductor(model)
    this.stepInputs = new StepInputs(this.conductor)
    const changed = () => this.attached.write()
    this.course = new Course(this.conductor, instance, this.stepInputs, { ...settings, changed })
    this.names = Object.freeze([...this.conductor.names]) as readonly Name[]
    this.parameters = record(this.names, (index) => instance.parameters[index]!)
    this.gradients = record(this.names, (index) => instance.gradients[index]!)
    this.inputs = this.inputViews()
    this.needs = this.stepInputs.needs
    this.moves = this.course.moves
    this.attached = new AttachedArrays(this)
    // Assigning to them would change nothing but what callers see.
    for (const name of ['names', 'parameters', 'gradients', 'inputs', 'needs', 'moves']) {
      Object.defineProperty(this, name, { writable: false, configurable: false })
    }
  }

  /** How many steps `nonFinite: 'skip'` has skipped. */
  get skipped(): number {
    return this.conductor.skipped
  }

  /** Steps taken. */
  get steps(): number {
    return this.conductor.steps
  }

  /** The hyperparameters of the default group, schedules evaluated at the last step (before any, at the first). */
  get hyper(): Readonly<Record<H, number>> {
    return this.hyperOf('') as Readonly<Record<H, number>>
  }

  /** The hyperparameters of a group, schedules evaluated at the last step. */
  hyperOf(group: string): Readonly<Record<string, number>> {
    return this.conductor.hyperOf(group)
  }

  /**
   * Changes hyperparameters from the next step on. Nothing is compiled.
   * @param values numbers, schedules or functions of the step, by name.
   * @param options.group the name of a group; default: the optimizer of the parameters that no group takes.
   * @throws Error for an unknown group or name or an invalid value, or in the middle of a step; nothing is changed then.
   */
  set(values: { readonly [K in H]?: HyperValue }): void
  set(values: Readonly<Record<string, HyperValue>>, options: { readonly group?: string }): void
  set(values: { readonly [name: string]: HyperValue | undefined }, options: { readonly group?: string } = {}): void {
    this.refuseWhileBusy('set')
    this.conductor.set(values as Readonly<Record<string, HyperValue>>, options.group ?? '')
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
    const parameters = givenArrays(arrays.parameters)
    const gradients = givenArrays(arrays.gradients)
    for (const [name, array] of [...Object.entries(parameters), ...Object.entries(gradients)]) {
      this.checkLength('attach', name, array)
    }
    this.attached = new AttachedArrays(this, parameters, gradients)
    this.attached.read()
  }

  /**
   * Takes one step: updates every parameter that has a gradient.
   * @throws Error when a gradient is not finite (policy `throw`), an array does not fit or a schedule gives an invalid value,
   * or while `minimize` waits for an evaluation; parameters and state are untouched then.
   */
  step(options?: StepOptions<Name>): StepResult<Name> {
    this.refuseWhileBusy('step')
    this.refuseAfterFinish('step')
    if (this.moves) {
      throw new Error(
        `${this.stepInputs.evaluatingTitle()} evaluates the model at points of its own: use await optimizer.minimize(evaluate) instead of step`,
      )
    }
    const tensors = options ? this.present(options) : this.conductor.trained
    const numbers = this.takeInputs(options?.inputs)
    this.attached.read()
    for (const [name, array] of Object.entries(options?.gradients ?? {}))
      if (array) this.gradients[name as Name].set(array as ArrayLike<number>)
    return this.course.update(tensors, numbers)
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
        (answer) => this.answered(step, answer),
        (error) => step.throw(error),
      )
    }
    return turn.value
  }

  /** @internal `minimize` at once; parameters that are `absent` take no part and are not moved. */
  minimizeNow(evaluate: (request: EvaluationRequest) => Answer, absent: Iterable<string>): StepResult {
    const step = this.evaluating(evaluate, absent)
    let turn = step.next()
    while (!turn.done) turn = this.answered(step, turn.value as Answer)
    return turn.value
  }

  private answered(step: Steps, answer: Answer) {
    this.attached.readGradients()
    return step.next(answer)
  }

  /** The course of `minimize`, during which nothing else may be done. */
  private *evaluating(evaluate: Evaluate, absent: Iterable<string>): Steps {
    this.refuseWhileBusy('minimize')
    this.refuseAfterFinish('minimize')
    this.attached.read()
    this.busy = 'minimize is waiting for an evaluation of the model'
    const { inputs } = this
    try {
      return yield* this.course.evaluating(
        (question) => evaluate({ ...this.attached.shown, inputs, ...question }),
        absent,
      )
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

  private refuseAfterFinish(caller: string): void {
    if (!this.finished) return
    throw new Error(
      `${caller}: finish has put what to evaluate with into the parameters, and training cannot go on from there; load a ` +
        'checkpoint, or compile anew',
    )
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

  /**
   * What to evaluate the model with: the averaged sequence of schedule-free methods and of parameter averaging, else the
   * parameters themselves. Copies; training goes on from `parameters`.
   * @throws Error in the middle of a step.
   */
  evaluationParameters(): Record<Name, FloatArray> {
    this.refuseWhileBusy('evaluationParameters')
    this.attached.read()
    const work = this.conductor.evaluations()
    const computed = new Map(this.instance.evaluate(work).map((array, index) => [work[index]!.tensor, array]))
    const result: Record<string, FloatArray> = Object.create(null)
    this.names.forEach((name, index) => {
      result[name] = computed.get(index) ?? this.instance.parameters[index]!.slice()
    })
    return result
  }

  /**
   * Ends training in place: the parameters become what `evaluationParameters` gives, as they are to be used and stored.
   * Training cannot go on from there, so `step`, `minimize`, `save` and `rebase` throw from now on; `load` begins again.
   * @throws Error in the middle of a step.
   */
  finish(): void {
    const values = this.evaluationParameters()
    this.names.forEach((name, index) => {
      this.instance.parameters[index]!.set(values[name])
    })
    this.attached.write()
    this.finished = true
  }

  /**
   * Goes on from other parameters, such as an average over several machines, a clipped copy or another checkpoint's, with the
   * state that there is. Copies of the parameter in the state (the slow weights of lookahead, z of schedule-free methods, the
   * start of Prodigy and DoG, averages of parameters) move along by as much as their parameter does; state made of gradients,
   * numbers and counts stay. Write initial values into `parameters` instead, before the first step.
   *
   * ```ts
   * import { compile, lookahead, sgd } from 'fallline'
   *
   * const optimizer = await compile(lookahead(sgd({ learningRate: 0.1 })), { w: [1] })
   * optimizer.step({ gradients: { w: [1] } })
   * console.log(optimizer.rebase({ w: [5] }).moved) // [ 'w/lookahead.slow' ]
   * ```
   *
   * @param parameters the new values by name; parameters that are left out stay.
   * @returns the names of the state that moved and of what stayed, of the parameters that were given.
   * @throws Error for an unknown name or a wrong length, or in the middle of a step; nothing is changed then.
   */
  rebase(parameters: ArraysByName<Name>): Rebased {
    this.refuseWhileBusy('rebase')
    this.refuseAfterFinish('rebase')
    const given = givenArrays(parameters)
    for (const [name, array] of Object.entries(given)) this.checkLength('rebase', name, array)
    this.attached.read()
    const result = rebase(this.conductor, this.instance, given)
    this.attached.write()
    return result
  }

  /**
   * The state of one parameter by slot name: arrays are live views, numbers are copies. Wrapped optimizers prefix names
   * that occur twice with their path.
   * @throws Error for an unknown name, and after `dispose`.
   */
  state(name: Name): Readonly<Record<string, FloatArray | number>> {
    this.refuseAfterDispose('state')
    const tensor = this.conductor.tensors[this.conductor.indexOf('state', name)]!
    return stateOf(this.conductor, this.instance, tensor)
  }

  /**
   * Parameters, state and step counts as the bytes of a safetensors file. Hyperparameters are not part of it.
   * @throws Error in the middle of a step, when the parameters may stand elsewhere, and after `finish`.
   */
  save(): Uint8Array {
    this.refuseWhileBusy('save')
    this.refuseAfterFinish('save')
    this.attached.read()
    return encodeCheckpoint(new PortableNames(this.conductor).shorten(this.checkpoint()))
  }

  /**
   * Continues from what `save` gave, to the bit on the same backend. Hyperparameters may differ, and so may all that has no
   * state: clipping, caution or centralization around the optimizer, and groups that differ in hyperparameters only.
   *
   * With `take: 'fitting'` other changes are accepted too. A parameter takes its value when it has the same shape, and its
   * state when that fits as a whole; otherwise its state begins anew, as before its first step. So a layer that was frozen may
   * be trained, another one added, or a wrapper that has state. The count of steps, which schedules follow, goes on. With
   * `take: 'parameters'` state and counts begin anew everywhere.
   *
   * @returns what was taken, what the file lacks and what it holds in excess, by name: nothing of the last two unless
   * `take` was given.
   * @throws Error when the bytes are of another model or optimizer (unless `take` was given), of another version, or
   * damaged, or in the middle of a step; nothing is changed then.
   */
  load(bytes: Uint8Array, options: LoadOptions = {}): Loaded {
    this.refuseWhileBusy('load')
    checkNames('load', options, ['take'])
    const { take = 'everything' } = options
    if (!['everything', 'fitting', 'parameters'].includes(take)) {
      throw new Error(`load: take must be everything, fitting or parameters, not ${String(take)}`)
    }
    const names = new PortableNames(this.conductor)
    const expected = names.shorten(this.checkpoint())
    const { checkpoint, ...result } =
      take === 'everything' ? decodeCheckpoint(bytes, expected) : decodeFitting(bytes, expected, take)
    if (take !== 'everything') restart(this.conductor, this.instance)
    this.names.forEach((name, index) => {
      const found = checkpoint.arrays.get(`parameters/${name}`)
      if (found) this.instance.parameters[index]!.set(found.data)
    })
    this.restore(names.restore(checkpoint))
    this.finished = false
    this.attached.write()
    return result
  }

  /** @internal takes over the state, the numbers and the counts that a checkpoint has; others stay as they are */
  restore(checkpoint: Checkpoint): void {
    restore(this.conductor, this.instance, checkpoint)
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
    return checkpointOf(this.conductor, hostOnly ? undefined : this.instance)
  }

  /** @internal what to compute for the parameters whose evaluation differs from them */
  evaluationWork(): Work[] {
    return this.conductor.evaluations()
  }

  /** @internal @throws Error for a name that is no input */
  inputNamed(name: string): Input {
    return this.stepInputs.named(name)
  }

  private checkLength(caller: string, name: string, array: ArrayLike<number>): void {
    const { size, shape } = this.conductor.tensors[this.conductor.indexOf(caller, name)]!.shape
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
    checkList('step', without)
    const missing = new Set<string>(without)
    if (gradients) {
      for (const [name, array] of Object.entries(gradients)) {
        this.conductor.indexOf('step', name)
        if (array) this.checkLength('step', name, array)
      }
      for (const name of this.names) if (!Object.hasOwn(gradients, name) || !gradients[name]) missing.add(name)
    }
    return this.conductor.present(missing)
  }

  /** Copies arrays in and returns the numbers. */
  private takeInputs(inputs: StepOptions['inputs']): Map<string, number> {
    const numbers = this.stepInputs.numbers(inputs, (parameter, array) => this.checkLength('step', parameter, array))
    for (const [name, value] of Object.entries(inputs ?? {})) {
      if (typeof value === 'number') continue
      for (const [parameter, array] of Object.entries(value)) this.inputs[name]?.[parameter]?.set(array!)
    }
    return numbers
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
}
