import { expect, test } from 'vitest'
import { diffusionEvolution, float, space } from '../../src/index.ts'
import { denoised } from '../../src/samplers/diffusion-evolution.ts'
import { least, run, sphere } from '../support/evolution-functions.ts'

test('a lone point is its own origin, and the fitter of two near ones draws both', () => {
  // With the origin x and noise (1 - sqrt(a)) / sqrt(1 - a) x the next point has the closed form below.
  const [signal, next] = [0.36, 0.64]
  const [[alone = 0] = []] = denoised([{ sample: [0.75], loss: 3 }], signal, next, 0)
  expect(alone).toBeCloseTo(0.5 + 0.25 * (0.8 + 0.6 * ((1 - 0.6) / 0.8)), 12)
  const two = [
    { sample: [0.45], loss: 0 },
    { sample: [0.55], loss: 50 },
    { sample: [0.5], loss: 1 },
  ]
  // Nearly no noise left and nearly all of it removed: each goes to where it came from.
  const to = denoised(two, 0.01, 0.999, 0).map(([value = 0]) => value)
  const mean = to.reduce((sum, value) => sum + value, 0) / 3
  expect(mean).toBeLessThan(0.5)
  expect(Math.max(...to) - Math.min(...to)).toBeLessThan(0.05)
})

test('comes to the least of a sphere, and keeps two optima apart', async () => {
  const box = space({ x: float(-1, 2), y: float(-1, 2) })
  const trials = await run(diffusionEvolution(), box, ({ x, y }) => sphere([x, y]), { trials: 500 })
  expect(least(trials)).toBeLessThan(1e-3)
  const ends = await run(
    diffusionEvolution({ population: 30 }),
    box,
    ({ x, y }) => Math.min((x + 0.5) ** 2, (x - 1.5) ** 2) + y * y,
    { trials: 750 },
  )
  const late = ends.slice(660).map(({ parameters }) => parameters.x as number)
  expect(late.filter((x) => Math.abs(x + 0.5) < 0.2).length).toBeGreaterThan(10)
  expect(late.filter((x) => Math.abs(x - 1.5) < 0.2).length).toBeGreaterThan(10)
})
