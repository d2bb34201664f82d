import { defineOptimizer, ggt, lowRankMFac, sparseGGT } from 'fallline'
import { eigenReference } from '../../src/routines/eigen.ts'
import { diagonal, identity, type Matrix, matrixOf, solve, times, transposed } from '../support/matrices.ts'
import { restate, type Step, type Tensor } from '../support/restate.ts'

/** All tensors as one vector, and what is done to it. */
const joined = (tensors: readonly Tensor[], of: 'p' | 'g'): number[] => tensors.flatMap((tensor) => tensor[of])
function takeStep(tensors: readonly Tensor[], learningRate: number, u: readonly number[]): void {
  let place = 0
  for (const { p } of tensors) {
    for (let i = 0; i < p.length; i++) p[i]! -= learningRate * u[place++]!
  }
}

/** ((Σ g gᵀ)^(1/2) + ε I)⁻¹ x, with the matrix of all parameters. */
function inverseRootTimes(window: readonly (readonly number[])[], epsilon: number, x: readonly number[]): number[] {
  const n = x.length
  const moment = Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_, j) => window.reduce((sum, g) => sum + g[i]! * g[j]!, 0)),
  )
  const [values, vectors] = eigenReference(
    [{ values: Float64Array.from(moment.flat()), dimensions: [1, n, n] }],
    [0, 0, 0],
  )
  const V = matrixOf(vectors!, n, n)
  // In ascending order; no more of them than there are rows differ from 0, and the root of what rounding leaves would be large.
  const inverse = Array.from(
    values!,
    (value, j) => 1 / (Math.sqrt(j < n - window.length ? 0 : Math.max(value, 0)) + epsilon),
  )
  const along = times(
    transposed(V),
    x.map((value) => [value]),
  )
  return times(times(V, diagonal(inverse)), along).map(([value]) => value!)
}

interface Ggt {
  readonly learningRate: number
  readonly beta1: number
  readonly beta2: number
  readonly damping: number
  readonly window: number
  readonly weightDecay?: number
}

const paperOfGgt =
  ({ learningRate, beta1, beta2, damping, window, weightDecay = 0 }: Ggt) =>
  (): Step => {
    let rows: number[][] = []
    let m: number[] | undefined
    return (tensors) => {
      const p = joined(tensors, 'p')
      const g = joined(tensors, 'g').map((value, i) => value + weightDecay * p[i]!)
      rows = [g, ...rows.map((row) => row.map((value) => beta2 * value))].slice(0, window)
      m = g.map((value, i) => beta1 * (m?.[i] ?? 0) + (1 - beta1) * value)
      takeStep(tensors, learningRate, inverseRootTimes(rows, damping, m))
    }
  }

const settings = { learningRate: 0.3, beta1: 0.4, beta2: 0.8, damping: 0.5, window: 3 }
const plain = { learningRate: 0.2, beta1: 0, beta2: 1, damping: 0.05, window: 3, weightDecay: 0.1 }
restate(ggt, {
  'momentum and decay of the window': { optimizer: ggt(settings), paper: paperOfGgt(settings), salt: 3 },
  'neither, and weight decay': { optimizer: ggt(plain), paper: paperOfGgt(plain), salt: 5 },
})

const paperOfSparseGgt =
  ({ learningRate, damping, window, kept }: { learningRate: number; damping: number; window: number; kept: number }) =>
  (): Step => {
    let rows: number[][] = []
    let error: number[] | undefined
    return (tensors) => {
      const a = joined(tensors, 'g').map((value, i) => value + (error?.[i] ?? 0))
      const order = [...a.keys()].sort((i, j) => Math.abs(a[j]!) - Math.abs(a[i]!))
      const places = new Set(order.slice(0, kept))
      const s = a.map((value, i) => (places.has(i) ? value : 0))
      error = a.map((value, i) => value - s[i]!)
      rows = [s, ...rows].slice(0, window)
      takeStep(tensors, learningRate, inverseRootTimes(rows, damping, s))
    }
  }

// Of 43 parameters.
restate(sparseGGT, {
  'a fifth is kept': {
    optimizer: sparseGGT({ learningRate: 0.05, damping: 0.1, window: 6, keptPerThousand: 200 }),
    paper: paperOfSparseGgt({ learningRate: 0.05, damping: 0.1, window: 6, kept: 8 }),
    salt: 4,
    signs: true,
  },
  'three are kept, of two gradients': {
    optimizer: sparseGGT({ learningRate: 0.1, damping: 0.5, window: 2, keptPerThousand: 70 }),
    paper: paperOfSparseGgt({ learningRate: 0.1, damping: 0.5, window: 2, kept: 3 }),
    salt: 6,
    signs: true,
  },
})

/** What stands in the place of normal numbers, by row and column. */
const startAt = (i: number, r: number) => Math.cos(1.7 * i + 0.9 * r + 0.3)

const drawn = (() => {
  const { definition } = lowRankMFac
  return defineOptimizer({
    ...definition,
    rule: (context) => {
      const normal: typeof context.random.normal = (asked) => {
        const place = context.random.normal(asked)
        return place.rowIndex().times(1.7).plus(place.columnIndex().times(0.9)).plus(0.3).cos()
      }
      return definition.rule({ ...context, random: { ...context.random, normal } })
    },
  })
})()

/** The columns of a matrix made orthonormal, one after the other. */
function orthonormal(a: Matrix): Matrix {
  const columns: number[][] = []
  for (const column of transposed(a)) {
    let rest = column
    for (const other of columns) {
      const share = rest.reduce((sum, value, i) => sum + value * other[i]!, 0)
      rest = rest.map((value, i) => value - share * other[i]!)
    }
    const size = Math.hypot(...rest)
    columns.push(rest.map((value) => value / size))
  }
  return transposed(columns)
}

interface LowRank {
  readonly learningRate: number
  readonly damping: number
  readonly window: number
  readonly rank: number
  readonly momentum: number
}

const paperOfLowRankMFac =
  ({ learningRate, damping, window, rank, momentum }: LowRank) =>
  (): Step => {
    const kept: { rows: number[][]; error: number[]; Q: Matrix; M: number[] }[] = []
    return (tensors) => {
      tensors.forEach(({ p, g, shape }, k) => {
        const [outputs = 1, ...others] = shape.length < 2 ? [1, g.length] : shape
        const inputs = others.reduce((product, size) => product * size, 1)
        const width = Math.min(rank, outputs, inputs)
        kept[k] ??= {
          rows: [],
          error: g.map(() => 0),
          Q: Array.from({ length: inputs }, (_, i) => Array.from({ length: width }, (_, r) => startAt(i, r))),
          M: g.map(() => 0),
        }
        const state = kept[k]
        const a = g.map((value, i) => value + state.error[i]!)
        const matrix = matrixOf(a, outputs, inputs)
        const P = orthonormal(times(matrix, state.Q))
        state.Q = times(transposed(matrix), P)
        const s = times(P, transposed(state.Q)).flat()
        state.error = a.map((value, i) => value - s[i]!)
        state.rows = [s, ...state.rows].slice(0, window)
        const fisher = identity(s.length).map((row, i) =>
          row.map((one, j) => damping * one + state.rows.reduce((sum, x) => sum + x[i]! * x[j]!, 0) / window),
        )
        const u = solve(fisher, s)
        state.M = u.map((value, i) => momentum * state.M[i]! + (1 - momentum) * value)
        const step = momentum === 0 ? u : state.M
        step.forEach((value, i) => {
          p[i]! -= learningRate * value
        })
      })
    }
  }

const rankOne = { learningRate: 0.05, damping: 0.2, window: 4, rank: 1, momentum: 0 }
const rankTwo = { learningRate: 0.02, damping: 0.1, window: 3, rank: 2, momentum: 0.5 }
restate(lowRankMFac, {
  'rank one': { optimizer: drawn(rankOne), paper: paperOfLowRankMFac(rankOne), salt: 7 },
  'rank two, with momentum': { optimizer: drawn(rankTwo), paper: paperOfLowRankMFac(rankTwo), salt: 8 },
})
