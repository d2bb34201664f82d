import { type Value, where } from '../language/value.ts'
import { combine, gram } from './products.ts'

/** The vector that has the same cosine with all gradients, as long as their projections on it together. */
export function withoutConflict(gradients: readonly Value[]): Value {
  const products = gram(gradients)
  const norms = products.map((row, i) => row[i]!.sqrt())
  const inverse = norms.map((norm) => where(norm.isGreaterThan(0), norm.power(-1), 0))
  const cosines = products.map((row, i) => row.map((product, j) => product.times(inverse[i]!).times(inverse[j]!)))
  const solution = solveForOnes(cosines)
  // ‖x‖² = wᵀ C w = Σ w, as C w is 1 wherever w is not 0.
  const square = solution.reduce((sum, weight) => sum.plus(weight))
  const length = norms.reduce((sum, norm) => sum.plus(norm))
  // ⟨gᵢ, v⟩ = ‖gᵢ‖ / ‖x‖, and v = x / ‖x‖.
  const scale = where(square.isGreaterThan(0), length.over(square), 0)
  const weights = solution.map((weight, i) => weight.times(inverse[i]!).times(scale).limitedInSize())
  return combine(gradients, weights)
}

/** w with C w = 1 for a positive semidefinite C, by elimination; 0 for rows that depend on those before. */
export function solveForOnes(matrix: readonly (readonly Value[])[]): Value[] {
  const count = matrix.length
  const rows = matrix.map((row) => [...row])
  const right = matrix.map((row) => row[0]!.times(0).plus(1))
  const independent: Value[] = []
  for (let i = 0; i < count; i++) {
    const pivot = rows[i]![i]!
    const holds = pivot.isGreaterThan(1e-9)
    independent.push(where(holds, pivot.power(-1), 0))
    for (let j = i + 1; j < count; j++) {
      const factor = rows[j]![i]!.times(independent[i]!)
      for (let k = i; k < count; k++) rows[j]![k] = rows[j]![k]!.minus(factor.times(rows[i]![k]!))
      right[j] = right[j]!.minus(factor.times(right[i]!))
    }
  }
  const solution: Value[] = new Array<Value>(count)
  for (let i = count - 1; i >= 0; i--) {
    let value = right[i]!
    for (let j = i + 1; j < count; j++) value = value.minus(rows[i]![j]!.times(solution[j]!))
    solution[i] = value.times(independent[i]!)
  }
  return solution
}
