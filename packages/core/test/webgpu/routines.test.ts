import { type Dimensions, type RoutineName, references, routineOf, sizeOf } from 'fallline/internal'
import { describe, expect, it } from 'vitest'
import { gpuOf, readBuffers, usage } from '../../src/backends/webgpu/gpu.ts'
import { bindings } from '../../src/backends/webgpu/kernel.ts'
import { routineCall, workspaceOf } from '../../src/backends/webgpu/routines.ts'
import { randomNumbers } from '../support/random.ts'
import { everything } from '../support/sample.ts'
import { hasWebgpu, sharedDevice } from '../support/webgpu.ts'

interface Operand {
  readonly values: Float64Array
  readonly dimensions: Dimensions
}

/** Calls a matrix function of the device on its own. */
async function call(name: RoutineName, operands: readonly Operand[], asked: Dimensions): Promise<Float32Array[]> {
  const gpu = gpuOf(await sharedDevice())
  const { device } = gpu
  const dimensions = operands.map((operand) => operand.dimensions)
  const results = routineOf(name).results(dimensions, asked)
  const workspace = workspaceOf(name, dimensions)
  let end = 16
  const arrays = [...dimensions, ...results, ...(workspace > 0 ? [[1, 1, workspace] as const] : [])].map((shape) => {
    const at = end
    end += sizeOf(shape) + 3
    return { heap: 0, at, size: sizeOf(shape), dimensions: shape }
  })
  const { kernel, words, items } = routineCall(name, arrays, 1)
  const buffer = (values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>) => {
    const made = device.createBuffer({
      size: Math.max(values.byteLength, 256),
      usage: usage.storage | usage.copySource | usage.copyTarget,
    })
    device.queue.writeBuffer(made, 0, values)
    return made
  }
  // What lies around must stay as it is.
  const memory = new Float32Array(end + 16).fill(7)
  operands.forEach(({ values }, index) => {
    memory.set(values, arrays[index]!.at)
  })
  const heap = buffer(memory)
  const pipeline = await gpu.pipeline(kernel, 1)
  const head = [0, 0xff800000, 0]
  const resources = {
    [bindings.items]: buffer(Uint32Array.from(items.flatMap((item) => [head.length, ...item]))),
    [bindings.words]: buffer(Uint32Array.from([...head, ...words])),
    [bindings.numbers]: buffer(new Float32Array(4)),
    [bindings.bytes]: buffer(new Uint32Array(4)),
    [bindings.heaps]: heap,
  }
  const group = device.createBindGroup({
    layout: gpu.layout(1, false).group,
    entries: Object.entries(resources).map(([binding, one]) => ({
      binding: Number(binding),
      resource: { buffer: one },
    })),
  })
  const encoder = device.createCommandEncoder()
  const pass = encoder.beginComputePass()
  pass.setPipeline(pipeline)
  pass.setBindGroup(0, group, [0])
  pass.dispatchWorkgroups(items.length)
  pass.end()
  device.queue.submit([encoder.finish()])
  const [bytes] = await readBuffers(gpu, [{ buffer: heap, offset: 0, bytes: memory.byteLength }])
  const found = new Float32Array(bytes!)
  for (const { at, size } of arrays) expect([found[at - 1], found[at + size]]).toEqual([7, 7])
  for (const one of Object.values(resources)) one.destroy()
  return arrays
    .slice(operands.length, operands.length + results.length)
    .map(({ at, size }) => found.slice(at, at + size))
}

function matrix(dimensions: Dimensions, seed: number): Operand {
  return { dimensions, values: Float64Array.from({ length: sizeOf(dimensions) }, randomNumbers(seed)).map(Math.fround) }
}

/** X Xᵀ + I / 10, batch by batch. */
function definite([batch, order]: readonly [number, number], seed: number): Operand {
  const [values] = references.gram([matrix([batch, order, order + 2], seed)], [batch, order, order])
  const shifted = values!.map((value, place) =>
    Math.fround(value + (Math.floor(place / order) % order === place % order ? 0.1 : 0)),
  )
  return { dimensions: [batch, order, order], values: shifted }
}

function expectClose(found: Float32Array, expected: Float64Array, tolerance: number) {
  expect(found.length).toBe(expected.length)
  const scale = Math.max(1e-30, ...expected.map(Math.abs))
  const worst = expected.reduce((most, value, index) => Math.max(most, Math.abs(value - found[index]!)), 0)
  expect(worst / scale).toBeLessThan(tolerance)
}

const transposed = ({ values, dimensions }: Operand): Operand => {
  const [batch, rows, columns] = dimensions
  const [result] = references.transposition([{ values, dimensions }], [batch, columns, rows])
  return { values: result!, dimensions: [batch, columns, rows] }
}

const product = (left: Operand, right: Operand): Operand => {
  const dimensions = [left.dimensions[0], left.dimensions[1], right.dimensions[2]] as const
  return { values: references.product([left, right], dimensions)[0]!, dimensions }
}

const wide = (values: Float32Array, dimensions: Dimensions): Operand => ({
  values: Float64Array.from(values),
  dimensions,
})

/** How far the columns are from orthonormal. */
function skewness(q: Operand): number {
  const { values, dimensions } = product(transposed(q), q)
  const order = dimensions[1]
  return values.reduce((most, value, place) => {
    const diagonal = Math.floor(place / order) % order === place % order
    return Math.max(most, Math.abs(value - (diagonal ? 1 : 0)))
  }, 0)
}

describe.runIf(hasWebgpu)('matrix functions on WebGPU', () => {
  it.each<[RoutineName, Operand[], Dimensions, number]>([
    ['product', [matrix([2, 5, 7], 1), matrix([2, 7, 3], 2)], [2, 5, 3], 1e-6],
    ['product', [matrix([1, 70, 33], 1), matrix([1, 33, 130], 2)], [1, 70, 130], 1e-6],
    ['product', [matrix([1, 3, 0], 1), matrix([1, 0, 2], 2)], [1, 3, 2], 1e-6],
    ['gram', [matrix([2, 67, 40], 3)], [2, 67, 67], 1e-6],
    ['symmetricProduct', [definite([2, 66], 4), definite([2, 66], 4)], [2, 66, 66], 1e-6],
    ['transposition', [matrix([2, 5, 900], 5)], [2, 900, 5], 1e-9],
    ['reversal', [matrix([2, 5, 9], 6)], [2, 5, 9], 1e-9],
    ['resized', [matrix([1, 5, 9], 7)], [1, 7, 8], 1e-9],
    ['resized', [matrix([1, 5, 9], 7)], [1, 2, 2], 1e-9],
    ['largestPlaces', [matrix([2, 3, 700], 8)], [2, 3, 9], 1e-9],
    [
      'gather',
      [matrix([1, 2, 6], 9), { values: Float64Array.of(5, 0, 6, -1, 2, 2), dimensions: [1, 2, 3] }],
      [1, 2, 3],
      1e-9,
    ],
    [
      'scatter',
      [matrix([1, 2, 3], 9), { values: Float64Array.of(5, 0, 6, -1, 2, 2), dimensions: [1, 2, 3] }],
      [1, 2, 6],
      1e-6,
    ],
    ['cholesky', [definite([2, 37], 10)], [2, 37, 37], 1e-5],
    ['householder', [matrix([2, 20, 7], 10)], [2, 20, 7], 3e-6],
    ['householder', [matrix([1, 6, 30], 11)], [1, 6, 30], 3e-6],
    ['householder', [{ values: new Float64Array(6), dimensions: [1, 3, 2] }], [1, 3, 2], 1e-6],
    ['solveLower', [definite([2, 20], 11), matrix([2, 20, 3], 12)], [2, 20, 3], 1e-4],
    ['solveUpper', [definite([1, 20], 13), matrix([1, 20, 300], 14)], [1, 20, 300], 1e-4],
  ])('%s gives what the reference gives', async (name, operands, asked, tolerance) => {
    const found = await call(name, operands, asked)
    references[name](operands, asked).forEach((expected, index) => {
      expectClose(found[index]!, expected, tolerance)
    })
  })

  it('has symmetric results that are symmetric to the bit', async () => {
    const operand = definite([1, 70], 15)
    for (const [name, operands] of [
      ['gram', [matrix([1, 70, 31], 16)]],
      ['symmetricProduct', [operand, operand]],
    ] as const) {
      const [found] = await call(name, operands, [1, 70, 70])
      for (let i = 0; i < 70; i++) for (let j = 0; j < i; j++) expect(found![i * 70 + j]).toBe(found![j * 70 + i])
    }
  })

  it('places the same of equal elements as the reference, and what is not a number before all', async () => {
    const values = Float64Array.of(1, -3, 3, 0, Number.NaN, 2, Number.NEGATIVE_INFINITY, 0)
    const [found] = await call('largestPlaces', [{ values, dimensions: [1, 1, 8] }], [1, 1, 8])
    expect([...found!]).toEqual([4, 6, 1, 2, 5, 0, 3, 7])
  })

  it('has no Cholesky factor of a matrix that is not positive definite', async () => {
    const [found] = await call('cholesky', [{ values: Float64Array.of(1, 2, 2, 1), dimensions: [1, 2, 2] }], [1, 2, 2])
    expect([...found!].every(Number.isNaN)).toBe(true)
  })

  it.runIf(everything).each<[string, Operand]>([
    ['tall', matrix([2, 40, 9], 20)],
    ['wide', matrix([1, 6, 50], 21)],
    ['square', matrix([1, 33, 33], 22)],
    ['a single column', matrix([1, 5, 1], 23)],
    ['of lower rank', product(matrix([1, 12, 3], 24), matrix([1, 3, 8], 25))],
    ['zeros', { values: new Float64Array(20), dimensions: [1, 5, 4] }],
  ])('has QR factors whose product is the operand: %s', async (_, operand) => {
    const [batch, rows, columns] = operand.dimensions
    const rank = Math.min(rows, columns)
    const [q, r] = await call('qr', [operand], operand.dimensions)
    const factors = [wide(q!, [batch, rows, rank]), wide(r!, [batch, rank, columns])] as const
    expect(skewness(factors[0])).toBeLessThan(3e-6)
    expectClose(Float32Array.from(product(...factors).values), operand.values, 3e-6)
    factors[1].values.forEach((value, place) => {
      const [row, column] = [Math.floor(place / columns) % rank, place % columns]
      if (row > column) expect(value).toBe(0)
      if (row === column) expect(value).toBeGreaterThanOrEqual(0)
    })
  })

  it.runIf(everything)('makes columns orthonormal in the order of their marks', async () => {
    const operand = matrix([1, 20, 6], 30)
    const [basis] = references.qr([matrix([1, 20, 1], 31)], [1, 20, 1])
    for (let i = 0; i < 20; i++) operand.values[i * 6 + 2] = Math.fround(basis![i]!)
    const marks = { values: Float64Array.of(0.5, 0.25, -1, 0.25, 2, 0), dimensions: [1, 1, 6] as const }
    const [found] = await call('orthonormalization', [operand, marks], [1, 20, 6])
    expectClose(found!, references.orthonormalization([operand, marks], [1, 20, 6])[0]!, 3e-6)
  })

  it.runIf(everything).each<[string, Operand]>([
    ['definite', definite([2, 24], 40)],
    ['odd', definite([1, 7], 41)],
    ['one number', { values: Float64Array.of(-3), dimensions: [1, 1, 1] }],
    ['indefinite', { values: Float64Array.of(0, 1, 2, 1, 0, -1, 2, -1, 0), dimensions: [1, 3, 3] }],
    ['zeros', { values: new Float64Array(9), dimensions: [1, 3, 3] }],
  ])('has eigenvalues and vectors: %s', async (_, operand) => {
    const [batch, order] = operand.dimensions
    const [values, vectors] = await call('eigen', [operand], operand.dimensions)
    const [expected] = references.eigen([operand], operand.dimensions)
    expectClose(values!, expected!, 3e-6)
    const basis = wide(vectors!, [batch, order, order])
    expect(skewness(basis)).toBeLessThan(1e-5)
    const scaled = basis.values.map(
      (value, place) => value * values![Math.floor(place / order ** 2) * order + (place % order)]!,
    )
    const back = product({ ...basis, values: scaled }, transposed(basis))
    expectClose(Float32Array.from(back.values), operand.values, 1e-5)
    for (let b = 0; b < batch; b++) {
      for (let j = 0; j < order; j++) {
        const column = Array.from({ length: order }, (_, i) => basis.values[(b * order + i) * order + j]!)
        const largest = column.reduce((most, value) => (Math.abs(value) > Math.abs(most) ? value : most), 0)
        expect(largest).toBeGreaterThan(0)
      }
    }
  })

  it.runIf(everything).each<[string, Operand]>([
    ['tall', matrix([2, 30, 9], 50)],
    ['wide', matrix([1, 5, 40], 51)],
    ['square', matrix([1, 17, 17], 52)],
    ['a row', matrix([1, 1, 6], 53)],
    ['zeros', { values: new Float64Array(20), dimensions: [1, 5, 4] }],
  ])('has singular values and vectors: %s', async (_, operand) => {
    const [batch, rows, columns] = operand.dimensions
    const rank = Math.min(rows, columns)
    const [left, values, right] = await call('svd', [operand], operand.dimensions)
    expectClose(values!, references.svd([operand], operand.dimensions)[1]!, 3e-6)
    const u = wide(left!, [batch, rows, rank])
    const v = wide(right!, [batch, rank, columns])
    expect(skewness(u)).toBeLessThan(1e-5)
    expect(skewness(transposed(v))).toBeLessThan(1e-5)
    const scaled = u.values.map(
      (value, place) => value * values![Math.floor(place / (rows * rank)) * rank + (place % rank)]!,
    )
    expectClose(Float32Array.from(product({ ...u, values: scaled }, v).values), operand.values, 1e-5)
  })

  it.runIf(everything).each(['eigen', 'svd'] as const)('%s of what is not a number is not one', async (name) => {
    const values = Float64Array.of(1, Number.NaN, Number.NaN, 1)
    for (const found of await call(name, [{ values, dimensions: [1, 2, 2] }], [1, 2, 2])) {
      expect([...found].every(Number.isNaN)).toBe(true)
    }
  })

  it('says how many columns there may be', () => {
    const place = { heap: 0, at: 16, size: 0, dimensions: [1, 3000, 3000] as const }
    expect(() => routineCall('qr', [place, place, place], 1)).toThrow(
      'QR factors of 3000 vectors; a workgroup has room for 2048',
    )
  })
})
