import type { Transporter } from '../../shipment.ts'
import { norm } from '../../vector.ts'
import { projectToSimplex } from '../simplex.ts'

/**
 * Transport that keeps classes: min over plans of Σ C P + λ Σ ‖P_i - P_k‖ over rows i, k of one class, and the same over columns where these
 * have classes. With a λ that is large enough for the gap between clusters, mass moves between matching classes only, in blocks of
 * equal rows (the paper's recovery). Solved by the primal-dual splitting of A. Chambolle and T. Pock (2011, A First-Order Primal-Dual
 * Algorithm for Convex Problems) from the paper's two closed forms, the projection of a row onto its simplex and of a multiplier onto the ball of radius λ; deviation: the
 * paper steps through the same parts one at a time with acceleration. The residual is that of the optimality conditions.
 */
export const sumOfNorms: Transporter = {
  name: 'sumOfNorms',
  title: 'Sum-of-norms transport',
  paper:
    'A. Rahbar, A. Panahi, M. H. Chehreghani, D. Dubhashi, H. Krim (2019), Recovery Bounds on Class-Based Optimal Transport: A Sum-of-Norms Regularization Framework, arXiv 1903.03850',
  *solve({ costs, source, target }, { weight, tolerance, sourceClasses, targetClasses }) {
    const [rows, columns] = [source.length, target.length]
    const rowPairs = pairsOf(sourceClasses ?? source.map(() => 0), rows, 'sourceClasses')
    const columnPairs = targetClasses ? pairsOf(targetClasses, columns, 'targetClasses') : []
    const mass = source.reduce((sum, each) => sum + each, 0)
    // ‖K‖² of column sums and differences: at most rows + the largest eigenvalues of the two graphs.
    const bound = rows + 2 * degree(rowPairs, rows) + 2 * degree(columnPairs, columns)
    const scale = costs.reduce((most, cost) => (Number.isFinite(cost) ? Math.max(most, Math.abs(cost)) : most), 0) || 1
    const balance = mass / Math.max(1, Math.sqrt(rows * columns)) / scale
    const [tau, sigma] = [balance / Math.sqrt(bound), 1 / (balance * Math.sqrt(bound))]

    let plan = new Float64Array(rows * columns)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) plan[i * columns + j] = (source[i]! * target[j]!) / mass
    let ahead = plan
    let y = new Float64Array(columns)
    let u = rowPairs.map((): Float64Array => new Float64Array(columns))
    let v = columnPairs.map((): Float64Array => new Float64Array(rows))

    for (;;) {
      // Multipliers: of the column sums, and of the differences, at most λ long.
      const sums = columnSums(ahead)
      const newY = y.map((element, j) => element + sigma * (sums[j]! - target[j]!))
      const newU = u.map((dual, pair) => {
        const [i, k] = rowPairs[pair]!
        return intoBall(
          dual.map((element, j) => element + sigma * (ahead[i * columns + j]! - ahead[k * columns + j]!)),
          weight,
        )
      })
      const newV = v.map((dual, pair) => {
        const [j, l] = columnPairs[pair]!
        return intoBall(
          dual.map((element, i) => element + sigma * (ahead[i * columns + j]! - ahead[i * columns + l]!)),
          weight,
        )
      })
      // The plan: against costs and multipliers, each row back onto its simplex.
      const slope = transposed(newY, newU, newV)
      const newPlan = new Float64Array(plan.length)
      for (let i = 0; i < rows; i++) {
        const row = new Float64Array(columns)
        for (let j = 0; j < columns; j++) {
          const k = i * columns + j
          row[j] = plan[k]! - tau * (costs[k]! + slope[k]!)
        }
        newPlan.set(projectToSimplex(row, source[i]!), i * columns)
      }
      // How far the two inclusions of a saddle point are from holding.
      const primalError = plan.reduce((most, each, k) => Math.max(most, Math.abs(each - newPlan[k]!) / tau), 0)
      let dualError = 0
      rowPairs.forEach(([i, k], pair) => {
        const error = new Float64Array(columns)
        for (let j = 0; j < columns; j++) {
          const [a, b] = [i * columns + j, k * columns + j]
          error[j] = (u[pair]![j]! - newU[pair]![j]!) / sigma + (ahead[a]! - newPlan[a]!) - (ahead[b]! - newPlan[b]!)
        }
        dualError = Math.max(dualError, norm(error))
      })
      columnPairs.forEach(([j, l], pair) => {
        const error = new Float64Array(rows)
        for (let i = 0; i < rows; i++) {
          const [a, b] = [i * columns + j, i * columns + l]
          error[i] = (v[pair]![i]! - newV[pair]![i]!) / sigma + (ahead[a]! - newPlan[a]!) - (ahead[b]! - newPlan[b]!)
        }
        dualError = Math.max(dualError, norm(error))
      })
      ahead = newPlan.map((element, k) => 2 * element - plan[k]!)
      ;[plan, y, u, v] = [newPlan, newY, newU, newV]
      const missing = columnSums(plan).reduce((sum, each, j) => sum + Math.abs(each - target[j]!), 0)
      const residual = missing + dualError + (primalError / scale) * mass
      const potentials = new Float64Array(rows + columns)
      potentials.set(
        y.map((element) => -element),
        rows,
      )
      yield { plan, potentials, residual, stage: 'splitting' }
      if (residual <= tolerance * mass) return { kind: 'converged', test: 'residual' }
    }

    function columnSums(of: Float64Array): Float64Array {
      const sums = new Float64Array(columns)
      for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) sums[j]! += of[i * columns + j]!
      return sums
    }

    /** Kᵀ of the multipliers. */
    function transposed(y: Float64Array, u: Float64Array[], v: Float64Array[]): Float64Array {
      const out = new Float64Array(rows * columns)
      for (let i = 0; i < rows; i++) out.set(y, i * columns)
      rowPairs.forEach(([i, k], pair) => {
        for (let j = 0; j < columns; j++) {
          out[i * columns + j]! += u[pair]![j]!
          out[k * columns + j]! -= u[pair]![j]!
        }
      })
      columnPairs.forEach(([j, l], pair) => {
        for (let i = 0; i < rows; i++) {
          out[i * columns + j]! += v[pair]![i]!
          out[i * columns + l]! -= v[pair]![i]!
        }
      })
      return out
    }
  },
}

type Pair = readonly [number, number]

function pairsOf(classes: ArrayLike<unknown>, length: number, name: string): Pair[] {
  if (classes.length !== length)
    throw new RangeError(`${name}: ${classes.length} classes were given for ${length} masses`)
  const pairs: Pair[] = []
  for (let i = 0; i < length; i++)
    for (let k = i + 1; k < length; k++) if (classes[i] === classes[k]) pairs.push([i, k])
  return pairs
}

function degree(pairs: readonly Pair[], length: number): number {
  const degrees = new Float64Array(length)
  for (const [i, k] of pairs) {
    degrees[i]!++
    degrees[k]!++
  }
  return degrees.reduce((most, each) => Math.max(most, each), 0)
}

function intoBall(dual: Float64Array, radius: number): Float64Array {
  const length = norm(dual)
  return length > radius ? dual.map((element) => (element * radius) / length) : dual
}
