import { CholeskyDecomposition, Matrix } from 'ml-matrix'
import { type DoorLimits, runSolver } from './door.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** Where `topologicalSwaps` is. */
export interface TopologicalState {
  /** Causes before their effects. */
  readonly order: readonly number[]
  /** W, row by row: `weights[i][j]` is the effect of i on j. */
  readonly weights: readonly Float64Array[]
  /** Q(W). */
  readonly score: number
  /** Largest |∂Q/∂W_ij| of the edges that would close no cycle: zero where W is a point of Karush, Kuhn and Tucker. */
  readonly residual: number
}

export interface TopologicalOptions extends Omit<DoorLimits<TopologicalState>, 'evaluations'> {
  /** The order to begin with. Default: that of the columns. */
  readonly order?: readonly number[]
  /** How many pairs, those with the steepest slopes, are tried at a point where the conditions hold already. Default 100. */
  readonly candidates?: number
  /** Largest residual, relative to the largest variance. Default 1e-8. */
  readonly tolerance?: number
}

export interface TopologicalResult extends TopologicalState {
  readonly iterations: number
  readonly status: Status
}

/** The iterator behind `topologicalSwaps`: a state for the first order and after each swap. Limits are not read. */
export function topologicalSwapStates(
  samples: readonly Numbers[],
  options: TopologicalOptions = {},
): Generator<TopologicalState, Status, void> {
  const { candidates = 100, tolerance = 1e-8 } = options
  const p = samples[0]?.length ?? 0
  const S = Array.from({ length: p }, () => new Float64Array(p))
  samples.forEach((row, k) => {
    if (row.length !== p) throw new RangeError(`samples[${k}]: ${row.length} numbers were given for ${p} variables`)
    row.forEach((element, i) => {
      if (!Number.isFinite(element)) throw new RangeError(`samples[${k}][${i}]: ${element} is not a finite number`)
      for (let j = 0; j < p; j++) S[i]![j]! += (element * row[j]!) / samples.length
    })
  })
  const start = options.order ?? Array.from({ length: p }, (_, i) => i)
  if (start.length !== p || new Set(start).size !== p || start.some((node) => !(node in S))) {
    throw new RangeError(`order: [${start.join(', ')}] is not an order of ${p} variables`)
  }
  if (p > 0) {
    const decomposition = new CholeskyDecomposition(new Matrix(S.map((row) => [...row])))
    const diagonal = decomposition.lowerTriangularMatrix.diagonal()
    const dependent = diagonal.findIndex((each, i) => !(each ** 2 > 1e-12 * S[i]![i]!))
    if (dependent >= 0 || !decomposition.isPositiveDefinite()) {
      throw new RangeError(`samples: variable ${Math.max(0, dependent)} is a linear combination of those before it`)
    }
  }
  const largest = S.reduce((top, row, i) => Math.max(top, row[i]!), 0)

  /** The best W for an order. */
  const fit = (order: readonly number[]) => {
    const weights = Array.from({ length: p }, () => new Float64Array(p))
    let score = 0
    order.forEach((node, place) => {
      const before = order.slice(0, place)
      let unexplained = S[node]![node]!
      if (place > 0) {
        const system = new Matrix(before.map((i) => before.map((j) => S[i]![j]!)))
        const right = Matrix.columnVector(before.map((i) => S[i]![node]!))
        const solution = new CholeskyDecomposition(system).solve(right).to1DArray()
        before.forEach((i, k) => {
          weights[i]![node] = solution[k]!
          unexplained -= solution[k]! * S[i]![node]!
        })
      }
      score += unexplained / 2
    })
    return { order, weights, score }
  }
  /** ∂Q/∂W = -S (I - W). */
  const slopes = (weights: readonly Float64Array[]) =>
    S.map((row, i) =>
      row.map((each, j) => row.reduce((sum, s, k) => sum + s * weights[k]![j]!, 0) - (i === j ? row[i]! : each)),
    )
  /** Whether a path leads from one node to another, by any edge whose effect can be told from rounding. */
  const reaches = (weights: readonly Float64Array[], order: readonly number[]) => {
    const reach = Array.from({ length: p }, () => new Uint8Array(p))
    for (const i of [...order].reverse()) {
      reach[i]![i] = 1
      for (let j = 0; j < p; j++) {
        if (Math.abs(weights[i]![j]!) * Math.sqrt(S[i]![i]!) <= 1e-9 * Math.sqrt(S[j]![j]!)) continue
        for (let k = 0; k < p; k++) reach[i]![k]! |= reach[j]![k]!
      }
    }
    return reach
  }

  function* solve(): Generator<TopologicalState, Status, void> {
    let here = fit(start)
    for (;;) {
      const { order, weights, score } = here
      const reach = reaches(weights, order)
      const slope = slopes(weights)
      const against: { first: number; second: number; size: number; free: boolean }[] = []
      order.forEach((second, b) => {
        for (const first of order.slice(b + 1)) {
          // The edge from first to second is against the order.
          const size = Math.abs(slope[first]![second]!)
          if (size > tolerance * largest) against.push({ first, second, size, free: !reach[second]![first] })
        }
      })
      against.sort((x, y) => y.size - x.size)
      const free = against.filter((each) => each.free)
      yield { ...here, residual: free[0]?.size ?? 0 }
      const lower = (pairs: typeof against) => {
        let best = here
        for (const { first, second } of pairs) {
          const swapped = order.map((node) => (node === first ? second : node === second ? first : node))
          const there = fit(swapped)
          if (there.score < best.score - 1e-12 * score) best = there
        }
        return best
      }
      let next = lower(free)
      if (next === here && free.length > 0) {
        // What comes after `second` in W is moved behind `first` and all else: an order that W keeps, and the missing edge.
        const { second } = free[0]!
        next = fit([...order.filter((node) => !reach[second]![node]), ...order.filter((node) => reach[second]![node])])
      }
      if (next === here) next = lower(against.slice(0, candidates))
      if (!(next.score < score)) return { kind: 'converged', test: 'conditions' }
      here = next
    }
  }
  return solve()
}

/**
 * Learns a linear structural equation model without cycles, X = X W + noise: minimizes NOTEARS' score Q(W) = |X - X W|² / (2 n) over
 * acyclic W. Inside, Q is minimized for a topological order, which for squares is a regression of each variable on those before it; outside, the order
 * changes by swaps of two nodes. Conditions of Karush, Kuhn and Tucker hold at W where ∂Q/∂W_ij = 0 for all edges that would close no cycle, so
 * pairs against the order with such an edge and a slope are tried first, then those with the steepest slopes among the others; the best swap is
 * taken, and the score falls with each.
 *
 * C. Deng, K. Bello, B. Aragam, P. Ravikumar (2023), Optimizing NOTEARS Objectives via Topological Swaps, arXiv 2305.17277. Deviations: squares only,
 * without a penalty; whether a path leads back is asked of the graph, not of the slope of a function of acyclicity; where no swap
 * lowers the score although the conditions do not hold, the order becomes one of W with the missing edge, which lowers it.
 *
 * @param samples rows of X; columns should have mean zero and the same variance of noise.
 * @throws RangeError for rows of different lengths, numbers that are not finite, variables that are a linear combination of others, and orders that are none.
 */
export function topologicalSwaps(samples: readonly Numbers[], options: TopologicalOptions = {}): TopologicalResult {
  const states = topologicalSwapStates(samples, options)
  const ended = runSolver(states, { ...options, iterations: options.iterations ?? 10_000 })
  return { ...ended.last!, iterations: ended.iterations, status: ended.status }
}
