import { adafactor, clipByGlobalNorm, compile, lamb, type Optimizer, quantized, type Shapes, svd } from 'fallline'
import { webgpu } from 'fallline/webgpu'
import { describe, expect, it, vi } from 'vitest'
import { randomNumbers } from '../support/random.ts'
import { optimizerOf } from '../support/rules.ts'
import { everything } from '../support/sample.ts'
import { hasSubgroups, newDevice, sharedDevice } from '../support/webgpu.ts'

const shapes: Shapes = { tall: [40, 300], wide: [3, 2000], odd: [7, 5] }

const optimizers: [string, Optimizer][] = [
  ['norms of tensors', lamb()],
  ['a norm of all tensors', clipByGlobalNorm(lamb(), { maximumNorm: 0.1 })],
  ['sums of rows and columns', adafactor()],
  ['blocks in 8 bits', quantized(lamb(), { minimumSize: 1 })],
  ['singular values', optimizerOf(({ g }) => ({ direction: svd(g).left.matmul(svd(g).right), state: {} }), {})],
]

async function stepsOn(device: GPUDevice, optimizer: Optimizer) {
  const compiled = await compile(optimizer, shapes, { backend: webgpu({ device }) })
  const random = randomNumbers(4)
  const make = (shape: readonly number[]) => Float32Array.from({ length: shape[0]! * shape[1]! }, random)
  const arrays = () => Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, make(shape)]))
  compiled.writeParameters(arrays())
  for (let step = 1; step <= 2; step++) compiled.step({ gradients: arrays() })
  const saved = await compiled.saveAsync()
  compiled.dispose()
  return saved
}

describe.runIf(hasSubgroups)('on a device with subgroups', async () => {
  const device = hasSubgroups ? await newDevice(['subgroups']) : undefined

  it.each(everything ? optimizers : optimizers.slice(0, 2))(
    'steps have the same bits as on one without: %s',
    async (_, optimizer) => {
      const modules = vi.spyOn(device!, 'createShaderModule')
      expect(await stepsOn(device!, optimizer)).toEqual(await stepsOn(await sharedDevice(), optimizer))
      expect(modules.mock.calls.some(([{ code }]) => code.includes('subgroupShuffleDown'))).toBe(true)
      modules.mockRestore()
    },
  )
})
