import { describe, expect, it } from 'vitest'
import { everything } from '../../core/test/support/sample.ts'
import { arrivalsOf } from '../src/protocol/arrivals.ts'
import { levelOfLook, replicatesNeeded, weigh } from '../src/statistics/comparison.ts'
import { compareField } from '../src/statistics/field.ts'
import type { FieldEntry } from '../src/statistics/pairs.ts'
import type { Arrival } from '../src/statistics/ratios.ts'
import {
  binomialInterval,
  judge,
  type Known,
  logistic,
  type Problem,
  type Protocol,
  quadratic,
  ring,
  simulate,
  train,
} from './support/simulated-race.ts'

/** Races per cell: the frequencies of the acceptance in `npm run test:all`, a short form otherwise. */
const races = everything ? 200 : 12

/** The large fields take minutes. */
const timeout = 900_000

const optimizers = (studies: number, trials: number): Protocol => ({
  claim: 'optimizers',
  studies,
  trials,
  finalists: 0,
  finalSeeds: 0,
  seeds: 1,
})

const settings = (seeds: number): Protocol => ({
  claim: 'settings',
  studies: 1,
  trials: 16,
  finalists: 3,
  finalSeeds: 2,
  seeds,
})

/** How often somebody is called ahead, by any clock, in any pair; the first; the second. */
function frequencies(problem: Problem, contenders: readonly Known[], protocol: Protocol) {
  const found = { any: 0, first: 0, second: 0 }
  for (let seed = 1; seed <= races; seed++) {
    const { gradients, time } = judge(simulate(problem, contenders, protocol, seed), protocol)
    if ([...gradients.pairs, ...time!.pairs].some(({ ahead }) => ahead !== null)) found.any++
    const { ahead } = gradients.pairs[0]!
    if (ahead === contenders[0]!.name) found.first++
    if (ahead === contenders[1]!.name) found.second++
  }
  return found
}

function say(what: string, successes: number, count = races): void {
  const [low, high] = binomialInterval(successes, count).map((share) => `${(100 * share).toFixed(1)} %`)
  console.log(`${what}: ${successes} of ${count} races, 95 % interval ${low} to ${high}`)
}

/** Whether a frequency of at most `limit` is believable: the interval of what was seen reaches below it. */
const atMost = (successes: number, limit: number) => successes / races <= limit + (everything ? 0 : 0.04)

const twins: Known[] = [{ name: 'one' }, { name: 'two' }]

describe.each([quadratic, logistic, ring])('claims about optimizers on the $name', (problem) => {
  it.each(everything ? [3, 8, 25] : [3, 8])(
    'are false in at most one of twenty races of equals, each tuned by itself with 8 trials, %i studies',
    (studies) => {
      const { any } = frequencies(problem, twins, optimizers(studies, 8))
      say(`${problem.name}, equals, ${studies} studies of 8 trials`, any)
      expect(any / races).toBeLessThanOrEqual(everything ? 0.05 : 0.1)
    },
  )

  it.each(everything ? [3, 8, 25] : [3, 8])(
    'are made in at most one of ten races where one range lies 1.7 times higher, %i studies',
    (studies) => {
      const { any } = frequencies(problem, [{ name: 'one' }, { name: 'two', shift: 1.7 }], optimizers(studies, 8))
      say(`${problem.name}, moved range, ${studies} studies of 8 trials`, any)
      expect(any / races).toBeLessThanOrEqual(0.1)
    },
  )
})

describe.each([quadratic, logistic])('a field of equals on the $name', (problem) => {
  it.each(everything ? [10, 40] : [10])(
    'of %i has somebody called ahead in at most one of twenty races',
    (size) => {
      const field = Array.from({ length: size }, (_, index) => ({ name: `contender ${index}` }))
      const { any } = frequencies(problem, field, optimizers(8, 4))
      say(`${problem.name}, ${size} equals`, any)
      expect(any / races).toBeLessThanOrEqual(everything ? 0.05 : 0.1)
    },
    timeout,
  )

  it('notices a ratio of 2 in at least 80 % of races of 40 runs a contender, and turns it round in at most 5 %', () => {
    const { first, second } = frequencies(problem, [{ name: 'one' }, { name: 'two', cost: 2 }], optimizers(8, 4))
    say(`${problem.name}, ratio 2, first ahead`, first)
    say(`${problem.name}, ratio 2, second ahead`, second)
    expect(first / races).toBeGreaterThanOrEqual(everything ? 0.8 : 0.7)
    expect(second / races).toBeLessThanOrEqual(0.05)
  })
})

describe.each([quadratic, logistic])('claims about settings on the $name', (problem) => {
  it('are rarely wrong about the two settings that they name', () => {
    let claims = 0
    let wrong = 0
    const protocol = settings(8)
    for (let seed = 1; seed <= races; seed++) {
      const outcomes = simulate(problem, twins, protocol, seed)
      const [pair] = judge(outcomes, protocol).gradients.pairs
      if (pair!.ahead === null) continue
      claims++
      // The truth about two settings, from many other seeds.
      const truth = (index: number) =>
        Array.from({ length: 100 }, (_, other) => [
          train(problem, outcomes[index]!.settings[0]!, 1_000_000 + 100 * seed + other).arrivals,
        ])
      const { estimate } = weigh({ first: truth(0), second: truth(1), paired: true })
      if (estimate > 0 !== (pair!.ahead === 'one')) wrong++
    }
    say(`${problem.name}, settings: claims`, claims)
    say(`${problem.name}, settings: wrong claims`, wrong)
    expect(atMost(wrong, 0.05)).toBe(true)
  })
})

/** Fresh runs with given arrivals at one target: one run per replicate. */
const entryOf = (name: string, arrivals: readonly Arrival[]): FieldEntry => {
  const runs = arrivals.map((arrival) => [[arrival]])
  return { name, title: name, gradients: runs, steps: runs, code: name, ran: true, edge: false }
}

/** Standard normal draws, repeatable. */
function normals(seed: number): () => number {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return (state + 0.5) / 2 ** 32
  }
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
}

describe('the spacing of evaluations', () => {
  it('hides a ratio of 1.03 that falls on either side of an evaluation, whatever the number of seeds', () => {
    const draw = normals(3)
    let claims = 0
    for (let race = 0; race < 200; race++) {
      // Seen every 50 steps, 197 and 203 are 200 and 250: a ratio of 1.25 in every run.
      const seen = (steps: number): Arrival => {
        const by = 50 * Math.ceil(steps / 50)
        return { after: by - 50, by }
      }
      const first = Array.from({ length: 25 }, () => seen(197 + 0.2 * draw()))
      const second = Array.from({ length: 25 }, () => seen(203 + 0.2 * draw()))
      const options = { claim: 'settings', level: levelOfLook(1), trials: 1 } as const
      const { gradients } = compareField([entryOf('one', first), entryOf('two', second)], options)
      expect(gradients.pairs[0]!.ratio).toBeCloseTo(1.25, 6)
      if (gradients.pairs[0]!.ahead !== null) claims++
    }
    expect(claims).toBe(0)
  })
})

describe('the number of replicates that is said to be needed', () => {
  it('gives the power that is stated', () => {
    const level = levelOfLook(1) / 2
    for (const deviation of [0.2, 0.4]) {
      const exact = (log: number): Arrival => ({ after: 1e5 * Math.exp(log) * (1 - 1e-9), by: 1e5 * Math.exp(log) })
      const draw = normals(17)
      const race = (count: number) => {
        const first = Array.from({ length: count }, () => [[exact(0)]])
        const second = Array.from({ length: count }, () => [[exact(Math.log(1.3) + deviation * draw())]])
        return weigh({ first, second, paired: true })
      }
      const known = { ...race(400), deviation }
      const needed = replicatesNeeded(known, 1.3, level, true)
      const count = everything ? 2000 : 400
      let shown = 0
      for (let turn = 0; turn < count; turn++) if (race(needed).p <= level) shown++
      say(`deviation ${deviation}: ${needed} replicates`, shown, count)
      expect(shown / count).toBeGreaterThan(0.76)
      expect(shown / count).toBeLessThan(0.88)
    }
  })
})

describe('looking while seeds are added', () => {
  it('makes a false claim in at most 5 % of races over all looks together', () => {
    const draw = normals(5)
    const count = everything ? 2000 : 500
    let claims = 0
    for (let race = 0; race < count; race++) {
      const logs = Array.from({ length: 24 }, () => [0.3 * draw(), 0.3 * draw()] as const)
      const arrivals = (side: 0 | 1, seeds: number) =>
        logs.slice(0, seeds).map((pair): Arrival => {
          const by = 1e5 * Math.exp(pair[side])
          return { after: by * (1 - 1e-9), by }
        })
      const claimed = [6, 9, 12, 15, 18, 21, 24].some((seeds, look) => {
        const options = { claim: 'settings', level: levelOfLook(look + 1), trials: 1 } as const
        const entries = [entryOf('one', arrivals(0, seeds)), entryOf('two', arrivals(1, seeds))]
        return compareField(entries, options).gradients.pairs[0]!.ahead !== null
      })
      if (claimed) claims++
    }
    say('seven looks', claims, count)
    expect(claims / count).toBeLessThanOrEqual(0.05)
  })
})

it('takes a run that did not finish for a miss at every target', () => {
  expect(
    arrivalsOf({ gradientsToTarget: [null, null], curve: { step: [2], gradients: [2], loss: [1], validation: [1] } }),
  ).toEqual([
    { after: Infinity, by: Infinity },
    { after: Infinity, by: Infinity },
  ])
})
