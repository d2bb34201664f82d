import { adamW, compile, defineOptimizer, logUniform, muon, nonNegative } from 'fallline'
import { expect, it } from 'vitest'
import { enter, raceSchedule, recordOf } from '../src/training/contenders.ts'

const matricesOnly = defineOptimizer({
  name: 'matricesOnly',
  title: 'Matrices only',
  family: 'matrix',
  paper: { title: 'None', authors: 'Nobody', year: 2000 },
  hyper: { learningRate: nonNegative(1) },
  state: {},
  decay: 'decoupled',
  search: { learningRate: logUniform(0.1, 1) },
  accepts: ({ rank }) => rank === 2,
  needs: 'a matrix',
  fallback: () => adamW({ learningRate: 0.003 }),
  rule: ({ g }) => ({ direction: g }),
})

it('lets what a contender does not take follow its tuned learning rate and the schedule', async () => {
  const steps = 40
  const entry = enter(['muon'])[0]!
  const optimizer = await compile(entry.create({ learningRate: 0.05, momentum: 0.9 }, steps), {
    matrix: [2, 2],
    vector: [2],
  })
  const schedule = raceSchedule(0.05, steps, 'cosine')
  for (let step = 1; step <= steps; step++) {
    const before = optimizer.parameters.vector[0]!
    for (const gradient of Object.values(optimizer.gradients)) gradient.fill(1)
    optimizer.step()
    // AdamW moves by its learning rate while the gradient stays the same.
    expect(before - optimizer.parameters.vector[0]!).toBeCloseTo(0.015 * schedule.at(step), 6)
  }
  optimizer.dispose()
})

it('says in the record which optimizer takes the rest, and how fast', () => {
  const wordsFor = (contender: Parameters<typeof enter>[0][number]) => recordOf(enter([contender])[0]!, 100).fallback
  expect(wordsFor(muon)).toBe('AdamW at 0.015 times the learning rate, schedule included; nothing else of it is tuned')
  expect(wordsFor('lanton')).toBe('LANTON at the same learning rate, schedule included; nothing else of it is tuned')
  expect(wordsFor(matricesOnly)).toBe('AdamW at a constant learning rate of 0.003; not tuned')
  expect(wordsFor('adamW')).toBeUndefined()
})
