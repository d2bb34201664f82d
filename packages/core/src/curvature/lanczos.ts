import { randomNumber } from '../graph/philox.ts'
import { checkCounts } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import { dot, norm, scaled, subtract, symmetricEigen } from './linear-algebra.ts'

/** The product of the Hessian, or of any symmetric matrix, with a vector. */
export type SymmetricProduct = (vector: Float64Array) => ArrayLike<number> | Promise<ArrayLike<number>>

export interface LanczosOptions {
  /** How many products to take at most; default 20. */
  readonly products?: number
  /** Stop when the largest eigenvalue is known to this relative error; default 1e-3. */
  readonly tolerance?: number
  /** Chooses the random start; default 0. */
  readonly seed?: number
  /** The start, in place of a random one: a number for each parameter. */
  readonly start?: ArrayLike<number>
}

/** What Lanczos iteration found. */
export interface Spectrum {
  /** The largest eigenvalue, estimated from below. */
  readonly largest: number
  /** An eigenvalue lies within this distance of `largest`. */
  readonly error: number
  /** The smallest eigenvalue, estimated from above. */
  readonly smallest: number
  /** The estimates of eigenvalues, ascending. */
  readonly values: readonly number[]
  /** The weight of each in the start vector: with random starts, the density of eigenvalues (stochastic quadrature). */
  readonly weights: readonly number[]
  /** The unit vector that belongs to `largest`. */
  readonly vector: Float64Array
  /** How many products were taken. */
  readonly products: number
}

/**
 * The ends of the spectrum of a symmetric matrix that is known by its products with vectors, such as the Hessian of a loss:
 * Lanczos iteration from a random start, with full reorthogonalization. The largest curvature λ₁ bounds the learning rate
 * of gradient descent by 2 / λ₁; k products cost k double gradients and k vectors of memory.
 *
 * ```ts
 * import { lanczos } from 'fallline'
 *
 * const curvatures = [3, 2, -1]
 * const { largest } = await lanczos((vector) => vector.map((value, i) => curvatures[i]! * value), 3)
 * console.log(largest.toFixed(6)) // 3.000000
 * ```
 *
 * Lanczos 1950, An Iteration Method for the Solution of the Eigenvalue Problem. For networks: Granziol, Zohren, Roberts
 * 2022, Learning Rates as a Function of Batch Size, arXiv 2006.09092.
 *
 * @param product The matrix times a vector of `size` numbers. It must not keep or change the vector.
 * @param size The number of parameters, all tensors behind one another.
 * @throws Error when `size` or an option is out of range, or a product has another length or is not finite.
 */
export async function lanczos(
  product: SymmetricProduct,
  size: number,
  options: LanczosOptions = {},
): Promise<Spectrum> {
  checkNames('lanczos', options, ['products', 'tolerance', 'seed', 'start'])
  const { products = 20, tolerance = 1e-3, seed = 0 } = options
  checkCounts('lanczos', { size, products })
  if (!(tolerance >= 0)) throw new Error(`lanczos: tolerance must be a number from 0 up, not ${String(tolerance)}`)
  const begin = startVector('lanczos', size, options.start, seed)
  const found = await krylov('lanczos', product, begin, products, ({ values, vectors, remainder }) => {
    const error = Math.abs(remainder * vectors.at(-1)!.at(-1)!)
    return error <= tolerance * Math.abs(values.at(-1)!)
  })
  const { values, vectors, remainder } = found
  const coefficients = vectors.at(-1)!
  return {
    largest: values.at(-1)!,
    error: Math.abs(remainder * coefficients.at(-1)!),
    smallest: values[0]!,
    values,
    weights: vectors.map((each) => each[0]! ** 2),
    vector: ritzVector(found, values.length - 1),
    products: found.basis.length,
  }
}

/** What products with the vectors of a Krylov space say of a matrix. */
export interface KrylovSpace {
  /** Orthonormal vectors. */
  readonly basis: readonly Float64Array[]
  /** The eigenvalues of the matrix within the space, ascending, and their vectors in the basis. */
  readonly values: readonly number[]
  readonly vectors: readonly (readonly number[])[]
  /** How far the product of the last vector leads out of the space. */
  readonly remainder: number
}

/** The start of Lanczos iteration: the given one, or random. @throws Error for one of another length or without direction. */
export function startVector(
  caller: string,
  size: number,
  given: ArrayLike<number> | undefined,
  seed: number,
): Float64Array {
  const stream = { seed, step: 0, tensor: 0, draw: 0 }
  const start = given
    ? Float64Array.from(given)
    : Float64Array.from({ length: size }, (_, index) => randomNumber('normal', stream, index))
  const length = norm(start)
  if (start.length !== size || !(length > 0 && Number.isFinite(length))) {
    throw new Error(`${caller}: start must be ${size} numbers that are finite and not all zero`)
  }
  return scaled(start, 1 / length)
}

/** Lanczos iteration from a unit vector, until `done`, or nothing is left to find. */
export async function krylov(
  caller: string,
  product: SymmetricProduct,
  start: Float64Array,
  products: number,
  done: (space: KrylovSpace) => boolean,
): Promise<KrylovSpace> {
  const size = start.length
  const basis = [start]
  const [diagonal, beside]: [number[], number[]] = [[], []]
  for (;;) {
    const last = basis.at(-1)!
    const image = await product(last)
    if (image.length !== size) throw new Error(`${caller}: a product has ${image.length} numbers, not ${size}`)
    const rest = Float64Array.from(image)
    diagonal.push(dot(last, rest))
    // Twice is enough for orthogonality to rounding.
    for (let pass = 0; pass < 2; pass++) for (const each of basis) subtract(rest, dot(each, rest), each)
    const remainder = norm(rest)
    if (!Number.isFinite(remainder)) throw new Error(`${caller}: product ${basis.length} is not finite`)
    const { values, vectors } = symmetricEigen(tridiagonal(diagonal, beside))
    const scale = Math.max(Math.abs(values[0]!), Math.abs(values.at(-1)!))
    const space: KrylovSpace = { basis, values, vectors, remainder }
    const exhausted = basis.length === size || remainder <= 1e-13 * scale
    if (exhausted || basis.length === products || done(space)) return space
    beside.push(remainder)
    basis.push(scaled(rest, 1 / remainder))
  }
}

/** The unit vector that belongs to an eigenvalue within a Krylov space. */
export function ritzVector({ basis, vectors }: KrylovSpace, index: number): Float64Array {
  const vector = new Float64Array(basis[0]!.length)
  basis.forEach((each, k) => {
    subtract(vector, -vectors[index]![k]!, each)
  })
  return vector
}

function tridiagonal(diagonal: readonly number[], beside: readonly number[]): number[][] {
  return diagonal.map((value, row) =>
    diagonal.map((_, column) => {
      if (row === column) return value
      return Math.abs(row - column) === 1 ? beside[Math.min(row, column)]! : 0
    }),
  )
}
