import { EigenvalueDecomposition, Matrix, QrDecomposition } from 'ml-matrix'
import { dot, norm, plus, scaled } from './vector.ts'

/** A Riemannian manifold in a space of vectors: points and tangent vectors are what `size` numbers say. */
export interface Manifold {
  readonly name: string
  readonly size: number
  /** @throws RangeError where x is not on the manifold. */
  check(x: Float64Array): void
  /** The gradient in the manifold's metric, from that of the space. */
  gradient(x: Float64Array, euclidean: Float64Array): Float64Array
  /** Length of a tangent vector. */
  norm(x: Float64Array, tangent: Float64Array): number
  /** Where a step along a tangent vector ends: the exponential map, or a retraction. */
  move(x: Float64Array, tangent: Float64Array): Float64Array
  /** A tangent vector at x carried along that step. */
  transport(x: Float64Array, step: Float64Array, tangent: Float64Array): Float64Array
}

const near = 1e-6

/** All of space, flat. */
export function euclidean(size: number): Manifold {
  return {
    name: `euclidean(${size})`,
    size,
    check: () => {},
    gradient: (_, g) => g,
    norm: (_, v) => norm(v),
    move: (x, v) => plus(x, 1, v),
    transport: (_, __, u) => u,
  }
}

/** Unit vectors of `size` numbers; the exponential map, and parallel transport. */
export function sphere(size: number): Manifold {
  return {
    name: `sphere(${size})`,
    size,
    check(x) {
      if (!(Math.abs(norm(x) - 1) <= near))
        throw new RangeError(`sphere(${size}): a point has length ${norm(x)}, not 1`)
    },
    gradient: (x, g) => plus(g, -dot(x, g), x),
    norm: (_, v) => norm(v),
    move(x, v) {
      const angle = norm(v)
      if (angle === 0) return x
      const y = plus(scaled(Math.cos(angle), x), Math.sin(angle) / angle, v)
      return scaled(1 / norm(y), y)
    },
    transport(x, v, u) {
      const angle = norm(v)
      if (angle === 0) return u
      const along = dot(v, u) / angle
      return plus(plus(u, ((Math.cos(angle) - 1) * along) / angle, v), -Math.sin(angle) * along, x)
    },
  }
}

/**
 * Hyperbolic space of dimension `size` - 1 as a sheet of the hyperboloid: -x₀² + x₁² + … = -1, x₀ > 0. The exponential map, and parallel transport.
 */
export function hyperbolic(size: number): Manifold {
  const product = (x: Float64Array, y: Float64Array) => dot(x, y) - 2 * x[0]! * y[0]!
  const length = (v: Float64Array) => Math.sqrt(Math.max(0, product(v, v)))
  return {
    name: `hyperbolic(${size})`,
    size,
    check(x) {
      if (!(Math.abs(product(x, x) + 1) <= near * x[0]! ** 2 && x[0]! > 0)) {
        throw new RangeError(`hyperbolic(${size}): a point has the product ${product(x, x)} with itself, not -1`)
      }
    },
    gradient(x, g) {
      const raised = g.map((element, i) => (i === 0 ? -element : element))
      return plus(raised, product(x, raised), x)
    },
    norm: (_, v) => length(v),
    move(x, v) {
      const distance = length(v)
      if (distance === 0) return x
      const y = plus(scaled(Math.cosh(distance), x), Math.sinh(distance) / distance, v)
      y[0] = Math.hypot(1, ...y.subarray(1))
      return y
    },
    transport(x, v, u) {
      const distance = length(v)
      if (distance === 0) return u
      const along = product(v, u) / distance
      return plus(plus(u, ((Math.cosh(distance) - 1) * along) / distance, v), Math.sinh(distance) * along, x)
    },
  }
}

/** Matrices of orthonormal columns, row by row, in the metric of the space; the retraction by QR, and transport by projection. */
export function stiefel(rows: number, columns: number): Manifold {
  const matrixOf = (x: Float64Array) => Matrix.from1DArray(rows, columns, x)
  const flat = (matrix: Matrix) => Float64Array.from(matrix.to1DArray())
  const project = (x: Float64Array, g: Float64Array) => {
    const [X, G] = [matrixOf(x), matrixOf(g)]
    const inner = X.transpose().mmul(G)
    return flat(Matrix.sub(G, X.mmul(Matrix.add(inner, inner.transpose()).mul(0.5))))
  }
  const move = (x: Float64Array, v: Float64Array) => {
    const factors = new QrDecomposition(matrixOf(plus(x, 1, v)))
    const Q = factors.orthogonalMatrix
    const R = factors.upperTriangularMatrix
    // With a positive diagonal of R, so that a step of zero stays.
    for (let j = 0; j < columns; j++) if (R.get(j, j) < 0) Q.mulColumn(j, -1)
    return flat(Q.subMatrix(0, rows - 1, 0, columns - 1))
  }
  return {
    name: `stiefel(${rows}, ${columns})`,
    size: rows * columns,
    check(x) {
      const X = matrixOf(x)
      const off = Matrix.sub(X.transpose().mmul(X), Matrix.eye(columns)).norm()
      if (!(off <= near)) throw new RangeError(`stiefel(${rows}, ${columns}): columns are ${off} from orthonormal`)
    },
    gradient: project,
    norm: (_, v) => norm(v),
    move,
    transport: (x, v, u) => project(move(x, v), u),
  }
}

/** Symmetric matrices above 0, row by row, in the affine-invariant metric tr(S⁻¹ ξ S⁻¹ ξ); the exponential map, and parallel transport. */
export function positiveDefinite(rows: number): Manifold {
  const matrixOf = (x: Float64Array) => Matrix.from1DArray(rows, rows, x)
  const symmetric = (matrix: Matrix) => Matrix.add(matrix, matrix.transpose()).mul(0.5)
  const flat = (matrix: Matrix) => Float64Array.from(symmetric(matrix).to1DArray())
  const apply = (matrix: Matrix, of: (value: number) => number) => {
    const factors = new EigenvalueDecomposition(symmetric(matrix), { assumeSymmetric: true })
    const V = factors.eigenvectorMatrix
    return V.mmul(Matrix.diag(factors.realEigenvalues.map(of))).mmul(V.transpose())
  }
  const whitened = (x: Float64Array, v: Float64Array) => {
    const S = matrixOf(x)
    const [root, inverse] = [apply(S, Math.sqrt), apply(S, (value) => 1 / Math.sqrt(value))]
    return { root, inverse, inner: inverse.mmul(matrixOf(v)).mmul(inverse) }
  }
  return {
    name: `positiveDefinite(${rows})`,
    size: rows * rows,
    check(x) {
      const S = matrixOf(x)
      const least = Math.min(...new EigenvalueDecomposition(symmetric(S), { assumeSymmetric: true }).realEigenvalues)
      if (!(Matrix.sub(S, S.transpose()).norm() <= near * S.norm() && least > 0)) {
        throw new RangeError(
          `positiveDefinite(${rows}): a point is not symmetric with eigenvalues above 0, but ${least}`,
        )
      }
    },
    gradient(x, g) {
      const S = matrixOf(x)
      return flat(S.mmul(symmetric(matrixOf(g))).mmul(S))
    },
    norm: (x, v) => whitened(x, v).inner.norm(),
    move(x, v) {
      const { root, inner } = whitened(x, v)
      return flat(root.mmul(apply(inner, Math.exp)).mmul(root))
    },
    transport(x, v, u) {
      // E u Eᵀ, E the square root of S⁺ S⁻¹.
      const { root, inverse, inner } = whitened(x, v)
      const E = root.mmul(apply(inner, (value) => Math.exp(value / 2))).mmul(inverse)
      return flat(E.mmul(matrixOf(u)).mmul(E.transpose()))
    },
  }
}
