import { alice } from 'fallline'
import { norm, restate, sum, type Tensor } from '../support/restate.ts'

type Matrix = number[][]

const transposed = (a: Matrix) => a[0]!.map((_, j) => a.map((row) => row[j]!))
const product = (a: Matrix, b: Matrix) =>
  a.map((row) => b[0]!.map((_, j) => sum(row.map((value, k) => value * b[k]![j]!))))
const combined = (a: Matrix, b: Matrix, f: (x: number, y: number) => number) =>
  a.map((row, i) => row.map((value, j) => f(value, b[i]![j]!)))

/** The eigenvectors of the largest eigenvalues of a symmetric matrix, as columns (Jacobi). */
function leading(matrix: Matrix, count: number): Matrix {
  const a = matrix.map((row) => [...row])
  const v = a.map((_, i) => a.map((_, j) => (i === j ? 1 : 0)))
  for (let sweep = 0; sweep < 60; sweep++) {
    for (let i = 0; i < a.length; i++) {
      for (let j = i + 1; j < a.length; j++) {
        const angle = Math.atan2(2 * a[i]![j]!, a[j]![j]! - a[i]![i]!) / 2
        const [c, s] = [Math.cos(angle), Math.sin(angle)]
        const turn = (x: Matrix) => {
          for (const row of x) [row[i], row[j]] = [c * row[i]! - s * row[j]!, s * row[i]! + c * row[j]!]
        }
        turn(a)
        const flipped = transposed(a)
        turn(flipped)
        transposed(flipped).forEach((row, k) => {
          a[k] = row
        })
        turn(v)
      }
    }
  }
  const order = a.map((row, i) => [row[i]!, i] as const).sort(([x], [y]) => y - x)
  return v.map((row) => order.slice(0, count).map(([, i]) => row[i]!))
}

interface Settings {
  readonly beta1: number
  readonly beta3: number
  readonly period: number
  readonly decay?: number
}

/** With two vectors that are all leading, so that none is drawn. */
function paper({ beta1, beta3, period, decay = 0 }: Settings) {
  return () => {
    const kept = new Map<Tensor, { u: Matrix; q: Matrix; m: Matrix; v: Matrix; p: number[]; length: number }>()
    return (tensors: readonly Tensor[], t: number) => {
      for (const tensor of tensors) {
        const [outputs = 1, inputs = 1] = tensor.shape
        const stored = Array.from({ length: outputs }, (_, i) => tensor.g.slice(i * inputs, (i + 1) * inputs))
        const turned = outputs >= inputs
        const g = turned ? transposed(stored) : stored
        const rank = Math.min(2, g.length)
        const zeros = (rows: number, columns: number) => Array.from({ length: rows }, () => Array(columns).fill(0))
        const long = g[0]!.length
        const old = kept.get(tensor) ?? {
          u: zeros(g.length, rank),
          q: zeros(rank, rank),
          m: zeros(rank, long),
          v: zeros(rank, long),
          p: Array(long).fill(0),
          length: 0,
        }
        const mix = (beta: number) => (x: number, y: number) => beta * x + (1 - beta) * y
        const tracked = combined(
          product(product(old.u, old.q), transposed(old.u)),
          product(g, transposed(g)),
          mix(beta3),
        )
        const u = (t - 1) % period === 0 ? leading(tracked, rank) : old.u
        const sigma = product(transposed(u), g)
        const q = combined(old.q, product(sigma, transposed(sigma)), mix(beta3))
        const m = combined(old.m, sigma, mix(beta1))
        const v = combined(old.v, sigma, (x, y) => 0.9 * x + 0.1 * y ** 2)
        const squares = (x: Matrix, j: number) => sum(x.map((row) => row[j]! ** 2))
        const p = old.p.map((value, j) => beta1 * value + (1 - beta1) * (squares(g, j) - squares(sigma, j)))
        const rest = combined(g, product(u, sigma), (x, y) => x - y)
        const even = rest.map((row) =>
          row.map((x, j) => (Math.sqrt(g.length - rank) * x) / Math.sqrt(Math.max(p[j]!, 1e-8))),
        )
        const free = norm(even.flat())
        const share = old.length > 0 ? 1.01 / Math.max(free / old.length, 1.01) : 1
        const adam = product(
          u,
          combined(m, v, (x, y) => x / (Math.sqrt(y) + 1e-8)),
        )
        const step = combined(adam, even, (x, y) => 0.3 * (x + 0.4 * share * y))
        const flat = (turned ? transposed(step) : step).flat()
        for (let i = 0; i < flat.length; i++) tensor.p[i] = (1 - 0.02 * decay) * tensor.p[i]! - 0.02 * flat[i]!
        kept.set(tensor, { u, q, m, v, p, length: share * free })
      }
    }
  }
}

restate(alice, {
  'one basis': {
    optimizer: alice({ rank: 2 }),
    salt: 0.6,
    layout: 'matrices',
    paper: paper({ beta1: 0.9, beta3: 0.999, period: 200 }),
  },
  // Without momentum the signs of a new basis do not matter.
  'a second basis from the tracked moment': {
    optimizer: alice({ rank: 2, beta1: 0, beta3: 0.8, period: 30, weightDecay: 0.1 }),
    salt: 1.4,
    layout: 'matrices',
    paper: paper({ beta1: 0, beta3: 0.8, period: 30, decay: 0.1 }),
  },
  'Alice-0': {
    optimizer: alice({ rank: 2, beta1: 0, beta3: 0, period: 15 }),
    salt: 2.5,
    layout: 'matrices',
    paper: paper({ beta1: 0, beta3: 0, period: 15 }),
  },
})
