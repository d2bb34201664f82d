import { EigenvalueDecomposition, Matrix } from 'ml-matrix'
import { type DoorLimits, runSolver } from './door.ts'
import { Draws } from './draws.ts'
import type { Status } from './state.ts'
import { dot, type Numbers, norm, plus, scaled } from './vector.ts'

/** min over x of the mean over i of f_i(x, y_i), y_i = argmin over y of g_i(x, y), g_i strongly convex in y. Everything may depend on a sample ξ. */
export interface MultiBlockProblem {
  /** How many blocks there are. */
  readonly blocks: number
  /** Gradients of f_i. `sample` is a number that says which data to take: the same number, the same data. */
  upper(i: number, x: Float64Array, y: Float64Array, sample: number): { readonly x: Numbers; readonly y: Numbers }
  /** Of g_i: ∂y, the rows of ∂yy, and the rows of ∂yx (one for each y). */
  lower(
    i: number,
    x: Float64Array,
    y: Float64Array,
    sample: number,
  ): { readonly y: Numbers; readonly yy: readonly Numbers[]; readonly yx: readonly Numbers[] }
}

/** After a step. */
export interface MultiBlockState {
  readonly x: Float64Array
  readonly y: readonly Float64Array[]
  /** Length of the tracked hypergradient. */
  readonly residual: number
}

export interface MultiBlockOptions extends DoorLimits<MultiBlockState> {
  /** I: how many blocks are drawn for each step. Default 1. */
  readonly sampled?: number
  /** η: step of x. Default 0.05. */
  readonly step?: number
  /** τ: step of y. Default 0.2. */
  readonly innerStep?: number
  /** α: how much of what is tracked for a block is new each time it is drawn. Default 0.2. */
  readonly blockMomentum?: number
  /** β: the same for the hypergradient. Default 0.1. */
  readonly momentum?: number
  /** λ: no eigenvalue of a tracked Hessian is taken to be below it. Default 1e-3. */
  readonly strongConvexity?: number
  /** Default 0: it goes on until a limit. */
  readonly tolerance?: number
  /** Default 0. */
  readonly seed?: number
}

export interface MultiBlockResult extends MultiBlockState {
  readonly iterations: number
  readonly status: Status
}

/** What is kept for a block: y, and what tracks ∂y g and ∂yy g. */
interface Block {
  readonly y: Float64Array
  readonly slope: Float64Array
  readonly hessian: readonly Float64Array[]
}

/**
 * Bilevel problems with many lower blocks, of which each step sees I, and of each a sample. ∂y g_i and ∂yy g_i are tracked block by block: for
 * a block that is drawn, with one sample at this iterate and the one before,
 *
 *     u_i⁺ = (1 - α) u_i + α g_i(now) + γ (g_i(now) - g_i(before)),  γ = (m - I) / (I (1 - α)) + 1 - α,
 *
 * where γ also makes up for the steps in which it was not drawn. y_i goes along what is tracked, and x along a hypergradient whose variance is
 * reduced in the same way with I blocks (STORM): the mean of ∂x f_i - ∂xy g_i H_i⁻¹ ∂y f_i, H_i the tracked Hessian with
 * eigenvalues of at least λ. The number of steps to an accuracy ε is of the order m / (I ε³).
 *
 * Q. Hu, Z.-H. Qiu, Z. Guo, L. Zhang, T. Yang (2023), Blockwise Stochastic Variance-Reduced Methods with Parallel Speedup for Multi-Block Bilevel
 * Optimization. This follows its scheme for lower levels of few variables, the constants not checked against the paper's, with steps and momentum that stay as they are; that for many, which tracks
 * products with Hessians, is not here.
 *
 * @throws RangeError for no blocks, more sampled than there are, a start of another number of blocks, and numbers that are not finite.
 */
export function multiBlockBilevel(
  problem: MultiBlockProblem,
  start: { readonly x: Numbers; readonly y: readonly Numbers[] },
  options: MultiBlockOptions = {},
): MultiBlockResult {
  const { sampled = 1, step = 0.05, innerStep = 0.2, blockMomentum = 0.2, momentum = 0.1 } = options
  const { strongConvexity = 1e-3, tolerance = 0, seed = 0, iterations = 1000 } = options
  const m = problem.blocks
  if (!(Number.isInteger(sampled) && sampled >= 1 && sampled <= m)) {
    throw new RangeError(`sampled: ${sampled} is not a whole number from 1 to ${m}, the number of blocks`)
  }
  if (start.y.length !== m) throw new RangeError(`start.y: ${start.y.length} blocks were given, not ${m}`)
  for (const [name, share] of Object.entries({ blockMomentum, momentum })) {
    if (!(share > 0 && share < 1)) throw new RangeError(`${name}: ${share} is not between 0 and 1`)
  }
  if (![...start.x, ...start.y.flatMap((each) => [...each])].every(Number.isFinite)) {
    throw new RangeError('start: it has to be finite numbers')
  }
  const draws = new Draws(seed)
  const gamma = (m - sampled) / (sampled * (1 - blockMomentum)) + 1 - blockMomentum
  const newSample = () => draws.below(2 ** 31)

  const lower = (i: number, x: Float64Array, y: Float64Array, sample: number) => {
    const given = problem.lower(i, x.slice(), y.slice(), sample)
    return { y: Float64Array.from(given.y), yy: given.yy.map((row) => Float64Array.from(row)), yx: given.yx }
  }
  const hypergradient = (i: number, x: Float64Array, { y, hessian }: Block, sample: number) => {
    const f = problem.upper(i, x.slice(), y.slice(), sample)
    const { yx } = lower(i, x, y, sample)
    const v = solveAbove(hessian, Float64Array.from(f.y), strongConvexity)
    return yx.reduce<Float64Array>((sum, row, k) => plus(sum, -v[k]!, Float64Array.from(row)), Float64Array.from(f.x))
  }
  const choose = () => {
    const all = Array.from({ length: m }, (_, i) => i)
    for (let k = 0; k < sampled; k++) {
      const other = k + draws.below(m - k)
      ;[all[k], all[other]] = [all[other]!, all[k]!]
    }
    return all.slice(0, sampled)
  }

  function* steps(): Generator<MultiBlockState, Status, void> {
    let x: Float64Array = Float64Array.from(start.x)
    let xBefore = x
    let blocks: Block[] = start.y.map((given, i) => {
      const y = Float64Array.from(given)
      const first = lower(i, x, y, newSample())
      return { y, slope: first.y, hessian: first.yy }
    })
    let before = blocks
    let z: Float64Array | undefined
    for (;;) {
      const drawn = choose()
      const samples = drawn.map(newSample)
      const next = blocks.slice()
      drawn.forEach((i, k) => {
        const now = lower(i, x, blocks[i]!.y, samples[k]!)
        const then = lower(i, xBefore, before[i]!.y, samples[k]!)
        const track = (old: Float64Array, here: Float64Array, there: Float64Array) =>
          old.map((each, j) => (1 - blockMomentum) * each + blockMomentum * here[j]! + gamma * (here[j]! - there[j]!))
        const slope = track(blocks[i]!.slope, now.y, then.y)
        const hessian = blocks[i]!.hessian.map((row, j) => track(row, now.yy[j]!, then.yy[j]!))
        next[i] = { y: plus(blocks[i]!.y, -innerStep, slope), slope, hessian }
      })
      const mean = (at: Float64Array, of: readonly Block[]) =>
        scaled(
          1 / sampled,
          drawn.reduce<Float64Array>(
            (sum, i, k) => plus(sum, 1, hypergradient(i, at, of[i]!, samples[k]!)),
            new Float64Array(x.length),
          ),
        )
      const here = mean(x, blocks)
      z = z === undefined ? here : plus(here, 1 - momentum, plus(z, -1, mean(xBefore, before)))
      const residual = norm(z)
      yield { x: x.slice(), y: blocks.map(({ y }) => y.slice()), residual }
      if (residual <= tolerance && tolerance > 0) return { kind: 'converged', test: 'residual' }
      ;[xBefore, before] = [x, blocks]
      x = plus(x, -step, z)
      blocks = next
    }
  }

  const ended = runSolver(steps(), { ...options, iterations })
  // The residual is an estimate: the last point is the one the method has come to.
  const last = ended.last ?? {
    x: Float64Array.from(start.x),
    y: start.y.map((each) => Float64Array.from(each)),
    residual: Infinity,
  }
  return { ...last, iterations: ended.iterations, status: ended.status }
}

/** H⁻¹ b, eigenvalues of H below a limit being taken for it. */
function solveAbove(hessian: readonly Float64Array[], b: Float64Array, least: number): Float64Array {
  if (b.length === 0) return b
  const matrix = new Matrix(hessian.map((row, i) => [...row].map((each, j) => (each + hessian[j]![i]!) / 2)))
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true })
  return realEigenvalues.reduce<Float64Array>((sum, value, k) => {
    const vector = Float64Array.from(eigenvectorMatrix.getColumn(k))
    return plus(sum, dot(vector, b) / Math.max(value, least), vector)
  }, new Float64Array(b.length))
}
