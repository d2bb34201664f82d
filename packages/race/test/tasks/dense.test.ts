import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Statistics } from '../../src/task.ts'
import { DenseNetwork, multiply, softmaxCrossEntropy, squaredError } from '../../src/tasks/dense.ts'
import { fillUniform, generator } from '../../src/tasks/random.ts'

describe('multiply', () => {
  it('equals the triple loop for every size and orientation', () => {
    const size = fc.integer({ min: 1, max: 11 })
    fc.assert(
      fc.property(size, size, size, fc.boolean(), fc.boolean(), (rows, columns, inner, aTransposed, bTransposed) => {
        const a = new Float32Array(rows * inner)
        const b = new Float32Array(inner * columns)
        fillUniform(a, 1, generator(rows, inner))
        fillUniform(b, 1, generator(inner, columns))
        const [aRow, aColumn] = aTransposed ? [1, rows] : [inner, 1]
        const [bRow, bColumn] = bTransposed ? [1, inner] : [columns, 1]
        const out = new Float32Array(rows * columns).fill(Number.NaN)
        multiply(out, a, aRow, aColumn, b, bRow, bColumn, rows, columns, inner)
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < columns; column++) {
            let sum = 0
            for (let k = 0; k < inner; k++) sum += a[row * aRow + k * aColumn]! * b[k * bRow + column * bColumn]!
            expect(out[row * columns + column]).toBe(Math.fround(sum))
          }
        }
      }),
    )
  })
})

describe('losses', () => {
  it('softmax cross-entropy is ln(classes) for equal logits, and stays finite for large ones', () => {
    expect(softmaxCrossEntropy(new Float32Array(20), new Uint8Array([3, 9]), 2, 10)).toBeCloseTo(Math.log(10), 12)
    expect(softmaxCrossEntropy(new Float32Array([1000, 0]), new Uint8Array([1]), 1, 2)).toBe(1000)
    expect(softmaxCrossEntropy(new Float32Array([Number.NaN, 0]), new Uint8Array([1]), 1, 2)).toBeNaN()
  })

  it('squared error sums over a row and averages over rows', () => {
    const slope = new Float32Array(4)
    expect(squaredError(new Float32Array([1, 2, 3, 4]), new Float32Array([0, 0, 3, 3]), 2, slope)).toBe(3)
    expect([...slope]).toEqual([1, 2, 0, 1])
  })
})

describe('DenseNetwork', () => {
  it('computes a hand-made example', () => {
    const network = new DenseNetwork([{ name: 'only', inputs: 2, outputs: 1, activation: 'sigmoid' }], 3)
    expect(network.parameters).toEqual({ 'only/kernel': [2, 1], 'only/bias': [1] })
    const parameters = { 'only/kernel': new Float32Array([1, -1]), 'only/bias': new Float32Array([0.5]) }
    const outputs = network.forward(parameters, new Float32Array([1, 1.5, 2, 0]), 2)
    expect([...outputs]).toEqual([0.5, Math.fround(1 / (1 + Math.exp(-2.5)))])
  })

  it('gives statistics of its layers: means over rows, of gradients of the loss of a row', () => {
    const layers = [
      { name: 'first', inputs: 5, outputs: 4, activation: 'tanh' },
      { name: 'second', inputs: 4, outputs: 3, activation: 'linear' },
    ] as const
    const network = new DenseNetwork(layers, 6)
    const parameters = Object.fromEntries(
      Object.entries(network.parameters).map(([name, shape]) => [
        name,
        new Float32Array(shape.reduce((product, size) => product * size, 1)),
      ]),
    )
    const gradients = Object.fromEntries(
      Object.entries(parameters).map(([name, { length }]) => [name, new Float32Array(length)]),
    )
    Object.values(parameters).forEach((values, index) => void fillUniform(values, 1, generator(1, index)))
    const inputs = new Float32Array(30)
    const wanted = new Float32Array(18)
    fillUniform(inputs, 1, generator(2, 0))
    fillUniform(wanted, 1, generator(2, 1))
    const backward = (rows: Float32Array, targets: Float32Array, count: number, statistics?: Statistics) => {
      const outputs = network.forward(parameters, rows, count)
      squaredError(outputs, targets, count, network.outputSlope(count))
      network.backward(parameters, gradients, rows, count, statistics)
    }
    // Row by row: the bias has the gradient of the outputs, and the kernel is its product with the inputs.
    const seen: { a: number[]; s: number[] }[] = []
    for (let row = 0; row < 6; row++) {
      backward(inputs.subarray(5 * row, 5 * row + 5), wanted.subarray(3 * row, 3 * row + 3), 1)
      const s = [...gradients['second/bias']!]
      const a = [0, 1, 2, 3].map((i) => gradients['second/kernel']![3 * i]! / s[0]!)
      seen.push({ a, s })
    }
    const mean = (of: (row: (typeof seen)[number]) => number) => seen.reduce((sum, row) => sum + of(row), 0) / 6
    const square = <T>(size: number, at: (i: number, j: number) => T) =>
      Array.from({ length: size * size }, (_, index) => at(Math.floor(index / size), index % size))
    const expected: Record<string, number[]> = {
      activationMoment: square(4, (i, j) => mean(({ a }) => a[i]! * a[j]!)),
      activationSquares: [0, 1, 2, 3].map((i) => mean(({ a }) => a[i]! ** 2)),
      activationMean: [0, 1, 2, 3].map((i) => mean(({ a }) => a[i]!)),
      outputGradientMoment: square(3, (i, j) => mean(({ s }) => s[i]! * s[j]!)),
      outputGradientSquares: [0, 1, 2].map((i) => mean(({ s }) => s[i]! ** 2)),
      outputGradientMean: [0, 1, 2].map((i) => mean(({ s }) => s[i]!)),
    }
    const statistics = Object.fromEntries(
      Object.entries(expected).map(([name, { length }]) => [name, { 'second/kernel': new Float32Array(length) }]),
    )
    backward(inputs, wanted, 6, statistics)
    for (const [name, values] of Object.entries(expected)) {
      values.forEach((value, index) => {
        expect(statistics[name]!['second/kernel']![index], `${name} ${index}`).toBeCloseTo(value, 5)
      })
    }
  })

  it('refuses more rows than it has room for', () => {
    const network = new DenseNetwork([{ name: 'only', inputs: 2, outputs: 1, activation: 'linear' }], 3)
    const parameters = { 'only/kernel': new Float32Array(2), 'only/bias': new Float32Array(1) }
    expect(() => network.forward(parameters, new Float32Array(8), 4)).toThrow('4 rows exceed the capacity of 3 rows')
  })
})
