import { describe, expect, it } from 'vitest'
import {
  type ConvexMethodName,
  type ConvexObjective,
  type ConvexOptions,
  type ConvexState,
  convex,
  convexMethods,
} from '../src/index.ts'

/** Σ w_i (x_i - c_i)² / 2. */
const bowl = (weights: number[], centre: number[]) => ({
  value: (x: Float64Array) => x.reduce((sum, each, i) => sum + (weights[i]! * (each - centre[i]!) ** 2) / 2, 0),
  gradient: (x: Float64Array) => x.map((each, i) => weights[i]! * (each - centre[i]!)),
})

/** Nesterov's worst function of smoothness β = 4 in n variables: no first-order method is much faster than accelerated descent. */
const worst = (n: number) => ({
  value: (x: Float64Array) => {
    let sum = x[0]! ** 2 + x[n - 1]! ** 2
    for (let i = 1; i < n; i++) sum += (x[i]! - x[i - 1]!) ** 2
    return sum / 2 - x[0]!
  },
  gradient: (x: Float64Array) => x.map((each, i) => 2 * each - (x[i - 1] ?? 0) - (x[i + 1] ?? 0) - (i === 0 ? 1 : 0)),
})
const worstMinimum = (n: number) => Float64Array.from({ length: n }, (_, i) => 1 - (i + 1) / (n + 1))

/** Σ w |x - c|. */
const kinks = (weights: number[], centre: number[]) => ({
  value: (x: Float64Array) => x.reduce((sum, each, i) => sum + weights[i]! * Math.abs(each - centre[i]!), 0),
  gradient: (x: Float64Array) => x.map((each, i) => weights[i]! * Math.sign(each - centre[i]!)),
})

function run(objective: ConvexObjective, start: number[] | Float64Array, options: ConvexOptions) {
  const states: ConvexState[] = []
  const result = convex(objective, start, { tolerance: 0, ...options, callback: (state) => states.push(state) })
  return { states, ...result }
}

describe('smooth functions', () => {
  const n = 40
  const minimum = worstMinimum(n)
  const f = worst(n)
  const least = f.value(minimum)
  const squared = minimum.reduce((sum, each) => sum + each * each, 0)
  const start = new Float64Array(n)

  it('gradient descent is within 2 β R² / (t - 1), accelerated within 2 β R² / t², and far below on the worst function', () => {
    const options = { smoothness: 4, iterations: 200 }
    const plain = run(f, start, { ...options, method: 'gradientDescent' })
    const accelerated = run(f, start, { ...options, method: 'acceleratedGradient' })
    for (let t = 2; t <= 200; t++) {
      expect(plain.states[t - 1]!.value - least).toBeLessThanOrEqual((8 * squared) / (t - 1))
      expect(accelerated.states[t - 1]!.value - least).toBeLessThanOrEqual((8 * squared) / (t * t))
    }
    expect(accelerated.value - least).toBeLessThan((plain.value - least) / 10)
  })

  it('with strong convexity both are linear, by κ and by √κ', () => {
    const [weights, centre] = [
      [1, 10, 100],
      [3, -2, 1],
    ]
    const objective = bowl(weights, centre)
    const square = 14
    const options = { smoothness: 100, strongConvexity: 1, iterations: 100 }
    const plain = run(objective, [0, 0, 0], { ...options, method: 'gradientDescent' })
    const accelerated = run(objective, [0, 0, 0], { ...options, method: 'acceleratedGradient' })
    for (let t = 1; t <= 100; t++) {
      const distance = plain.states[t]!.point.reduce((sum, each, i) => sum + (each - centre[i]!) ** 2, 0)
      expect(distance).toBeLessThanOrEqual(square * Math.exp(-t / 100))
      expect(accelerated.states[t - 1]!.value).toBeLessThanOrEqual((101 / 2) * square * Math.exp(-(t - 1) / 10))
    }
  })

  it('finds the smoothness where it is not told', () => {
    const told = run(f, start, { smoothness: 4, iterations: 400, tolerance: 1e-4 })
    const found = run(f, start, { iterations: 400, tolerance: 1e-4 })
    expect(found.status).toEqual({ kind: 'converged', test: 'residual' })
    expect(found.iterations).toBeLessThanOrEqual(2 * told.iterations)
  })

  it('FISTA is within 2 β R² / t² of a lasso with a known solution', () => {
    // min Σ w (x - c)² / 2 + |x|₁: soft thresholds.
    const [weights, centre] = [
      [1, 4, 0.5, 2],
      [3, -1, 1, 0.1],
    ]
    const solution = centre.map((c, i) => Math.sign(c) * Math.max(0, Math.abs(c) - 1 / weights[i]!))
    const objective: ConvexObjective = {
      ...bowl(weights, centre),
      prox: (x, step) => x.map((each) => Math.sign(each) * Math.max(0, Math.abs(each) - step)),
      regularizer: (x) => x.reduce((sum, each) => sum + Math.abs(each), 0),
    }
    const total = (x: Float64Array) => objective.value(x) + objective.regularizer!(x)
    const best = total(Float64Array.from(solution))
    const square = solution.reduce((sum, each) => sum + each * each, 0)
    const { states, point } = run(objective, [0, 0, 0, 0], { method: 'fista', smoothness: 4, iterations: 300 })
    expect(states.length).toBeGreaterThan(20)
    states.forEach(({ value }, k) => {
      expect(value - best).toBeLessThanOrEqual((8 * square) / (k + 1) ** 2)
    })
    solution.forEach((each, i) => {
      expect(point[i]).toBeCloseTo(each, 6)
    })
  })

  it('Frank-Wolfe is within 2 β R² / (t + 1), with a gap that is never below f - f*', () => {
    // On the simplex, where the minimum is a mixture: R² = 2.
    const centre = [0.5, 0.3, 0.2, -0.4]
    const objective: ConvexObjective = {
      ...bowl([1, 1, 1, 1], centre),
      linearMinimum: (d) => {
        const least = d.indexOf(Math.min(...d))
        return d.map((_, i) => (i === least ? 1 : 0))
      },
    }
    const best = objective.value(Float64Array.of(0.5, 0.3, 0.2, 0))
    const { states } = run(objective, [0, 0, 0, 1], { method: 'frankWolfe', iterations: 300 })
    states.slice(1).forEach(({ value, residual, point }, k) => {
      const t = k + 2
      expect(value - best).toBeLessThanOrEqual(4 / (t + 1))
      expect(residual).toBeGreaterThanOrEqual(value - best - 1e-12)
      expect(point.filter((each) => each > 0).length).toBeLessThanOrEqual(t + 1)
    })
  })

  it('mirror prox is within β R² / (2 t) in both mirrors', () => {
    const target = [0.7, 0.2, 0.1]
    const objective = bowl([1, 1, 1], target)
    const uniform = [1 / 3, 1 / 3, 1 / 3]
    for (const mirror of ['euclidean', 'entropy'] as const) {
      const { states } = run({ ...objective, project: (x) => x }, uniform, {
        method: 'mirrorProx',
        mirror,
        smoothness: 1,
        radius: 1,
        iterations: 200,
      })
      const square = mirror === 'entropy' ? 2 * Math.log(3) : 1
      states.slice(1).forEach(({ value }, k) => {
        expect(value).toBeLessThanOrEqual(square / (2 * (k + 1)))
      })
      expect(states.at(-1)!.value).toBeLessThan(1e-3)
    }
  })

  it('coordinate descent is within 2 R² Σ β^γ / (t + 3) in the mean', () => {
    const [weights, centre] = [
      [1, 10, 100],
      [1, -1, 1],
    ]
    const objective = bowl(weights, centre)
    const means = new Float64Array(20)
    for (let seed = 0; seed < 20; seed++) {
      const { states } = run(objective, [0, 0, 0], { method: 'coordinateDescent', iterations: 19, seed })
      means.forEach((mean, k) => {
        means[k] = mean + states[k]!.value / 20
      })
    }
    // γ = 0: R² = max over the level set of Σ β (x - x*)² = 2 f(start); one state for each three steps.
    const square = 111
    means.forEach((mean, k) => {
      expect(mean).toBeLessThanOrEqual((2 * square * 3) / (3 * k + 3))
    })
    expect(means[19]).toBeLessThan(1e-3)
  })
})

describe('functions with kinks', () => {
  it('mirror descent is within R G / √t, and in the entropy of a simplex grows with √log n only', () => {
    const t = 400
    const centre = [1, -2, 0.5]
    const options = { method: 'mirrorDescent', iterations: t, radius: 3, lipschitz: Math.sqrt(14) } as const
    const { states } = run(kinks([1, 2, 3], centre), [0, 0, 0], options)
    expect(states[t - 1]!.value).toBeLessThanOrEqual((3 * Math.sqrt(14)) / Math.sqrt(t))
    const n = 200
    const costs = Float64Array.from({ length: n }, (_, i) => Math.sin(i))
    const linear: ConvexObjective = {
      value: (x) => x.reduce((sum, each, i) => sum + each * costs[i]!, 0),
      gradient: () => costs,
    }
    const least = Math.min(...costs)
    const start = new Float64Array(n).fill(1 / n)
    const entropy = run(linear, start, { method: 'mirrorDescent', mirror: 'entropy', iterations: t, lipschitz: 1 })
    expect(entropy.states[t - 1]!.value - least).toBeLessThanOrEqual(Math.sqrt((2 * Math.log(n)) / t))
  })

  it('dual averaging is within 2 R G / √k at every k, without a horizon', () => {
    const length = Math.sqrt(14)
    const { states } = run(kinks([1, 2, 3], [1, -2, 0.5]), [0, 0, 0], {
      method: 'dualAveraging',
      iterations: 400,
      radius: 3,
      lipschitz: length,
    })
    states.forEach(({ value, residual }, k) => {
      expect(residual).toBeCloseTo((6 * length) / Math.sqrt(k + 1), 9)
      expect(value).toBeLessThanOrEqual(residual)
    })
  })

  const cutting = ['ellipsoid', 'centreOfGravity', 'vaidya'] as const
  it.each(cutting)('%s: certifies f - f* by its residual, and ends below it', (method) => {
    const { states, value, status } = run(kinks([1, 2], [1.3, -2.1]), [0, 0], {
      method,
      radius: 5,
      tolerance: 1e-2,
      iterations: 2000,
    })
    expect(status).toEqual({ kind: 'converged', test: 'residual' })
    expect(value).toBeLessThanOrEqual(1e-2)
    expect(states.length).toBeGreaterThan(5)
    for (const state of states) expect(state.residual).toBeGreaterThanOrEqual(state.value - 1e-9)
  })

  it.each(cutting)('%s: keeps to the set', (method) => {
    // min -x - y, x + 2 y ≤ 2, in [0, 1.5]²: (1.5, 0.25).
    const { point, value, status } = run({ value: (x) => -x[0]! - x[1]!, gradient: () => [-1, -1] }, [0.5, 0.5], {
      method,
      bounds: [
        [0, 1.5],
        [0, 1.5],
      ],
      inequalities: { matrix: [[1, 2]], bounds: [2] },
      tolerance: 1e-4,
      iterations: 2000,
    })
    expect(status.kind).toBe('converged')
    expect(value).toBeCloseTo(-1.75, 3)
    expect(point[0]! + 2 * point[1]!).toBeLessThanOrEqual(2 + 1e-12)
  })

  it('vaidya takes less than half the subgradients of the ellipsoid method in five variables', () => {
    const objective = kinks([1, 2, 3, 4, 5], [1, 2, 3, 4, 5].map(Math.sin))
    const [few, many] = (['vaidya', 'ellipsoid'] as const).map((method) =>
      run(objective, new Float64Array(5), { method, radius: 2, tolerance: 1e-2 }),
    )
    for (const { status, value } of [few!, many!]) {
      expect(status.kind).toBe('converged')
      expect(value).toBeLessThanOrEqual(1e-2)
    }
    expect(few!.evaluations.gradients).toBeLessThan(many!.evaluations.gradients / 2)
  })

  it('the ellipsoid method is within 2 B R / r exp(-t / (2 n²)), the centre of gravity far ahead of it', () => {
    const n = 3
    const [weights, centre] = [
      [1, 2, 3],
      [0.3, -0.2, 0.6],
    ]
    const objective = kinks(weights, centre)
    const { states } = run(objective, [0, 0, 0], { method: 'ellipsoid', radius: 1, iterations: 300 })
    let best = Infinity
    states.forEach(({ value }, t) => {
      best = Math.min(best, value)
      // B = 6 on the box of radius 1, R = √3.
      if (t >= 2 * n * n * Math.log(Math.sqrt(3))) {
        expect(best).toBeLessThanOrEqual(2 * 12 * Math.sqrt(3) * Math.exp(-t / (2 * n * n)))
      }
    })
    const gravity = run(objective, [0, 0, 0], { method: 'centreOfGravity', radius: 1, iterations: 40 })
    let lowest = Infinity
    gravity.states.forEach(({ value }, t) => {
      lowest = Math.min(lowest, value)
      expect(lowest).toBeLessThanOrEqual(2 * 12 * (1 - 1 / Math.E) ** (t / n))
    })
    expect(lowest).toBeLessThan(states.slice(0, 40).reduce((least, { value }) => Math.min(least, value), Infinity))
  })
})

describe('linear functions over polytopes', () => {
  const polytope = {
    bounds: [
      [0, 3],
      [0, 3],
      [0, 3],
    ] as [number, number][],
    inequalities: {
      matrix: [
        [1, 1, 1],
        [2, 1, 0],
      ],
      bounds: [4, 5],
    },
  }
  // min -3 x - 2 y - z: at x = 1, y = 3, z = 0.
  const objective: ConvexObjective = {
    value: (x) => -3 * x[0]! - 2 * x[1]! - x[2]!,
    gradient: () => [-3, -2, -1],
    hessian: () => [
      [0, 0, 0],
      [0, 0, 0],
      [0, 0, 0],
    ],
  }
  it('the barrier method is within ν / t on its path', () => {
    const { states, value, status } = run(objective, [0.5, 0.5, 0.5], {
      method: 'interiorPoint',
      ...polytope,
      tolerance: 1e-6,
    })
    expect(status).toEqual({ kind: 'converged', test: 'residual' })
    expect(value).toBeCloseTo(-9, 5)
    const reached = states.filter(({ residual }) => residual < Infinity)
    expect(reached.length).toBeGreaterThanOrEqual(6)
    for (const state of reached) expect(state.value + 9).toBeLessThanOrEqual(1.3 * state.residual)
    expect(states.length).toBeLessThan(80)
  })
  it('the random walk is within n T in the mean', () => {
    const { states, value, status } = run(objective, [0.5, 0.5, 0.5], {
      method: 'randomWalk',
      ...polytope,
      tolerance: 1e-3,
    })
    expect(status).toEqual({ kind: 'converged', test: 'residual' })
    expect(value).toBeGreaterThanOrEqual(-9)
    for (const state of states) expect(state.value + 9).toBeLessThanOrEqual(state.residual)
  })
})

describe('every method of convex', () => {
  const names = Object.keys(convexMethods) as ConvexMethodName[]
  const bounds = [
    [-2, 2],
    [-2, 2],
  ] as [number, number][]
  // Methods for kinks have proofs of 1 / √k only.
  const accuracy = (method: ConvexMethodName) =>
    method === 'mirrorDescent' || method === 'dualAveraging' ? 1.3 : method === 'mirrorProx' ? 2e-2 : 1e-2
  const options = (method: ConvexMethodName): ConvexOptions => ({
    method,
    bounds,
    radius: 3,
    smoothness: 2,
    iterations: 800,
    tolerance: accuracy(method),
  })
  const linear = { value: (x: Float64Array) => x[0]! - x[1]!, gradient: () => [1, -1] }
  it.each(names)('%s: finds a minimum, one variable too, changes nothing given, same seed same run', (method) => {
    const objective = method === 'randomWalk' ? linear : bowl([2, 1], [1, -0.5])
    const least = method === 'randomWalk' ? -4 : 0
    const start = [0.1, 0.2]
    const { value, status } = convex(objective, start, options(method))
    expect(status.kind).toBe('converged')
    expect(value - least).toBeLessThanOrEqual(accuracy(method))
    expect(start).toEqual([0.1, 0.2])
    expect(convex(objective, start, options(method)).value).toBe(value)
    const line = method === 'randomWalk' ? { value: (x: Float64Array) => x[0]!, gradient: () => [1] } : bowl([1], [1])
    const single = convex(line, [0], { ...options(method), bounds: [[-2, 2]] })
    expect(single.status.kind).toBe('converged')
    expect(single.value).toBeLessThanOrEqual((method === 'randomWalk' ? -2 : 0) + accuracy(method))
  })
  it.each(names)('%s: without gradients, flat, no variables, throwing, not a number', (method) => {
    const objective = method === 'randomWalk' ? linear : bowl([2, 1], [1, -0.5])
    const differences = convex(objective.value, [0.1, 0.2], options(method))
    expect(differences.value).toBeLessThanOrEqual((method === 'randomWalk' ? -4 : 0) + accuracy(method))
    const flat = convex(() => 1, [0.1, 0.2], options(method))
    expect(flat).toMatchObject({ value: 1, status: { kind: 'converged' } })
    expect(convex({ value: () => 5, gradient: () => [] }, [], { ...options(method), bounds: [] }).value).toBe(5)
    let asked = 0
    const throwing = {
      value: (x: Float64Array) => {
        if (++asked > 3) throw new Error('no more')
        return objective.value(x)
      },
    }
    const thrown = convex(throwing, [0.1, 0.2], options(method))
    expect(thrown.status).toEqual({ kind: 'failed', reason: 'no more' })
    const nan = { value: objective.value, gradient: () => [Number.NaN, Number.NaN] }
    const lost = convex(nan, [0.1, 0.2], { ...options(method), iterations: 50 })
    expect(lost.status.kind).not.toBe('converged')
    expect(lost.point.every(Number.isFinite)).toBe(true)
  })
  it.each(names)('%s: bounds that coincide, an empty set, a scale of 1e300', (method) => {
    const objective = method === 'randomWalk' ? linear : bowl([2, 1], [1, -0.5])
    const limited = { ...options(method), iterations: 200 }
    const held = convex(objective, [0.5, 0.2], {
      ...limited,
      bounds: [
        [0.5, 0.5],
        [-2, 2],
      ],
    })
    if (held.value < Infinity) expect(held.point[0]).toBeCloseTo(0.5, 5)
    else expect(held.status.kind).not.toBe('converged')
    const empty = {
      matrix: [
        [1, 0],
        [-1, 0],
      ],
      bounds: [-1, -1],
    }
    if (['ellipsoid', 'centreOfGravity', 'vaidya', 'interiorPoint', 'randomWalk'].includes(method)) {
      const none = convex(objective, [0.1, 0.2], { ...limited, inequalities: empty })
      expect(none.status.kind).toBe('failed')
    }
    const huge = convex(
      {
        value: (x) => 1e300 * objective.value(x),
        gradient: (x) => [...objective.gradient(x)].map((each) => 1e300 * each),
      },
      [0.1, 0.2],
      { ...limited, iterations: 20 },
    )
    expect(huge.point.every(Number.isFinite)).toBe(true)
  })
  it('says where a function has no minimum', () => {
    const falling = { value: (x: Float64Array) => (x[0]! < -3 ? -Infinity : x[0]!), gradient: () => [1] }
    const { value, status } = convex(falling, [0], { method: 'gradientDescent', smoothness: 1 })
    expect([value, status]).toEqual([-Infinity, { kind: 'unbounded' }])
  })
  it('names what is wrong', () => {
    expect(() => convex(bowl([1], [0]), [Number.NaN])).toThrow('start[0]: NaN is not a finite number')
    expect(() => convex(bowl([1], [0]), [1], { radius: 0 })).toThrow('radius: 0 is not above 0')
    const { status } = convex(bowl([1], [0]), [1], { method: 'frankWolfe' })
    expect(status).toEqual({ kind: 'failed', reason: 'linearMinimum: it is missing, and the bounds are not finite' })
    expect(convex(bowl([1], [0]), [1], { method: 'interiorPoint', bounds: [[1, 2]] }).status).toEqual({
      kind: 'failed',
      reason: 'the start is not inside the set: half-space 1 has no slack',
    })
  })
})
