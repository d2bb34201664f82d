import { adafactor, clipByGlobalNorm, type Optimizer, sgd } from 'fallline'
import { describe, expect, it } from 'vitest'
import type { Item, Prepared } from '../../src/backends/wasm/prepared.ts'
import { workList } from '../../src/backends/wasm/work-list.ts'
import { plansOf } from '../support/plans.ts'

/** A program for one of several tensors of equal size, whose loops over whole arrays are cut into three chunks. */
function prepared(optimizer: Optimizer, tensor: number): Prepared {
  const plan = plansOf(optimizer, [64, 64])[0]!
  const stages = new Map(plan.stages.map((_, index) => [index, 100 + index]))
  const item = (kernel: number, chunk: number): Item => ({
    kernel,
    entry: tensor,
    first: chunk,
    last: chunk + 1,
    chunk,
  })
  return {
    plan,
    kernels: { loops: [], stages },
    entry: tensor,
    loopItems: plan.loops.map(({ extent }, loop) =>
      (extent[2] > 1 ? [0, 1, 2] : [0]).map((chunk) => item(loop, chunk)),
    ),
    routineItems: [],
  } as unknown as Prepared
}

/** The tensor and chunk of every item of the loops over whole arrays, loop after loop, as one thread takes them. */
function order(optimizer: Optimizer, tensors: number, sideBySide: boolean): string[] {
  const ready = Array.from({ length: tensors }, (_, tensor) => prepared(optimizer, tensor))
  const addresses = new Map<string, number>()
  for (const { kind, ...rest } of ready[0]!.plan.scalars)
    if (kind === 'total') addresses.set((rest as { key: string }).key, 0)
  const totals = { region: 0, addresses, kernels: { sum: 99 } }
  const { items } = workList([...ready.keys()], ready, totals, sideBySide)
  const texts: string[] = []
  for (let at = 0; at < items.length; at += 5) {
    const [kernel, entry, , , chunk] = items.subarray(at, at + 5) as unknown as [number, number, number, number, number]
    const whole = ready[0]!.loopItems[kernel]?.length === 3
    if (whole) texts[kernel] = `${texts[kernel] ?? ''} ${entry}.${chunk}`
  }
  return texts.filter((text) => text !== undefined).map((text) => text.trim())
}

describe('the order of work', () => {
  it.each([false, true])('turns round after every pass over the arrays (side by side: %s)', (sideBySide) => {
    expect(order(clipByGlobalNorm(sgd()), 2, sideBySide)).toEqual([
      '0.0 0.1 0.2 1.0 1.1 1.2',
      '1.2 1.1 1.0 0.2 0.1 0.0',
    ])
  })

  it('does not turn for passes over rows or columns alone', () => {
    expect(order(adafactor(), 1, false)).toEqual(['0.0 0.1 0.2', '0.2 0.1 0.0', '0.0 0.1 0.2'])
  })
})
