import {
  arrayInputs,
  type BackendInstance,
  type DeferredExecutor,
  type DeviceSupport,
  type FloatArray,
  type Place,
  type Precision,
  type Readback,
} from '../backends/backend.ts'
import { isParameterSlot } from '../program/program.ts'
import { programsOfStep } from '../program/trace.ts'
import type { Conductor, Tensor } from './conductor.ts'
import { record, within } from './running-optimizer.ts'
import type { Answer, Evaluate, EvaluationRequest, NonFinitePolicy, Question } from './step.ts'
import { readTelemetry } from './telemetry.ts'
import { Verdicts } from './verdicts.ts'

/** What a backend gives that works on a device. */
export function onDevice(
  executor: DeferredExecutor,
  readback: Readback,
  precision: Precision,
  dispose: () => void,
): BackendInstance {
  const device = (conductor: Conductor, nonFinite: NonFinitePolicy, telemetry: boolean) => {
    try {
      refuseJoined(conductor, executor.attaches === true)
    } catch (error) {
      dispose()
      throw error
    }
    return new Device(conductor, executor, readback, precision, nonFinite, telemetry)
  }
  return { precision, executor, memory: undefined, readback, device, dispose }
}

/** @throws Error for parameters that are one vector to an optimizer, where they cannot be written in parts. */
function refuseJoined({ tensors }: Conductor, attaches: boolean): void {
  for (const { shape, traced } of tensors) {
    if (!shape.parts) continue
    const what = `compile: ${shape.name} are one vector to this optimizer`
    if (attaches) throw new Error(`${what}, which cannot lie in several buffers: leave out attached`)
    if (!traced?.slots.some(isParameterSlot)) continue
    throw new Error(`${what}, whose parts a device can only write in float32: leave out 'parameters' of quantized`)
  }
}

/** What the host does for an optimizer whose arrays it cannot look at. */
class Device implements DeviceSupport {
  readonly verdicts: Verdicts | undefined
  readonly inputs: readonly ReadonlyMap<string, FloatArray>[]
  readonly report: DeviceSupport['report']
  private readonly conductor: Conductor
  private readonly attaches: boolean
  private readonly readback: Readback
  private readonly precision: Precision

  constructor(
    conductor: Conductor,
    executor: DeferredExecutor,
    readback: Readback,
    precision: Precision,
    nonFinite: NonFinitePolicy,
    telemetry: boolean,
  ) {
    this.conductor = conductor
    this.attaches = executor.attaches === true
    this.readback = readback
    this.precision = precision
    this.inputs = conductor.tensors.map(({ traced }) => {
      const sizes = arrayInputs(traced ? programsOfStep(traced) : [])
      return new Map([...sizes].map(([name, size]) => [name, this.array(size)]))
    })
    this.report = telemetry ? (tensors: readonly Tensor[]) => readTelemetry(tensors, readback) : undefined
    if (nonFinite === 'allow' && !telemetry) return
    this.verdicts = new Verdicts(executor, nonFinite, conductor.names, () => conductor.skipped++)
  }

  views(what: 'parameters' | 'gradients'): Readonly<Record<string, FloatArray>> {
    const own = what === 'parameters' ? 'writeParameters(...) and await readParameters()' : 'step({ gradients: ... })'
    const instead = this.attaches ? 'the buffers that you attached' : own
    const result = Object.create(null)
    const get = () => {
      throw new Error(`${what}: this backend keeps them on a device; use ${instead}`)
    }
    for (const name of this.names) Object.defineProperty(result, name, { enumerable: true, get })
    return Object.freeze(result)
  }

  evaluator(evaluate: Evaluate, inputs: EvaluationRequest['inputs']): (question: Question) => Promise<Answer> {
    const { tensors } = this.conductor
    const attached = this.attaches && { parameters: this.views('parameters'), gradients: this.views('gradients') }
    const arrays = attached ? [] : tensors.map(({ shape }) => this.array(shape.size))
    const gradients = attached ? {} : this.eachPart(arrays)
    return async (question) => {
      const { wants } = question
      const answer = await evaluate({
        ...(attached || { parameters: await this.parameters(), gradients }),
        inputs,
        ...question,
      })
      for (const { index: tensor } of tensors) {
        if (wants.has('gradient') && !attached) this.readback.write({ kind: 'gradient', tensor }, arrays[tensor]!)
        for (const [key, array] of this.inputs[tensor]!) {
          if (wants.has(key)) this.readback.write({ kind: 'input', tensor, key }, array)
        }
      }
      return answer
    }
  }

  /** Copies of the parameters. */
  private async parameters(): Promise<Record<string, FloatArray>> {
    const { tensors } = this.conductor
    return this.eachPart(
      await this.readback.read(tensors.map(({ index: tensor }): Place => ({ kind: 'parameter', tensor }))),
    )
  }

  private get names(): readonly string[] {
    return this.conductor.parts.map(({ shape }) => shape.name)
  }

  /** What each parameter has of the arrays of all tensors. */
  private eachPart(arrays: readonly FloatArray[]): Record<string, FloatArray> {
    const { parts } = this.conductor
    return record(this.names, (index) => within(arrays[parts[index]!.tensor]!, parts[index]!))
  }

  private array(size: number): FloatArray {
    return this.precision.arrays === 'float64' ? new Float64Array(size) : new Float32Array(size)
  }
}
