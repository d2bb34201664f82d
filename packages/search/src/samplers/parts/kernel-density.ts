import type { Random } from '../../random.ts'
import type { Point } from '../../space/dimension.ts'
import type { Space } from '../../space/space.ts'

/** A point with its loss. */
export interface Observation {
  readonly point: Point
  readonly loss: number
}

/** How `densityProposal` chooses. */
export interface DensityOptions {
  /** Share of the observations that count as good. Default: 0.15. */
  readonly share?: number
  /** How many points are drawn for one. Default: 64. */
  readonly candidates?: number
  /** By how much wider than the kernels the points are drawn. Default: 3. */
  readonly widening?: number
}

/** Kernels are at least so wide. */
const narrowest = 1e-3

interface Density {
  /** Without `null`: what does not exist has been filled in. */
  readonly centres: readonly (readonly number[])[]
  /** Of numbers the standard deviation, of choices the probability of another value. */
  readonly widths: readonly number[]
}

/**
 * A point where good observations are dense and bad ones are not: the best ratio of two kernel densities among points drawn from the good
 * one (Falkner, Klein and Hutter 2018, BOHB, arXiv 1807.01774). Kernels are products over the dimensions: normal with the width of the
 * normal reference rule, 1.06 s n^(-1 / (d + 4)), for numbers, and those of Aitchison and Aitken with the probability
 * n^(-1 / (d + 4)) (k - 1) / k of another value for choices. Dimensions that do not exist take values of other observations at random.
 *
 * @returns `null` for fewer than d + 3 observations
 */
export function densityProposal(
  space: Space,
  observations: readonly Observation[],
  random: Random,
  { share = 0.15, candidates = 64, widening = 3 }: DensityOptions = {},
): Point | null {
  const least = space.dimensions.length + 1
  if (observations.length < least + 2) return null
  const sorted = [...observations].sort((a, b) => a.loss - b.loss)
  const count = Math.max(least, Math.floor(share * sorted.length))
  const good = densityOf(space, sorted.slice(0, count), random)
  const bad = densityOf(space, sorted.slice(-Math.max(least, sorted.length - count)), random)
  let [best, ratio] = [good.centres[0]!, -Infinity]
  for (let candidate = 0; candidate < candidates; candidate++) {
    const drawn = draw(space, good, random, widening)
    const score = logDensity(space, good, drawn) - logDensity(space, bad, drawn)
    if (score > ratio) [best, ratio] = [drawn, score]
  }
  return space.settle(best)
}

function densityOf({ dimensions }: Space, observations: readonly Observation[], random: Random): Density {
  const known = dimensions.map((_, index) =>
    observations.flatMap(({ point }) => (typeof point[index] === 'number' ? [point[index]] : [])),
  )
  const any = (index: number) => {
    const { domain } = dimensions[index]!
    return domain.kind === 'choice' ? random.integer(0, domain.values.length - 1) : random.uniform()
  }
  const centres = observations.map(({ point }) =>
    dimensions.map((_, index) => point[index] ?? (known[index]!.length > 0 ? random.pick(known[index]!) : any(index))),
  )
  const count = centres.length
  const rate = count ** (-1 / (dimensions.length + 4))
  const widths = dimensions.map(({ domain }, index) => {
    if (domain.kind === 'choice') return ((domain.values.length - 1) / domain.values.length) * rate
    const mean = centres.reduce((sum, centre) => sum + centre[index]!, 0) / count
    const variance = centres.reduce((sum, centre) => sum + (centre[index]! - mean) ** 2, 0) / Math.max(1, count - 1)
    return Math.max(narrowest, 1.06 * Math.sqrt(variance) * rate)
  })
  return { centres, widths }
}

function draw({ dimensions }: Space, { centres, widths }: Density, random: Random, widening: number): number[] {
  const centre = random.pick(centres)
  return dimensions.map(({ domain }, index) => {
    if (domain.kind === 'choice') {
      const stays = random.uniform() >= widths[index]! || domain.values.length === 1
      if (stays) return centre[index]!
      const other = random.integer(0, domain.values.length - 2)
      return other < centre[index]! ? other : other + 1
    }
    for (let attempt = 0; attempt < 100; attempt++) {
      const value = centre[index]! + widening * widths[index]! * random.normal()
      if (value >= 0 && value <= 1) return value
    }
    return centre[index]!
  })
}

function logDensity({ dimensions }: Space, { centres, widths }: Density, point: readonly number[]): number {
  let sum = 0
  for (const centre of centres) {
    let product = 1
    for (const [index, { domain }] of dimensions.entries()) {
      const width = widths[index]!
      if (domain.kind === 'choice') {
        const others = domain.values.length - 1
        product *= centre[index] === point[index] ? 1 - width : others === 0 ? 1 : width / others
      } else {
        product *= Math.exp(-(((point[index]! - centre[index]!) / width) ** 2) / 2) / width
      }
    }
    sum += product
  }
  return Math.log(Math.max(sum / centres.length, Number.MIN_VALUE))
}
