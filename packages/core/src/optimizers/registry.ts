import type { OptimizerFactory } from '../language/definition.ts'
import * as all from './all.ts'

/** Every optimizer, by name. Tests, benchmark, `fallline list` and the race iterate over it. */
export const registry: readonly OptimizerFactory[] = (
  Object.values(all) as readonly unknown[] as OptimizerFactory[]
).sort((a, b) => a.definition.name.localeCompare(b.definition.name, 'en'))

/**
 * The optimizer of that name, whatever its case: `findOptimizer('adamw')` is `adamW`.
 *
 * @throws Error that names the known optimizers when there is none of that name.
 */
export function findOptimizer(name: string): OptimizerFactory {
  const wanted = name.toLowerCase()
  const found = registry.find(({ definition }) => definition.name.toLowerCase() === wanted)
  if (found) return found
  const known = registry.map(({ definition }) => definition.name)
  throw new Error(`unknown optimizer '${name}'; known are ${known.join(', ')}`)
}
