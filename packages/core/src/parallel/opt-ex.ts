import type { FloatArray } from '../backends/backend.ts'
import { solve } from '../curvature/linear-algebra.ts'
import { checkCounts } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { CompiledOptimizer } from '../run/compiled-optimizer.ts'

export interface OptExOptions {
  /** How many points are evaluated at once, N; default 4. */
  readonly parallel?: number
  /** How many gradients the estimate is made from, the latest ones; default 20. Each takes twice the memory of the parameters. */
  readonly history?: number
  /** The distance over which gradients resemble one another; default the median distance between the points of the history. */
  readonly lengthScale?: number
  /** The variance of the noise in gradients, relative to that of the gradients; default 1e-6. */
  readonly noise?: number
  /** The point to go on from: the last one (default), or the one with the lowest loss. */
  readonly choose?: 'last' | 'lowestLoss'
}

/** One of the points to evaluate; all arrays are its own. */
export interface OptExRequest {
  readonly parameters: Readonly<Record<string, FloatArray>>
  /** Write the gradients here. */
  readonly gradients: Readonly<Record<string, FloatArray>>
  /** Which of the points of this step this is, from 0: a worker or a device to give it to. */
  readonly point: number
}

export interface OptExResult {
  /** The losses at the points, in their order. */
  readonly losses: readonly number[]
  /** The point that was gone on from. */
  readonly chosen: number
}

interface Entry {
  readonly parameters: Arrays
  readonly gradients: Arrays
}

type Arrays = Readonly<Record<string, FloatArray>>

/**
 * OptEx: takes several steps of any optimizer at once. Gradients that are needed for the later ones are estimated from those
 * that are known, so that the points of all steps are there at once and can be evaluated in parallel; each point gets its true
 * gradient then, and the optimizer goes on from one of them.
 *
 * ```text
 * w(θ) = (K + σ² I)⁻¹ k(θ, history)        k: Matérn 5/2 of the distance over all parameters
 * θ₀ ← θ;  for s = 1 .. N - 1:  θₛ ← optimizer(θₛ₋₁, Σ wⱼ(θₛ₋₁) gⱼ)
 * in parallel:  gₛ ← ∇L(θₛ)                added to the history
 * θ ← optimizer(θₛ, gₛ)                    from the last point, with its own state
 * ```
 *
 * ```ts
 * import { adamW, compile, optEx } from 'fallline'
 *
 * const driver = optEx(await compile(adamW({ learningRate: 0.1 }), { x: [1] }), { parallel: 3 })
 * driver.optimizer.parameters.x![0] = 3
 * const { losses } = await driver.step(async ({ parameters, gradients }) => {
 *   const x = parameters.x![0]!
 *   gradients.x![0] = 2 * x
 *   return x ** 2
 * })
 * ```
 *
 * The first step has one point. It pays where evaluations take much longer than N updates and where they really run at once.
 * The length scale is ours: the official code measures distances between parameters that are normalized and tunes the scale
 * every ten steps. It goes on from the point with the lowest loss, `choose: 'lowestLoss'`; the paper from the last.
 *
 * Shu, Fang, He, Yu 2024, OptEx: Expediting First-Order Optimization with Approximately Parallelized Iterations, arXiv
 * 2402.11427.
 *
 * @throws Error when an option is unknown or out of range.
 */
export function optEx(optimizer: CompiledOptimizer, options: OptExOptions = {}): OptEx {
  return new OptEx(optimizer, options)
}

/** A compiled optimizer that takes several steps at once. Made by `optEx`. */
export class OptEx {
  readonly optimizer: CompiledOptimizer
  private readonly options: Required<Omit<OptExOptions, 'lengthScale'>> & { readonly lengthScale: number | undefined }
  private entries: readonly Entry[] = []
  /** Between the points of the entries. */
  private distances: readonly (readonly number[])[] = []

  /** @internal use `optEx` */
  constructor(optimizer: CompiledOptimizer, options: OptExOptions) {
    checkNames('optEx', options, ['parallel', 'history', 'lengthScale', 'noise', 'choose'])
    const { parallel = 4, history = 20, lengthScale, noise = 1e-6, choose = 'last' } = options
    checkCounts('optEx', { parallel, history })
    if (lengthScale !== undefined && !(lengthScale > 0)) {
      throw new Error(`optEx: lengthScale must be a number above 0, not ${String(lengthScale)}`)
    }
    if (!(noise > 0)) throw new Error(`optEx: noise must be a number above 0, not ${String(noise)}`)
    if (choose !== 'last' && choose !== 'lowestLoss') {
      throw new Error(`optEx: choose must be one of last, lowestLoss, not ${String(choose)}`)
    }
    this.optimizer = optimizer
    this.options = { parallel, history, lengthScale, noise, choose }
  }

  /**
   * One step: N points, evaluated at once by as many calls of `evaluate`, which write the gradients and return the loss.
   * @throws Error when an evaluation throws, or gives a loss or a gradient that is not finite; parameters and state are as
   * they were then.
   */
  async step(evaluate: (request: OptExRequest) => number | Promise<number>): Promise<OptExResult> {
    const { optimizer, options } = this
    const checkpoints = [optimizer.save()]
    const points = [copies(optimizer.parameters)]
    try {
      const count = this.entries.length > 0 ? options.parallel : 1
      while (points.length < count) {
        optimizer.step({ gradients: this.estimate(points.at(-1)!) })
        checkpoints.push(optimizer.save())
        points.push(copies(optimizer.parameters))
      }
      const evaluated = points.map((parameters) => ({ parameters, gradients: zeros(parameters) }))
      const evaluating = () =>
        Promise.all(
          evaluated.map(({ parameters, gradients }, point) =>
            evaluate({ parameters: copies(parameters), gradients, point }),
          ),
        )
      const losses = await optimizer.exclusively('optEx.step', evaluating)
      const wrong = losses.findIndex((loss) => !Number.isFinite(loss))
      if (wrong >= 0) throw new Error(`optEx: the loss at point ${wrong} must be a finite number, not ${losses[wrong]}`)
      const chosen = options.choose === 'last' ? losses.length - 1 : losses.indexOf(Math.min(...losses))
      optimizer.load(checkpoints[chosen]!)
      optimizer.step({ gradients: evaluated[chosen]!.gradients })
      for (const entry of evaluated) this.remember(entry)
      return { losses, chosen }
    } catch (error) {
      optimizer.load(checkpoints[0]!)
      throw error
    }
  }

  /** The gradient at a point as the history has it: the mean of a Gaussian process. */
  private estimate(point: Arrays): Arrays {
    const { entries, distances, options } = this
    const between = distances.flatMap((row, i) => row.slice(0, i)).sort((a, b) => a - b)
    const scale = options.lengthScale ?? (between[between.length >> 1] || Number.POSITIVE_INFINITY)
    const kernel = distances.map((row, i) => row.map((d, j) => matern(d / scale) + (i === j ? options.noise : 0)))
    const near = entries.map((entry) => matern(distance(point, entry.parameters) / scale))
    const weights = solve(kernel, near)
    const result = zeros(point)
    for (const [name, sum] of Object.entries(result)) {
      entries.forEach(({ gradients }, j) => {
        const [gradient, weight] = [gradients[name]!, weights[j]!]
        for (let i = 0; i < sum.length; i++) sum[i]! += weight * gradient[i]!
      })
    }
    return result
  }

  private remember(entry: Entry): void {
    const excess = Math.max(0, this.entries.length + 1 - this.options.history)
    const kept = this.entries.slice(excess)
    const to = kept.map((other) => distance(entry.parameters, other.parameters))
    const rows = this.distances.slice(excess).map((row, i) => [...row.slice(excess), to[i]!])
    this.entries = [...kept, entry]
    this.distances = [...rows, [...to, 0]]
  }
}

function copies(arrays: Arrays): Record<string, FloatArray> {
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, array.slice()]))
}

function zeros(arrays: Arrays): Record<string, FloatArray> {
  const like = (array: FloatArray) => (array instanceof Float32Array ? Float32Array : Float64Array)
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, new (like(array))(array.length)]))
}

function distance(a: Arrays, b: Arrays): number {
  let sum = 0
  for (const [name, array] of Object.entries(a)) {
    const other = b[name]!
    for (let i = 0; i < array.length; i++) sum += (array[i]! - other[i]!) ** 2
  }
  return Math.sqrt(sum)
}

/** The Matérn kernel with ν = 5/2. */
function matern(distance: number): number {
  const r = Math.sqrt(5) * distance
  return (1 + r + r ** 2 / 3) * Math.exp(-r)
}
