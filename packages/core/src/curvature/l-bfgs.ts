import { checkCounts, checkOption } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { Evaluate } from '../run/step.ts'
import { JoinedParameters, type ParameterArrays, type Probe } from './joined-parameters.ts'
import { backtracking, Line, strongWolfe } from './line-search.ts'
import { dot, largest, moved, scaled, subtract } from './linear-algebra.ts'

export interface LBfgsOptions {
  /** The length of a step along the direction, or the first one that a line search tries; default 1. */
  readonly learningRate?: number
  /** How the length of a step is found; default `strongWolfe`. */
  readonly lineSearch?: 'strongWolfe' | 'backtracking' | 'none'
  /** How many pairs of steps and changes of the gradient are kept, each twice the memory of the parameters; default 100. */
  readonly history?: number
  /** Iterations in a call of `minimize`; default 20. */
  readonly maximumIterations?: number
  /** After how many evaluations no further iteration begins; default 5/4 of `maximumIterations`, rounded down. */
  readonly maximumEvaluations?: number
  /** Done when no element of the gradient is larger; default 1e-7. */
  readonly toleranceGradient?: number
  /** Done when no parameter, or the loss, changes by more; default 1e-9. */
  readonly toleranceChange?: number
}

/** What a call of `minimize` did. */
export interface LBfgsResult {
  /** The loss at the last point that was gone on from, or stayed at: where the parameters stand if a line search led there. */
  readonly loss: number
  readonly iterations: number
  readonly evaluations: number
}

/** A step, and the change of the gradient over it. */
interface Pair {
  readonly s: Float64Array
  readonly y: Float64Array
  /** 1 / ⟨s, y⟩. */
  readonly rho: number
}

/** What is known of the curvature. Never changed in place, so that a step that fails leaves it as it was. */
interface Memory {
  readonly pairs: readonly Pair[]
  /** The first guess of the inverse Hessian, times the identity. */
  readonly scale: number
  /** The gradient where the last iteration began, and how it moved. */
  readonly last?: { readonly gradient: Float64Array; readonly move: Float64Array }
}

/**
 * L-BFGS: Newton's steps with an inverse Hessian that the last steps and changes of the gradient tell, all parameters together.
 *
 * ```text
 * y ← g - g₋₁;  s ← θ - θ₋₁;  kept if ⟨s, y⟩ > 1e-10;  γ ← ⟨s, y⟩ / ⟨y, y⟩ of the last pair
 * q ← -g;  for pairs, last first:   αᵢ ← ⟨sᵢ, q⟩ / ⟨sᵢ, yᵢ⟩;  q ← q - αᵢ yᵢ
 * d ← γ q; for pairs, first first:  d ← d + sᵢ (αᵢ - ⟨yᵢ, d⟩ / ⟨sᵢ, yᵢ⟩)
 * θ ← θ + t d,   t by the line search from η on; in the very first iteration from η min(1, 1 / ‖g‖₁) on
 * ```
 *
 * ```ts
 * import { lBfgs } from 'fallline'
 *
 * const optimizer = lBfgs({ x: new Float64Array([-1.2, 1]) })
 * await optimizer.minimize(({ parameters, gradients }) => {
 *   const [a = 0, b = 0] = parameters.x
 *   gradients.x.set([-400 * a * (b - a ** 2) - 2 * (1 - a), 200 * (b - a ** 2)])
 *   return 100 * (b - a ** 2) ** 2 + (1 - a) ** 2
 * })
 * ```
 *
 * The arrays are the parameters: it reads and writes them, and those of a compiled optimizer do as well. Inner products are
 * taken in float64, whatever the arrays are. Each call of `minimize` is up to `maximumIterations` iterations on one batch; with
 * another batch in each call, take few of them. Line searches: `strongWolfe` seeks a step for which the loss falls enough and the
 * slope is small enough, so that ⟨s, y⟩ > 0; `backtracking` halves the step until the loss falls enough; `none` takes η. An
 * evaluation in a line search that is not finite counts as too far.
 *
 * Nocedal, Wright 2006, Numerical Optimization, algorithms 7.4, 7.5, 3.1, 3.5 and 3.6. Defaults, tolerances, the first step and the
 * safeguards of the line search are those of PyTorch 1.13, but for two: its default is no line search, and when a direction does
 * not go down it remembers the step it did not take.
 *
 * @throws Error when an option is unknown or out of range, or the parameters are not arrays of floating-point numbers.
 */
export function lBfgs<Name extends string>(parameters: ParameterArrays<Name>, options: LBfgsOptions = {}): LBfgs<Name> {
  return new LBfgs(parameters, options)
}

/** Parameters that L-BFGS moves. Made by `lBfgs`. */
export class LBfgs<Name extends string = string> {
  private readonly joined: JoinedParameters<Name>
  private readonly options: Required<LBfgsOptions>
  private memory: Memory = { pairs: [], scale: 1 }

  /** @internal use `lBfgs` */
  constructor(parameters: ParameterArrays<Name>, options: LBfgsOptions) {
    checkNames('lBfgs', options, [
      'learningRate',
      'lineSearch',
      'history',
      'maximumIterations',
      'maximumEvaluations',
      'toleranceGradient',
      'toleranceChange',
    ])
    const { learningRate = 1, lineSearch = 'strongWolfe', history = 100, maximumIterations = 20 } = options
    const { maximumEvaluations = Math.max(1, Math.floor((maximumIterations * 5) / 4)) } = options
    const { toleranceGradient = 1e-7, toleranceChange = 1e-9 } = options
    checkCounts('lBfgs', { history, maximumIterations, maximumEvaluations })
    checkOption(
      'lBfgs',
      'learningRate',
      learningRate,
      learningRate > 0 && Number.isFinite(learningRate),
      'a number above 0',
    )
    for (const [name, value] of Object.entries({ toleranceGradient, toleranceChange })) {
      checkOption('lBfgs', name, value, value >= 0, 'a number from 0 up')
    }
    const known = ['strongWolfe', 'backtracking', 'none']
    checkOption('lBfgs', 'lineSearch', lineSearch, known.includes(lineSearch), `one of ${known.join(', ')}`)
    this.joined = new JoinedParameters('lBfgs', parameters)
    this.options = {
      learningRate,
      lineSearch,
      history,
      maximumIterations,
      maximumEvaluations,
      toleranceGradient,
      toleranceChange,
    }
  }

  /** The parameters, in the arrays that were given. */
  get parameters(): ParameterArrays<Name> {
    return this.joined.parameters
  }

  /**
   * Up to `maximumIterations` iterations on one batch. `evaluate` finds the point in `parameters`, writes `gradients`, and
   * returns the loss: the function that a compiled optimizer's `minimize` takes.
   * @throws Error when `evaluate` throws, or gives a loss or a gradient that is not finite at a point to go on from; parameters
   * and history are as they were then.
   */
  async minimize(evaluate: Evaluate<Name>): Promise<LBfgsResult> {
    return this.joined.step(evaluate, (start, model) => this.iterate(start, model))
  }

  private async iterate(start: Float64Array, model: Probe): Promise<LBfgsResult> {
    const { learningRate, lineSearch, maximumIterations, maximumEvaluations, ...tolerances } = this.options
    const { toleranceGradient, toleranceChange } = tolerances
    let { memory } = this
    let point = start
    let found = await model.startAt(point)
    let iterations = 0
    while (largest(found.gradient) > toleranceGradient) {
      iterations++
      const first = memory.last === undefined
      memory = this.remember(memory, found.gradient)
      const { loss, gradient } = found
      const direction = directionOf(memory, gradient)
      const line = new Line(model, point, direction, found)
      memory = { ...memory, last: { gradient, move: new Float64Array(point.length) } }
      if (line.start.slope > -toleranceChange) break
      const full = first
        ? learningRate * Math.min(1, 1 / gradient.reduce((sum, g) => sum + Math.abs(g), 0))
        : learningRate
      let step = full
      if (lineSearch !== 'none') {
        const trial =
          lineSearch === 'strongWolfe' ? await strongWolfe(line, full, toleranceChange) : await backtracking(line, full)
        step = trial.step
        found = trial
      }
      this.joined.write(line.point(step))
      point = this.joined.gather(this.joined.parameters)
      const move = scaled(direction, step)
      memory = { ...memory, last: { gradient, move } }
      if (iterations === maximumIterations) break
      // With another batch in the next step, the gradient at the end of this one would be of no use.
      if (lineSearch === 'none') found = await model.startAt(point)
      if (model.evaluations >= maximumEvaluations) break
      if (largest(move) <= toleranceChange || Math.abs(found.loss - loss) < toleranceChange) break
    }
    this.memory = memory
    return { loss: found.loss, iterations, evaluations: model.evaluations }
  }

  /** Takes up the step that led to this gradient, if the loss curves upwards along it. */
  private remember(memory: Memory, gradient: Float64Array): Memory {
    if (!memory.last) return memory
    const { move: s } = memory.last
    const y = moved(gradient, -1, memory.last.gradient)
    const product = dot(y, s)
    if (!(product > 1e-10)) return memory
    const pairs = [...memory.pairs, { s, y, rho: 1 / product }].slice(-this.options.history)
    return { pairs, scale: product / dot(y, y) }
  }
}

/** The inverse Hessian of the memory times the negative gradient: the two loops. */
function directionOf({ pairs, scale }: Memory, gradient: Float64Array): Float64Array {
  const q = scaled(gradient, -1)
  const alphas = pairs.map(() => 0)
  for (let i = pairs.length - 1; i >= 0; i--) {
    const { s, y, rho } = pairs[i]!
    alphas[i] = rho * dot(s, q)
    subtract(q, alphas[i]!, y)
  }
  const direction = scaled(q, scale)
  pairs.forEach(({ s, y, rho }, i) => {
    subtract(direction, rho * dot(y, direction) - alphas[i]!, s)
  })
  return direction
}
