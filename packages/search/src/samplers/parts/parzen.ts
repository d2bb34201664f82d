import type { Random } from '../../random.ts'
import { type Coordinate, cell, type Dimension, type Point } from '../../space/dimension.ts'
import type { NumberDomain } from '../../space/domain.ts'
import type { Space } from '../../space/space.ts'
import { normalBetween } from '../../statistics/normal.ts'

const rootTwoPi = Math.sqrt(2 * Math.PI)

/** What makes a Parzen estimator. */
export interface ParzenOptions {
  readonly space: Space
  /** Indices of the dimensions that it is about, parents before what depends on them. */
  readonly dimensions: readonly number[]
  /** One kernel around each. */
  readonly points: readonly Point[]
  /** Of the kernels, at least 0. */
  readonly weights: ArrayLike<number>
  /** Of the kernel that is even over the space. */
  readonly priorWeight: number
  /** Standard deviation of the kernels of numbers, in coordinates. */
  readonly bandwidth: number
}

/**
 * A mixture of kernels around points, and one that is even over the space (Watanabe 2023, Tree-Structured Parzen Estimator, arXiv
 * 2304.11127, section 3). A kernel is a product over dimensions: numbers have a normal density with the ends of [0, 1] as its bounds,
 * numbers with a step the probability of their cell under it, choices the observed value with a part of the prior for all others. Where
 * a point has no coordinate its kernel is even; where a candidate has none its density is 1.
 */
export class Parzen {
  readonly #options: ParzenOptions
  readonly #weights: Float64Array
  readonly #logWeights: Float64Array
  /** Coordinates of the points by dimension; NaN where one has none, and for the even kernel. */
  readonly #columns: ReadonlyMap<number, Float64Array>
  /** Of the dimensions of numbers, by kernel: log of the part of the normal density inside of [0, 1]. */
  readonly #logInside: ReadonlyMap<number, Float64Array>
  /** Probability that a choice's kernel gives to each value beside what the observed one has more. */
  readonly #smoothing: number

  /** Candidates share cells, and what kernels give to one is kept. */
  readonly #cells = new Map<string, Float64Array>()

  constructor(options: ParzenOptions) {
    const { points, weights, priorWeight, bandwidth, space, dimensions } = options
    this.#options = options
    this.#weights = Float64Array.from([...Array.from(weights), priorWeight])
    const total = this.#weights.reduce((sum, weight) => sum + weight, 0)
    this.#logWeights = this.#weights.map((weight) => Math.log(weight / total))
    this.#smoothing = priorWeight / (points.length + 1)
    this.#columns = new Map(
      dimensions.map((index) => [index, Float64Array.from([...points.map((point) => point[index] ?? NaN), NaN])]),
    )
    const numbers = dimensions.filter((index) => space.dimensions[index]!.domain.kind !== 'choice')
    this.#logInside = new Map(
      numbers.map((index) => [
        index,
        this.#columns
          .get(index)!
          .map((middle) => Math.log(normalBetween(-middle / bandwidth, (1 - middle) / bandwidth))),
      ]),
    )
  }

  /** A point drawn from the mixture; dimensions that are not its own are taken from `given`. */
  sample(random: Random, given: Point): Coordinate[] {
    const { space, dimensions, points } = this.#options
    const drawn = [...given]
    const around = points[random.weighted(this.#weights)]
    for (const index of dimensions) {
      const dimension = space.dimensions[index]!
      drawn[index] = space.exists(index, drawn) ? this.#draw(random, dimension, around?.[index] ?? null) : null
    }
    return drawn
  }

  #draw(random: Random, { domain }: Dimension, around: Coordinate): number {
    if (domain.kind === 'choice') {
      const count = domain.values.length
      const isObserved = around !== null && random.uniform() * (1 + count * this.#smoothing) < 1
      return isObserved ? around : random.integer(0, count - 1)
    }
    if (around === null) return random.uniform()
    // The middle is inside, so that at worst every fourth or so of the draws is.
    for (;;) {
      const drawn = around + this.#options.bandwidth * random.normal()
      if (drawn >= 0 && drawn <= 1) return drawn
    }
  }

  /** The logarithm of the density at a settled point. */
  logDensity(point: Point): number {
    const { space, dimensions, bandwidth } = this.#options
    const sums = Float64Array.from(this.#logWeights)
    for (const index of dimensions) {
      const coordinate = point[index]
      if (coordinate === null || coordinate === undefined) continue
      const { domain } = space.dimensions[index]!
      const column = this.#columns.get(index)!
      if (domain.kind === 'choice') {
        const count = domain.values.length
        const even = -Math.log(count)
        const whole = Math.log(1 + count * this.#smoothing)
        const [same, other] = [Math.log(1 + this.#smoothing) - whole, Math.log(this.#smoothing) - whole]
        for (let kernel = 0; kernel < sums.length; kernel++) {
          const around = column[kernel]!
          sums[kernel]! += Number.isNaN(around) ? even : around === coordinate ? same : other
        }
        continue
      }
      if (domain.step !== null) {
        const masses = this.#logMasses(index, domain, coordinate)
        for (let kernel = 0; kernel < sums.length; kernel++) sums[kernel]! += masses[kernel]!
        continue
      }
      const inside = this.#logInside.get(index)!
      const logScale = Math.log(bandwidth * rootTwoPi)
      for (let kernel = 0; kernel < sums.length; kernel++) {
        const around = column[kernel]!
        if (Number.isNaN(around)) continue
        const distance = (coordinate - around) / bandwidth
        sums[kernel]! += (-distance * distance) / 2 - logScale - inside[kernel]!
      }
    }
    const largest = sums.reduce((a, b) => Math.max(a, b))
    return largest + Math.log(sums.reduce((sum, value) => sum + Math.exp(value - largest), 0))
  }

  /** The logarithms of what each kernel gives to the cell of a number with a step. */
  #logMasses(index: number, domain: NumberDomain, coordinate: number): Float64Array {
    const key = `${index} ${coordinate}`
    const kept = this.#cells.get(key)
    if (kept) return kept
    const { bandwidth } = this.#options
    const column = this.#columns.get(index)!
    const inside = this.#logInside.get(index)!
    const [low, high] = cell(domain, coordinate)!
    const even = Math.log(high - low)
    const masses = column.map((around, kernel) => {
      if (Number.isNaN(around)) return even
      return Math.log(normalBetween((low - around) / bandwidth, (high - around) / bandwidth)) - inside[kernel]!
    })
    this.#cells.set(key, masses)
    return masses
  }
}
