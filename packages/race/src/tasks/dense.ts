import type { Statistics } from '../task.ts'
import { fillUniform, generator, glorotLimit, heLimit, stream } from './random.ts'

/**
 * What a dense layer does to its sums: y = x (`linear`), max(x, 0) (`relu`), tanh(x) or 1 / (1 + exp(-x)) (`sigmoid`).
 */
export type Activation = 'linear' | 'relu' | 'tanh' | 'sigmoid'

/**
 * One fully connected layer. Its parameters are `<name>/kernel` of shape [inputs, outputs] and `<name>/bias` of shape
 * [outputs].
 */
export interface DenseLayer {
  readonly name: string
  readonly inputs: number
  readonly outputs: number
  readonly activation: Activation
}

/**
 * A stack of fully connected layers with its forward and backward pass, written as plain loops over Float32Array. The
 * network owns scratch space for up to `capacity` rows and holds no parameters: they are passed in, so one network
 * serves every trial.
 */
export class DenseNetwork {
  /** Name and shape of every parameter, first layer first. */
  readonly parameters: Readonly<Record<string, readonly number[]>>
  readonly #layers: readonly DenseLayer[]
  readonly #capacity: number
  readonly #outputs: readonly Float32Array[]
  readonly #slopes: readonly Float32Array[]

  constructor(layers: readonly DenseLayer[], capacity: number) {
    this.#layers = layers
    this.#capacity = capacity
    this.parameters = Object.fromEntries(
      layers.flatMap(({ name, inputs, outputs }) => [
        [`${name}/kernel`, [inputs, outputs]],
        [`${name}/bias`, [outputs]],
      ]),
    )
    this.#outputs = layers.map(({ outputs }) => new Float32Array(capacity * outputs))
    this.#slopes = layers.map(({ outputs }) => new Float32Array(capacity * outputs))
  }

  /** Writes initial values: He-uniform kernels before a ReLU, Glorot-uniform kernels otherwise, zero biases. */
  initialize(parameters: Record<string, Float32Array>, seed: number): void {
    this.#layers.forEach(({ name, inputs, outputs, activation }, index) => {
      const limit = activation === 'relu' ? heLimit(inputs) : glorotLimit(inputs, outputs)
      fillUniform(parameters[`${name}/kernel`]!, limit, generator(seed, stream.initialization, index))
      parameters[`${name}/bias`]!.fill(0)
    })
  }

  /** Runs `rows` rows through the network. The result is a view of scratch space, valid until the next call. */
  forward(parameters: Record<string, Float32Array>, inputs: Float32Array, rows: number): Float32Array {
    if (rows > this.#capacity) throw new RangeError(`${rows} rows exceed the capacity of ${this.#capacity} rows`)
    let current = inputs
    this.#layers.forEach((layer, index) => {
      const output = this.#outputs[index]!
      const kernel = parameters[`${layer.name}/kernel`]!
      multiply(output, current, layer.inputs, 1, kernel, layer.outputs, 1, rows, layer.outputs, layer.inputs)
      activate(output, parameters[`${layer.name}/bias`]!, rows, layer.activation)
      current = output
    })
    return current.subarray(0, rows * this.#layers.at(-1)!.outputs)
  }

  /**
   * Scratch space into which the caller writes the slope of the loss in the last layer's outputs before calling
   * `backward`.
   */
  outputSlope(rows: number): Float32Array {
    return this.#slopes.at(-1)!.subarray(0, rows * this.#layers.at(-1)!.outputs)
  }

  /**
   * Writes the gradient of every parameter, for the rows of the latest `forward` and the slope left in `outputSlope`, and
   * the statistics of layers that are asked for by the names of kernels. The slope is that of a mean over rows.
   */
  backward(
    parameters: Record<string, Float32Array>,
    gradients: Record<string, Float32Array>,
    inputs: Float32Array,
    rows: number,
    statistics: Statistics = {},
  ): void {
    for (let index = this.#layers.length - 1; index >= 0; index--) {
      const layer = this.#layers[index]!
      const slope = this.#slopes[index]!
      const below = index === 0 ? inputs : this.#outputs[index - 1]!
      deactivate(slope, this.#outputs[index]!, rows * layer.outputs, layer.activation)
      const kernelGradient = gradients[`${layer.name}/kernel`]!
      multiply(kernelGradient, below, 1, layer.inputs, slope, layer.outputs, 1, layer.inputs, layer.outputs, rows)
      sumRows(gradients[`${layer.name}/bias`]!, slope, rows)
      for (const [statistic, arrays] of Object.entries(statistics)) {
        const array = arrays[`${layer.name}/kernel`]
        if (!array) continue
        // A row's own gradient is as many times that of the mean as there are rows.
        if (statistic.startsWith('activation')) writeStatistic(statistic, array, below, layer.inputs, rows, 1)
        else writeStatistic(statistic, array, slope, layer.outputs, rows, rows)
      }
      if (index > 0) {
        const kernel = parameters[`${layer.name}/kernel`]!
        const slopeBelow = this.#slopes[index - 1]!
        multiply(slopeBelow, slope, layer.outputs, 1, kernel, 1, layer.outputs, rows, layer.inputs, layer.outputs)
      }
    }
  }
}

/**
 * Matrix product `out = a b`, with `out` of shape [rows, columns] stored row by row. Element (i, k) of `a` is at `i *
 * aRow + k * aColumn`, element (k, j) of `b` at `k * bRow + j * bColumn`, so a transposed matrix costs no copy. Sums
 * run in float64. Blocks of 4 x 4 sums stay in registers, which is about three times as fast as the plain triple loop;
 * the last block of a row or column is moved back to end at the edge, so some elements are computed twice and none
 * needs code of its own.
 */
export function multiply(
  out: Float32Array,
  a: Float32Array,
  aRow: number,
  aColumn: number,
  b: Float32Array,
  bRow: number,
  bColumn: number,
  rows: number,
  columns: number,
  inner: number,
): void {
  if (rows < 4 || columns < 4) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let sum = 0
        for (let k = 0; k < inner; k++) sum += a[row * aRow + k * aColumn]! * b[k * bRow + column * bColumn]!
        out[row * columns + column] = sum
      }
    }
    return
  }
  for (let blockRow = 0; blockRow < rows; blockRow += 4) {
    const row = Math.min(blockRow, rows - 4)
    for (let blockColumn = 0; blockColumn < columns; blockColumn += 4) {
      const column = Math.min(blockColumn, columns - 4)
      let a0 = row * aRow
      let a1 = a0 + aRow
      let a2 = a1 + aRow
      let a3 = a2 + aRow
      let b0 = column * bColumn
      let b1 = b0 + bColumn
      let b2 = b1 + bColumn
      let b3 = b2 + bColumn
      let s00 = 0
      let s01 = 0
      let s02 = 0
      let s03 = 0
      let s10 = 0
      let s11 = 0
      let s12 = 0
      let s13 = 0
      let s20 = 0
      let s21 = 0
      let s22 = 0
      let s23 = 0
      let s30 = 0
      let s31 = 0
      let s32 = 0
      let s33 = 0
      for (let k = 0; k < inner; k++) {
        const y0 = b[b0]!
        const y1 = b[b1]!
        const y2 = b[b2]!
        const y3 = b[b3]!
        const x0 = a[a0]!
        s00 += x0 * y0
        s01 += x0 * y1
        s02 += x0 * y2
        s03 += x0 * y3
        const x1 = a[a1]!
        s10 += x1 * y0
        s11 += x1 * y1
        s12 += x1 * y2
        s13 += x1 * y3
        const x2 = a[a2]!
        s20 += x2 * y0
        s21 += x2 * y1
        s22 += x2 * y2
        s23 += x2 * y3
        const x3 = a[a3]!
        s30 += x3 * y0
        s31 += x3 * y1
        s32 += x3 * y2
        s33 += x3 * y3
        a0 += aColumn
        a1 += aColumn
        a2 += aColumn
        a3 += aColumn
        b0 += bRow
        b1 += bRow
        b2 += bRow
        b3 += bRow
      }
      let at = row * columns + column
      out[at] = s00
      out[at + 1] = s01
      out[at + 2] = s02
      out[at + 3] = s03
      at += columns
      out[at] = s10
      out[at + 1] = s11
      out[at + 2] = s12
      out[at + 3] = s13
      at += columns
      out[at] = s20
      out[at + 1] = s21
      out[at + 2] = s22
      out[at + 3] = s23
      at += columns
      out[at] = s30
      out[at + 1] = s31
      out[at + 2] = s32
      out[at + 3] = s33
    }
  }
}

/** Adds the bias to every row and applies the activation, in place. */
function activate(values: Float32Array, bias: Float32Array, rows: number, activation: Activation): void {
  const columns = bias.length
  for (let row = 0, index = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, index++) {
      const sum = values[index]! + bias[column]!
      values[index] =
        activation === 'linear'
          ? sum
          : activation === 'relu'
            ? Math.max(sum, 0)
            : activation === 'tanh'
              ? Math.tanh(sum)
              : 1 / (1 + Math.exp(-sum))
    }
  }
}

/**
 * Turns the slope in the outputs of a layer into the slope in its sums, in place; every activation's derivative follows
 * from its output.
 */
function deactivate(slope: Float32Array, outputs: Float32Array, count: number, activation: Activation): void {
  if (activation === 'linear') return
  for (let index = 0; index < count; index++) {
    const output = outputs[index]!
    slope[index]! *=
      activation === 'relu' ? (output > 0 ? 1 : 0) : activation === 'tanh' ? 1 - output * output : output * (1 - output)
  }
}

function sumRows(sums: Float32Array, values: Float32Array, rows: number): void {
  const columns = sums.length
  for (let column = 0; column < columns; column++) {
    let sum = 0
    for (let row = 0; row < rows; row++) sum += values[row * columns + column]!
    sums[column] = sum
  }
}

/** The mean of a row times `scale`, of its squares (`...Squares`), or of its products with itself (`...Moment`), over the rows. */
function writeStatistic(
  name: string,
  out: Float32Array,
  values: Float32Array,
  columns: number,
  rows: number,
  scale: number,
): void {
  if (name.endsWith('Moment')) multiply(out, values, 1, columns, values, columns, 1, columns, columns, rows)
  else if (name.endsWith('Squares'))
    sumRows(
      out,
      values.subarray(0, rows * columns).map((x) => x * x),
      rows,
    )
  else sumRows(out, values, rows)
  const factor = (name.endsWith('Mean') ? scale : scale * scale) / rows
  for (let index = 0; index < out.length; index++) out[index]! *= factor
}

/**
 * Mean cross-entropy, in nats, of the softmax of `logits` (rows of `columns` values) against the labels: mean of -log
 * softmax(logits)[label]. With `slope`, also writes the derivative in the logits, (softmax - one-hot) / rows.
 */
export function softmaxCrossEntropy(
  logits: Float32Array,
  labels: Uint8Array,
  rows: number,
  columns: number,
  slope?: Float32Array,
): number {
  let total = 0
  for (let row = 0; row < rows; row++) {
    const start = row * columns
    let largest = Number.NEGATIVE_INFINITY
    for (let column = 0; column < columns; column++) largest = Math.max(largest, logits[start + column]!)
    let sum = 0
    for (let column = 0; column < columns; column++) sum += Math.exp(logits[start + column]! - largest)
    const label = labels[row]!
    total += Math.log(sum) + largest - logits[start + label]!
    if (slope) {
      for (let column = 0; column < columns; column++) {
        const probability = Math.exp(logits[start + column]! - largest) / sum
        slope[start + column] = (probability - (column === label ? 1 : 0)) / rows
      }
    }
  }
  return total / rows
}

/**
 * Reconstruction loss: the squared error summed over the columns of a row, averaged over the rows.
 * With `slope`, also writes the derivative in the outputs, 2 (output - wanted) / rows.
 */
export function squaredError(outputs: Float32Array, wanted: Float32Array, rows: number, slope?: Float32Array): number {
  let total = 0
  for (let index = 0; index < outputs.length; index++) {
    const difference = outputs[index]! - wanted[index]!
    total += difference * difference
    if (slope) slope[index] = (2 * difference) / rows
  }
  return total / rows
}
