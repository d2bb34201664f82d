import { describe, expect, test } from 'vitest'
import {
  cmaEs,
  cooperativeCoevolution,
  type Definition,
  float,
  type Sampler,
  space,
  type TrialRecord,
} from '../../src/index.ts'
import { ellipsoid, least, run } from '../support/evolution-functions.ts'

const numbers = (count: number) =>
  space(Object.fromEntries(Array.from({ length: count }, (_, index) => [`x${index}`, float(-3, 5)])) as Definition)
const values = (parameters: unknown) => Object.values(parameters as Record<string, number>)

type Kept = {
  readonly distribution: { readonly turn: number; readonly species: readonly { readonly axes: readonly number[] }[] }
}

/** A sampler whose states are watched. */
function watched(sampler: Sampler, seen: (state: Kept) => void): Sampler {
  return {
    ...sampler,
    async propose(view, request) {
      const proposal = await sampler.propose(view, request)
      if (proposal.state) seen(proposal.state as unknown as Kept)
      return proposal
    },
  }
}

describe('cooperative coevolution', () => {
  test('changes the numbers of one species at a time, in the context of the best of the others', async () => {
    const turns: Kept[] = []
    const sampler = watched(cooperativeCoevolution({ species: 3, population: 4 }) as unknown as Sampler, (state) =>
      turns.push(state),
    )
    const trials = await run(sampler, numbers(9), (x) => ellipsoid(values(x)), { trials: 60 })
    const { species } = turns[0]!.distribution
    expect(species.flatMap(({ axes }) => axes).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    const sampleOf = ({ note }: TrialRecord) => (note as unknown as { sample: readonly number[] }).sample
    for (const generation of [0, 1, 2, 3, 4, 5]) {
      const members = trials.slice(4 * generation, 4 * generation + 4)
      const own = species[generation % 3]!.axes
      const earlier = trials.slice(0, 4 * generation)
      const best = earlier.reduce<TrialRecord | null>(
        (a, b) => (a === null || b.values![0]! <= a.values![0]! ? b : a),
        null,
      )
      for (const member of members) {
        for (const [axis, value] of sampleOf(member).entries()) {
          if (!own.includes(axis)) expect(value).toBe(best === null ? 0.5 : sampleOf(best)[axis])
        }
      }
    }
  })

  test('needs fewer trials than one distribution of all numbers where they do not depend on each other', async () => {
    const after = async (sampler: Sampler) =>
      least(await run(sampler, numbers(30), (x) => ellipsoid(values(x)), { trials: 1500 }))
    const [cooperating, one] = [
      await after(cooperativeCoevolution() as unknown as Sampler),
      await after(cmaEs() as unknown as Sampler),
    ]
    expect(cooperating).toBeLessThan(one / 5)
  })

  test('says what its options may be', () => {
    expect(() => cooperativeCoevolution({ species: 0 })).toThrow(
      'cooperativeCoevolution: species must be a whole number from 1, not 0',
    )
  })
})
