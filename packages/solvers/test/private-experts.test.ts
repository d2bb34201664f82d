import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { type PrivateExpertsOptions, privateExperts } from '../src/index.ts'

/** The total loss where all experts but one lose at random. */
function follow(count: number, rounds: number, options: PrivateExpertsOptions) {
  const draws = new Draws((options.seed ?? 0) + 1000)
  const best = draws.below(count)
  const learner = privateExperts(count, options)
  let total = 0
  for (let t = 0; t < rounds; t++) {
    const losses = Float64Array.from({ length: count }, (_, i) => (i === best ? 0 : draws.uniform()))
    total += losses[learner.choice]!
    learner.update(losses)
  }
  return { total, learner, found: learner.choice === best }
}
const mean = (of: (seed: number) => number, count: number) =>
  Array.from({ length: count }, (_, seed) => of(seed) / count).reduce((sum, each) => sum + each, 0)

describe('private experts with one that loses nothing', () => {
  it('have a regret that does not grow with the rounds, and of 1 / ε', () => {
    const [count, horizon, most] = [8, 100_000, Math.ceil(2 * Math.log2(8) - Math.log2(0.05))]
    const after = (rounds: number, privacy: number) =>
      mean((seed) => {
        const { total, learner } = follow(count, rounds, { privacy, horizon, seed })
        // The draws and what each may lose, with its noise.
        expect(learner.switches).toBeLessThanOrEqual(most)
        expect(total).toBeLessThanOrEqual(2 * (most + 1) * learner.threshold)
        return total
      }, 12)
    const [early, late] = [after(2000, 10), after(8000, 10)]
    expect(late).toBeLessThan(1.5 * early)
    // Half the loss of an expert at random would be 2,000.
    expect(late).toBeLessThan(1000)
    expect(late / after(8000, 20)).toBeGreaterThan(1.3)
  })

  it('draws another expert about as often as halving those that are left takes', () => {
    const counts = mean((seed) => follow(16, 8000, { privacy: 20, seed }).learner.switches, 12)
    expect(counts).toBeGreaterThanOrEqual(0.5)
    expect(counts).toBeLessThanOrEqual(Math.log2(16))
  })

  it('keeps what single losses were: no choice is exp(ε) times as likely for neighbouring losses', () => {
    // K = 1 and a switch that only noise decides on: both outcomes are seen.
    const options = { privacy: 1, horizon: 2, switches: 1, failure: 0.9 }
    const runs = 20_000
    const shares = [0, 1].map((different) => {
      let moved = 0
      for (let seed = 0; seed < runs; seed++) {
        const learner = privateExperts(2, { ...options, seed })
        const first = learner.choice
        // In the first round both lose nothing, or whom it follows all.
        learner.update(first === 0 ? [different, 0] : [0, different])
        for (let t = 0; t < 12; t++) learner.update([1, 1])
        if (learner.choice !== first) moved++
      }
      return moved / runs
    })
    expect(shares[0]).toBeGreaterThan(0.02)
    expect(shares[0]).toBeLessThan(0.98)
    const room = Math.exp(1) * 1.05
    expect(shares[1]! / shares[0]!).toBeLessThan(room)
    expect(shares[0]! / shares[1]!).toBeLessThan(room)
    expect((1 - shares[0]!) / (1 - shares[1]!)).toBeLessThan(room)
    expect(shares[1]).not.toBe(shares[0])
  })

  it('takes one expert, says what is wrong, same seed same run', () => {
    const learner = privateExperts(1)
    learner.update([0.5])
    expect(learner.choice).toBe(0)
    expect(follow(8, 3000, { seed: 4, privacy: 10 }).total).toBe(follow(8, 3000, { seed: 4, privacy: 10 }).total)
    expect(() => learner.update([2])).toThrow('losses[0]: 2')
    expect(() => learner.update([])).toThrow('losses: 0')
    expect(() => privateExperts(0)).toThrow('count: 0')
    expect(() => privateExperts(2, { privacy: 0 })).toThrow('privacy: 0')
    expect(() => privateExperts(2, { failure: 1 })).toThrow('failure: 1')
  })
})
