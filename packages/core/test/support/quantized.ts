/** What tests of state in fewer bits share: models, ways to keep it, and how far two backends may be from each other. */

import {
  describe as describeOptimizer,
  exAdam,
  type Optimizer,
  type OptimizerFactory,
  type QuantizedSettings,
  quantized,
  type Shapes,
} from 'fallline'
import type { Snapshot, Tolerance } from './compare.ts'

/** Rows that begin within blocks, a vector that ends within one, a kernel of which many matrices share a block, and nothing. */
export const shapes: Shapes = { matrix: [23, 31], vector: [301], kernel: [8, 4, 3, 3], scalar: [], empty: [0, 4] }

/** The ways to keep state, and what of the largest element of an array lies between two codes. */
export const ways: Readonly<Record<string, { readonly settings: QuantizedSettings; readonly gap: number }>> = {
  '8 bits': { settings: { bits: 8 }, gap: 0.0142 },
  '4 bits': { settings: { bits: 4 }, gap: 0.24 },
  bf16: { settings: { storage: 'bf16' }, gap: 2 ** -7 },
  'bf16+byte': { settings: { storage: 'bf16+byte' }, gap: 2 ** -15 },
}

/** One step from equal numbers. */
export function tolerance(factory: OptimizerFactory): Tolerance {
  if (factory === (exAdam as unknown)) return { relative: 4e-7, scale: 4e-5 }
  const { kind } = describeOptimizer(factory)
  return { relative: 1e-6, scale: kind === 'matrix' ? 3e-4 : kind === 'global' ? 6e-5 : 1e-5 }
}

export const kept = (optimizer: Optimizer, way: string): Optimizer =>
  quantized(optimizer, { minimumSize: 0, ...ways[way]!.settings })

/** What of the state differs by more than rounding and by more than a code, or in too many places. */
export function differentState(actual: Snapshot, expected: Snapshot, allowed: Tolerance, gap: number): string[] {
  const { relative, scale, absolute = 0 } = allowed
  return Object.keys(expected).flatMap((name) => {
    // What is not shaped like its parameter is not kept in fewer bits, and other tests compare it.
    if (!name.includes(' state ') || expected[name]!.length !== expected[name.split(' ')[0]!]!.length) return []
    const [values, found] = [expected[name]!, actual[name]!]
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
    const errors = values.map((value, index) => Math.abs(found[index]! - value))
    const limit = (value: number) => relative * Math.abs(value) + scale * largest + absolute
    const others = errors.filter((error, index) => error > limit(values[index]!))
    const worst = Math.max(0, ...others)
    if (worst > gap * largest * 1.01 + absolute) return [`${name}: ${worst} of ${largest}`]
    return others.length > 1 + 0.02 * values.length ? [`${name}: ${others.length} of ${values.length} elements`] : []
  })
}
