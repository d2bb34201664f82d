import { float, openStudy, type Point, random, type Sampler, space, type View } from '@fallline/search'

/**
 * A solver that learns its own parameter while it works: successive over-relaxation on a sequence of linear systems, with a bandit that
 * sees nothing but the number of iterations (Khodak, Chow, Balcan and Talwalkar 2024, Learning to Relax: Setting Solver Parameters Across a
 * Sequence of Linear System Instances, arXiv 2310.02246). The sum over all systems comes near that of the best fixed parameter.
 *
 * npx tsx --conditions=@fallline/source examples/relaxation-bandit.ts
 */

/** Iterations after which a system is given up. */
const most = 200
const side = 8

/** Iterations of successive over-relaxation until the residual of (Laplacian of a square grid + shift) x = b is 1e-8 of b. */
export function iterations(shift: number, b: readonly number[], omega: number): number {
  // With a border of zeros every point has four neighbours.
  const width = side + 2
  const x = new Float64Array(width * width)
  const around = (place: number) => x[place - 1]! + x[place + 1]! + x[place - width]! + x[place + width]!
  const diagonal = 4 + shift
  const target = 1e-16 * b.reduce((sum, value) => sum + value ** 2, 0)
  for (let iteration = 1; iteration < most; iteration++) {
    let residual = 0
    for (let index = 0; index < b.length; index++) {
      const place = (Math.floor(index / side) + 1) * width + (index % side) + 1
      x[place] = (1 - omega) * x[place]! + (omega * (b[index]! + around(place))) / diagonal
    }
    for (let index = 0; index < b.length; index++) {
      const place = (Math.floor(index / side) + 1) * width + (index % side) + 1
      residual += (b[index]! + around(place) - diagonal * x[place]!) ** 2
    }
    if (residual <= target) return iteration
  }
  return most
}

/**
 * Tsallis-INF (Zimmert and Seldin 2021, Tsallis-INF: An Optimal Algorithm for Stochastic and Adversarial Bandits, arXiv 1807.07623) over
 * points evenly apart in one dimension: arm i is drawn with probability w_i = 4 / (eta (L_i - z))^2, eta = 2 / sqrt(t), where L_i is the
 * sum of the losses of arm i over their probabilities, and z makes the probabilities add up to 1.
 *
 * @param arms how many points
 * @param worst a loss that none exceeds
 */
export function relaxationBandit(arms: number, worst: number): Sampler {
  return {
    name: 'relaxationBandit',
    propose(view, { random }) {
      const chances = probabilities(sums(view, arms, worst), 2 / Math.sqrt(view.ended.length + 1))
      const arm = random.weighted(chances)
      const point: Point = [arms === 1 ? 0.5 : arm / (arms - 1)]
      return { kind: 'trial', point, note: { arm, chance: chances[arm]! } }
    },
  }
}

function sums({ ended }: View, arms: number, worst: number): number[] {
  const losses = new Array<number>(arms).fill(0)
  for (const { note, losses: told } of ended) {
    if (note === null || typeof note !== 'object' || !('arm' in note)) continue
    const { arm, chance } = note as { arm: number; chance: number }
    losses[arm] = losses[arm]! + Math.min(1, (told?.[0] ?? worst) / worst) / chance
  }
  return losses
}

/** By Newton's method from below, where it is monotone. */
function probabilities(losses: readonly number[], eta: number): number[] {
  let z = Math.min(...losses) - 2 / eta
  let weights: number[] = []
  for (let turn = 0; turn < 100; turn++) {
    weights = losses.map((loss) => 4 / (eta * (loss - z)) ** 2)
    const excess = weights.reduce((sum, weight) => sum + weight, 0) - 1
    if (Math.abs(excess) < 1e-12) break
    z -= excess / (eta * weights.reduce((sum, weight) => sum + weight ** 1.5, 0))
  }
  return weights
}

/** A sequence of systems, whose shifts and right sides are drawn. */
export function systems(count: number, seed: number): readonly { shift: number; b: readonly number[] }[] {
  const source = random(seed, 'systems')
  return Array.from({ length: count }, () => ({
    shift: 0.1 * source.uniform(),
    b: Array.from({ length: side * side }, () => source.normal()),
  }))
}

/** The sum of the iterations over a sequence: learned, and with each of the fixed parameters. */
export async function compare(count: number, seed: number) {
  const sequence = systems(count, seed)
  const arms = 8
  const study = await openStudy({
    space: space({ omega: float(1, 1.9) }),
    sampler: relaxationBandit(arms, most),
    seed,
  })
  const solve = ({ number, parameters }: { number: number; parameters: { omega: number } }) =>
    iterations(sequence[number]!.shift, sequence[number]!.b, parameters.omega)
  await study.optimize(solve, { trials: count })
  const learned = (await study.trials()).reduce((sum, { values }) => sum + values![0]!, 0)
  const fixed = Array.from({ length: arms }, (_, arm) => {
    const omega = 1 + (0.9 * arm) / (arms - 1)
    return { omega, sum: sequence.reduce((sum, { shift, b }) => sum + iterations(shift, b, omega), 0) }
  })
  return { learned, fixed }
}

if (process.argv[1] === import.meta.filename) {
  const { learned, fixed } = await compare(1000, 1)
  for (const { omega, sum } of fixed) console.log(`omega ${omega.toFixed(3)}: ${sum} iterations`)
  console.log(`learned: ${learned} iterations`)
}
