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
import { programsOfStep } from '../program/trace.ts'
import type { Conductor, Tensor } from './conductor.ts'
import { record } from './running-optimizer.ts'
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
  const device = (conductor: Conductor, nonFinite: NonFinitePolicy, telemetry: boolean) =>
    new Device(conductor, executor, readback, precision, nonFinite, telemetry)
  return { precision, executor, memory: undefined, readback, device, dispose }
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
    for (const name of this.conductor.names) Object.defineProperty(result, name, { enumerable: true, get })
    return Object.freeze(result)
  }

  evaluator(evaluate: Evaluate, inputs: EvaluationRequest['inputs']): (question: Question) => Promise<Answer> {
    const { tensors, names } = this.conductor
    const attached = this.attaches && { parameters: this.views('parameters'), gradients: this.views('gradients') }
    const gradients: Record<string, FloatArray> = Object.create(null)
    for (const { shape } of attached ? [] : tensors) gradients[shape.name] = this.array(shape.size)
    return async (question) => {
      const { wants } = question
      const answer = await evaluate({
        ...(attached || { parameters: await this.parameters(), gradients }),
        inputs,
        ...question,
      })
      for (const [tensor, name] of names.entries()) {
        if (wants.has('gradient') && !attached) this.readback.write({ kind: 'gradient', tensor }, gradients[name]!)
        for (const [key, array] of this.inputs[tensor]!) {
          if (wants.has(key)) this.readback.write({ kind: 'input', tensor, key }, array)
        }
      }
      return answer
    }
  }

  /** Copies of the parameters. */
  private async parameters(): Promise<Record<string, FloatArray>> {
    const { names } = this.conductor
    const values = await this.readback.read(names.map((_, tensor): Place => ({ kind: 'parameter', tensor })))
    return record(names, (tensor) => values[tensor]!)
  }

  private array(size: number): FloatArray {
    return this.precision.arrays === 'float64' ? new Float64Array(size) : new Float32Array(size)
  }
}
