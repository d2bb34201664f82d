import type { Highs } from 'highs'
import { finiteNumbers, methodNamed } from './check.ts'
import type { Bounds } from './objective.ts'
import type { Status } from './state.ts'
import type { Numbers } from './vector.ts'

/** A linear or mixed-integer program: minimize c · x under linear constraints, as in SciPy's `linprog` and `milp`. */
export interface LinearProgram {
  readonly costs: Numbers
  /** Rows of A with A x ≤ b. */
  readonly upperMatrix?: readonly Numbers[]
  readonly upperBounds?: Numbers
  /** Rows of A with A x = b. */
  readonly equalMatrix?: readonly Numbers[]
  readonly equalBounds?: Numbers
  /** One pair for each variable. Default: at least 0. */
  readonly bounds?: Bounds
  /** Which variables are whole numbers. Default: none. */
  readonly integer?: readonly boolean[]
}

export interface LinearProgramOptions {
  /** 'simplex' (default) gives a vertex; 'interior-point' and 'first-order' (PDLP) are for large programs. Mixed-integer programs branch. */
  readonly method?: 'simplex' | 'interior-point' | 'first-order'
  /** Most seconds. Default: no limit. */
  readonly seconds?: number
  /** Most iterations of the method. Default: no limit. */
  readonly iterations?: number
  /** Gap between the best integer point and the bound, relative, that is good enough. Default 1e-4. */
  readonly gap?: number
}

export interface LinearProgramResult {
  readonly point: Float64Array
  /** c · x; NaN where there is no point. */
  readonly value: number
  /**
   * Multipliers of the rows, `upperMatrix` first, as in SciPy: the change of the value with each bound. Zeros for mixed-integer programs, which
   * have none.
   */
  readonly multipliers: Float64Array
  /** c - Aᵀ multipliers: the change of the value with each variable's bound. */
  readonly reducedCosts: Float64Array
  /** A direction along which the value falls without end, where the status is `unbounded` and HiGHS found one. */
  readonly ray: Float64Array | undefined
  readonly iterations: number
  readonly status: Status
}

const methods = { simplex: 'simplex', 'interior-point': 'ipm', 'first-order': 'pdlp' } as const

/**
 * Solves a linear or mixed-integer program with HiGHS (npm `highs`, WebAssembly; Q. Huangfu and J. Hall (2018), Parallelizing the dual revised
 * simplex method). The library is loaded at the first call, which is why the door is asynchronous.
 *
 * @returns where no point satisfies the constraints, status `infeasible` with a Farkas certificate y, one number for each row, `upperMatrix`
 * first, those at most 0: the largest that y · A x can be within the bounds is below y · b, which every feasible x would have to reach.
 * A mixed-integer program has such a certificate only where its relaxation is infeasible: otherwise it is empty.
 * @throws RangeError for sizes that do not match and numbers that are NaN.
 */
export async function linearProgram(
  program: LinearProgram,
  options: LinearProgramOptions = {},
): Promise<LinearProgramResult> {
  const size = program.costs.length
  const upper = rowsOf('upper', program.upperMatrix, program.upperBounds, size)
  const equal = rowsOf('equal', program.equalMatrix, program.equalBounds, size)
  const rows = [...upper.matrix, ...equal.matrix]
  const most = [...upper.bounds, ...equal.bounds]
  const least = [...upper.bounds.map(() => -Infinity), ...equal.bounds]
  const costs = finiteNumbers(program.costs, 'costs')
  if (program.bounds && program.bounds.length !== size) {
    throw new RangeError(`bounds: ${program.bounds.length} pairs were given for ${size} variables`)
  }
  if (program.integer && program.integer.length !== size) {
    throw new RangeError(`integer: ${program.integer.length} were given for ${size} variables`)
  }
  const solver = methodNamed(methods, options.method ?? 'simplex')
  const lower = Float64Array.from({ length: size }, (_, j) =>
    program.bounds ? (program.bounds[j]![0] ?? -Infinity) : 0,
  )
  const higher = Float64Array.from(
    { length: size },
    (_, j) => (program.bounds ? program.bounds[j]![1] : null) ?? Infinity,
  )
  const crossed = lower.findIndex((bound, j) => !(bound <= higher[j]!))
  if (crossed >= 0) {
    throw new RangeError(
      `bounds[${crossed}]: the lower bound ${lower[crossed]} must not be above the upper bound ${higher[crossed]}`,
    )
  }
  const none = {
    point: new Float64Array(size),
    value: Number.NaN,
    multipliers: new Float64Array(rows.length),
    reducedCosts: new Float64Array(size),
    ray: undefined,
    iterations: 0,
  }
  if (size === 0) {
    // HiGHS takes no empty program; 0 ≤ b or 0 = b is all there is to see.
    const broken = most.findIndex((bound, i) => bound < 0 || least[i]! > 0)
    if (broken < 0) return { ...none, value: 0, status: { kind: 'converged', test: 'optimal' } }
    const certificate = new Float64Array(rows.length)
    certificate[broken] = most[broken]! < 0 ? -1 : 1
    return { ...none, status: { kind: 'infeasible', certificate } }
  }

  const highs = await load()
  const starts = [0]
  const indices: number[] = []
  const values: number[] = []
  for (const row of rows) {
    row.forEach((element, j) => {
      if (element === 0) return
      indices.push(j)
      values.push(element)
    })
    starts.push(indices.length)
  }
  const { variableType, modelStatus } = highs.constants
  const whole = program.integer?.some(Boolean) === true
  const model = highs.createModel({
    numCols: size,
    numRows: rows.length,
    colCost: costs,
    colLower: lower,
    colUpper: higher,
    rowLower: Float64Array.from(least),
    rowUpper: Float64Array.from(most),
    matrix: {
      format: 'csr',
      numRows: rows.length,
      numCols: size,
      starts: Int32Array.from(starts),
      indices: Int32Array.from(indices),
      values: Float64Array.from(values),
    },
    ...(whole
      ? { integrality: program.integer!.map((is) => (is ? variableType.integer : variableType.continuous)) }
      : {}),
  })
  try {
    model.options.set({ output_flag: false, solver })
    if (options.seconds !== undefined) model.options.set('time_limit', options.seconds)
    if (options.iterations !== undefined) model.options.set(`${solver}_iteration_limit`, options.iterations)
    if (options.gap !== undefined) model.options.set('mip_rel_gap', options.gap)
    model.run()
    let ended = model.getModelStatus()
    if (ended === modelStatus.unboundedOrInfeasible || (whole && ended === modelStatus.infeasible)) {
      // Presolve does not say which of the two it has seen, and only the relaxation has certificates.
      if (whole) for (let j = 0; j < size; j++) model.changeColIntegrality(j, variableType.continuous)
      model.options.set({ presolve: 'off', solver: 'simplex' })
      model.run()
      const relaxed = model.getModelStatus()
      if (relaxed === modelStatus.infeasible || !whole) ended = relaxed
      else if (ended === modelStatus.infeasible) {
        return { ...none, status: { kind: 'infeasible', certificate: new Float64Array(0) } }
      } else ended = relaxed
    }
    const iterations = Math.max(0, ...countsOf.map((name) => Number(model.info.get(name))))
    switch (ended) {
      case modelStatus.infeasible: {
        const certificate = farkas(model.getDualRay()?.values ?? new Float64Array(0), rows, least, most, lower, higher)
        return { ...none, iterations, status: { kind: 'infeasible', certificate } }
      }
      case modelStatus.unbounded: {
        const ray = model.getPrimalRay()?.values
        return { ...none, value: -Infinity, ray, iterations, status: { kind: 'unbounded' } }
      }
      case modelStatus.optimal:
      case modelStatus.timeLimit:
      case modelStatus.iterationLimit: {
        const { colValue, colDual, rowDual } = model.getSolution()
        // 2 is HiGHS's code of a feasible point.
        const found = ended === modelStatus.optimal || Number(model.info.get('primal_solution_status')) === 2
        const status: Status =
          ended === modelStatus.optimal
            ? { kind: 'converged', test: 'optimal' }
            : { kind: 'limit', of: ended === modelStatus.timeLimit ? 'seconds' : 'iterations' }
        return {
          ...none,
          iterations,
          status,
          ...(found ? { point: positiveZeros(colValue), value: model.getObjectiveValue() } : {}),
          ...(found && !whole ? { multipliers: positiveZeros(rowDual), reducedCosts: positiveZeros(colDual) } : {}),
        }
      }
      default: {
        const name = Object.entries(modelStatus).find(([, code]) => code === ended)?.[0]
        return { ...none, iterations, status: { kind: 'failed', reason: `HiGHS ended with ${name ?? ended}` } }
      }
    }
  } finally {
    model.dispose()
  }
}

const positiveZeros = (x: Float64Array) => x.map((element) => element + 0)

const countsOf = ['simplex_iteration_count', 'ipm_iteration_count', 'pdlp_iteration_count']

/** The ray, if need be turned round, where it proves what it should; empty otherwise. */
function farkas(
  ray: Float64Array,
  rows: readonly Numbers[],
  least: readonly number[],
  most: readonly number[],
  lower: Float64Array,
  higher: Float64Array,
): Float64Array {
  const largest = ray.reduce((top, element) => Math.max(top, Math.abs(element)), 0)
  for (const sign of [1, -1]) {
    // Rounding of a multiplier that a row cannot have is not part of the proof.
    const y = ray.map((element, i) => {
      const each = (sign * element) / largest
      return least[i] === -Infinity && each > 0 ? (each < 1e-9 ? 0 : Number.NaN) : each
    })
    const needed = y.reduce((sum, element, i) => (element === 0 ? sum : sum + element * most[i]!), 0)
    let reach = 0
    for (let j = 0; j < lower.length; j++) {
      let slope = 0
      let size = 0
      for (let i = 0; i < rows.length; i++) {
        slope += y[i]! * rows[i]![j]!
        size += Math.abs(y[i]! * rows[i]![j]!)
      }
      if (Math.abs(slope) > 1e-9 * size || Number.isNaN(slope)) reach += slope * (slope > 0 ? higher[j]! : lower[j]!)
    }
    if (largest > 0 && reach < needed) return y
  }
  return new Float64Array(0)
}

let loading: Promise<Highs> | undefined

/** Types of `highs` are those of CommonJS, in which what is imported here lies one level deeper. */
function load(): Promise<Highs> {
  loading ??= import('highs').then(({ default: highs }) => (highs as unknown as () => Promise<Highs>)())
  return loading
}

function rowsOf(name: string, matrix: readonly Numbers[] = [], bounds: Numbers = [], size: number) {
  if (matrix.length !== bounds.length) {
    throw new RangeError(`${name}Bounds: ${bounds.length} were given for the ${matrix.length} rows of ${name}Matrix`)
  }
  matrix.forEach((row, i) => {
    if (row.length !== size) {
      throw new RangeError(`${name}Matrix[${i}]: ${row.length} numbers were given for ${size} variables`)
    }
    finiteNumbers(row, `${name}Matrix[${i}]`)
    if (Number.isNaN(bounds[i])) throw new RangeError(`${name}Bounds[${i}]: NaN is not a number`)
  })
  return { matrix, bounds: [...bounds] }
}
