import { checkCounts, checkOption } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { CompiledOptimizer } from '../run/compiled-optimizer.ts'
import type { Evaluate, StepResult } from '../run/step.ts'
import { changingGradients, joined, joinedSize, spread } from './joined-parameters.ts'
import { krylov, ritzVector, type SymmetricProduct, startVector } from './lanczos.ts'
import { dot, moved, scaled, subtract } from './linear-algebra.ts'

export interface FosiOptions {
  /** How many of the largest curvatures Newton's steps are taken for, k; default 5. */
  readonly largest?: number
  /** How many of the smallest, l; default 0. */
  readonly smallest?: number
  /** Steps from one measurement of the curvatures to the next; default 100. */
  readonly period?: number
  /** The step of the first measurement, w; until then the base optimizer is alone; default `period`. */
  readonly warmUp?: number
  /** The length α of Newton's steps; default 0.1. */
  readonly newtonRate?: number
  /** By how much at most the base optimizer's step grows, now that the largest curvatures are not its business; default 1. */
  readonly largestScale?: number
  /** The momentum of Newton's steps, see {@link fosi}; default `average`. */
  readonly velocity?: 'average' | 'heavyBall' | 'nesterov' | 'none'
  /** Its rate of decay; default 0.9. */
  readonly decay?: number
  /** Products with the Hessian for a measurement; default max(4 (k + l), 2 ln n). */
  readonly products?: number
  /** Chooses the random start of every measurement; default 0. */
  readonly seed?: number
  /** The start, in place of a random one: a number for each parameter. */
  readonly start?: ArrayLike<number>
}

/** Directions of extreme curvature. */
interface Extremes {
  readonly vectors: readonly Float64Array[]
  /** 1 / |λ| of each. */
  readonly rates: readonly number[]
  /** What the base optimizer's step is multiplied by. */
  readonly scale: number
}

/**
 * FOSI: Newton's steps in the few directions of extreme curvature, any base optimizer in all the others. Every `period` steps
 * Lanczos iteration finds the k largest and l smallest eigenvalues λ of the Hessian and their vectors, the rows of V.
 *
 * ```text
 * a ← 1 / |λ|;  s ← clip(λ₁ / λₖ, 1, largestScale)           each `period` steps, from step w on
 * g₁ ← Vᵀ V g;  δ ← base(g - g₁);  δ ← δ - Vᵀ V δ
 * v ← (1 - β) g₁ + β v                                       average, for Adam and its like
 * v ← g₁ + β v                                               heavyBall;  nesterov: (1 + β) g₁ + β² v;  none: g₁
 * θ ← θ + s δ - α Vᵀ (a ⊙ V v)
 * ```
 *
 * ```ts
 * import { adam, compile, fosi } from 'fallline'
 *
 * const curvatures = [100, 1]
 * const optimizer = fosi(await compile(adam({ learningRate: 0.1 }), { x: [2] }), { largest: 1, warmUp: 1, newtonRate: 1 })
 * optimizer.base.parameters.x.set([1, 1])
 * await optimizer.minimize(
 *   ({ parameters, gradients }) => {
 *     parameters.x.forEach((value, i) => (gradients.x[i] = value * (curvatures[i] ?? 0)))
 *   },
 *   (vector) => vector.map((value, i) => value * (curvatures[i] ?? 0)),
 * )
 * ```
 *
 * The official code gives each base its own settings: `{ velocity: 'average', largestScale: 1 }` with Adam (the defaults here),
 * `{ velocity: 'heavyBall', largestScale: 3 }` with heavy-ball momentum, and so for Nesterov's and for SGD. The learning rate is the
 * base's alone. Weight decay of the base is part of its step, so it is scaled and leaves out the directions of V: put it into the loss.
 * What the base keeps of the parameters (the slow weights of lookahead, averages) moves along with Newton's steps. Ritz values below
 * 1e-10 of the largest are left to the base: the official code would divide by them. The official start of Lanczos iteration is random
 * too, with other numbers. That there are at least 2 ln n products is from memory of the paper; the trajectories need only 4 (k + l).
 * A checkpoint of the base does not hold V and v.
 *
 * Sivan, Gabel, Schuster 2023, FOSI: Hybrid First and Second Order Optimization, arXiv 2302.08484.
 *
 * @throws Error when an option is unknown or out of range, or the base evaluates the model at points of its own.
 */
export function fosi<Name extends string>(base: CompiledOptimizer<Name>, options: FosiOptions = {}): Fosi<Name> {
  return new Fosi(base, options)
}

/** A compiled optimizer with Newton's steps in the directions of extreme curvature. Made by `fosi`. */
export class Fosi<Name extends string = string> {
  readonly base: CompiledOptimizer<Name>
  private readonly options: Required<Omit<FosiOptions, 'start'>>
  private readonly start: Float64Array
  private readonly size: number
  private extremes: Extremes = { vectors: [], rates: [], scale: 1 }
  private velocity: Float64Array

  /** @internal use `fosi` */
  constructor(base: CompiledOptimizer<Name>, options: FosiOptions) {
    checkNames('fosi', options, [
      'largest',
      'smallest',
      'period',
      'warmUp',
      'newtonRate',
      'largestScale',
      'velocity',
      'decay',
      'products',
      'seed',
      'start',
    ])
    const size = joinedSize(base.parameters)
    const { largest = 5, smallest = 0, period = 100, warmUp = period, newtonRate = 0.1 } = options
    const { largestScale = 1, velocity = 'average', decay = 0.9, seed = 0 } = options
    const { products = Math.max(4 * (largest + smallest), Math.ceil(2 * Math.log(size))) } = options
    checkCounts('fosi', { largest, period, warmUp, products })
    checkOption('fosi', 'smallest', smallest, Number.isInteger(smallest) && smallest >= 0, 'a whole number from 0 up')
    checkOption('fosi', 'newtonRate', newtonRate, newtonRate >= 0, 'a number from 0 up')
    checkOption('fosi', 'largestScale', largestScale, largestScale >= 1, 'a number from 1 up')
    checkOption('fosi', 'decay', decay, decay >= 0 && decay < 1, 'a number from 0 to below 1')
    const known = ['average', 'heavyBall', 'nesterov', 'none']
    checkOption('fosi', 'velocity', velocity, known.includes(velocity), `one of ${known.join(', ')}`)
    if (base.moves) throw new Error('fosi: the base optimizer evaluates the model at points of its own; take another')
    this.base = base
    this.size = size
    this.start = startVector('fosi', size, options.start, seed)
    this.velocity = new Float64Array(size)
    this.options = {
      largest,
      smallest,
      period,
      warmUp,
      newtonRate,
      largestScale,
      velocity,
      decay,
      products,
      seed,
    }
  }

  /**
   * One step. `evaluate` is that of the base's `minimize`; the gradients that it writes lose their part in V afterwards.
   * @param product the Hessian of the loss where the parameters stand, times a vector of all parameters behind one another, in
   * the order of `base.names`. It is asked for when a measurement is due.
   * @throws Error as `minimize` of the base does, or when a product has another length or is not finite; parameters and state are
   * untouched then.
   */
  async minimize(evaluate: Evaluate<Name>, product: SymmetricProduct): Promise<StepResult<Name>> {
    const { base, options } = this
    const extremes = this.due ? await this.measure(product) : this.extremes
    const before = joined(base.names, base.parameters)
    let inside: Float64Array = new Float64Array(this.size)
    let absent: ReadonlySet<string> = new Set()
    const outside = changingGradients(base.names, evaluate, (gradient, without) => {
      absent = without
      inside = projected(extremes, gradient)
      return moved(gradient, -1, inside)
    })
    const result = await base.minimize(outside)
    this.extremes = extremes
    if (result.skipped) return result
    const newton = this.newtonStep(extremes, inside)
    if (extremes.vectors.length === 0) return result
    const delta = moved(joined(base.names, base.parameters), -1, before)
    subtract(delta, 1, projected(extremes, delta))
    const next = moved(before, extremes.scale, delta)
    subtract(next, options.newtonRate, newton)
    const values: Record<string, Float64Array> = {}
    for (const name of base.names) values[name] = new Float64Array(base.parameters[name].length)
    spread(base.names, next, values as Record<Name, Float64Array>)
    for (const name of absent) delete values[name]
    base.rebase(values as Record<Name, Float64Array>)
    return result
  }

  private get due(): boolean {
    const { warmUp, period } = this.options
    const since = this.base.steps + 1 - warmUp
    return since >= 0 && since % period === 0
  }

  private async measure(product: SymmetricProduct): Promise<Extremes> {
    const { largest, smallest, products, largestScale } = this.options
    const measuring = () => krylov('fosi', product, this.start, products, () => false)
    const space = await this.base.exclusively('fosi.minimize', measuring)
    const { values } = space
    const low = Math.min(smallest, Math.max(0, values.length - largest))
    const most = Math.max(...values.map(Math.abs))
    const kept = values
      .map((_, index) => index)
      .filter((index) => index < low || index >= values.length - largest)
      .filter((index) => Math.abs(values[index]!) > 1e-10 * most)
    const ofLargest = kept.filter((index) => index >= values.length - largest)
    const ratio = ofLargest.length > 0 ? Math.abs(values.at(-1)! / values[ofLargest[0]!]!) : 1
    return {
      vectors: kept.map((index) => ritzVector(space, index)),
      rates: kept.map((index) => 1 / Math.abs(values[index]!)),
      scale: Math.min(Math.max(ratio, 1), largestScale),
    }
  }

  /** Takes the gradient's part in V into the momentum; gives the Newton step of length 1. */
  private newtonStep({ vectors, rates }: Extremes, inside: Float64Array): Float64Array {
    const { velocity: form, decay } = this.options
    const [kept, share] = {
      average: [decay, 1 - decay],
      heavyBall: [decay, 1],
      nesterov: [decay ** 2, 1 + decay],
      none: [0, 1],
    }[form] as [number, number]
    this.velocity = moved(scaled(this.velocity, kept), share, inside)
    const step = new Float64Array(this.size)
    vectors.forEach((vector, i) => {
      subtract(step, -rates[i]! * dot(vector, this.velocity), vector)
    })
    return step
  }
}

/** The part of a vector in the directions of extreme curvature. */
function projected({ vectors }: Extremes, vector: Float64Array): Float64Array {
  const result = new Float64Array(vector.length)
  for (const each of vectors) subtract(result, -dot(each, vector), each)
  return result
}
