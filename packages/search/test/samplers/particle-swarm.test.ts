import { expect, test } from 'vitest'
import { float, particleSwarm, space } from '../../src/index.ts'
import { least, run, sphere } from '../support/evolution-functions.ts'

const box = space({ x: float(-1, 3), y: float(-1, 3) })
type Note = { genome: readonly number[]; velocity: readonly number[]; particle: number }

test('particles move by their velocity, which stays between inertia and what draws them', async () => {
  const trials = await run(particleSwarm({ particles: 4 }), box, ({ x, y }) => sphere([x, y]), { trials: 80 })
  const notes = trials.map(({ note }) => note as Note)
  for (const [number, { genome, velocity, particle }] of notes.entries()) {
    const before = notes.slice(0, number).findLast((note) => note.particle === particle)
    expect(particle).toBe(number % 4)
    if (!before) continue
    const past = trials.slice(0, number)
    const best = (of: typeof trials) => of.reduce((a, b) => (b.values![0]! < a.values![0]! ? b : a))
    const own = (best(past.filter((_, index) => notes[index]!.particle === particle)).note as Note).genome
    const all = (best(past).note as Note).genome
    for (const [axis, gene] of genome.entries()) {
      const here = before.genome[axis]!
      if (gene > 0 && gene < 1) expect(gene).toBeCloseTo(here + velocity[axis]!, 12)
      else expect(velocity[axis]).toBe(0)
      if (velocity[axis] === 0) continue
      const pulls = [own[axis]! - here, all[axis]! - here].map((pull) => 1.49618 * pull)
      const kept = 0.7298 * before.velocity[axis]!
      const [low, high] = [Math.min, Math.max].map((extreme) =>
        pulls.reduce((sum, pull) => sum + extreme(0, pull), kept),
      ) as [number, number]
      expect(velocity[axis]).toBeGreaterThanOrEqual(Math.max(-1, low) - 1e-12)
      expect(velocity[axis]).toBeLessThanOrEqual(Math.min(1, high) + 1e-12)
    }
  }
})

test('converges on a sphere, one after the other and side by side', async () => {
  for (const [parallel, reached] of [
    [1, 1e-5],
    [16, 1e-3],
  ] as const) {
    const trials = await run(particleSwarm({ particles: 10 }), box, ({ x, y }) => sphere([x, y]), {
      trials: 500,
      parallel,
    })
    expect(least(trials)).toBeLessThan(reached)
  }
})
