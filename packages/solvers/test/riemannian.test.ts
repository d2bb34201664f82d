import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { describe, expect, it } from 'vitest'
import {
  euclidean,
  hyperbolic,
  type Manifold,
  positiveDefinite,
  type RiemannianMethodName,
  riemannian,
  sphere,
  stiefel,
} from '../src/index.ts'

const names: RiemannianMethodName[] = ['adam', 'amsgrad', 'adagrad']
const symmetric = [
  [4, 1, 0.5],
  [1, 3, -0.2],
  [0.5, -0.2, 1],
]
const times = (x: Float64Array) =>
  Float64Array.from(symmetric, (row) => row.reduce((sum, each, j) => sum + each * x[j]!, 0))
const inner = (x: Float64Array, y: Float64Array) => x.reduce((sum, each, i) => sum + each * y[i]!, 0)
const eigenvalues = new EigenvalueDecomposition(new Matrix(symmetric)).realEigenvalues.sort((a, b) => a - b)
const rosenbrock = {
  value: (x: Float64Array) => 100 * (x[1]! - x[0]! ** 2) ** 2 + (1 - x[0]!) ** 2,
  gradient: (x: Float64Array) => [-400 * x[0]! * (x[1]! - x[0]! ** 2) - 2 * (1 - x[0]!), 200 * (x[1]! - x[0]! ** 2)],
}

/** The usual methods, coordinate by coordinate. */
function usual(
  method: RiemannianMethodName,
  gradient: (x: Float64Array) => ArrayLike<number>,
  start: number[],
  steps: number,
) {
  const x = Float64Array.from(start)
  const [m, v, top] = [x.map(() => 0), x.map(() => 0), x.map(() => 0)]
  for (let k = 1; k <= steps; k++) {
    const g = gradient(x)
    for (let i = 0; i < x.length; i++) {
      const beta = method === 'adagrad' ? 0 : 0.9
      m[i] = beta * m[i]! + (1 - beta) * g[i]!
      v[i] = method === 'adagrad' ? v[i]! + g[i]! ** 2 : 0.999 * v[i]! + 0.001 * g[i]! ** 2
      top[i] = method === 'amsgrad' ? Math.max(top[i]!, v[i]!) : v[i]!
      const [first, second] = method === 'adam' ? [1 - 0.9 ** k, 1 - 0.999 ** k] : [1, 1]
      x[i]! -= (0.05 * m[i]!) / first / (Math.sqrt(top[i]! / second) + 1e-8)
    }
  }
  return x
}

describe('on flat manifolds', () => {
  it.each(names)('%s: is the usual method, on a product of lines', (method) => {
    let last: Float64Array | undefined
    riemannian(rosenbrock, [-1.2, 1], {
      method,
      manifolds: [euclidean(1), euclidean(1)],
      step: 0.05,
      iterations: 100,
      callback: ({ point }) => {
        last = point
      },
    })
    const expected = usual(method, rosenbrock.gradient, [-1.2, 1], 100)
    expected.forEach((each, i) => {
      expect(last![i]).toBeCloseTo(each, 10)
    })
  })
  it.each(names)('%s: is the usual method for the logarithm, on positive numbers, which are flat too', (method) => {
    // f(s) = (log s - 1)²: with u = log s its gradient is 2 (u - 1).
    let last = 0
    riemannian(
      { value: (s) => (Math.log(s[0]!) - 1) ** 2, gradient: (s) => [(2 * (Math.log(s[0]!) - 1)) / s[0]!] },
      [0.1],
      {
        method,
        manifolds: [positiveDefinite(1)],
        step: 0.05,
        iterations: 60,
        callback: ({ point }) => {
          last = point[0]!
        },
      },
    )
    expect(Math.log(last)).toBeCloseTo(usual(method, (u) => [2 * (u[0]! - 1)], [Math.log(0.1)], 60)[0]!, 9)
  })
})

describe('on curved manifolds', () => {
  const options = { iterations: 3000, tolerance: 1e-5 }
  // Adagrad's own sum makes its steps shorter.
  const steps = (method: RiemannianMethodName) => (method === 'adagrad' ? { step: 0.5 } : { step: 0.1, decay: true })
  it.each(names)('%s: finds the smallest eigenvalue on a sphere', (method) => {
    const { value, point, status } = riemannian(
      { value: (x) => inner(x, times(x)), gradient: (x) => times(x).map((each) => 2 * each) },
      [0.6, 0, 0.8],
      { ...options, ...steps(method), method, manifolds: [sphere(3)] },
    )
    expect(status.kind).toBe('converged')
    expect(value).toBeCloseTo(eigenvalues[0]!, 8)
    expect(Math.hypot(...point)).toBeCloseTo(1, 12)
  })
  it.each(names)('%s: finds the sum of the two smallest on a Stiefel manifold', (method) => {
    const columns = (x: Float64Array) => [0, 1].map((j) => Float64Array.of(x[j]!, x[2 + j]!, x[4 + j]!))
    const { value, status } = riemannian(
      {
        value: (x) => columns(x).reduce((sum, column) => sum + inner(column, times(column)), 0),
        gradient: (x) => {
          const [a, b] = columns(x).map(times)
          return [0, 1, 2].flatMap((i) => [2 * a![i]!, 2 * b![i]!])
        },
      },
      [1, 0, 0, 1, 0, 0],
      { ...options, ...steps(method), method, manifolds: [stiefel(3, 2)] },
    )
    expect(status.kind).toBe('converged')
    expect(value).toBeCloseTo(eigenvalues[0]! + eigenvalues[1]!, 8)
  })
  it.each(names)('%s: finds the middle of two points of hyperbolic space', (method) => {
    const at = (r: number, angle: number) => [
      Math.cosh(r),
      Math.sinh(r) * Math.cos(angle),
      Math.sinh(r) * Math.sin(angle),
    ]
    const ends = [at(1, 0.3), at(0.4, 2)].map((each) => Float64Array.from(each))
    const form = (x: Float64Array, y: Float64Array) => inner(x, y) - 2 * x[0]! * y[0]!
    // Σ (-⟨x, p⟩): convex, with the normalized sum as its minimum.
    const { point } = riemannian(
      {
        value: (x) => -ends.reduce((sum, end) => sum + form(x, end), 0),
        gradient: (x) => x.map((_, i) => (i === 0 ? 1 : -1) * (ends[0]![i]! + ends[1]![i]!)),
      },
      [1, 0, 0],
      { ...options, ...steps(method), method, manifolds: [hyperbolic(3)] },
    )
    const sum = ends[0]!.map((each, i) => each + ends[1]![i]!)
    const scale = Math.sqrt(-form(sum, sum))
    sum.forEach((each, i) => {
      expect(point[i]).toBeCloseTo(each / scale, 5)
    })
    expect(form(point, point)).toBeCloseTo(-1, 10)
  })
  it.each(names)(
    '%s: finds the positive-definite matrix that a likelihood wants, on a product with a sphere',
    (method) => {
      // tr(S⁻¹ C) + log det S is least at S = C.
      const C = new Matrix([
        [2, 0.5],
        [0.5, 1],
      ])
      const { point, status } = riemannian(
        {
          value: (x) => {
            const S = Matrix.from1DArray(2, 2, x.subarray(0, 4))
            const determinant = S.get(0, 0) * S.get(1, 1) - S.get(0, 1) * S.get(1, 0)
            const inverse = new Matrix([
              [S.get(1, 1), -S.get(0, 1)],
              [-S.get(1, 0), S.get(0, 0)],
            ]).div(determinant)
            return inverse.mmul(C).trace() + Math.log(determinant) - x[4]!
          },
          gradient: (x) => {
            const S = Matrix.from1DArray(2, 2, x.subarray(0, 4))
            const determinant = S.get(0, 0) * S.get(1, 1) - S.get(0, 1) * S.get(1, 0)
            const inverse = new Matrix([
              [S.get(1, 1), -S.get(0, 1)],
              [-S.get(1, 0), S.get(0, 0)],
            ]).div(determinant)
            return [...Matrix.sub(inverse, inverse.mmul(C).mmul(inverse)).to1DArray(), -1, 0]
          },
        },
        [1, 0, 0, 1, 0, 1],
        { ...options, ...steps(method), method, manifolds: [positiveDefinite(2), sphere(2)] },
      )
      expect(status.kind).toBe('converged')
      const expected = [2, 0.5, 0.5, 1, 1, 0]
      expected.forEach((each, i) => {
        expect(point[i]).toBeCloseTo(each, 4)
      })
    },
  )
})

describe('manifolds', () => {
  const cases: [Manifold, number[]][] = [
    [sphere(3), [0.6, 0, 0.8]],
    [hyperbolic(3), [Math.sqrt(1.25), 0.3, 0.4]],
    [stiefel(3, 2), [1, 0, 0, 0.6, 0, 0.8]],
    [positiveDefinite(2), [2, 0.5, 0.5, 1]],
  ]
  it.each(cases)('$name: gradients are tangent, steps stay on it, transport keeps lengths', (manifold, start) => {
    const x = Float64Array.from(start)
    const ambient = Float64Array.from(start, (_, i) => Math.sin(3 * i + 1))
    const v = manifold.gradient(x, ambient)
    const u = manifold.gradient(
      x,
      ambient.map((each, i) => each * (i + 1) - 0.3),
    )
    const y = manifold.move(x, v)
    manifold.check(y)
    expect([
      ...manifold.move(
        x,
        v.map(() => 0),
      ),
    ]).toEqual(start.map((each) => expect.closeTo(each, 12)))
    // A short step goes as far as it is long: forward differences of the curve.
    const h = 1e-6
    const nearby = manifold.move(
      x,
      v.map((each) => h * each),
    )
    v.forEach((each, i) => {
      expect((nearby[i]! - x[i]!) / h).toBeCloseTo(each, 4)
    })
    const carried = manifold.transport(x, v, u)
    if (manifold.name.startsWith('stiefel')) {
      // Projection: shorter, and tangent, so that projecting again changes nothing.
      expect(manifold.norm(y, carried)).toBeLessThanOrEqual(manifold.norm(x, u) + 1e-12)
      const again = manifold.gradient(y, carried)
      carried.forEach((each, i) => {
        expect(again[i]).toBeCloseTo(each, 10)
      })
    } else expect(manifold.norm(y, carried)).toBeCloseTo(manifold.norm(x, u), 9)
    expect(() => manifold.check(x.map((each) => -2 * each))).toThrow(manifold.name)
  })
  it('keeps the best point, and names what is wrong', () => {
    let asked = 0
    const throwing = () => {
      if (++asked > 4) throw new Error('no more')
      return 1
    }
    const { status, point } = riemannian(throwing, [1, 0], { manifolds: [sphere(2)], tolerance: -1 })
    expect(status).toEqual({ kind: 'failed', reason: 'no more' })
    expect(point).toHaveLength(2)
    expect(riemannian(() => 2, [], { manifolds: [] })).toMatchObject({ value: 2, status: { kind: 'converged' } })
    expect(() => riemannian(() => 0, [1, 1], { manifolds: [sphere(2)] })).toThrow('sphere(2): a point has length 1.41')
    expect(() => riemannian(() => 0, [1], { manifolds: [sphere(2)] })).toThrow('start: 1 numbers were given for 2')
  })
})
