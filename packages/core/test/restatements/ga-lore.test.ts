import { compile, gaLore, reference } from 'fallline'
import { expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'

it('GaLore finds the subspace of a gradient of low rank from a sketch as it does by the whole decomposition', async () => {
  const [rows, columns, rank] = [30, 40, 4]
  const random = randomNumbers(3)
  const column = () => Array.from({ length: rows }, random)
  const row = () => Array.from({ length: columns }, random)
  const trajectories = new Map<string, Float64Array>()
  const gradients = Array.from({ length: 7 }, () => {
    const g = new Array<number>(rows * columns).fill(0)
    for (let k = 0; k < rank; k++) {
      const [u, v] = [column(), row()]
      g.forEach((_, place) => {
        g[place]! += 2 ** -k * u[Math.floor(place / columns)]! * v[place % columns]!
      })
    }
    return g
  })
  for (const decomposition of ['exact', 'randomized'] as const) {
    const optimizer = await compile(
      gaLore({ rank, period: 3, decomposition, learningRate: 0.1 }),
      { w: [rows, columns] },
      { backend: reference() },
    )
    for (const w of gradients) optimizer.step({ gradients: { w } })
    trajectories.set(decomposition, Float64Array.from(optimizer.parameters.w))
  }
  const [exact, sketched] = [trajectories.get('exact')!, trajectories.get('randomized')!]
  expect(Math.max(...exact.map(Math.abs))).toBeGreaterThan(0.04)
  sketched.forEach((value, place) => {
    expect(value).toBeCloseTo(exact[place]!, 9)
  })
})
