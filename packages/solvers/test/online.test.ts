import { describe, expect, it } from 'vitest'
import { buyInformation, type OnlineLoss, type OnlineMethodName, online, onlineMethods } from '../src/index.ts'

const square = (centre: number): OnlineLoss => ({
  value: (x) => (x[0]! - centre) ** 2 / 2,
  gradient: (x) => [x[0]! - centre],
})
const absolute = (centre: number): OnlineLoss => ({
  value: (x) => Math.abs(x[0]! - centre),
  gradient: (x) => [Math.sign(x[0]! - centre)],
})
const repeated = <T>(count: number, of: (round: number) => T): T[] => Array.from({ length: count }, (_, t) => of(t))
const regret = (losses: OnlineLoss[], total: number, u: number) =>
  total - losses.reduce((sum, loss) => sum + loss.value(Float64Array.of(u)), 0)

describe('optimistic online mirror descent', () => {
  const project = (x: Float64Array) => [Math.max(-1, Math.min(1, x[0]!))]
  const options = { diameter: 2, lipschitz: 2, project }
  it('has a regret that does not grow where the losses stay, and one of √T at worst', () => {
    const after = (T: number, of: (t: number) => OnlineLoss, u: number) => {
      const losses = repeated(T, of)
      return regret(losses, online(losses, [1], options).total, u)
    }
    const still = [100, 1600].map((T) => after(T, () => square(0.3), 0.3))
    expect(still[1]! - still[0]!).toBeLessThan(1e-6)
    // Signs that the last gradient never foretells.
    for (const T of [100, 1600]) {
      const hostile = after(T, (t) => absolute(t % 2 ? 1 : -1), 0)
      expect(hostile).toBeLessThanOrEqual(5 * Math.sqrt(10) * 2 * Math.sqrt(T))
    }
    // A hint that is right makes the same losses easy.
    const losses = repeated(1600, (t) => absolute(t % 2 ? 2 : -2))
    const told = online(losses, [1], { ...options, hint: (round) => [round % 2 ? -1 : 1] })
    expect(regret(losses, told.total, 0)).toBeLessThan(0)
  })
  it('has a regret of log T where losses are strongly convex', () => {
    const after = (T: number) => {
      const losses = repeated(T, (t) => square(Math.sin(t * t)))
      const mean = losses.reduce((sum, _, t) => sum + Math.sin(t * t), 0) / T
      return regret(losses, online(losses, [1], { ...options, strongConvexity: 1 }).total, mean)
    }
    // Four times as many rounds each time: log T grows by the same, √T would double.
    for (const T of [100, 400, 1600]) expect(after(T)).toBeLessThanOrEqual(4 * (1 + Math.log(T)))
  })
})

describe('learning without bounds', () => {
  it('coin betting has its regret for every comparator at once, near and far', () => {
    const T = 1000
    for (const centre of [0, 0.01, 1, 100]) {
      const losses = repeated(T, () => absolute(centre))
      const { total } = online(losses, [0], { method: 'coinBetting' })
      for (const u of [0, centre, 2 * centre]) {
        const bound = Math.abs(u) * Math.sqrt(T * Math.log(1 + 24 * T * T * u * u)) + 1
        expect(regret(losses, total, u)).toBeLessThanOrEqual(bound)
      }
    }
  })
  it('coin betting refuses gradients that are longer than it was told', () => {
    const { status } = online([square(5)], [0], { method: 'coinBetting' })
    expect(status).toEqual({ kind: 'failed', reason: 'lipschitz: a gradient of length 5 is longer than 1' })
  })
  it('with unbounded losses the regret is of G |u| √(T log T) + L |u|² √T', () => {
    for (const T of [100, 400, 1600]) {
      for (const centre of [0.1, 1, 30]) {
        for (const wave of [0, 1]) {
          const at = (t: number) => centre * (wave ? Math.sign(Math.sin(t * t)) : 1)
          const losses = repeated(T, (t) => square(at(t)))
          const { total, status, points } = online(losses, [0], {
            method: 'unboundedLosses',
            lipschitz: centre,
            growth: 1,
          })
          expect(status.kind).toBe('converged')
          const u = losses.reduce((sum, _, t) => sum + at(t), 0) / T
          const size = Math.abs(u)
          const bound =
            6 * centre * size * Math.sqrt(T * Math.log(1 + size * centre * T)) + 2 * size * size * Math.sqrt(T)
          expect(regret(losses, total, u)).toBeLessThanOrEqual(bound + 2)
          expect(Math.max(...points.map(([x]) => Math.abs(x!)))).toBeLessThanOrEqual(10 * centre)
        }
      }
    }
  })
})

describe('every method of online', () => {
  const names = Object.keys(onlineMethods) as OnlineMethodName[]
  it.each(names)('%s: limits, no rounds, no variables, losses that throw or are not numbers', (method) => {
    function* endless() {
      for (;;) yield absolute(0.5)
    }
    const start = [0]
    const { rounds, points, status } = online(endless(), start, { method, iterations: 7 })
    expect([rounds, points.length]).toEqual([7, 7])
    expect(status).toEqual({ kind: 'limit', of: 'iterations' })
    expect(start).toEqual([0])
    expect(online(endless(), [2], { method, iterations: 0 }).rounds).toBe(0)
    expect(online([], [2], { method })).toMatchObject({ total: 0, status: { kind: 'converged' } })
    expect(online([{ value: () => 3, gradient: () => [] }], [], { method }).total).toBe(3)
    const thrown = online(
      [
        absolute(1),
        {
          value: () => {
            throw new Error('no more')
          },
          gradient: () => [0],
        },
      ],
      [0],
      { method },
    )
    expect(thrown).toMatchObject({ rounds: 1, status: { kind: 'failed', reason: 'no more' } })
    const lost = online([{ value: () => 0, gradient: () => [Number.NaN] }], [0], { method })
    expect(lost.status.kind).toBe('failed')
    expect(() => online([], [Number.NaN], { method })).toThrow('start[0]: NaN')
    expect(() => online([], [0], { method, lipschitz: 0 })).toThrow('lipschitz: 0 is not above 0')
  })
})

describe('buyInformation', () => {
  // The loss stays at 40 and falls to 0 with the k-th piece; the best is to buy k pieces, or none.
  const falling = (k: number) => repeated(80, (bought) => (bought >= k ? 0 : 40))
  it('costs at most twice the best, which is tight, and e / (e - 1) times in the mean of its draws', () => {
    let worst = 0
    let worstMean = 0
    for (let k = 1; k < 80; k++) {
      const best = Math.min(k, 40)
      worst = Math.max(worst, buyInformation(falling(k)).cost / best)
      let mean = 0
      for (let draw = 0; draw < 200; draw++) {
        const threshold = Math.log1p(((Math.E - 1) * (draw + 0.5)) / 200)
        mean += buyInformation(falling(k), { threshold }).cost / best / 200
      }
      worstMean = Math.max(worstMean, mean)
    }
    expect(worst).toBeLessThanOrEqual(2)
    expect(worst).toBeGreaterThan(1.95)
    // One price of 40 is what rounding up to whole pieces costs.
    expect(worstMean).toBeLessThanOrEqual((Math.E / (Math.E - 1)) * (1 + 1 / 40))
    expect(worstMean).toBeGreaterThan(1.5)
  })
  it('draws by its seed, takes no more losses than it buys, and names what is wrong', () => {
    const drawn = repeated(50, (seed) => buyInformation(falling(80), { randomized: true, seed }).threshold)
    expect(Math.max(...drawn)).toBeLessThanOrEqual(1)
    expect(new Set(drawn).size).toBe(50)
    expect(buyInformation(falling(80), { randomized: true, seed: 3 }).threshold).toBe(drawn[3])
    let taken = 0
    function* counted() {
      for (;;) {
        taken++
        yield 5
      }
    }
    expect(buyInformation(counted())).toEqual({ bought: 5, cost: 10, threshold: 1 })
    expect(taken).toBe(6)
    expect(buyInformation([0])).toEqual({ bought: 0, cost: 0, threshold: 1 })
    expect(() => buyInformation([])).toThrow('losses: there are none')
    expect(() => buyInformation([-1])).toThrow('losses: -1 after 0 pieces')
    expect(() => buyInformation([1], { price: 0 })).toThrow('price: 0 is not above 0')
  })
})
