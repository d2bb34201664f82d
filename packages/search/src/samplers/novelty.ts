import { wholeFrom } from '../check.ts'
import type { Random } from '../random.ts'
import type { Space } from '../space/space.ts'
import type { SeenTrial } from '../study/view.ts'
import { type Genome, genomeOf, isChoice, pointOf, randomGenome, reflected } from './parts/genome.ts'
import { compare, lossOf, ranked } from './parts/ranking.ts'
import type { Sampler } from './sampler.ts'

/** Options of `novelty`. */
export interface NoveltyOptions {
  /** Losses below this are a reward. Default: those of the best tenth of the trials so far. */
  readonly reward?: number
  /** Trials that are given to exploration and to emitters by turns. Default: 20. */
  readonly chunk?: number
  /** The nearest trials that novelty is the mean distance of. Default: 10. */
  readonly neighbors?: number
}

/** An emitter moves on after so many trials without gain, in the manner of a failed one. */
const patience = 15
/** Areas of reward are this far from each other, in root mean square coordinates. */
const separation = 0.1

interface Note {
  readonly genome: Genome
  /** The trial that the emitter began at; `null` for exploration. */
  readonly emitter: number | null
}

/**
 * Novelty search with emitters: exploration by children of the most novel trials, whatever their losses, alternates with emitters that each
 * climb from one area where a reward was found (Paolo, Coninx, Doncieux, Laflaquiere 2021, Sparse Reward Exploration via Novelty Search and
 * Emitters, SERENE, arXiv 2102.03140). Novelty is the mean distance of coordinates to the nearest trials. An emitter draws normal steps
 * around the best that it has found; they widen by 1.5 with a gain and narrow by 0.9 without (a success rule). It ends after 15 trials
 * without a gain, and none begins near to another. For losses that are mostly flat, and for many different good points.
 *
 * @throws RangeError for a chunk or neighbors below 1
 */
export function novelty(options: NoveltyOptions = {}): Sampler<null> {
  const chunk = wholeFrom('novelty', 'chunk', options.chunk ?? 20, 1)
  const neighbors = wholeFrom('novelty', 'neighbors', options.neighbors ?? 10, 1)
  return {
    name: 'novelty',
    propose({ space, ended }, { number, random }) {
      const emitter = Math.floor(number / chunk) % 2 === 1 ? emitterOf(space, ended, options.reward) : null
      const genome = emitter ? emitted(space, emitter, random) : explored(space, ended, chunk, neighbors, random)
      const note = { genome: [...genome], emitter: emitter?.root.number ?? null } satisfies Note
      return { kind: 'trial', point: pointOf(space, genome), note }
    },
  }
}

interface Emitter {
  readonly root: SeenTrial
  /** Its trials that have ended, in that order, the root first. */
  readonly trials: readonly SeenTrial[]
}

/** The most promising emitter that still gains, or else one that begins at the best reward that is far from all others. */
function emitterOf(space: Space, ended: readonly SeenTrial[], reward: number | undefined): Emitter | null {
  const sorted = ranked(ended)
  const threshold = reward ?? lossOf(sorted[Math.max(0, Math.ceil(sorted.length / 10))] ?? sorted[0]!)
  const emitters = new Map<number, SeenTrial[]>()
  const byNumber = new Map(ended.map((trial) => [trial.number, trial]))
  for (const trial of ended) {
    const { emitter = null } = (trial.note ?? {}) as Partial<Note>
    const root = emitter === null ? undefined : byNumber.get(emitter)
    if (root) emitters.set(root.number, [...(emitters.get(root.number) ?? [root]), trial])
  }
  const active = [...emitters.values()].filter(
    (trials) => trials.length - 1 - trials.indexOf(bestOf(trials)) < patience,
  )
  active.sort((a, b) => compare(bestOf(a), bestOf(b)))
  if (active[0]) return { root: active[0][0]!, trials: active[0] }
  const taken = [...emitters.values()]
    .flatMap((trials) => [trials[0]!, bestOf(trials)])
    .map((trial) => genomeOf(space, trial))
  const root = sorted.find(
    (trial) =>
      lossOf(trial) < Infinity &&
      lossOf(trial) <= threshold &&
      taken.every((genome) => distance(genome, genomeOf(space, trial)) > separation),
  )
  return root ? { root, trials: [root] } : null
}

function bestOf(trials: readonly SeenTrial[]): SeenTrial {
  return trials.reduce((best, trial) => (compare(trial, best) < 0 ? trial : best))
}

function emitted(space: Space, { trials }: Emitter, random: Random): Genome {
  let [best, deviation] = [trials[0]!, 0.1]
  for (const trial of trials.slice(1)) {
    const isGain = compare(trial, best) < 0
    if (isGain) best = trial
    deviation = Math.min(0.3, Math.max(1e-4, deviation * (isGain ? 1.5 : 0.9)))
  }
  return moved(space, genomeOf(space, best), deviation, random)
}

/** A child of the most novel of some of the last trials of exploration. */
function explored(space: Space, ended: readonly SeenTrial[], chunk: number, neighbors: number, random: Random): Genome {
  const genomes = ended.map((trial) => genomeOf(space, trial))
  const young = ended.flatMap((trial, index) =>
    (((trial.note ?? {}) as Partial<Note>).emitter ?? null) === null ? [index] : [],
  )
  if (young.length < 4) return randomGenome(space, random)
  const candidates = Array.from({ length: 8 }, () => random.pick(young.slice(-2 * chunk)))
  const values = candidates.map((index) => noveltyOf(genomes[index]!, genomes, neighbors))
  const most = values.reduce((best, value, index) => (value > values[best]! ? index : best), 0)
  return moved(space, genomes[candidates[most]!]!, 0.2, random)
}

/** The mean distance to the nearest of others; itself, at distance 0, does not count. */
export function noveltyOf(genome: Genome, others: readonly Genome[], neighbors: number): number {
  const distances = others.filter((other) => other !== genome).map((other) => distance(genome, other))
  const nearest = distances.sort((a, b) => a - b).slice(0, neighbors)
  return nearest.length === 0 ? Infinity : nearest.reduce((sum, value) => sum + value, 0) / nearest.length
}

function distance(a: Genome, b: Genome): number {
  return Math.sqrt(a.reduce((sum, value, index) => sum + (value - b[index]!) ** 2, 0) / a.length)
}

function moved(space: Space, genome: Genome, deviation: number, random: Random): number[] {
  return genome.map((gene, dimension) => {
    if (!isChoice(space, dimension)) return reflected(gene + deviation * random.normal())
    return random.uniform() < 0.5 / genome.length ? random.uniform() : gene
  })
}
