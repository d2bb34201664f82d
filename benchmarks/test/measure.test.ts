import { describe, expect, it } from 'vitest'
import { type Contender, measure, messageOf } from '../src/measure.ts'

/** A contender whose steps take as long as it says, without taking any time. */
function fake(name: string, seconds: number, calls: string[] = []): Contender {
  return {
    name,
    run(steps) {
      calls.push(name)
      return Array.from({ length: steps }, () => seconds)
    },
  }
}

describe('measure', () => {
  it('gives every contender the median of its own steps', async () => {
    const { measurements, failures } = await measure([fake('a', 0.01), fake('b', 0.02)], { seconds: 1 })
    expect(failures.size).toBe(0)
    expect(measurements.get('a')!.step.median).toBe(0.01)
    expect(measurements.get('b')!.step.median).toBe(0.02)
  })

  it('runs everyone once in every round, so that rounds can be compared', async () => {
    const calls: string[] = []
    const group = [fake('a', 0.01, calls), fake('b', 0.02, calls), fake('c', 0.2, calls)]
    const { measurements } = await measure(group, { seconds: 3, maximumRounds: 8 })
    const rounds = measurements.get('a')!.rounds.length
    expect(rounds).toBeGreaterThanOrEqual(3)
    const measured = calls.slice(-3 * rounds)
    for (let round = 0; round < rounds; round++) {
      expect(measured.slice(3 * round, 3 * round + 3).sort()).toEqual(['a', 'b', 'c'])
    }
  })

  it('drops the first step of a block of short steps: it fills the caches again', async () => {
    const cold: Contender = {
      name: 'cold',
      run: (steps) => Array.from({ length: steps }, (_, index) => (index === 0 ? 0.05 : 0.001)),
    }
    const { measurements } = await measure([cold], { seconds: 1, maximumRounds: 4 })
    expect(measurements.get('cold')!.step.high).toBe(0.001)
  })

  it('keeps to the smallest number of rounds for slow contenders and to the largest for fast ones', async () => {
    const slow = await measure([fake('slow', 60)], { seconds: 1, minimumRounds: 2 })
    expect(slow.measurements.get('slow')!.rounds.length).toBe(2)
    const fast = await measure([fake('fast', 1e-3)], { seconds: 100, maximumRounds: 7 })
    expect(fast.measurements.get('fast')!.rounds.length).toBe(7)
  })

  it('reports a contender that throws and goes on with the others', async () => {
    let calls = 0
    const broken: Contender = { name: 'broken', run: () => Promise.reject(new Error('no such device\nstack')) }
    const later: Contender = {
      name: 'later',
      run(steps) {
        if (++calls > 4) throw new Error('gave up')
        return Array.from({ length: steps }, () => 0.01)
      },
    }
    const { measurements, failures } = await measure([broken, later, fake('fine', 0.01)], { seconds: 1 })
    expect([...measurements.keys()]).toEqual(['fine'])
    expect(failures.get('broken')).toBe('no such device')
    expect(failures.get('later')).toBe('gave up')
  })
})

describe('messageOf', () => {
  it('takes the first line of an error and the text of anything else', () => {
    expect(messageOf(new Error('first\nsecond'))).toBe('first')
    expect(messageOf('text')).toBe('text')
  })
})
