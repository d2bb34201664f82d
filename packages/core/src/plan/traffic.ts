import { bytesOf } from '../storage/provided.ts'
import { elementsOf, type Plan, type Sizes } from './plan.ts'

/** Bytes that a plan moves between memory and processor. */
export interface Traffic {
  readonly read: number
  readonly written: number
}

/** What a plan moves for a program of these sizes: every array once per loop or matrix function that uses it. */
export function trafficOf(plan: Plan, sizes: Sizes): Traffic {
  let read = 0
  let written = 0
  const bytes = (array: number, elements: number) => bytesOf(plan.arrays[array]!.storage, elements)
  const whole = (array: number) => bytes(array, elementsOf(plan.arrays[array]!.extent, sizes))
  for (const loop of plan.loops) {
    const size = elementsOf(loop.extent, sizes)
    const seen = new Set<number>()
    for (const instruction of loop.body) {
      if (!('array' in instruction) || seen.has(instruction.array)) continue
      seen.add(instruction.array)
      read += instruction.operation === 'broadcast' ? whole(instruction.array) : bytes(instruction.array, size)
    }
    for (const { array } of loop.stores) written += bytes(array, size)
    for (const reduction of loop.reductions) if (reduction.over !== 'all') written += whole(reduction.array)
  }
  for (const { operands, results } of plan.routines) {
    for (const { array, extent } of operands) read += bytes(array, elementsOf(extent, sizes))
    for (const array of results) written += whole(array)
  }
  return { read, written }
}
