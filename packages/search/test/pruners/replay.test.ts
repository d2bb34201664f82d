import { expect, test } from 'vitest'
import { float, medianPruner, openStudy, patientPruner, replayPruner, space, thresholdPruner } from '../../src/index.ts'

async function recorded(curves: readonly (readonly number[])[], objectives: 'minimize' | 'maximize' = 'minimize') {
  const study = await openStudy({ space: space({ x: float(0, 1) }), objectives })
  await study.optimize(
    async (trial) => {
      const curve = curves[trial.number]!
      for (const [index, value] of curve.entries()) await trial.report(index + 1, value)
      return curve.at(-1)!
    },
    { trials: curves.length },
  )
  return study.trials()
}

test('says what a pruner would have saved, and that it would have stopped the best', async () => {
  const records = await recorded([
    [4, 4, 4, 4],
    [9, 9, 9, 1],
    [3, 3, 3, 3],
  ])
  expect(replayPruner(records, thresholdPruner({ upper: 8 }))).toEqual({
    trials: 3,
    best: 1,
    orders: 1,
    saved: 0.25,
    stopped: 1,
    bestStopped: 1,
    regret: 2,
  })
  expect(replayPruner(records, thresholdPruner())).toMatchObject({ saved: 0, stopped: 0, bestStopped: 0, regret: 0 })
  expect(replayPruner(records, thresholdPruner({ upper: 0 }))).toMatchObject({
    saved: 0.75,
    stopped: 3,
    regret: Infinity,
  })
  // The first is never stopped, so the order matters.
  const orders = replayPruner(records, medianPruner({ startup: 1 }), { orders: 20 })
  expect(orders.bestStopped).toBeGreaterThan(0)
  expect(orders.bestStopped).toBeLessThan(20)
  expect(replayPruner(records, patientPruner(medianPruner({ startup: 1 }), { steps: 4 })).saved).toBe(0)
})

test('negates what is to become large, and bears no records', async () => {
  const records = await recorded(
    [
      [1, 1],
      [5, 5],
      [2, 2],
    ],
    'maximize',
  )
  const replay = replayPruner(records, medianPruner({ startup: 2 }), { direction: 'maximize' })
  expect(replay).toMatchObject({ best: 1, stopped: 1, bestStopped: 0, saved: expect.closeTo(1 / 6, 12) })
  expect(replayPruner([], medianPruner())).toMatchObject({ trials: 0, best: null, saved: 0 })
  expect(() => replayPruner([], medianPruner(), { orders: 0 })).toThrow(/orders must be a whole number from 1, not 0/)
})
