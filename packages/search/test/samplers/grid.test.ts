import { expect, test } from 'vitest'
import { choice, float, gridSearch, integer, openStudy, space, variant } from '../../src/index.ts'
import { proposed } from '../support/propose.ts'
import { seen, viewOf } from '../support/view.ts'

const tree = space({
  rate: float(0.01, 1, { scale: 'log' }),
  optimizer: variant({
    sgd: { momentum: float(0, 0.9), nesterov: choice([true, false]) },
    adam: { beta: variant({ one: {}, two: { value: integer(1, 3) } }) },
    plain: {},
  }),
})

test('tries every point once, variants only with their own parameters, the last dimension first, and ends', async () => {
  const study = await openStudy({ space: tree, sampler: gridSearch({ parts: 3 }) })
  const { reason } = await study.optimize(() => 1, { trials: 100, parallel: 4 })
  // 3 rates x (3 momenta x 2 + (1 + 3) + 1)
  expect(reason).toBe('grid: all 33 points were tried')
  const tried = (await study.trials()).map(({ parameters }) => parameters)
  expect(new Set(tried.map((parameters) => JSON.stringify(parameters))).size).toBe(33)
  expect(tried.slice(0, 3)).toEqual([
    { rate: expect.closeTo(0.01, 12), optimizer: 'sgd', 'optimizer.sgd.momentum': 0, 'optimizer.sgd.nesterov': true },
    { rate: expect.closeTo(0.01, 12), optimizer: 'sgd', 'optimizer.sgd.momentum': 0, 'optimizer.sgd.nesterov': false },
    {
      rate: expect.closeTo(0.01, 12),
      optimizer: 'sgd',
      'optimizer.sgd.momentum': 0.45,
      'optimizer.sgd.nesterov': true,
    },
  ])
  expect([...new Set(tried.map(({ rate }) => (rate as number).toPrecision(12)))].map(Number)).toEqual([0.01, 0.1, 1])
  expect(tried.filter((parameters) => parameters.optimizer === 'adam')).toHaveLength(12)
})

test('has counts by name, the middle for one part, and refuses others', async () => {
  const square = space({ x: float(0, 1), y: float(0, 8) })
  const study = await openStudy({ space: square, sampler: gridSearch({ parts: { x: 1, y: 2 } }) })
  await study.optimize(() => 1, { trials: 10 })
  expect((await study.trials()).map(({ parameters }) => parameters)).toEqual([
    { x: 0.5, y: 0 },
    { x: 0.5, y: 8 },
  ])
  expect(() => gridSearch({ parts: 0 })).toThrow(/parts must be a whole number from 1, not 0/)
  expect(() => gridSearch({ parts: { y: 1.5 } })).toThrow(/y must be a whole number from 1, not 1.5/)
})

test('leaves out what was enqueued or breaks a constraint, and does not repeat what failed', async () => {
  const small = space({ a: integer(1, 3), b: integer(1, 3) }, [{ name: 'a <= b', allows: ({ a, b }) => a <= b }])
  const study = await openStudy({ space: small, sampler: gridSearch() })
  await study.enqueue({ a: 1, b: 2 })
  const flaky = ({ number }: { number: number }) => {
    if (number === 2) throw new Error('no')
    return 1
  }
  const { reason } = await study.optimize(flaky, { trials: 100, failures: 'continue' })
  expect(reason).toMatch(/all 9 points/)
  expect((await study.trials()).map(({ parameters: { a, b } }) => `${a}${b}`)).toEqual([
    '12',
    '11',
    '13',
    '22',
    '23',
    '33',
  ])
})

test('bears views of every kind', async () => {
  const small = space({ a: integer(1, 2) })
  expect(await proposed(gridSearch(), viewOf(small, []))).toMatchObject({ kind: 'trial', point: [0.25] })
  const trials = [seen(0, { state: 'failed', point: [0.25] }), seen(1, { state: 'running', point: [0.75] })]
  expect(await proposed(gridSearch(), viewOf(small, trials))).toEqual({
    kind: 'end',
    reason: 'all 2 points were tried',
  })
})
