import { type Input, inputArray } from './inputs.ts'
import { type Slot, zeros } from './slots.ts'
import type { Value } from './value.ts'

/** The inputs of a method for several losses: `gradientOfLoss1`, `gradientOfLoss2`, ... */
export function lossGradients(losses: number): Readonly<Record<string, Input>> {
  return Object.fromEntries(
    numbers(losses).map((loss) => [`gradientOfLoss${loss}`, inputArray(`the gradient of loss ${loss} alone`)]),
  )
}

/** The gradients of the losses in their order. */
export function listLossGradients(inputs: Readonly<Record<string, Value>>, losses: number): Value[] {
  return numbers(losses).map((loss) => inputs[`gradientOfLoss${loss}`]!)
}

/** 1, 2, ..., count. */
export function numbers(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1)
}

/** As many losses as an optimizer with state for each may be asked for. */
export const mostLosses = 8

/** Zeros shaped like the parameter for each of the losses that there are: `m1`, `m2`, ... */
export function slotsPerLoss(name: string): Readonly<Record<string, Slot>> {
  const slot = (loss: number) => zeros({ when: ({ options }) => (options.losses as number) >= loss })
  return Object.fromEntries(numbers(mostLosses).map((loss) => [`${name}${loss}`, slot(loss)]))
}
