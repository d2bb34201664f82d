import { compile } from 'fallline'
import { createForeignInstance, type ForeignInstance, onHost, wasmPrecision } from 'fallline/internal'
import { describe, expect, it } from 'vitest'
import { smallModel } from '../support/models.ts'
import { randomNumbers } from '../support/random.ts'
import { meets } from '../support/sample.ts'
import { answer, takeStep } from '../support/step.ts'
import { make, registry } from '../support/variants.ts'

/** A memory with a heap that hands out addresses that are multiples of 8 only, full of rubbish. */
function heap() {
  const memory = new WebAssembly.Memory({ initial: 1 })
  const freed: number[] = []
  let next = 8
  const rubbish = (from: number) => new Uint8Array(memory.buffer).fill(0xc5, from)
  rubbish(0)
  return {
    memory,
    freed,
    allocate(bytes: number) {
      const address = next
      next = Math.ceil((next + bytes) / 16) * 16 + 8
      if (next > memory.buffer.byteLength) {
        const before = memory.buffer.byteLength
        memory.grow(Math.ceil((next - before) / 65536))
        rubbish(before)
      }
      return address
    },
    free(address: number) {
      freed.push(address)
    },
  }
}

describe('kernels in a memory that belongs to someone else', () => {
  // Parameters that are joined are one tensor, which `views` knows nothing of.
  const met = registry.filter(({ definition }) => !definition.joint && meets('memory of others', definition.name))
  it.each(met.map((factory) => [factory.definition.name, factory] as const))(
    '%s gives the same bits',
    async (_, factory) => {
      const owner = heap()
      let instance: ForeignInstance | undefined
      const create = async (tensors: Parameters<typeof createForeignInstance>[0]) => {
        instance = createForeignInstance(tensors, owner)
        return onHost(instance, wasmPrecision)
      }
      // What takes all parameters as one vector has them in one place.
      const model = factory.definition.joint ? { weight: smallModel.weight! } : smallModel
      const own = await compile(make(factory), model)
      const foreign = await compile(make(factory), model, { backend: { name: 'foreign', create } })
      const random = randomNumbers(3)
      const view = (address: number, length: number) => new Float32Array(owner.memory.buffer, address, length)
      const places = own.names.map((name) => owner.allocate(4 * own.parameters[name]!.length))
      own.names.forEach((name, index) => {
        const values = own.parameters[name]!.map(random)
        own.parameters[name]!.set(values)
        view(places[index]!, values.length).set(values)
        instance!.place(index, 'parameter', places[index]!)
      })
      for (let step = 0; step < 4; step++) {
        const last = Object.fromEntries(own.names.map((name) => [name, own.gradients[name]!.map(random)]))
        const addresses = own.names.map((name, index) => {
          // Gradients lie elsewhere in every step, and the memory grows.
          const address = owner.allocate(4 * last[name]!.length + 70_000 * (step % 2))
          instance!.place(index, 'gradient', address)
          return address
        })
        await takeStep(own, { gradients: last, loss: 1 })
        await foreign.minimize(({ evaluation, evaluations }) => {
          const told = answer(own, last, 1, evaluation, evaluations)
          own.names.forEach((name, index) => {
            view(addresses[index]!, last[name]!.length).set(told.gradients[name]!)
            for (const [input, array] of instance!.inputs[index]!) array.set(told.inputs[input]![name]!)
          })
          return { loss: told.loss, inputs: told.numbers }
        })
      }
      own.names.forEach((name, index) => {
        const { length } = own.parameters[name]!
        expect([...view(places[index]!, length)]).toEqual([...own.parameters[name]!])
      })
      foreign.dispose()
      expect(owner.freed).toHaveLength(1)
    },
  )
})
