import type { FloatArray } from '../backends/backend.ts'
import type { Evaluate, EvaluationRequest } from '../run/step.ts'

/** Arrays of parameters by name, which methods that see them as one vector read, and write in place. */
export type ParameterArrays<Name extends string = string> = Readonly<Record<Name, FloatArray>>

/** What a model says at a point. */
export interface Evaluated {
  readonly loss: number
  /** Of all parameters, behind one another. */
  readonly gradient: Float64Array
}

const everything: ReadonlySet<string> = new Set(['gradient', 'loss'])
const lossOnly: ReadonlySet<string> = new Set(['loss'])

/** @internal how many numbers all parameters have together */
export function joinedSize(parameters: ParameterArrays): number {
  return Object.values(parameters).reduce((sum, { length }) => sum + length, 0)
}

/** @internal arrays behind one another, in the order of their names */
export function joined<Name extends string>(
  names: readonly Name[],
  arrays: Readonly<Record<Name, ArrayLike<number>>>,
): Float64Array {
  const vector = new Float64Array(names.reduce((sum, name) => sum + arrays[name].length, 0))
  let offset = 0
  for (const name of names) {
    vector.set(arrays[name], offset)
    offset += arrays[name].length
  }
  return vector
}

/** @internal the parts of a vector into the arrays that it was joined from */
export function spread<Name extends string>(
  names: readonly Name[],
  vector: Float64Array,
  arrays: ParameterArrays<Name>,
): void {
  let offset = 0
  for (const name of names) {
    const { length } = arrays[name]
    arrays[name].set(vector.subarray(offset, offset + length))
    offset += length
  }
}

/** @internal `evaluate`, with its gradients changed as one vector before the optimizer reads them; absent ones count as 0 */
export function changingGradients<Name extends string>(
  names: readonly Name[],
  evaluate: Evaluate<Name>,
  change: (gradient: Float64Array, without: ReadonlySet<string>) => Float64Array | Promise<Float64Array>,
): Evaluate<Name> {
  return async (request) => {
    const answer = await evaluate(request)
    const without = new Set(typeof answer === 'object' ? answer.without : [])
    for (const name of without) request.gradients[name as Name]?.fill(0)
    spread(names, await change(joined(names, request.gradients), without), request.gradients)
    return answer
  }
}

/** @internal evaluates a model at points of one step */
export class Probe {
  /** How many evaluations there have been. */
  evaluations = 0
  private readonly joined: JoinedParameters
  private readonly evaluate: Evaluate

  constructor(joined: JoinedParameters, evaluate: Evaluate) {
    this.joined = joined
    this.evaluate = evaluate
  }

  /** Loss and gradient at a point, where the parameters then stand. */
  async at(point: Float64Array): Promise<Evaluated> {
    const loss = await this.ask(point, everything)
    return { loss, gradient: this.joined.gather(this.joined.gradients) }
  }

  async lossAt(point: Float64Array): Promise<number> {
    return this.ask(point, lossOnly)
  }

  /** Loss and gradient where a method goes on from. @throws Error when one is not finite. */
  async startAt(point: Float64Array): Promise<Evaluated> {
    const found = await this.at(point)
    const { caller } = this.joined
    if (!Number.isFinite(found.loss)) {
      throw new Error(`${caller}: the loss must be a finite number, not ${found.loss}; the parameters are unchanged`)
    }
    if (!found.gradient.every(Number.isFinite)) {
      throw new Error(`${caller}: the gradient has numbers that are not finite; the parameters are unchanged`)
    }
    return found
  }

  private async ask(point: Float64Array, wants: ReadonlySet<string>): Promise<number> {
    const { joined } = this
    joined.write(point)
    const request: EvaluationRequest = {
      parameters: joined.parameters,
      gradients: joined.gradients,
      inputs: {},
      wants,
      evaluation: this.evaluations++,
      evaluations: Number.POSITIVE_INFINITY,
    }
    const answer = await this.evaluate(request)
    const { loss, without = [] } = typeof answer === 'object' ? answer : { loss: answer ?? undefined }
    if (loss === undefined) throw new Error(`${joined.caller}: evaluate must return the loss, or { loss }`)
    for (const name of without) joined.gradients[name]?.fill(0)
    return loss
  }
}

/** @internal the parameters of a model as one vector of float64 */
export class JoinedParameters<Name extends string = string> {
  readonly caller: string
  readonly names: readonly Name[]
  readonly parameters: ParameterArrays<Name>
  readonly gradients: ParameterArrays<Name>
  readonly size: number
  private busy = false

  /** @throws Error when there are no arrays of floating-point numbers. */
  constructor(caller: string, parameters: ParameterArrays<Name>) {
    const names = Object.keys(parameters ?? {}) as Name[]
    if (names.length === 0)
      throw new Error(`${caller}: the parameters must be arrays by name, such as { w: new Float64Array(3) }`)
    for (const name of names) {
      const array: unknown = parameters[name]
      if (array instanceof Float32Array || array instanceof Float64Array) continue
      throw new Error(`${caller}: '${name}' must be a Float32Array or a Float64Array, not ${String(array)}`)
    }
    this.caller = caller
    this.names = names
    this.parameters = Object.freeze({ ...parameters })
    this.gradients = Object.freeze(
      Object.fromEntries(
        names.map((name) => {
          const { length } = parameters[name]
          return [name, parameters[name] instanceof Float32Array ? new Float32Array(length) : new Float64Array(length)]
        }),
      ),
    ) as ParameterArrays<Name>
    this.size = joinedSize(parameters)
  }

  gather(arrays: Readonly<Record<Name, ArrayLike<number>>>): Float64Array {
    return joined(this.names, arrays)
  }

  write(vector: Float64Array): void {
    spread(this.names, vector, this.parameters)
  }

  /** One step, while which there can be no other; a step that throws leaves the parameters where they were. */
  async step<T>(evaluate: Evaluate<Name>, action: (start: Float64Array, model: Probe) => Promise<T>): Promise<T> {
    if (typeof evaluate !== 'function') {
      throw new Error(`${this.caller}: evaluate must be a function, not ${String(evaluate)}`)
    }
    if (this.busy)
      throw new Error(`${this.caller}: minimize is waiting for an evaluation of the model; await that step first`)
    this.busy = true
    const start = this.gather(this.parameters)
    try {
      return await action(start, new Probe(this as JoinedParameters, evaluate as Evaluate))
    } catch (error) {
      this.write(start)
      throw error
    } finally {
      this.busy = false
    }
  }
}
