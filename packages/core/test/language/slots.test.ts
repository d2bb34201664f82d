import {
  compile,
  countedSlots,
  defineOptimizer,
  nonNegative,
  oneOf,
  reference,
  rows,
  scalar,
  shaped,
  wasm,
  zeros,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { optimizerOf } from '../support/rules.ts'

const backends = [reference, wasm]

describe.each(backends.map((backend) => [backend.name, backend] as const))('slots on %s', (_, backend) => {
  it('start at any number or at the identity, whatever they extend over', async () => {
    const made = optimizerOf(({ g, state }) => ({ direction: g.times(state.a!) }), {
      a: zeros({ start: 2 }),
      r: rows({ start: 3 }),
      i: shaped(() => [2, 2, 3], { start: 'identity' }),
    })
    const optimizer = await compile(made, { w: [2, 2] }, { backend: backend() })
    optimizer.step({ gradients: { w: [1, 2, 3, 4] } })
    const { a, r, i } = optimizer.state('w') as Record<string, Float32Array>
    expect([[...a!], [...r!], [...i!]]).toEqual([
      [2, 2, 2, 2],
      [3, 3],
      [1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0],
    ])
    expect([...optimizer.parameters.w].map((value) => value / optimizer.parameters.w[0]!)).toEqual([1, 2, 3, 4])
  })

  it('are read and written as a list when they are counted, as many as the options ask for', async () => {
    const queue = countedSlots('g', 3, zeros(), ({ options }) => Number(options.length))
    const made = defineOptimizer({
      name: 'lastGradients',
      title: 'Last gradients',
      family: 'momentum',
      paper: { title: 'A queue', authors: 'Nobody', year: 2026 },
      hyper: { learningRate: nonNegative(1) },
      options: { length: 2 },
      state: { ...queue.slots, t: scalar(0) },
      decay: 'decoupled',
      search: { learningRate: oneOf(1) },
      rule({ g, state }) {
        const gradients = [g, ...queue.read(state)]
        return { direction: gradients.at(-1)!, state: queue.write(gradients.slice(0, -1)) }
      },
    })
    const optimizer = await compile(made(), { w: [1] }, { backend: backend() })
    for (const value of [1, 2, 3, 4]) optimizer.step({ gradients: { w: [value] } })
    // The gradients of the steps two before: 0, 0, 1, 2.
    expect(optimizer.parameters.w[0]).toBe(-3)
    expect(Object.keys(optimizer.state('w'))).toEqual(['g1', 'g2', 't'])
  })
})

describe('a slot', () => {
  it('of numbers that starts as anything but a number, or of an array for all tensors, is refused', async () => {
    const identity = optimizerOf(({ g }) => ({ direction: g }), { a: scalar(0, { start: 'identity' }) })
    await expect(compile(identity, { w: [2] })).rejects.toThrow(
      "state 'a' starts as identity; numbers start at numbers",
    )
    const everywhere = optimizerOf(({ g }) => ({ direction: g }), { a: { ...zeros(), scope: 'allTensors' } })
    await expect(compile(everywhere, { w: [2] })).rejects.toThrow("state 'a' is an array for all tensors")
  })
})
