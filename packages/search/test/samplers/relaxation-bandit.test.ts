import { expect, test } from 'vitest'
import { compare, relaxationBandit } from '../../../../examples/relaxation-bandit.ts'
import { float, space } from '../../src/index.ts'
import { proposed } from '../support/propose.ts'
import { seen, viewOf } from '../support/view.ts'

const line = space({ omega: float(1, 1.9) })

test('draws evenly at first, and by the sums of the losses over their chances then', async () => {
  expect(await proposed(relaxationBandit(4, 100), viewOf(line, []))).toMatchObject({
    kind: 'trial',
    note: { chance: expect.closeTo(0.25, 10) },
  })
  // Two arms with the sums 0 and 2 after one trial: eta is 2 / sqrt(2), and 2 / z^2 + 2 / (2 - z)^2 = 1.
  const trial = seen(0, { losses: [100], note: { arm: 1, chance: 0.5 } })
  const { note } = (await proposed(relaxationBandit(2, 100), viewOf(line, [trial]))) as unknown as {
    note: { arm: number; chance: number }
  }
  const root = 1 - Math.sqrt(3 + 2 * Math.sqrt(3))
  expect(2 / root ** 2 + 2 / (2 - root) ** 2).toBeCloseTo(1, 12)
  expect(note.chance).toBeCloseTo(note.arm === 0 ? 2 / root ** 2 : 2 / (2 - root) ** 2, 8)
})

test('learns a parameter that needs far fewer iterations than Gauss and Seidel, from their number alone', async () => {
  const { learned, fixed } = await compare(400, 1)
  const [gaussSeidel] = fixed
  const best = Math.min(...fixed.map(({ sum }) => sum))
  expect(learned).toBeLessThan(0.6 * gaussSeidel!.sum)
  expect(learned).toBeLessThan(1.7 * best)
})
