import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import type { Transporter } from '../../shipment.ts'
import { dot } from '../../vector.ts'
import { Entropic } from './entropic.ts'

const halvings = 50

/**
 * Sinkhorn-Newton-Sparse: after a warm-up of Sinkhorn steps, Newton's method on the dual, whose Hessian is -1/ε times
 * [diag(P 1), P; Pᵀ, diag(Pᵀ 1)], with only the largest elements of P kept off the diagonal, and the step found by conjugate
 * gradients, at O(n²) each. Deviations: by default all of P is kept (`density`), and the system solved by eliminating the rows; a step that does not raise the dual as Armijo's rule asks,
 * after halving, is replaced by one of Sinkhorn; rows and columns without mass are left out of the system.
 */
export const sinkhornNewtonSparse: Transporter = {
  name: 'sinkhornNewtonSparse',
  title: 'Sinkhorn, then Newton with a sparse Hessian',
  paper:
    'X. Tang, M. Shavlovsky, H. Rahmanian, E. Tardini, K. K. Thekumparampil, T. Xiao, L. Ying (2024), Accelerating Sinkhorn Algorithm with Sparse Newton Iterations, arXiv 2401.12253',
  *solve(shipment, { regularization: epsilon, tolerance, warmUp, density }) {
    const dual = new Entropic(shipment, epsilon)
    const { source, target } = shipment
    const { rows, columns } = dual
    for (let iteration = 0; ; iteration++) {
      const stage = iteration < warmUp || !newton() ? 'sinkhorn' : 'newton'
      if (stage === 'sinkhorn') {
        dual.scaleRows()
        dual.scaleColumns()
      }
      const { plan, residual } = dual.plan()
      yield { plan, residual, potentials: dual.potentials, stage }
      if (residual <= tolerance * dual.mass) return { kind: 'converged', test: 'residual' }
    }

    /** One step; false where it would not climb. */
    function newton(): boolean {
      const { plan, rowSums, columnSums } = dual.plan()
      const kept = largestElements(plan, rows, columns, density)
      // ε ∇f, and the diagonal of -ε ∇²f.
      const gradient = new Float64Array(rows + columns)
      const diagonal = new Float64Array(rows + columns)
      for (let i = 0; i < rows; i++) [gradient[i], diagonal[i]] = [epsilon * (source[i]! - rowSums[i]!), rowSums[i]!]
      for (let j = 0; j < columns; j++) {
        gradient[rows + j] = epsilon * (target[j]! - columnSums[j]!)
        diagonal[rows + j] = columnSums[j]!
      }
      const times = (d: Float64Array): Float64Array => {
        const product = d.map((element, k) => diagonal[k]! * element)
        for (const k of kept) {
          const [i, j] = [Math.floor(k / columns), rows + (k % columns)]
          product[i]! += plan[k]! * d[j]!
          product[j]! += plan[k]! * d[i]!
        }
        return product
      }
      const direction =
        density < 1
          ? conjugateGradients(times, diagonal, gradient)
          : eliminated(plan, rows, columns, diagonal, gradient)
      const slope = dot(gradient, direction) / epsilon
      if (!(slope > 0)) return false
      for (let [halving, step] = [0, 1]; halving < halvings; halving++, step /= 2) {
        const x = dual.x.map((element, i) => (diagonal[i]! > 0 ? element + step * direction[i]! : element))
        const y = dual.y.map((element, j) =>
          diagonal[rows + j]! > 0 ? element + step * direction[rows + j]! : element,
        )
        if (risen(plan, direction, step, rows, columns, epsilon, slope) >= 1e-4 * step * slope) {
          dual.x.set(x)
          dual.y.set(y)
          return true
        }
      }
      return false
    }
  },
}

/** f(z + step d) - f(z), from the plan at z: a difference of values would be lost in rounding near the end. */
function risen(
  plan: Float64Array,
  d: Float64Array,
  step: number,
  rows: number,
  columns: number,
  epsilon: number,
  slope: number,
): number {
  // Σ P (exp(t) - 1 - t), t the change of the exponent: what the slope promises too much.
  let loss = 0
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const mass = plan[i * columns + j]!
      if (mass === 0) continue
      const t = (step * (d[i]! + d[rows + j]!)) / epsilon
      loss += mass * (Math.abs(t) < 1e-4 ? (t * t) / 2 + (t * t * t) / 6 : Math.expm1(t) - t)
    }
  }
  return step * slope - epsilon * loss
}

/** Where the largest elements of the plan are; what is left out stays in the sums on the Hessian's diagonal. */
function largestElements(plan: Float64Array, rows: number, columns: number, density: number): Uint32Array {
  const places = Uint32Array.from(plan.keys())
  if (density >= 1) return places
  const sorted = plan.slice().sort()
  const smallest = sorted[Math.max(0, plan.length - Math.ceil(density * rows * columns))]!
  return places.filter((place) => plan[place]! >= smallest)
}

/** H d = g with the diagonal as preconditioner; H may have null directions that g has no part in. */
function conjugateGradients(
  times: (d: Float64Array) => Float64Array,
  diagonal: Float64Array,
  g: Float64Array,
): Float64Array {
  const precondition = (r: Float64Array) => r.map((element, k) => (diagonal[k]! > 0 ? element / diagonal[k]! : 0))
  const solution = new Float64Array(g.length)
  let r = g.slice()
  let z = precondition(r)
  let p = z.slice()
  let rz = dot(r, z)
  // Beyond this, rounding in the null directions would grow.
  const enough = 1e-20 * rz
  for (let k = 0; k < 4 * g.length && rz > enough; k++) {
    const hp = times(p)
    const curvature = dot(p, hp)
    if (!(curvature > 0)) break
    const alpha = rz / curvature
    for (let i = 0; i < g.length; i++) solution[i]! += alpha * p[i]!
    r = r.map((element, i) => element - alpha * hp[i]!)
    z = precondition(r)
    const next = dot(r, z)
    p = z.map((element, i) => element + (next / rz) * p[i]!)
    rz = next
  }
  return solution
}

/** H d = g with all of P: Cholesky's factors of what is left of the columns' block when the rows are eliminated. */
function eliminated(
  plan: Float64Array,
  rows: number,
  columns: number,
  diagonal: Float64Array,
  g: Float64Array,
): Float64Array {
  // Row by row, as Matrix's accessors would take most of the time.
  const block = new Float64Array(columns * columns)
  const right = g.slice(rows)
  for (let i = 0; i < rows; i++) {
    if (!(diagonal[i]! > 0)) continue
    const row = plan.subarray(i * columns, (i + 1) * columns)
    for (let j = 0; j < columns; j++) {
      const share = row[j]! / diagonal[i]!
      if (share === 0) continue
      right[j]! -= share * g[i]!
      for (let k = 0; k <= j; k++) block[j * columns + k]! -= share * row[k]!
    }
  }
  for (let j = 0; j < columns; j++) {
    for (let k = 0; k < j; k++) block[k * columns + j] = block[j * columns + k]!
    // The ridge is for the null direction, which changes no plan: all rows up, all columns down.
    const own = diagonal[rows + j]!
    block[j * columns + j] = own > 0 ? block[j * columns + j]! + own * (1 + 1e-14) : 1
  }
  const factors = new CholeskyDecomposition(Matrix.from1DArray(columns, columns, block))
  const below = factors.solve(Matrix.columnVector(right)).to1DArray()
  const solution = new Float64Array(rows + columns)
  solution.set(below, rows)
  for (let i = 0; i < rows; i++) {
    if (!(diagonal[i]! > 0)) continue
    let rest = g[i]!
    for (let j = 0; j < columns; j++) rest -= plan[i * columns + j]! * below[j]!
    solution[i] = rest / diagonal[i]!
  }
  return solution
}
