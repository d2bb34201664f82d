import { checkOption } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { Evaluate } from '../run/step.ts'
import { JoinedParameters, type ParameterArrays, type Probe } from './joined-parameters.ts'
import { dot, eliminate, moved, norm, scaled, subtract } from './linear-algebra.ts'

export interface EgnOptions {
  /** The length of a step; with `lineSearch` the largest, and the first that is tried; default 1. */
  readonly learningRate?: number
  /** λ, what is added to the Gauss-Newton matrix; with `adaptiveDamping` the first; default 1. */
  readonly damping?: number
  /** β; default 0. */
  readonly momentum?: number
  /** `sum` (default): v ← s + β v; `average`: (1 - β) s + β v, with bias correction. */
  readonly momentumForm?: 'sum' | 'average'
  /** The largest norm of the direction, with its momentum; default none. */
  readonly largestNorm?: number
  /** Added to the direction, times the parameters; default 0. */
  readonly weightDecay?: number
  /** Makes steps shorter until the loss falls enough; default false. */
  readonly lineSearch?: boolean
  /** Lets λ follow how well the quadratic model predicts the loss; default false. */
  readonly adaptiveDamping?: boolean
}

/** The model where the parameters stand, of a batch of B examples with c outputs each. */
export interface Linearization {
  /** The derivatives of the examples' losses by their outputs, B c of them, example by example: z - y for ½ ‖z - y‖². */
  readonly residuals: ArrayLike<number>
  /** The derivatives of these outputs by all parameters, a row of n numbers for each, behind one another. */
  readonly jacobian: ArrayLike<number>
  /** The second derivatives of the losses by the outputs, c × c numbers for each example; default the identity. */
  readonly outputHessians?: ArrayLike<number>
  /** B; default the number of residuals: one output each. */
  readonly examples?: number
}

/** The model where the parameters stand, for a step of {@link egn}. */
export type Linearize<Name extends string = string> = (at: {
  readonly parameters: ParameterArrays<Name>
}) => Linearization | Promise<Linearization>

export interface EgnResult {
  /** The length of the step. */
  readonly learningRate: number
  /** λ of this step. */
  readonly damping: number
  /** How much of the fall that the quadratic model foretold there was, where that was looked at. */
  readonly gain?: number
  readonly evaluations: number
}

/** What one step leaves to the next. */
interface State {
  readonly velocity: Float64Array
  readonly steps: number
  readonly damping: number
  readonly learningRate: number
}

/**
 * Exact Gauss-Newton: the damped Gauss-Newton direction of a batch, exactly, by a system of the batch's size (of B c equations)
 * in place of one of all n parameters. L is the mean of the examples' losses ℓ, r their derivatives by the outputs, Q their
 * second derivatives, J the Jacobian of the outputs.
 *
 * ```text
 * (Q J Jᵀ + B λ I) u = r;   s ← Jᵀ u            which is (Jᵀ Q J / B + λ I) s = Jᵀ r / B
 * v ← s + β v;   d ← v min(1, largestNorm / ‖v‖) + weightDecay θ
 * θ ← θ - η d
 * lineSearch:       η ← min(1.5 η₋₁, learningRate), then 0.8 η until L(θ - η d) ≤ L(θ) - 0.1 η ⟨∇L, d⟩, 15 times at most
 * adaptiveDamping:  ρ ← (L(θ + Δ) - L(θ)) / (⟨∇L, Δ⟩ + ½ Δᵀ Jᵀ Q J Δ / B);   λ ← 1.5 λ if ρ < ¼, ½ λ if ρ > ¾
 * ```
 *
 * ```ts
 * import { egn } from 'fallline'
 *
 * // A line through three points.
 * const [xs, ys] = [[0, 1, 2], [1, 3, 5]]
 * const optimizer = egn({ line: new Float64Array(2) }, { damping: 1e-9 })
 * await optimizer.minimize(({ parameters: { line } }) => ({
 *   residuals: xs.map((x, i) => (line[0] ?? 0) * x + (line[1] ?? 0) - (ys[i] ?? 0)),
 *   jacobian: xs.flatMap((x) => [x, 1]),
 * }))
 * console.log(Array.from(optimizer.parameters.line, (x) => x.toFixed(3)).join(' ')) // 2.000 1.000
 * ```
 *
 * For cross entropy with softmax the residuals are p - y and the output Hessians diag(p) - p pᵀ. Memory is B c rows of J, time
 * (B c)² n + (B c)³. Momentum, clipping, decay and the rule of λ are those of the current official code (somax), which has no line search.
 * That, and `momentumForm: 'average'`, are those of older code of the same repository; it also has step sizes that are reset in other
 * ways (Goldstein's, and none), which are not here. A line search that ends after 15 trials takes the last step, as there. Its comments
 * let λ grow and fall by 1.01 and 0.99, the current code by 1.5 and ½. No trajectory has line search, adaptive λ or averages.
 *
 * Korbit, Adeoye, Bemporad, Zanon 2024, Exact Gauss-Newton Optimization for Training Deep Neural Networks, arXiv 2405.14402.
 *
 * @throws Error when an option is unknown or out of range, or the parameters are not arrays of floating-point numbers.
 */
export function egn<Name extends string>(parameters: ParameterArrays<Name>, options: EgnOptions = {}): Egn<Name> {
  return new Egn(parameters, options)
}

/** Parameters that exact Gauss-Newton moves. Made by `egn`. */
export class Egn<Name extends string = string> {
  private readonly joined: JoinedParameters<Name>
  private readonly options: Required<EgnOptions>
  private state: State

  /** @internal use `egn` */
  constructor(parameters: ParameterArrays<Name>, options: EgnOptions) {
    checkNames('egn', options, [
      'learningRate',
      'damping',
      'momentum',
      'momentumForm',
      'largestNorm',
      'weightDecay',
      'lineSearch',
      'adaptiveDamping',
    ])
    const { learningRate = 1, damping = 1, momentum = 0, momentumForm = 'sum', weightDecay = 0 } = options
    const { largestNorm = Number.POSITIVE_INFINITY, lineSearch = false, adaptiveDamping = false } = options
    for (const [name, value] of Object.entries({ learningRate, damping, largestNorm })) {
      const finite = name === 'largestNorm' || Number.isFinite(value)
      checkOption('egn', name, value, value > 0 && finite, 'a number above 0')
    }
    checkOption('egn', 'momentum', momentum, momentum >= 0 && momentum < 1, 'a number from 0 to below 1')
    checkOption('egn', 'weightDecay', weightDecay, weightDecay >= 0, 'a number from 0 up')
    checkOption('egn', 'momentumForm', momentumForm, ['sum', 'average'].includes(momentumForm), 'one of sum, average')
    this.joined = new JoinedParameters('egn', parameters)
    this.options = {
      learningRate,
      damping,
      momentum,
      momentumForm,
      largestNorm,
      weightDecay,
      lineSearch,
      adaptiveDamping,
    }
    this.state = { velocity: new Float64Array(this.joined.size), steps: 0, damping, learningRate }
  }

  /** The parameters, in the arrays that were given. */
  get parameters(): ParameterArrays<Name> {
    return this.joined.parameters
  }

  /**
   * One step on one batch.
   * @param linearize residuals and Jacobian where the parameters stand.
   * @param evaluate the loss where the parameters stand, as a compiled optimizer's `minimize` takes it; it is asked for the loss only,
   * by `lineSearch` and `adaptiveDamping`, and needed with these.
   * @throws Error when one of them throws, an array has another length, or a number is not finite; parameters and state are
   * untouched then.
   */
  async minimize(linearize: Linearize<Name>, evaluate?: Evaluate<Name>): Promise<EgnResult> {
    const { lineSearch, adaptiveDamping } = this.options
    if (typeof linearize !== 'function') {
      throw new Error(`egn: linearize must be a function, not ${String(linearize)}`)
    }
    if (!evaluate && (lineSearch || adaptiveDamping)) {
      throw new Error(`egn: ${lineSearch ? 'lineSearch' : 'adaptiveDamping'} needs losses: give minimize evaluate too`)
    }
    return this.joined.step(evaluate ?? (() => undefined), async (start, model) => {
      const found = checked(await linearize({ parameters: this.parameters }), start.length)
      return this.advance(start, model, found)
    })
  }

  private async advance(start: Float64Array, model: Probe, found: Outputs): Promise<EgnResult> {
    const { momentum, momentumForm, largestNorm, weightDecay, lineSearch, adaptiveDamping } = this.options
    const { damping, steps } = this.state
    const direction = directionOf(found, damping)
    const share = momentumForm === 'average' ? 1 - momentum : 1
    const velocity = moved(scaled(this.state.velocity, momentum), share, direction)
    const corrected = momentumForm === 'average' ? scaled(velocity, 1 / (1 - momentum ** (steps + 1))) : velocity
    const length = norm(corrected)
    const clipped = length > largestNorm ? scaled(corrected, largestNorm / length) : corrected
    const update = moved(clipped, weightDecay, start)
    if (!update.every(Number.isFinite)) throw new Error('egn: the direction has numbers that are not finite')
    const slope = -dot(found.gradient, update)
    const before = lineSearch || adaptiveDamping ? await model.lossAt(start) : 0
    const learningRate = lineSearch ? await this.search(start, update, slope, before, model) : this.options.learningRate
    const point = moved(start, -learningRate, update)
    this.joined.write(point)
    let gain: number | undefined
    let next = damping
    if (adaptiveDamping) {
      const after = await model.lossAt(point)
      const image = found.rows.map((row) => -learningRate * dot(row, update))
      const curved = dot(image, times(found, image)) / found.examples
      gain = (after - before) / (learningRate * slope + curved / 2)
      const factor = gain < 0.25 ? 1.5 : gain > 0.75 ? 0.5 : 1
      if (Number.isFinite(gain)) next = Math.min(Math.max(damping * factor, 1e-12), 1e6)
    }
    this.state = { velocity, steps: steps + 1, damping: next, learningRate }
    return { learningRate, damping, ...(gain === undefined ? {} : { gain }), evaluations: model.evaluations }
  }

  /** Armijo's condition, from one and a half times the last step on, down. */
  private async search(
    start: Float64Array,
    update: Float64Array,
    slope: number,
    before: number,
    model: Probe,
  ): Promise<number> {
    let rate = Math.min(1.5 * this.state.learningRate, this.options.learningRate)
    for (let trial = 0; trial < 15; trial++) {
      const loss = await model.lossAt(moved(start, -rate, update))
      if (loss <= before + 0.1 * rate * slope + Number.EPSILON) return rate
      rate *= 0.8
    }
    return rate
  }
}

/** A linearization that was looked at. */
interface Outputs {
  readonly residuals: Float64Array
  /** Of the Jacobian. */
  readonly rows: readonly Float64Array[]
  readonly outputHessians: ArrayLike<number> | undefined
  readonly examples: number
  /** Of the mean loss. */
  readonly gradient: Float64Array
}

function checked(
  { residuals, jacobian, outputHessians, examples = residuals.length }: Linearization,
  size: number,
): Outputs {
  const count = residuals.length
  if (!(Number.isInteger(examples) && examples >= 1 && count % examples === 0)) {
    throw new Error(`egn: examples must be a divisor of the number of residuals, ${count}, not ${String(examples)}`)
  }
  if (jacobian.length !== count * size) {
    throw new Error(
      `egn: the jacobian must have ${count} rows of ${size}, so ${count * size} numbers, not ${jacobian.length}`,
    )
  }
  const blocks = count * (count / examples)
  if (outputHessians && outputHessians.length !== blocks) {
    throw new Error(`egn: outputHessians must have ${blocks} numbers, not ${outputHessians.length}`)
  }
  const flat = Float64Array.from(jacobian)
  const rows = Array.from({ length: count }, (_, i) => flat.subarray(i * size, (i + 1) * size))
  const gradient = new Float64Array(size)
  rows.forEach((row, i) => {
    subtract(gradient, -residuals[i]! / examples, row)
  })
  return { residuals: Float64Array.from(residuals), rows, outputHessians, examples, gradient }
}

/** Q x, block by block. */
function times({ outputHessians, examples }: Outputs, x: ArrayLike<number>): Float64Array {
  if (!outputHessians) return Float64Array.from(x)
  const outputs = x.length / examples
  return Float64Array.from(x, (_, i) => {
    const first = i - (i % outputs)
    let sum = 0
    for (let j = 0; j < outputs; j++) sum += outputHessians[i * outputs + j]! * x[first + j]!
    return sum
  })
}

/** Jᵀ u with (Q J Jᵀ + B λ I) u = r. */
function directionOf(found: Outputs, damping: number): Float64Array {
  const { rows, residuals, examples } = found
  // The columns of Q J Jᵀ are Q times those of J Jᵀ.
  const columns = rows.map((row) =>
    times(
      found,
      rows.map((other) => dot(other, row)),
    ),
  )
  const system = rows.map((_, i) => columns.map((column, j) => column[i]! + (i === j ? examples * damping : 0)))
  const u = eliminate('egn', system, residuals)
  const direction = new Float64Array(found.gradient.length)
  rows.forEach((row, i) => {
    subtract(direction, -u[i]!, row)
  })
  return direction
}
