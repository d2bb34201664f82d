import { polarExpress, spectralSphere } from 'fallline'
import { type Matrix, matrixOf, times, transposed } from '../support/matrices.ts'
import { norm, restate, sum, type Tensor } from '../support/restate.ts'

const combined = (a: Matrix, x: number, b: Matrix, y: number): Matrix =>
  a.map((row, i) => row.map((value, j) => x * value + y * b[i]![j]!))
const inner = (a: Matrix, b: Matrix) => sum(a.flatMap((row, i) => row.map((value, j) => value * b[i]![j]!)))

/** Every singular value brought to 1 by products, on whichever side is shorter. */
function msign(matrix: Matrix, steps: number): Matrix {
  if (matrix.length > matrix[0]!.length) return transposed(msign(transposed(matrix), steps))
  const size = norm(matrix.flat()) + 1e-7
  let x = matrix.map((row) => row.map((value) => value / size))
  for (const [a, b, c] of polarExpress.slice(0, steps)) {
    const gram = times(x, transposed(x))
    x = combined(x, a, times(combined(gram, b, times(gram, gram), c), x), 1)
  }
  return x
}

/** The largest singular value and its vectors, as columns. */
function powerIteration(matrix: Matrix, steps: number) {
  const unit = (x: Matrix) => x.map(([value]) => [value! / norm(x.flat())])
  let v: Matrix = matrix[0]!.map(() => [1])
  for (let step = 0; step < steps; step++) v = unit(times(transposed(matrix), times(matrix, v)))
  const u = unit(times(matrix, v))
  return { sigma: inner(u, times(matrix, v)), u, v }
}

/** λ where h is nearest to 0 of those tried: a step of 1e-3 doubled until h changes its sign, then halvings; 0 if ten steps find none. */
function root(h: (lambda: number) => number, halvings: number): number {
  let step = h(0) < 0 ? 1e-3 : -1e-3
  let [from, to] = [0, 0]
  const changes = () => h(from) <= 0 !== h(to) <= 0
  for (let expansion = 0; expansion < 10 && !changes(); expansion++) {
    ;[from, to] = [to, to + step]
    step *= 2
  }
  if (!changes()) return 0
  let [below, above] = h(from) <= 0 ? [from, to] : [to, from]
  const nearer = (a: number, b: number) => (Math.abs(h(a)) < Math.abs(h(b)) ? a : b)
  let best = nearer(below, above)
  for (let halving = 0; halving < halvings; halving++) {
    const middle = (below + above) / 2
    best = nearer(middle, best)
    if (h(middle) < 0) below = middle
    else above = middle
  }
  return best
}

interface Settings {
  readonly learningRate: number
  readonly momentum: number
  readonly radius: number
  readonly nesterov: boolean
  readonly newtonSchulzSteps: number
  readonly solverSteps: number
  readonly powerIterations: number
}

function paper({
  learningRate,
  momentum,
  radius,
  nesterov,
  newtonSchulzSteps,
  solverSteps,
  powerIterations,
}: Settings) {
  return () => (tensors: readonly Tensor[]) => {
    for (const { p, g, s, shape } of tensors) {
      const [outputs, inputs] = shape as [number, number]
      const M = g.map((value, i) => momentum * s.M![i]! + (1 - momentum) * value)
      const average = nesterov ? g.map((value, i) => momentum * M[i]! + (1 - momentum) * value) : M
      const size = norm(average)
      const G = matrixOf(average, outputs, inputs).map((row) => row.map((value) => value / size))
      const { sigma, u, v } = powerIteration(matrixOf(p, outputs, inputs), powerIterations)
      const theta = times(u, transposed(v))
      const phi = (lambda: number) => msign(combined(G, 1, theta, lambda), newtonSchulzSteps)
      const direction = phi(root((lambda) => inner(theta, phi(lambda)), solverSteps)).flat()
      const R = radius * Math.sqrt(outputs / inputs)
      for (let i = 0; i < p.length; i++) {
        p[i] = (R / (sigma + 1e-8)) * p[i]! - learningRate * R * direction[i]!
        s.M![i] = M[i]!
      }
    }
  }
}

const first = {
  learningRate: 0.02,
  momentum: 0.9,
  radius: 1,
  nesterov: true,
  newtonSchulzSteps: 3,
  solverSteps: 5,
  powerIterations: 4,
}

const second = { ...first, momentum: 0.8, radius: 0.5, nesterov: false, newtonSchulzSteps: 4, powerIterations: 3 }

restate(spectralSphere, {
  'with Nesterov momentum': {
    optimizer: spectralSphere(first),
    salt: 0.7,
    layout: 'matrices',
    paper: paper(first),
  },
  'without, on a smaller sphere': {
    optimizer: spectralSphere(second),
    salt: 0.7,
    layout: 'matrices',
    paper: paper(second),
  },
})
