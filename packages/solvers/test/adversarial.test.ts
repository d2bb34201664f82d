import { describe, expect, it } from 'vitest'
import { type Bounds, type Minimizer, type MinimizerName, minimize, minimizers, Problem } from '../src/index.ts'

const names = Object.keys(minimizers) as MinimizerName[]
const takes = (name: MinimizerName): Minimizer['takes'] => minimizers[name].takes
const bounded = names.filter((name) => takes(name).bounds)

/** What a method needs to be run at all: those that search a box get one. */
function box(name: MinimizerName, n: number, lower = -3, upper = 4): { bounds: Bounds } | object {
  return takes(name).needsBounds ? { bounds: Array.from({ length: n }, () => [lower, upper] as const) } : {}
}

const bowl = {
  value: (x: Float64Array) => x.reduce((sum, element, i) => sum + (i + 1) * (element - 1) ** 2, 0),
  gradient: (x: Float64Array) => x.map((element, i) => 2 * (i + 1) * (element - 1)),
}
const bowlValue = (x: Float64Array) => bowl.value(x)

describe.each(names)('%s', (method) => {
  const run = (
    objective: Parameters<typeof minimize>[0],
    start: readonly number[],
    more: Parameters<typeof minimize>[2] = {},
  ) => minimize(objective, start, { method, evaluations: 2000, ...box(method, start.length), ...more })

  it('minimizes over no variables', () => {
    const { point, value, status } = run(() => 7, [])
    expect(status.kind).toBe('converged')
    expect([...point]).toEqual([])
    expect(value).toBe(7)
  })

  it('minimizes over one variable, and over three', () => {
    for (const start of [[3], [3, -2, 0.5]]) {
      const { point, value, status } = run(bowl, start)
      expect(['converged', 'limit']).toContain(status.kind)
      expect(value).toBeLessThan(1e-6)
      for (const element of point) expect(element).toBeCloseTo(1, 2)
    }
  })

  it('takes slopes by finite differences where there are none', () => {
    const { value, evaluations } = run(bowlValue, [3, -2])
    expect(value).toBeLessThan(1e-6)
    expect(evaluations.values).toBeGreaterThan(3)
  })

  it('stays where it starts at the optimum, and says that it has converged', () => {
    const { point, value, status } = run(bowl, [1, 1])
    expect(['converged', 'limit']).toContain(status.kind)
    expect(value).toBe(0)
    expect([...point]).toEqual([1, 1])
  })

  it('comes back from a flat objective', () => {
    const { value, status } = run({ value: () => 2, gradient: (x) => x.map(() => 0) }, [0.5, 0.5])
    expect(['converged', 'limit']).toContain(status.kind)
    expect(value).toBe(2)
  })

  it('comes back from where the objective is NaN outside a region', () => {
    // The logarithm pushes from the border, beyond which nothing is defined.
    const { value, point } = run(
      {
        value: ([x, y]) => x! - Math.log(x!) + y! - Math.log(y!),
        gradient: (x) => x.map((element) => 1 - 1 / element),
      },
      [0.05, 3],
    )
    expect(value).toBeLessThan(2 + 1e-3)
    for (const element of point) expect(element).toBeCloseTo(1, 1)
  })

  it.each([1e300, 1e-300])('ends where values are scaled by %d, no higher than the start', (scale) => {
    const { value, status, point } = run(
      { value: (x) => scale * bowl.value(x), gradient: (x) => bowl.gradient(x).map((slope) => scale * slope) },
      [3, -2],
    )
    expect(['converged', 'limit', 'failed']).toContain(status.kind)
    expect(value).toBeLessThanOrEqual(scale * 31)
    expect(value).toBe(scale * bowl.value(point))
  })

  it('ends where variables are of the size of 1e150', () => {
    const { value, status } = run(
      { value: (x) => Math.abs(x[0]! / 1e150), gradient: (x) => [Math.sign(x[0]!) / 1e150] },
      [1e150],
      {
        ...(takes(method).needsBounds ? { bounds: [[-1e150, 1e150]] } : {}),
      },
    )
    expect(['converged', 'limit', 'failed']).toContain(status.kind)
    expect(value).toBeLessThanOrEqual(1)
  })

  it('goes down as long as it may where there is no minimum', () => {
    const { value, status } = run({ value: (x) => x[0]! + x[1]!, gradient: () => [1, 1] }, [3, -2], { iterations: 200 })
    const least = takes(method).needsBounds ? -6 : -50
    expect(['converged', 'limit', 'unbounded', 'failed']).toContain(status.kind)
    expect(value).toBeLessThanOrEqual(least + 1e-3)
    if (!takes(method).needsBounds) expect(status.kind).not.toBe('converged')
  })

  it('ends at a discontinuity, no higher than the start', () => {
    const step = (x: Float64Array) => Math.floor(3 * x[0]!) ** 2 + Math.abs(x[1]!)
    const { value, status } = run(step, [2.2, 1.5])
    expect(['converged', 'limit', 'failed']).toContain(status.kind)
    expect(value).toBeLessThanOrEqual(step(Float64Array.of(2.2, 1.5)))
  })

  it('gives the best point so far where the objective throws', () => {
    let asked = 0
    const { point, value, status } = run(
      (x) => {
        if (++asked === 4) throw new Error('no more')
        return bowl.value(x)
      },
      [3, -2],
    )
    expect(status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(value).toBe(bowl.value(point))
    expect(value).toBeLessThanOrEqual(31)
  })

  it('does not call it converged where the slope is not a number', () => {
    const { status } = run({ value: bowl.value, gradient: (x) => x.map(() => Number.NaN) }, [3, -2], { iterations: 50 })
    if (!takes(method).withoutGradient && !takes(method).global) expect(status.kind).toBe('failed')
    else expect(['converged', 'limit', 'failed']).toContain(status.kind)
  })

  it('gives the best point so far where a start is not defined', () => {
    const { status } = run({ value: () => Number.NaN, gradient: (x) => x.map(() => Number.NaN) }, [1, 1], {
      iterations: 50,
    })
    expect(['converged', 'limit', 'failed']).toContain(status.kind)
  })

  it('stops for a callback, a signal and a number of iterations', () => {
    const far = [3, -2, 2.5]
    expect(run(bowlValue, far, { callback: () => false }).status).toEqual({ kind: 'limit', of: 'callback' })
    expect(run(bowlValue, far, { signal: AbortSignal.abort() }).status).toEqual({ kind: 'limit', of: 'signal' })
    expect(run(bowlValue, far, { iterations: 0 }).status).toEqual({ kind: 'limit', of: 'iterations' })
    expect(run(bowlValue, far, { evaluations: 1 }).status).toEqual({ kind: 'limit', of: 'evaluations' })
  })

  it('changes nothing that it is given, and gives the same again', () => {
    const start = Object.freeze([3, -2])
    const [first, second] = [run(bowlValue, start, { seed: 5 }), run(bowlValue, start, { seed: 5 })]
    expect(second).toEqual(first)
  })

  it('gives states whose numbers are those of the problem', () => {
    const problem = new Problem(bowl, 2, box(method, 2))
    const tolerances = { gradient: 1e-5, value: 0, step: 0 }
    let count = 0
    for (const { point, value, step, evaluations } of minimizers[method].solve(
      problem,
      Float64Array.of(3, -2),
      tolerances,
      0,
    )) {
      expect(value).toBe(bowl.value(point))
      expect(step).toBeGreaterThanOrEqual(0)
      expect(evaluations.values).toBeLessThanOrEqual(problem.evaluations.values)
      if (++count === 20) break
    }
    expect(count).toBeGreaterThan(0)
  })
})

describe.each(bounded)('%s within bounds', (method) => {
  it('asks for no point outside, ends at a bound that is in the way, and moves the start inside', () => {
    const bounds: Bounds = [
      [2, 5],
      [-4, 0.5],
      [0, 4],
    ]
    let outside = 0
    const watching = (x: Float64Array) => {
      if (bounds.some(([lower, upper], i) => !(x[i]! >= lower! && x[i]! <= upper!))) outside++
      return bowl.value(x)
    }
    const { point, value } = minimize(watching, [9, -9, 3], { method, bounds })
    expect(outside).toBe(0)
    expect(value).toBeCloseTo(1 + 2 * 0.25, 3)
    expect(point[0]).toBeCloseTo(2, 3)
    expect(point[1]).toBeCloseTo(0.5, 3)
    expect(point[2]).toBeCloseTo(1, 2)
  })

  it('holds variables whose bounds coincide', () => {
    const bounds: Bounds = [
      [3, 3],
      [-3, 4],
    ]
    const { point } = minimize(bowl, [0, 0], { method, bounds })
    expect(point[0]).toBe(3)
    expect(point[1]).toBeCloseTo(1, 2)
    const held = minimize(bowl, [0, 0], { method, bounds: bounds.map(() => [2, 2] as const) })
    expect([...held.point]).toEqual([2, 2])
    expect(held.status.kind).toBe('converged')
  })
})

describe('minimize', () => {
  it('says what is wrong with bounds, constraints, methods and starts', () => {
    expect(() => minimize(bowl, [0], { method: 'none' as MinimizerName })).toThrow("method: 'none' is not one of")
    expect(() => minimize(bowl, [0, Number.NaN])).toThrow('start[1]: NaN is not a finite number')
    expect(() => minimize(bowl, [0], { method: 'bfgs', bounds: [[0, 1]] })).toThrow('bounds: bfgs takes none')
    expect(() => minimize(bowl, [0], { method: 'direct', bounds: [[0, null]] })).toThrow('two finite bounds')
    expect(() => minimize(bowl, [0], { method: 'direct' })).toThrow('bounds[0]: direct needs two finite bounds')
    const constraints = [{ kind: 'equality', value: (x: Float64Array) => x[0]! }] as const
    expect(() => minimize(bowl, [0], { method: 'l-bfgs-b', constraints })).toThrow('constraints: l-bfgs-b takes none')
    const wrong = [{ kind: 'eq' as 'equality', value: () => 0 }]
    expect(() => minimize(bowl, [0], { constraints: wrong })).toThrow("'equality' or 'inequality'")
  })
})
