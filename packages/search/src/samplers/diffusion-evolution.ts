import { wholeFrom } from '../check.ts'
import { generational, type Scored } from './parts/generations.ts'

/** Options of `diffusionEvolution`. */
export interface DiffusionEvolutionOptions {
  /** Points of a generation. Default: 20. */
  readonly population?: number
  /** Generations from noise to the end; later ones repeat the last step. Default: 25. */
  readonly generations?: number
}

/** The points of the next generation before noise is added, `[population][n]`; none before the first has ended. */
type State = { readonly step: number; readonly centers: readonly (readonly number[])[] }

/** Coordinates from 0 to 1 stand for normal ones from -2 to 2. */
const scale = 4

/**
 * Diffusion evolution: a population as points that are denoised step by step. Where each came from is estimated as the mean of all,
 * weighted by fitness and by how likely noise would have led from there to it; the next generation lies nearer to that, with less noise
 * (Zhang, Hartl, Hazan, Levin 2024, Diffusion Models are Evolutionary Algorithms, arXiv 2410.02543). Fitness is
 * `exp(-(loss - best) / (median - best))`; the noise follows a cosine.
 *
 * @throws RangeError for a population below 2 or generations below 1
 */
export function diffusionEvolution(options: DiffusionEvolutionOptions = {}) {
  const population = wholeFrom('diffusionEvolution', 'population', options.population ?? 20, 2)
  const generations = wholeFrom('diffusionEvolution', 'generations', options.generations ?? 25, 1)
  return generational<State>('diffusionEvolution', {
    begin: (axes, random) => ({
      step: generations,
      centers: Array.from({ length: population }, () => axes.map(() => random.uniform())),
    }),
    population: () => population,
    sample({ step, centers }, random, number) {
      const center = centers[number % population]!
      if (step === generations) return center.map(() => 0.5 + random.normal() / scale)
      const deviation = noiseOf(step, generations) / scale
      return center.map((value) => value + deviation * random.normal())
    },
    update({ step }, points) {
      const next = Math.max(1, step - 1)
      const centers = denoised(
        points,
        signalOf(step, generations),
        signalOf(next, generations),
        noiseOf(next, generations),
      )
      return { step: next, centers }
    },
  })
}

/** The share of the signal, alpha: from nearly 0 at the first step to nearly 1 at the last. */
function signalOf(step: number, generations: number): number {
  return 0.001 + 0.998 * ((Math.cos((Math.PI * step) / (generations + 1)) + 1) / 2)
}

/** The deviation of the noise that is added on the way to a step, in full (DDPM). */
function noiseOf(step: number, generations: number): number {
  const [before, after] = [signalOf(step + 1, generations), signalOf(step, generations)]
  return Math.sqrt(((1 - after) / (1 - before)) * (1 - before / after))
}

/**
 * The next generation before noise: `sqrt(alpha') x0 + sqrt(1 - alpha' - sigma^2) noise`, with the estimated origin x0 and the noise that
 * leads from it to each point.
 *
 * @param points with coordinates from 0 to 1
 * @param signal alpha of these points
 * @param nextSignal alpha of the next ones
 * @param sigma deviation of the noise that will be added, in normal coordinates
 */
export function denoised(
  points: readonly Scored[],
  signal: number,
  nextSignal: number,
  sigma: number,
): readonly (readonly number[])[] {
  const losses = points.map(({ loss }) => loss).filter(Number.isFinite)
  const best = Math.min(...losses)
  const middle = [...losses].sort((a, b) => a - b)[Math.floor(losses.length / 2)]! - best
  const fitness = points.map(({ loss }) => (loss === -Infinity ? 0 : -(loss - best) / (middle || 1)))
  const normal = points.map(({ sample }) => sample.map((value) => scale * (value - 0.5)))
  return normal.map((point) => {
    const logs = normal.map((other, index) => {
      const square = point.reduce((sum, value, axis) => sum + (value - Math.sqrt(signal) * other[axis]!) ** 2, 0)
      return fitness[index]! - square / (2 * (1 - signal))
    })
    const largest = Math.max(...logs)
    const weights = logs.map((value) => Math.exp(value - largest))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    return point.map((value, axis) => {
      const origin = normal.reduce((sum, other, index) => sum + weights[index]! * other[axis]!, 0) / total
      const noise = (value - Math.sqrt(signal) * origin) / Math.sqrt(1 - signal)
      const kept = Math.sqrt(Math.max(0, 1 - nextSignal - sigma * sigma))
      return 0.5 + (Math.sqrt(nextSignal) * origin + kept * noise) / scale
    })
  })
}
