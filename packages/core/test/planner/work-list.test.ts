import { adafactor, clipByGlobalNorm, type Optimizer, sgd } from 'fallline'
import { describe, expect, it } from 'vitest'
import { oneItem, type PreparedStage } from '../../src/backends/wasm/prepared.ts'
import { listTogether } from '../../src/backends/wasm/work-list.ts'
import type { Plan } from '../../src/plan/plan.ts'
import { plansOf } from '../support/plans.ts'

/** The stages of a program for one of several tensors of equal size, whose loops over whole arrays are cut into three chunks. */
function prepared(plan: Plan, tensor: number): { readonly stages: readonly PreparedStage[] } {
  const stages = plan.stages.map((stage, index): PreparedStage => {
    const own = { ...stage, items: [oneItem(100 + index, tensor)] }
    if (stage.kind === 'loops') {
      const chunks = (loop: number) => (isWhole(plan, loop) ? 3 : 1)
      const items = stage.loops.map((loop) => ({ kernel: loop, entry: tensor, count: chunks(loop), perItem: 1 }))
      return { ...stage, items }
    }
    if (stage.kind !== 'totals') return own
    const totals = stage.scalars.flatMap((index) => {
      const scalar = plan.scalars[index]!
      return scalar.kind === 'total' ? [{ key: scalar.key, reduction: scalar.reduction, address: 0 }] : []
    })
    return { ...stage, items: [], totals }
  })
  return { stages }
}

/** True for a loop over whole arrays. */
const isWhole = ({ loops }: Plan, loop: number) => loops[loop]!.extent[2] > 1

/** The tensor and chunk of every item of the loops over whole arrays, loop after loop, as one thread takes them. */
function order(optimizer: Optimizer, tensors: number, sideBySide: boolean): string[] {
  const plan = plansOf(optimizer, [64, 64])[0]!
  const ready = Array.from({ length: tensors }, (_, tensor) => prepared(plan, tensor))
  const addresses = new Map(
    plan.scalars.flatMap((scalar) => (scalar.kind === 'total' ? [[scalar.key, 0] as const] : [])),
  )
  const totals = { region: 0, addresses, kernels: { sum: 99 } }
  const { items } = listTogether([...ready.keys()], ready, totals, sideBySide)
  const texts: string[] = []
  for (let at = 0; at < items.length; at += 5) {
    const [kernel, entry, , , chunk] = items.subarray(at, at + 5) as unknown as [number, number, number, number, number]
    const whole = kernel < plan.loops.length && isWhole(plan, kernel)
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
