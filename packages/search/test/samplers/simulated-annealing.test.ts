import { expect, test } from 'vitest'
import { float, randomSearch, type Sampler, simulatedAnnealing, space } from '../../src/index.ts'
import { least, median, rastrigin, run } from '../support/evolution-functions.ts'

const line = space({ x: float(0, 1) })

/** Where the walk is after each trial. */
async function walk(sampler: Sampler, trials: number) {
  const visited: number[] = []
  const watching: Sampler = {
    ...sampler,
    async propose(view, request) {
      const proposal = await sampler.propose(view, request)
      const { current } = (proposal.state ?? { current: null }) as { current: number | null }
      if (current !== null) visited.push(view.trial(current)!.losses![0]!)
      return proposal
    },
  }
  await run(watching, line, ({ x }) => x, { trials })
  return visited
}

test('accepts increases as often as the temperature says: all when hot, none when cold', async () => {
  const hot = await walk(simulatedAnnealing({ temperature: 1e9, cooling: 1 }), 200)
  expect(hot.slice(1).filter((loss, index) => loss > hot[index]!).length).toBeGreaterThan(70)
  const cold = await walk(simulatedAnnealing({ temperature: 1e-9, cooling: 1 }), 200)
  expect(cold.slice(1).every((loss, index) => loss <= cold[index]!)).toBe(true)
})

test('leaves local minima, and finds what is smaller than by chance', async () => {
  const box = space({ x: float(-4, 5), y: float(-4, 5) })
  const reached = async (make: () => Sampler) => {
    const seeds = [1, 2, 3, 4, 5, 6, 7]
    const options = { trials: 400 }
    const results = seeds.map((seed) => run(make(), box, ({ x, y }) => rastrigin([x, y]), { ...options, seed }))
    return median((await Promise.all(results)).map(least))
  }
  const annealed = await reached(() => simulatedAnnealing({ temperature: 0.5, cooling: 0.98 }))
  // The second smallest local minimum has the loss 1.
  expect(annealed).toBeLessThan(0.9)
  expect(annealed).toBeLessThan(0.7 * (await reached(randomSearch)))
  expect(() => simulatedAnnealing({ cooling: 2 })).toThrow('cooling must be above 0 and at most 1, not 2')
})
