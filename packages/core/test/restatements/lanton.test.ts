import { lanton } from 'fallline'
import { norm, restate, sum, type Tensor } from '../support/restate.ts'

type Matrix = readonly (readonly number[])[]

const transposed = (a: Matrix) => a[0]!.map((_, j) => a.map((row) => row[j]!))
const product = (a: Matrix, b: Matrix) =>
  a.map((row) => b[0]!.map((_, j) => sum(row.map((value, k) => value * b[k]![j]!))))

/** Five steps of the quintic iteration. */
function polar(matrix: Matrix): Matrix {
  if (matrix.length > matrix[0]!.length) return transposed(polar(transposed(matrix)))
  const length = norm(matrix.flat()) + 1e-7
  let x: Matrix = matrix.map((row) => row.map((value) => value / length))
  for (let step = 0; step < 5; step++) {
    const a = product(x, transposed(x))
    const aa = product(a, a)
    const b = a.map((row, i) => row.map((value, j) => -4.775 * value + 2.0315 * aa[i]![j]!))
    const bx = product(b, x)
    x = x.map((row, i) => row.map((value, j) => 3.4445 * value + bx[i]![j]!))
  }
  return x
}

function spectral(values: readonly number[], [rows = 1, columns = 1]: readonly number[]): number[] {
  const matrix = Array.from({ length: rows }, (_, i) => values.slice(i * columns, (i + 1) * columns))
  return polar(matrix)
    .flat()
    .map((value) => Math.sqrt(rows / columns) * value)
}

const unit = (values: readonly number[]) => {
  const length = norm(values)
  return values.map((value) => (length > 0 ? (Math.sqrt(values.length) * value) / length : 0))
}

type Direction = (values: readonly number[], shape: readonly number[]) => readonly number[]

/** Tensors of one layer group, which share the largest rate. */
function group(direction: Direction, rate: number, beta1: number, beta2: number, alpha: number, decay: number) {
  return (tensors: readonly Tensor[], t: number) => {
    const shares = tensors.map(({ g, s, shape }) => {
      const change = g.map((value, i) => value - s.previous![i]!)
      const steepest = direction(change, shape)
      const dual = sum(change.map((value, i) => value * steepest[i]!))
      s.h![0] = t === 1 ? 0 : beta2 * s.h![0]! + (1 - beta2) * dual ** 2
      return alpha / Math.sqrt(alpha ** 2 + s.h![0]!)
    })
    tensors.forEach(({ p, g, s, shape }, k) => {
      const b = g.map((value, i) => beta1 * s.b![i]! + (1 - beta1) * value)
      const step = rate * Math.sqrt(shares[k]! / Math.max(...shares))
      const u = direction(b, shape)
      for (let i = 0; i < p.length; i++) {
        p[i] = (1 - rate * decay) * p[i]! - step * u[i]!
        s.b![i] = b[i]!
        s.previous![i] = g[i]!
      }
    })
  }
}

restate(lanton, {
  'spectral, on matrices': {
    optimizer: lanton(),
    salt: 0.7,
    layout: 'matrices',
    paper: () => group(spectral, 0.02, 0.95, 0.9, 1, 0),
  },
  'spectral, with other settings': {
    optimizer: lanton({ learningRate: 0.05, beta1: 0.8, beta2: 0.5, alpha: 0.03, weightDecay: 0.1 }),
    salt: 2.1,
    layout: 'matrices',
    paper: () => group(spectral, 0.05, 0.8, 0.5, 0.03, 0.1),
  },
  sign: {
    optimizer: lanton({ geometry: 'sign', learningRate: 0.01, alpha: 0.1, weightDecay: 0.1 }),
    salt: 1.1,
    signs: true,
    paper: () => group((values) => values.map(Math.sign), 0.01, 0.95, 0.9, 0.1, 0.1),
  },
  rms: { optimizer: lanton({ geometry: 'rms' }), salt: 0.2, paper: () => group(unit, 0.02, 0.95, 0.9, 1, 0) },
})
