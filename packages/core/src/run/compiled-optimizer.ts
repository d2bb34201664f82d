import { type BackendInstance, type FloatArray, type HostMemory, type Place, viewPlace } from '../backends/backend.ts'
import { checkNames } from '../language/definition.ts'
import type { RunModel } from '../program/model.ts'
import type { Loaded, LoadOptions } from '../state/checkpoint.ts'
import { provided } from '../storage/provided.ts'
import { type ArraysByName, AttachedArrays, givenArrays } from './attached-arrays.ts'
import { checkpointPlaces, type Rebased, rebase, stateOf, statePlaces } from './checkpointing.ts'
import type { Part } from './conductor.ts'
import { encodeRun } from './portable.ts'
import { RunningOptimizer, type RunSettings, within } from './running-optimizer.ts'
import { load, save } from './saving.ts'
import type { Evaluate, StepResult } from './step.ts'

/** What `minimize` needs, from its first call on. */
let minimizing: typeof import('./minimize.ts') | undefined

/** An optimizer with its parameters, gradients, state and kernels. Made by `compile`. */
export class CompiledOptimizer<Name extends string = string, H extends string = string> extends RunningOptimizer<
  Name,
  H
> {
  /** Absent where parameters and gradients lie on a device, and before any are attached. */
  private attached: AttachedArrays | undefined
  /** True where there is room for one gradient at a time: then only `fusedBackward` takes a step. */
  private readonly oneGradient: boolean

  /** @internal */
  constructor(model: RunModel, instance: BackendInstance, settings: RunSettings) {
    super(model, instance, settings)
    this.oneGradient = settings.gradients === 'oneAtATime'
  }

  /** @internal */
  override refuseStep(caller: string): void {
    super.refuseStep(caller)
    this.refuseOneGradient(caller)
  }

  /** @internal */
  override gradientViews(settings: RunSettings): Readonly<Record<Name, FloatArray>> {
    return settings.gradients === 'oneAtATime' ? noViews(this.names) : super.gradientViews(settings)
  }

  /** @internal */
  override bringIn(): void {
    this.attached?.read()
  }

  /** @internal */
  override bringOut(): void {
    this.attached?.write()
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
    const instead = 'writeParameters and step({ gradients })'
    this.memoryInFloat32('attach', instead)
    if (Object.keys(gradients).length > 0) this.refuseOneGradient('attach')
    this.attached = new AttachedArrays(this, parameters, gradients)
    this.attached.read()
  }

  /**
   * Waits until it is known what became of the steps so far. Backends that compute on a device look at gradients when the step
   * is taken, and tell later: `step` gives what the step is if its gradients were finite. With `nonFinite: 'throw'` the next
   * steps may follow at once; they are not taken either when one fails. With `skip` each must be awaited, because the counts of
   * the next depend on it. On other backends it is known at once. Waits for eigendecompositions on the host too.
   * @returns the last step.
   * @throws Error when a gradient was not finite (policy `throw`). The next `step` throws it too, whichever comes first;
   * parameters, state and counts are then those before the step that failed.
   */
  async settled(): Promise<StepResult<Name>> {
    this.refuseAfterDispose('settled')
    const last = await this.course.verdicts?.settled()
    await this.instance.executor.settled?.()
    return last ?? this.course.last
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
    if (!minimizing) {
      this.refuseWhileBusy('minimize')
      this.busy = 'minimize is waiting for an evaluation of the model'
      try {
        minimizing = await import('./minimize.ts')
      } finally {
        this.busy = undefined
      }
    }
    return minimizing.minimize(this, evaluate, {
      ...(this.attached ? { shown: this.attached.shown } : {}),
      evaluated: () => this.attached?.readGradients(),
    })
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

  /** `evaluationParameters` on every backend, when all steps are settled. */
  async readEvaluationParameters(): Promise<Record<Name, FloatArray>> {
    return this.reading('readEvaluationParameters', async () => {
      const { readback } = this.instance
      const work = this.conductor.averages()
      const [values, parameters] = await Promise.all([readback.compute(work), this.readAll()])
      const computed = new Map(values.map((array, index) => [work[index]!.tensor, array]))
      return this.eachPart(
        (tensor) => computed.get(tensor) ?? parameters[tensor]!,
        (array) => array.slice(),
      )
    })
  }

  /** Copies of the parameters, on every backend, when all steps are settled. */
  async readParameters(): Promise<Record<Name, FloatArray>> {
    return this.reading('readParameters', async () => {
      const values = await this.readAll()
      return this.eachPart(
        (tensor) => values[tensor]!,
        (array) => array.slice(),
      )
    })
  }

  /**
   * Gives parameters other values, on every backend; those that are left out stay.
   * @throws Error for an unknown name or a wrong length, or in the middle of a step; nothing is changed then.
   */
  writeParameters(parameters: { readonly [name in Name]?: ArrayLike<number> }): void {
    this.refuseWhileBusy('writeParameters')
    const entries = Object.entries<ArrayLike<number>>(parameters as Record<string, ArrayLike<number>>)
    for (const [name, array] of entries) this.checkLength('writeParameters', name, array)
    this.bringIn()
    for (const [name, array] of entries) this.write('parameter', name, array)
    this.bringOut()
  }

  /**
   * Ends training in place: the parameters become what `evaluationParameters` gives, as they are to be used and stored.
   * Training cannot go on from there, so `step`, `minimize`, `save` and `rebase` throw from now on; `load` begins again.
   * @throws Error in the middle of a step.
   */
  finish(): void {
    const values = this.evaluationParameters()
    for (const name of this.names) this.write('parameter', name, values[name])
    this.bringOut()
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
    const instead = 'writeParameters(...), which leaves the state as it is'
    const memory = this.memoryInFloat32('rebase', instead)
    this.bringIn()
    const result = rebase(this.conductor, memory, given)
    this.bringOut()
    return result
  }

  /**
   * The state of one parameter by slot name: arrays are live views, numbers are copies. Wrapped optimizers prefix names
   * that occur twice with their path. Parameters that the optimizer takes as one vector show what they share too.
   * @throws Error for an unknown name, and after `dispose`.
   */
  state(name: Name): Readonly<Record<string, FloatArray | number>> {
    this.refuseAfterDispose('state')
    const memory = this.memory('state', 'await optimizer.readState(name)')
    const part = this.conductor.partOf('state', name)
    const tensor = this.conductor.tensors[part.tensor]!
    const values = statePlaces(tensor).map((place) => viewPlace(memory, place))
    return partOfState(stateOf(this.conductor, tensor, values), part)
  }

  /** Copies of the state of one parameter, on every backend, when all steps are settled. */
  async readState(name: Name): Promise<Readonly<Record<string, FloatArray | number>>> {
    const part = this.conductor.partOf('readState', name)
    const tensor = this.conductor.tensors[part.tensor]!
    return this.reading('readState', async () => {
      const values = await this.instance.readback.read(statePlaces(tensor))
      return partOfState(stateOf(this.conductor, tensor, values), part)
    })
  }

  /**
   * Parameters, state and step counts as the bytes of a safetensors file. Hyperparameters are not part of it.
   * @throws Error in the middle of a step, when the parameters may stand elsewhere, and after `finish`.
   */

  save(): Uint8Array {
    return save(this)
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
    return load(this, bytes, options)
  }

  /** Memory of the host with all parameters as views. @throws Error that names what to use where there is none. */
  private memoryInFloat32(caller: string, instead: string): HostMemory {
    const memory = this.memory(caller, instead)
    for (const { index, shape } of this.conductor.tensors) {
      const storage = memory.parameterStorage(index)
      if (storage) throw new Error(`${caller}: ${provided().parameters.refused(shape.name, storage, instead)}`)
    }
    return memory
  }

  private refuseOneGradient(caller: string): void {
    if (this.oneGradient) throw new Error(`${caller}: ${insteadOfTogether}`)
  }

  /** Reads while nothing else is done, when all steps are settled. */
  private async reading<T>(caller: string, action: () => Promise<T>): Promise<T> {
    this.refuseWhileBusy(caller)
    this.busy = `${caller} is reading from the device`
    try {
      await this.course.verdicts?.settled()
      this.bringIn()
      return await action()
    } finally {
      this.busy = undefined
    }
  }

  /** The parameters of all tensors. */
  private readAll(): Promise<readonly FloatArray[]> {
    return this.instance.readback.read(
      this.conductor.tensors.map(({ index: tensor }): Place => ({ kind: 'parameter', tensor })),
    )
  }
}

const insteadOfTogether =
  "this optimizer was compiled with gradients: 'oneAtATime'; take a step with fusedBackward(optimizer), or compile it without"

/** Throws when it is asked for a gradient. */
function noViews<Name extends string>(names: readonly Name[]): Readonly<Record<Name, FloatArray>> {
  const result = Object.create(null)
  const get = () => {
    throw new Error(`gradients: ${insteadOfTogether}`)
  }
  for (const name of names) Object.defineProperty(result, name, { get })
  return Object.freeze(result)
}

/** The state of one of several parameters that were joined: its own of what has an element for each, and what all of them share. */
function partOfState(state: Readonly<Record<string, FloatArray | number>>, part: Part) {
  const own = Object.entries(state).map(([name, value]) => [
    name,
    typeof value === 'number' ? value : within(value, part),
  ])
  return Object.fromEntries(own) as typeof state
}
