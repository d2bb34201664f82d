import {
  type BackendInstance,
  type DeviceSupport,
  type FloatArray,
  type HostMemory,
  type Precision,
  viewPlace,
} from '../backends/backend.ts'
import { checkKnown } from '../language/definition.ts'
import type { Input } from '../language/inputs.ts'
import type { RunModel } from '../program/model.ts'
import type { HyperValue } from '../schedules/schedule.ts'
import { provided } from '../storage/provided.ts'
import { Conductor, type Part, type Tensor } from './conductor.ts'
import { Course, checkList } from './course.ts'
import type { StepInputs } from './no-inputs.ts'
import type { GradientMemory, NonFinitePolicy, StepOptions, StepResult } from './step.ts'
import { telemetryOf } from './telemetry.ts'

/** @internal values by name, in an object that has nothing else */
export function record<Name extends string, T>(names: readonly Name[], value: (index: number) => T): Record<Name, T> {
  const result: Record<string, T> = Object.create(null)
  names.forEach((name, index) => {
    result[name] = value(index)
  })
  return result
}

/** @internal how an optimizer runs */
export interface RunSettings {
  readonly nonFinite: NonFinitePolicy
  readonly telemetry: boolean
  readonly gradients?: GradientMemory
  /** What steps take besides gradients. */
  readonly inputs: (conductor: Conductor) => StepInputs
}

/** @internal what a parameter has of an array that has an element for each of its tensor; of another array all */
export function within(array: FloatArray, { shape: { size }, offset, total }: Part): FloatArray {
  return size === total || array.length !== total ? array : array.subarray(offset, offset + size)
}

/** An optimizer with its parameters, gradients, state and kernels, and what every training needs of it. */
export class RunningOptimizer<Name extends string = string, H extends string = string> {
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
  /** @internal */
  readonly conductor: Conductor
  /** @internal */
  readonly instance: BackendInstance
  /** @internal */
  readonly course: Course
  /** @internal present where parameters and gradients lie on a device */
  readonly device: DeviceSupport | undefined
  /** @internal what is being done, in words, as long as nothing else may be */
  busy: string | undefined
  /** @internal true when the parameters are what to evaluate with, from where training cannot go on */
  finished = false
  private readonly stepInputs: StepInputs
  private disposed = false

  /** @internal */
  constructor(model: RunModel, instance: BackendInstance, settings: RunSettings) {
    const { nonFinite, telemetry } = settings
    const { memory, precision } = instance
    this.instance = instance
    this.precision = precision
    this.conductor = new Conductor(model)
    this.stepInputs = settings.inputs(this.conductor)
    this.device = instance.device?.(this.conductor, nonFinite, telemetry)
    const report = telemetry
      ? (tensors: readonly Tensor[]) => telemetryOf(tensors, (tensor, name) => memory!.telemetry(tensor, name))
      : undefined
    this.course = new Course(this.conductor, instance.executor, this.stepInputs, {
      nonFinite,
      arrays: () => (memory ?? this.device!).inputs,
      report: this.device?.report ?? report,
      verdicts: this.device?.verdicts,
      changed: () => this.bringOut(),
      nonFiniteNames: (tensor) => this.nonFiniteNames(tensor),
    })
    this.names = Object.freeze(this.conductor.parts.map(({ shape }) => shape.name)) as readonly Name[]
    this.parameters = this.views('parameters')
    this.gradients = this.gradientViews(settings)
    this.inputs = this.stepInputs.views((memory ?? this.device!).inputs)
    this.needs = this.stepInputs.needs
    this.moves = this.course.moves
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
   * Takes one step: updates every parameter that has a gradient.
   * @throws Error when a gradient is not finite (policy `throw`), an array does not fit or a schedule gives an invalid value,
   * or while `minimize` waits for an evaluation; parameters and state are untouched then.
   */
  step(options?: StepOptions<Name>): StepResult<Name> {
    this.refuseWhileBusy('step')
    this.refuseStep('step')
    if (this.moves) {
      throw new Error(
        `${this.stepInputs.evaluatingTitle()} evaluates the model at points of its own: use await optimizer.minimize(evaluate) instead of step`,
      )
    }
    this.course.verdicts?.check('step')
    const tensors = options ? this.present(options) : this.conductor.trained
    const numbers = this.takeInputs(options?.inputs)
    this.bringIn()
    for (const [name, array] of Object.entries(options?.gradients ?? {}))
      if (array) this.write('gradient', name, array as ArrayLike<number>)
    return this.course.update(tensors, numbers)
  }

  /**
   * What to evaluate the model with: the averaged sequence of schedule-free methods and of parameter averaging, else the
   * parameters themselves. Copies; training goes on from `parameters`.
   * @throws Error in the middle of a step.
   */
  evaluationParameters(): Record<Name, FloatArray> {
    this.refuseWhileBusy('evaluationParameters')
    const memory = this.memory('evaluationParameters', 'await optimizer.readEvaluationParameters()')
    this.bringIn()
    const work = this.conductor.averages()
    const computed = new Map(memory.compute(work).map((array, index) => [work[index]!.tensor, array]))
    return this.eachPart(
      (tensor) => computed.get(tensor) ?? viewPlace(memory, { kind: 'parameter', tensor }),
      (array) => array.slice(),
    )
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

  /** @internal called before parameters, gradients or inputs are looked at */
  bringIn(): void {}

  /** @internal called when parameters have changed */
  bringOut(): void {}

  /** @internal @throws Error when no step can be taken that has all gradients. */
  refuseStep(caller: string): void {
    this.refuseAfterFinish(caller)
  }

  /** @internal */
  refuseAfterFinish(caller: string): void {
    if (!this.finished) return
    throw new Error(
      `${caller}: finish has put what to evaluate with into the parameters, and training cannot go on from there; load a ` +
        'checkpoint, or compile anew',
    )
  }

  /** @internal */
  refuseAfterDispose(caller: string): void {
    if (this.disposed) throw new Error(`${caller}: this optimizer has been disposed; compile a new one`)
  }

  /** @internal @throws Error in the middle of a step, and after `dispose`. */
  refuseWhileBusy(caller: string): void {
    this.refuseAfterDispose(caller)
    if (this.busy === undefined) return
    throw new Error(`${caller}: ${this.busy}; await the step that is being taken first`)
  }

  /** @internal memory of the host; @throws Error that names what to use where there is none. */
  memory(caller: string, instead: string): HostMemory {
    const { memory } = this.instance
    if (memory) return memory
    throw new Error(`${caller}: this backend keeps parameters and state on a device; use ${instead}`)
  }

  /** @internal */
  write(kind: 'parameter' | 'gradient' | 'input', name: string, values: ArrayLike<number>, key = ''): void {
    const part = this.conductor.partOf('step', name)
    const { tensor, offset: from } = part
    const place = kind === 'input' ? { kind, tensor, key, from } : { kind, tensor, from }
    const { memory, readback } = this.instance
    if (!memory) {
      readback.write(place, values)
      return
    }
    const view = viewPlace(memory, place)
    within(view, part).set(values)
    // Of what is not in float32 this was a copy.
    if (kind === 'parameter' && memory.parameterStorage(tensor)) readback.write(place, view)
  }

  /** @internal what is made of the arrays of all tensors, for each parameter */
  eachPart<T>(arrayOf: (tensor: number) => FloatArray, make: (array: FloatArray) => T): Record<Name, T> {
    const { parts } = this.conductor
    return record(this.names, (index) => make(within(arrayOf(parts[index]!.tensor), parts[index]!)))
  }

  /** @internal */
  checkLength(caller: string, name: string, array: ArrayLike<number>): void {
    const { size, shape } = this.conductor.partOf(caller, name).shape
    if (typeof array !== 'object')
      throw new Error(`${caller}: '${name}' must be an array of numbers, not ${String(array)}`)
    if (array.length !== size) {
      throw new Error(`${caller}: '${name}' has shape [${shape.join(', ')}], so ${size} elements, not ${array.length}`)
    }
  }

  private nonFiniteNames(tensor: number): string[] {
    const parts = this.conductor.parts.filter((part) => part.tensor === tensor)
    const found = parts.filter(
      (part) => parts.length === 1 || !within(this.instance.memory!.gradients[tensor]!, part).every(Number.isFinite),
    )
    return found.map(({ shape }) => shape.name)
  }

  /** @internal */
  gradientViews(_settings: RunSettings): Readonly<Record<Name, FloatArray>> {
    return this.views('gradients')
  }

  private views(what: 'parameters' | 'gradients'): Readonly<Record<Name, FloatArray>> {
    const { memory } = this.instance
    // A replaced array would be ignored: the kernel has only its own.
    if (!memory) return this.device!.views(what)
    const views = this.eachPart(
      (tensor) => memory[what][tensor]!,
      (view) => view,
    )
    for (const { tensor, shape } of this.conductor.parts) {
      const storage = what === 'parameters' && memory.parameterStorage(tensor)
      if (storage) provided().parameters.hide(views, shape.name, storage)
    }
    return Object.freeze(views)
  }

  /** The tensors that have a gradient this step. */
  private present(options: StepOptions): Tensor[] {
    const { conductor } = this
    checkKnown('step', options, ['gradients', 'without', 'inputs'], (name, known) => conductor.suggestion(name, known))
    const { gradients, without } = options
    checkList('step', without)
    const missing = new Set<string>(without)
    if (gradients) {
      for (const [name, array] of Object.entries(gradients)) {
        this.conductor.partOf('step', name)
        if (array) this.checkLength('step', name, array)
      }
      for (const name of this.names) if (!Object.hasOwn(gradients, name) || !gradients[name]) missing.add(name)
    }
    return this.conductor.present(missing)
  }

  /** @internal copies arrays in and returns the numbers */
  takeInputs(inputs: StepOptions['inputs']): Map<string, number> {
    return this.stepInputs.take(inputs, this)
  }
}
