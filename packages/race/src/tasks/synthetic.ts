import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { defineTask, type Task } from '../task.ts'
import { generator, type RandomGenerator, stream } from './random.ts'

/** A draw from the standard normal distribution (Box and Muller 1958). */
function normal(random: RandomGenerator): number {
  const radius = Math.sqrt(-2 * Math.log(1 - uniformFloat64(random)))
  return radius * Math.cos(2 * Math.PI * uniformFloat64(random))
}

/** A table of numbers that a function fills once per key; the oldest goes when there are many. */
function remembered<T>(make: (key: number) => T, most: number): (key: number) => T {
  const kept = new Map<number, T>()
  return (key) => {
    let value = kept.get(key)
    if (value === undefined) {
      value = make(key)
      if (kept.size >= most) kept.delete(kept.keys().next().value!)
      kept.set(key, value)
    }
    return value
  }
}

/**
 * The noisy quadratic model (Schaul, Zhang and LeCun 2013; Zhang et al. 2019): half the sum of h x² with curvatures h from 1 to 100, a
 * matrix of 8 x 8 numbers x, gradients with noise of deviation 0.3 sqrt(h). The metric is the height without noise.
 */
export function createNoisyQuadratic(): Task {
  const size = 64
  const curvatures = Float64Array.from({ length: size }, (_, index) => 100 ** (index / (size - 1)))
  const deviations = curvatures.map((h) => 0.3 * Math.sqrt(h))
  const height = (x: Float32Array) => {
    let sum = 0
    for (let index = 0; index < size; index++) sum += (curvatures[index]! * x[index]! * x[index]!) / 2
    return sum
  }
  // The same draws serve all runs of a seed.
  const table = 4096
  const noise = remembered((seed) => {
    const random = generator(seed, stream.dataOrder)
    return Float64Array.from({ length: table + size }, () => normal(random))
  }, 64)
  return defineTask({
    name: 'noisy-quadratic',
    title: 'Noisy quadratic',
    description: 'Half the sum of h x² over 64 numbers, curvatures h from 1 to 100, gradients with noise.',
    parameters: { x: [8, 8] },
    initialize(parameters, seed) {
      const random = generator(seed, stream.initialization)
      for (let index = 0; index < size; index++) parameters.x![index] = normal(random)
    },
    gradient(parameters, gradients, { seed, step }) {
      const x = parameters.x!
      const drawn = noise(seed)
      const from = (step * 1597) % table
      for (let index = 0; index < size; index++) {
        gradients.x![index] = curvatures[index]! * x[index]! + deviations[index]! * drawn[from + index]!
      }
      return height(x)
    },
    loss: (parameters) => height(parameters.x!),
    metric: (parameters) => height(parameters.x!),
    metricName: 'height',
    direction: 'minimize',
    // Percentiles 30 to 5, rounded, of the best metric of 48 baseline runs as for `builtinTasks`: half of them diverge here.
    targets: [8.7, 5.7, 0.46, 0.14, 0.087, 0.064],
    budget: { steps: 200, evaluateEvery: 5 },
  })
}

/**
 * Logistic regression on 400 points in 20 dimensions of very different scales (1 to 0.1), batches of 16, one point in ten with the
 * wrong label; the metric is the mean loss over 400 other points.
 */
export function createLogisticRegression(): Task {
  const features = 20
  const points = 400
  const batch = 16
  const random = generator(1, stream.split)
  const truth = Float64Array.from({ length: features }, () => 2 * normal(random))
  const draw = () => {
    const inputs = new Float64Array(points * features)
    const labels = new Float64Array(points)
    for (let row = 0; row < points; row++) {
      let sum = 0
      for (let column = 0; column < features; column++) {
        const value = normal(random) * 0.1 ** (column / (features - 1))
        inputs[row * features + column] = value
        sum += truth[column]! * value
      }
      const right = sum > 0 ? 1 : 0
      labels[row] = uniformFloat64(random) < 0.1 ? 1 - right : right
    }
    return { inputs, labels }
  }
  const parts = { train: draw(), validation: draw(), test: draw() }
  const logit = ({ inputs }: typeof parts.train, row: number, weights: Float32Array, bias: number) => {
    let sum = bias
    for (let column = 0; column < features; column++) sum += inputs[row * features + column]! * weights[column]!
    return sum
  }
  /** log(1 + exp(-z)) for label 1, log(1 + exp(z)) for label 0. */
  const lossAt = (z: number, label: number) => Math.max(z, 0) - z * label + Math.log1p(Math.exp(-Math.abs(z)))
  const chosen = remembered((seed) => {
    const rows = generator(seed, stream.dataOrder)
    return Int32Array.from({ length: 4096 }, () => Math.floor(points * uniformFloat64(rows)))
  }, 64)
  const rowsOf = (seed: number, step: number) => {
    const from = (step * batch) % 4096
    return chosen(seed).subarray(from, from + batch)
  }
  return defineTask({
    name: 'logistic-regression',
    title: 'Logistic regression',
    description: 'Two classes in 20 dimensions of different scales, a tenth of the labels wrong, batches of 16.',
    parameters: { weights: [features], bias: [] },
    initialize(parameters, seed) {
      const random = generator(seed, stream.initialization)
      for (let column = 0; column < features; column++) parameters.weights![column] = 0.1 * normal(random)
      parameters.bias![0] = 0
    },
    gradient({ weights, bias }, gradients, { seed, step }) {
      const slope = gradients.weights!
      slope.fill(0)
      let total = 0
      let slopeOfBias = 0
      for (const row of rowsOf(seed, step)) {
        const z = logit(parts.train, row, weights!, bias![0]!)
        const label = parts.train.labels[row]!
        total += lossAt(z, label)
        const error = (1 / (1 + Math.exp(-z)) - label) / batch
        slopeOfBias += error
        for (let column = 0; column < features; column++) {
          slope[column]! += error * parts.train.inputs[row * features + column]!
        }
      }
      gradients.bias![0] = slopeOfBias
      return total / batch
    },
    loss({ weights, bias }, { seed, step }) {
      let total = 0
      for (const row of rowsOf(seed, step)) {
        total += lossAt(logit(parts.train, row, weights!, bias![0]!), parts.train.labels[row]!)
      }
      return total / batch
    },
    metric({ weights, bias }, split) {
      let total = 0
      for (let row = 0; row < points; row++) {
        total += lossAt(logit(parts[split], row, weights!, bias![0]!), parts[split].labels[row]!)
      }
      return total / points
    },
    metricName: 'cross-entropy',
    direction: 'minimize',
    // Percentiles 50 to 5, rounded, of the best metric of 48 baseline runs, as for the tasks of `builtinTasks`.
    targets: [0.554, 0.537, 0.51, 0.5, 0.491, 0.48],
    budget: { steps: 200, evaluateEvery: 5 },
  })
}
