import type { Random } from '../../random.ts'
import type { Coordinate, Point } from '../../space/dimension.ts'
import type { Space } from '../../space/space.ts'
import type { SeenTrial } from '../../study/view.ts'

/**
 * One gene from 0 to 1 for every dimension, those that do not exist included: coordinates of the cube of `Space.fromCube`. Kept in the
 * notes of trials, so that the genes of a variant that was not chosen survive.
 */
export type Genome = readonly number[]

/** Genes drawn evenly. */
export function randomGenome({ dimensions }: Space, random: Random): number[] {
  return dimensions.map(() => random.uniform())
}

/** The genome in the note of a trial, or the one of its point with 0.5 for what does not exist. */
export function genomeOf({ dimensions }: Space, { note, point }: SeenTrial): Genome {
  const kept = (note as { readonly genome?: Genome } | null)?.genome
  if (Array.isArray(kept) && kept.length === dimensions.length) return kept
  return dimensions.map(({ domain }, index) => {
    const coordinate: Coordinate | undefined = point[index]
    if (coordinate === null || coordinate === undefined) return 0.5
    return domain.kind === 'choice' ? (coordinate + 0.5) / domain.values.length : coordinate
  })
}

/** The point of a genome. */
export function pointOf(space: Space, genome: Genome): Point {
  return space.fromCube(genome)
}

/** Whether each dimension is a choice, whose genes have no order. */
export function isChoice({ dimensions }: Space, dimension: number): boolean {
  return dimensions[dimension]!.domain.kind === 'choice'
}

/**
 * Simulated binary crossover within bounds: children lie around their parents as those of a binary crossover would (Deb and Agrawal 1995,
 * Simulated Binary Crossover for Continuous Search Space, Complex Systems 9). Each number takes part with probability one half; a choice
 * comes from either parent. Gives one of the two children.
 *
 * @param index the larger, the nearer children are to their parents
 */
export function binaryCrossover(space: Space, a: Genome, b: Genome, index: number, random: Random): number[] {
  const power = 1 / (index + 1)
  const swap = random.uniform() < 0.5
  return a.map((first, dimension) => {
    const second = b[dimension]!
    if (isChoice(space, dimension)) return random.uniform() < 0.5 ? first : second
    const mine = swap ? second : first
    const [low, high] = [Math.min(first, second), Math.max(first, second)]
    if (random.uniform() < 0.5 || high - low < 1e-14) return mine
    const isLow = mine === low
    const room = isLow ? low : 1 - high
    const alpha = 2 - (1 + (2 * room) / (high - low)) ** -(index + 1)
    const draw = random.uniform()
    const spread = draw <= 1 / alpha ? (draw * alpha) ** power : (1 / (2 - draw * alpha)) ** power
    const child = (low + high) / 2 + ((isLow ? -1 : 1) * spread * (high - low)) / 2
    return Math.min(1, Math.max(0, child))
  })
}

/**
 * Polynomial mutation within bounds (Deb and Goyal 1996, A Combined Genetic Adaptive Search for Engineering Design); a choice is drawn
 * anew. Each gene with probability `rate`.
 *
 * @param index the larger, the smaller the changes
 */
export function polynomialMutation(
  space: Space,
  genome: Genome,
  index: number,
  rate: number,
  random: Random,
): number[] {
  return genome.map((gene, dimension) => {
    if (random.uniform() >= rate) return gene
    const draw = random.uniform()
    if (isChoice(space, dimension)) return draw
    const power = 1 / (index + 1)
    const change =
      draw < 0.5
        ? (2 * draw + (1 - 2 * draw) * (1 - gene) ** (index + 1)) ** power - 1
        : 1 - (2 * (1 - draw) + (2 * draw - 1) * gene ** (index + 1)) ** power
    return Math.min(1, Math.max(0, gene + change))
  })
}

/** A number from outside of [0, 1] mirrored into it. */
export function reflected(value: number): number {
  const turned = Math.abs(value) % 2
  return turned > 1 ? 2 - turned : turned
}
