import {
  type BackendInstance,
  type DeviceSupport,
  type FloatArray,
  type HostMemory,
  type Place,
  type Precision,
  viewPlace,
} from '../backends/backend.ts'
import { checkNames } from '../language/definition.ts'
import type { Input } from '../language/inputs.ts'
import type { RunModel } from '../program/model.ts'
import type { HyperValue } from '../schedules/schedule.ts'
import type { Loaded, LoadOptions } from '../state/checkpoint.ts'
import { type ArraysByName, AttachedArrays, givenArrays } from './attached-arrays.ts'
import { checkpointPlaces, type Rebased, rebase, stateOf, statePlaces } from './checkpointing.ts'
import { Conductor, type Tensor } from './conductor.ts'
import { Course, checkList, type Turns } from './course.ts'
import { DeclaredInputs } from './inputs.ts'
import { encodeRun, takeRun } from './portable.ts'
import type { Evaluate, NonFinitePolicy, Question, StepOptions, StepResult } from './step.ts'
import { telemetryOf } from './telemetry.ts'

function record<Name extends string, T>(names: readonly Name[], value: (index: number) => T): Record<Name, T> {
  const result: Record<string, T> = Object.create(null)
  names.forEach((name, index) => {
    result[name] = value(index)
  })
  return result
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
  /** Which numbers the backend computes with. */
  readonly precision: Precision
  private readonly conductor: Conductor
  private readonly instance: BackendInstance
  private readonly stepInputs: DeclaredInputs
  private readonly course: Course
  /** Present where parameters and gradients lie on a device. */
  private readonly device: DeviceSupport | undefined
  /** Absent where parameters and gradients lie on a device. */
  private attached: AttachedArrays | undefined
  /** What is being done, in words, as long as nothing else may be. */
  private busy: string | undefined
  private disposed = false
  private finished = false

  /** @internal use `compile` */
  constructor(
    model: RunModel,
    instance: BackendInstance,
    { nonFinite, telemetry }: { readonly nonFinite: NonFinitePolicy; readonly telemetry: boolean },
  ) {
    const { memory, precision } = instance
    this.instance = instance
    this.precision = precision
    this.conductor = new Conductor(model)
    this.stepInputs = new DeclaredInputs(this.conductor)
    this.device = instance.device?.(this.conductor, nonFinite, telemetry)
    const report = telemetry
      ? (tensors: readonly Tensor[]) => telemetryOf(tensors, (tensor, name) => memory!.telemetry(tensor, name))
      : undefined
    this.course = new Course(this.conductor, instance.executor, this.stepInputs, {
      nonFinite,
      arrays: () => (memory ?? this.device!).inputs,
      report: this.device?.report ?? report,
      verdicts: this.device?.verdicts,
      changed: () => this.attached?.write(),
    })
    this.names = Object.freeze([...this.conductor.names]) as readonly Name[]
    this.parameters = this.views('parameters')
    this.gradients = this.views('gradients')
    this.inputs = this.inputViews()
    this.needs = this.stepInputs.needs
    this.moves = this.course.moves
    this.attached = memory && new AttachedArrays(this)
    // Assigning to them would change nothing but what callers see.
    for (const name of ['names', 'parameters', 'gradients', 'inputs', 'needs', 'moves', 'precision']) {
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
    this.memory('attach', 'writeParameters and step({ gradients })')
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
    this.course.verdicts?.check('step')
    const tensors = options ? this.present(options) : this.conductor.trained
    const numbers = this.takeInputs(options?.inputs)
    this.attached?.read()
    for (const [name, array] of Object.entries(options?.gradients ?? {}))
      if (array) this.write('gradient', name, array as ArrayLike<number>)
    return this.course.update(tensors, numbers)
  }

  /**
   * Waits until it is known what became of the steps so far. Backends that compute on a device look at gradients when the step
   * is taken, and tell later: `step` gives what the step is if its gradients were finite. With `nonFinite: 'throw'` the next
   * steps may follow at once; they are not taken either when one fails. With `skip` each must be awaited, because the counts of
   * the next depend on it. On other backends it is known at once.
   * @returns the last step.
   * @throws Error when a gradient was not finite (policy `throw`). The next `step` throws it too, whichever comes first;
   * parameters, state and counts are then those before the step that failed.
   */
  async settled(): Promise<StepResult<Name>> {
    this.refuseAfterDispose('settled')
    return (await this.course.verdicts?.settled()) ?? this.course.last
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
    if (this.course.verdicts) await this.settled()
    const step = this.evaluating(evaluate)
    let turn = step.next()
    while (!turn.done) {
      turn = await Promise.resolve(turn.value).then(
        (answer) => {
          this.attached?.readGradients()
          return step.next(answer)
        },
        (error) => step.throw(error),
      )
    }
    return turn.value
  }

  /** The course of `minimize`, during which nothing else may be done. */
  private *evaluating(evaluate: Evaluate): Turns {
    this.refuseWhileBusy('minimize')
    this.refuseAfterFinish('minimize')
    this.attached?.read()
    this.busy = 'minimize is waiting for an evaluation of the model'
    const { inputs } = this
    const ask =
      this.device?.evaluator(evaluate, inputs) ??
      ((question: Question) => evaluate({ ...this.attached!.shown, inputs, ...question }))
    try {
      return yield* this.course.evaluating(ask, [])
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
    const memory = this.memory('evaluationParameters', 'await optimizer.readEvaluationParameters()')
    this.attached!.read()
    const work = this.conductor.averages()
    const computed = new Map(memory.compute(work).map((array, index) => [work[index]!.tensor, array]))
    return record(this.names, (index) => computed.get(index) ?? memory.parameters[index]!.slice())
  }

  /** `evaluationParameters` on every backend, when all steps are settled. */
  async readEvaluationParameters(): Promise<Record<Name, FloatArray>> {
    return this.reading('readEvaluationParameters', async () => {
      const { readback } = this.instance
      const work = this.conductor.averages()
      const [values, parameters] = await Promise.all([readback.compute(work), this.readAll()])
      const computed = new Map(values.map((array, index) => [work[index]!.tensor, array]))
      return record(this.names, (index) => computed.get(index) ?? parameters[this.names[index]!])
    })
  }

  /** Copies of the parameters, on every backend, when all steps are settled. */
  async readParameters(): Promise<Record<Name, FloatArray>> {
    return this.reading('readParameters', () => this.readAll())
  }

  /**
   * Gives parameters other values, on every backend; those that are left out stay.
   * @throws Error for an unknown name or a wrong length, or in the middle of a step; nothing is changed then.
   */
  writeParameters(parameters: { readonly [name in Name]?: ArrayLike<number> }): void {
    this.refuseWhileBusy('writeParameters')
    const entries = Object.entries<ArrayLike<number>>(parameters as Record<string, ArrayLike<number>>)
    for (const [name, array] of entries) this.checkLength('writeParameters', name, array)
    this.attached?.read()
    for (const [name, array] of entries) this.write('parameter', name, array)
    this.attached?.write()
  }

  /**
   * Ends training in place: the parameters become what `evaluationParameters` gives, as they are to be used and stored.
   * Training cannot go on from there, so `step`, `minimize`, `save` and `rebase` throw from now on; `load` begins again.
   * @throws Error in the middle of a step.
   */
  finish(): void {
    const values = this.evaluationParameters()
    for (const name of this.names) this.write('parameter', name, values[name])
    this.attached!.write()
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
    const memory = this.memory('rebase', 'writeParameters(...), which leaves the state as it is')
    this.attached!.read()
    const result = rebase(this.conductor, memory, given)
    this.attached!.write()
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
    const memory = this.memory('state', 'await optimizer.readState(name)')
    const values = statePlaces(tensor).map((place) => viewPlace(memory, place))
    return stateOf(this.conductor, tensor, values)
  }

  /** Copies of the state of one parameter, on every backend, when all steps are settled. */
  async readState(name: Name): Promise<Readonly<Record<string, FloatArray | number>>> {
    const tensor = this.conductor.tensors[this.conductor.indexOf('readState', name)]!
    return this.reading('readState', async () => {
      const values = await this.instance.readback.read(statePlaces(tensor))
      return stateOf(this.conductor, tensor, values)
    })
  }

  /**
   * Parameters, state and step counts as the bytes of a safetensors file. Hyperparameters are not part of it.
   * @throws Error in the middle of a step, when the parameters may stand elsewhere, and after `finish`.
   */
  save(): Uint8Array {
    this.refuseWhileBusy('save')
    this.refuseAfterFinish('save')
    const memory = this.memory('save', 'await optimizer.saveAsync()')
    this.attached!.read()
    return encodeRun(
      this.conductor,
      checkpointPlaces(this.conductor, 'all').map((place) => viewPlace(memory, place)),
    )
  }

  /**
   * `save` on every backend, when all steps are settled.
   * @throws Error in the middle of a step, after `finish`, or when a step has failed.
   */
  async saveAsync(): Promise<Uint8Array> {
    this.refuseAfterFinish('saveAsync')
    return this.reading('saveAsync', async () => {
      return encodeRun(this.conductor, await this.instance.readback.read(checkpointPlaces(this.conductor, 'all')))
    })
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
    this.course.verdicts?.check('load')
    const result = takeRun(this.conductor, this.instance.readback, bytes, options)
    this.finished = false
    this.attached?.write()
    return result
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

  /** Memory of the host; @throws Error that names what to use where there is none. */
  private memory(caller: string, instead: string): HostMemory {
    const { memory } = this.instance
    if (memory) return memory
    throw new Error(`${caller}: this backend keeps parameters and state on a device; use ${instead}`)
  }

  /** Reads while nothing else is done, when all steps are settled. */
  private async reading<T>(caller: string, action: () => Promise<T>): Promise<T> {
    this.refuseWhileBusy(caller)
    this.busy = `${caller} is reading from the device`
    try {
      await this.course.verdicts?.settled()
      this.attached?.read()
      return await action()
    } finally {
      this.busy = undefined
    }
  }

  private async readAll(): Promise<Record<Name, FloatArray>> {
    const places = this.names.map((_, tensor): Place => ({ kind: 'parameter', tensor }))
    const values = await this.instance.readback.read(places)
    return record(this.names, (index) => values[index]!)
  }

  private write(kind: 'parameter' | 'gradient' | 'input', name: string, values: ArrayLike<number>, key = ''): void {
    const tensor = this.conductor.indexOf('step', name)
    const place = kind === 'input' ? { kind, tensor, key } : { kind, tensor }
    this.instance.readback.write(place, values)
  }

  private views(what: 'parameters' | 'gradients'): Readonly<Record<Name, FloatArray>> {
    const { memory } = this.instance
    // A replaced array would be ignored: the kernel has only its own.
    return memory ? Object.freeze(record(this.names, (index) => memory[what][index]!)) : this.device!.views(what)
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
      for (const [parameter, array] of Object.entries(value)) {
        const own = this.inputs[name]?.[parameter]
        own?.set(array!)
        if (own && !this.attached) this.write('input', parameter, array!, name)
      }
    }
    return numbers
  }

  private inputViews(): Record<string, Record<string, FloatArray>> {
    const result: Record<string, Record<string, FloatArray>> = Object.create(null)
    const { inputs } = this.instance.memory ?? this.device!
    inputs.forEach((own, index) => {
      for (const [name, array] of own) {
        result[name] ??= Object.create(null) as Record<string, FloatArray>
        result[name][this.names[index]!] = array
      }
    })
    for (const own of Object.values(result)) Object.freeze(own)
    return Object.freeze(result)
  }
}
