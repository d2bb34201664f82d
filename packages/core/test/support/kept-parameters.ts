/** What tests of parameters that are not in float32 share. */

import {
  type Backend,
  compile,
  type Optimizer,
  type QuantizedSettings,
  quantized,
  reference,
  type Shapes,
} from 'fallline'
import { randomNumbers } from './random.ts'
import { takeStep } from './step.ts'

export type Way = NonNullable<QuantizedSettings['parameters']>

export const ways: readonly Way[] = ['bf16', 'bf16+byte']

export const kept = (optimizer: Optimizer, parameters: Way, settings: QuantizedSettings = {}) =>
  quantized(optimizer, { storage: 'float32', minimumSize: 0, ...settings, parameters })

export function numbersFor(model: Shapes, random: () => number): Record<string, Float32Array> {
  const size = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1)
  return Object.fromEntries(
    Object.entries(model).map(([name, shape]) => [name, Float32Array.from({ length: size(shape) }, random)]),
  )
}

/** From one bfloat16 to the next of this size, or to the next of 24 bits. */
export const gapAt = (value: number, way: Way) =>
  2 ** (Math.floor(Math.log2(Math.max(Math.abs(value), 2 ** -100))) - (way === 'bf16' ? 7 : 15))

/** Steps the reference and a backend from the same bytes each time: the parameters that differ by more than float32 makes them. */
export async function differing(rule: Optimizer, model: Shapes, way: Way, backend: Backend): Promise<string[]> {
  const exact = await compile(rule, model, { backend: reference() })
  const fast = await compile(rule, model, { backend })
  const random = randomNumbers(3)
  fast.writeParameters(numbersFor(model, random))
  const found: string[] = []
  for (let step = 1; step <= 4; step++) {
    exact.load(await fast.saveAsync())
    const gradients = numbersFor(model, random)
    for (const optimizer of [exact, fast]) await takeStep(optimizer, { gradients })
    const [expected, actual] = [await exact.readParameters(), await fast.readParameters()]
    for (const [name, values] of Object.entries(expected)) {
      const apart = [...values].map((value, i) => Math.abs(actual[name]![i]! - value) / gapAt(value, way))
      // Float32 and float64 fall on two sides of a bound now and then.
      const [most, many] = way === 'bf16' ? [1, 1 + 0.02 * values.length] : [16, values.length]
      const several = apart.filter((gaps) => !(gaps === 0)).length
      if (!(Math.max(0, ...apart) <= most && several <= many)) {
        found.push(`${name}, step ${step}: ${several} of ${values.length}, by up to ${Math.max(...apart)}`)
      }
    }
  }
  for (const optimizer of [exact, fast]) optimizer.dispose()
  return found
}
