import { random } from '@fallline/search/internal'
import { confirm, confirmationSeeds } from '../src/choose/confirm.ts'
import type { Policy } from '../src/search/policy.ts'
import { recordedBaseline, seeds } from './record.ts'
import { type Ground, replay } from './simulate.ts'

/** How many of the picks among candidates that are all alike were confirmed. */
export interface FalseConfirmations {
  readonly confirmed: number
  /** Repetitions in which the pick was not the baseline itself, so that there was something to confirm. */
  readonly tested: number
  readonly repetitions: number
}

const optimizers = 24
const settings = 8
const evaluations = 20
const evaluateEvery = 10

/**
 * The whole course on made-up tables in which all configurations are alike: curves with one mean, an effect of the seed that all share, and
 * noise of their own. A policy picks the luckiest; fresh seeds, drawn alike, decide. Every confirmation is a false one.
 */
export function falseConfirmations<State>(
  policy: Policy<State>,
  { runs, repetitions, seed }: { runs: number; repetitions: number; seed: number },
): FalseConfirmations {
  let [confirmed, tested] = [0, 0]
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const draw = random(seed + repetition, 'identical optimizers')
    const normal = () => {
      const radius = Math.sqrt(-2 * Math.log(1 - draw.uniform()))
      return radius * Math.cos(2 * Math.PI * draw.uniform())
    }
    const ground = identicalGround(normal)
    const options = { runs, guaranteed: settings, repetitions: 1, seed: seed + repetition, prior: null }
    const { pick, pickOfBaseline } = replay(policy, ground, options)[0]!
    if (pick === null || pickOfBaseline === null || pick === pickOfBaseline) continue
    tested++
    const shared = Array.from({ length: confirmationSeeds }, normal)
    const fresh = () => shared.map((effect) => endOf(effect, normal()))
    if (confirm(fresh(), fresh()).confirmed) confirmed++
  }
  return { confirmed, tested, repetitions }
}

/** A metric at the end: around 1, half of its variance the effect of the seed. */
function endOf(effect: number, noise: number): number {
  return 1 + 0.1 * (effect + noise)
}

function identicalGround(normal: () => number): Ground {
  const effects = seeds.map(normal)
  const configurations = Array.from({ length: optimizers * settings }, (_, index) => {
    const curves = effects.map((effect) => {
      const own = normal()
      return Array.from({ length: evaluations }, (_, at) => {
        const share = (at + 1) / evaluations
        return endOf(effect, own) + (1 - share) * (3 + 0.2 * normal())
      })
    })
    const number = Math.floor(index / settings)
    const optimizer = number === 0 ? recordedBaseline : `optimizer ${number}`
    const judged = curves.map((curve) => curve.at(-1)!)
    return { optimizer, setting: index % settings, values: { learningRate: 1 }, curves, judged }
  })
  const horizon = evaluations * evaluateEvery
  const alike = { index: 0, mean: 1 }
  // All are alike: there is no distance from the best to count in, and the regret of these replays is not read.
  return {
    task: 'identical',
    horizon,
    evaluateEvery,
    evaluations,
    configurations,
    best: alike,
    baseline: alike,
    limit: 2,
  }
}
