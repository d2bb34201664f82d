import {
  type Backend,
  type CompiledOptimizer,
  compile,
  distributedShampoo,
  eigen,
  type Optimizer,
  quantized,
  reference,
  shampoo,
  shaped,
  sPlus,
  wasm,
  where,
} from 'fallline'
import { webgpu } from 'fallline/webgpu'
import { describe, expect, it } from 'vitest'
import { besideReference, differencesOf } from '../support/beside-reference.ts'
import { randomNumbers } from '../support/random.ts'
import { optimizerOf } from '../support/rules.ts'
import { everything } from '../support/sample.ts'
import { hasWebgpu, sharedDevice } from '../support/webgpu.ts'

const delayed = (backend: Backend): Backend => ({ ...backend, delaysEigendecompositions: true })
const onHost = async () => webgpu({ device: await sharedDevice(), eigendecompositions: 'host' })
const shapes = { square: [6, 6], convolution: [2, 3, 4] }

const gradientsAt = (step: number) => {
  const random = randomNumbers(step)
  const make = (length: number) => Float32Array.from({ length }, random)
  return { square: make(36), convolution: make(24) }
}

/** Steps of which nobody waits for any. */
function take(optimizer: CompiledOptimizer, from: number, to: number): void {
  for (let step = from; step <= to; step++) optimizer.step({ gradients: gradientsAt(step) })
}

const gram = shaped(({ matrix }) => matrix)
const basis = shaped(({ matrix }) => matrix, { start: 'identity' })

describe('eigendecompositions that wait for the next refresh', () => {
  it('are of the matrix that the refresh before has left, and at the first of its own', async () => {
    const waiting = optimizerOf(
      ({ g, state, hyper, every }) => {
        const S = state.S!.plus(g.matmul(g.transposed()))
        const Q = every(hyper.k, () => eigen(S).vectors, state.Q!)
        return { direction: Q.matmul(g), state: { S, Q } }
      },
      { S: gram, Q: basis },
    )
    const written = optimizerOf(
      ({ g, t, state, hyper, every }) => {
        const S = state.S!.plus(g.matmul(g.transposed()))
        const later = () => ({ Q: eigen(where(t.isGreaterThan(3), state.left!, S)).vectors, left: S })
        const { Q, left } = every(hyper.k, later, { Q: state.Q!, left: state.left! })
        return { direction: Q.matmul(g), state: { S, Q, left } }
      },
      { S: gram, Q: basis, left: gram },
    )
    const model = { square: [6, 6] }
    const optimizers = [
      await compile(waiting, model, { backend: delayed(reference()) }),
      await compile(written, model, { backend: reference() }),
    ] as const
    for (let step = 1; step <= 10; step++) {
      for (const optimizer of optimizers) optimizer.step({ gradients: { square: gradientsAt(step).square } })
      expect(optimizers[0].parameters).toEqual(optimizers[1].parameters)
    }
    expect(Object.keys(optimizers[0].state('square'))).toEqual(['S', 'Q', 'waiting1.matrix1', 'waiting1.began'])
  })

  it('are those of the same step where they are taken at every step', async () => {
    const exact = optimizerOf(({ g }) => ({ direction: eigen(g.matmul(g.transposed())).vectors, state: {} }), {})
    const optimizer = await compile(exact, { square: [6, 6] }, { backend: delayed(reference()) })
    expect(optimizer.state('square')).toEqual({})
  })
})

const refreshed: [string, Optimizer][] = [
  ['bases beside state in fewer bits', quantized(sPlus({ basisPeriod: 3, epsilon: 1e-2 }), { minimumSize: 1 })],
  ['roots', shampoo({ epsilon: 1e-3, preconditionerPeriod: 3 })],
  ['roots of blocks', distributedShampoo({ epsilon: 1e-3, preconditionerPeriod: 2, blockSize: 4 })],
]

describe.runIf(hasWebgpu)('eigendecompositions on the host, beside WebGPU', () => {
  it.runIf(everything).each(refreshed)(
    'give what the reference gives when they wait there too: %s',
    async (_, optimizer) => {
      const pair = await besideReference(optimizer, shapes, await onHost(), delayed(reference()))
      expect(await differencesOf(pair, { relative: 4e-7, scale: 3e-4 }, 7)).toEqual([])
    },
  )

  it('are done by the time that steps are settled, in float64', async () => {
    const optimizer = await compile(sPlus({ basisPeriod: 3 }), shapes, { backend: await onHost() })
    take(optimizer, 1, 5)
    await optimizer.settled()
    const { 'waiting1.matrix1': matrix } = (await optimizer.readState('square')) as Record<string, Float32Array>
    const alone = optimizerOf(({ p }) => ({ direction: p.times(0), state: { Q: eigen(p).vectors } }), { Q: basis })
    const exact = await compile(alone, { square: [6, 6] }, { backend: wasm() })
    exact.parameters.square.set(matrix!)
    exact.step({ gradients: { square: new Float32Array(36) } })
    take(optimizer, 6, 6)
    expect((await optimizer.readState('square')).QL).toEqual(exact.state('square').Q)
    optimizer.dispose()
  })

  it('are the device’s where nobody gave the host time, but for rounding', async () => {
    const [, optimizer] = refreshed[0]!
    const here = await compile(optimizer, shapes, { backend: delayed(wasm()) })
    const there = await compile(optimizer, shapes, { backend: await onHost() })
    take(here, 1, 9)
    take(there, 1, 9)
    const parameters = await there.readParameters()
    for (const [name, values] of Object.entries(here.parameters)) {
      values.forEach((value, place) => {
        expect(parameters[name as 'square'][place]).toBeCloseTo(value, 4)
      })
    }
    there.dispose()
  })

  it('go on from a checkpoint, to the bit', async () => {
    const [, optimizer] = refreshed[0]!
    const [first, second] = [
      await compile(optimizer, shapes, { backend: await onHost() }),
      await compile(optimizer, shapes, { backend: await onHost() }),
    ]
    take(first, 1, 4)
    second.load(await first.saveAsync())
    for (const each of [first, second]) {
      await each.settled()
      take(each, 5, 7)
    }
    expect(await second.saveAsync()).toEqual(await first.saveAsync())
    first.dispose()
    second.dispose()
  })

  it('stay as they are where a step is not taken', async () => {
    const [, optimizer] = refreshed[0]!
    const [first, second] = [
      await compile(optimizer, shapes, { backend: await onHost() }),
      await compile(optimizer, shapes, { backend: await onHost() }),
    ]
    for (const each of [first, second]) {
      take(each, 1, 5)
      await each.settled()
    }
    second.step({ gradients: { ...gradientsAt(6), square: new Float32Array(36).fill(Number.NaN) } })
    await expect(second.settled()).rejects.toThrow("step 6: the gradient of 'square' is not finite")
    await second.settled()
    for (const each of [first, second]) take(each, 6, 6)
    expect(await second.saveAsync()).toEqual(await first.saveAsync())
    first.dispose()
    second.dispose()
  })

  it('are refused by another word', () => {
    expect(() => webgpu({ eigendecompositions: 'cpu' as 'host' })).toThrow(
      'webgpu: eigendecompositions must be device or host, not cpu',
    )
  })
})
