/** Steps on a device beside the reference, in Node and in a page. */

import { type Backend, type CompiledOptimizer, compile, type Optimizer, reference, type Shapes } from 'fallline'
import { differences, notFinite, type Snapshot, snapshot, type Tolerance } from './compare.ts'
import { fillAll, randomNumbers } from './random.ts'
import { takeStep } from './step.ts'

/** An optimizer on the reference and on a device. */
export interface Pair {
  readonly exact: CompiledOptimizer
  readonly fast: CompiledOptimizer
}

/** As `snapshot`, from a device. */
export async function readSnapshot(optimizer: CompiledOptimizer): Promise<Snapshot> {
  const result: Record<string, Float64Array> = Object.create(null)
  const parameters = await optimizer.readParameters()
  for (const name of optimizer.names) {
    result[name] = new Float64Array(parameters[name]!)
    for (const [slot, value] of Object.entries(await optimizer.readState(name))) {
      result[`${name} state ${slot}`] = typeof value === 'number' ? Float64Array.of(value) : new Float64Array(value)
    }
  }
  return result
}

/** The same optimizer on the reference and on a device, with the same parameters, which float32 holds. */
export async function besideReference(
  optimizer: Optimizer,
  shapes: Shapes,
  backend: Backend,
  oracle = reference(),
): Promise<Pair> {
  const exact = await compile(optimizer, shapes, { backend: oracle })
  const fast = await compile(optimizer, shapes, { backend })
  fillAll(exact.parameters, randomNumbers(1), 11)
  for (const values of Object.values(exact.parameters)) values.set(values.map(Math.fround))
  fast.writeParameters(exact.parameters)
  return { exact, fast }
}

/** Random gradients that float32 holds, also written where the reference has its own. */
export function fillGradients(exact: CompiledOptimizer, random: () => number): Record<string, ArrayLike<number>> {
  fillAll(exact.gradients, random, 13)
  return Object.fromEntries(Object.entries(exact.gradients).map(([name, values]) => [name, values.map(Math.fround)]))
}

const asSnapshot = (arrays: Readonly<Record<string, ArrayLike<number>>>): Snapshot =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, Float64Array.from(array)]))

/** Steps both with the same gradients; the reference takes each step from where the device stands. */
export async function differencesOf(
  { exact, fast }: Pair,
  tolerance: Tolerance,
  count: number,
  from = 1,
): Promise<string[]> {
  const random = randomNumbers(2)
  // There and back again parameters are rounded even where the step leaves them.
  const allowed = exact.moves ? { ...tolerance, absolute: 1e-7 } : tolerance
  try {
    for (let step = 1; step <= count; step++) {
      if (step >= from) exact.load(await fast.saveAsync())
      const before = snapshot(exact)
      const gradients = fillGradients(exact, random)
      await takeStep(fast, { gradients })
      if (step < from) continue
      await takeStep(exact, { gradients })
      await fast.settled()
      const [expected, actual] = [snapshot(exact), await readSnapshot(fast)]
      const found = [
        ...notFinite(actual).map((name) => `${name}: not finite`),
        ...differences(actual, expected, before, allowed),
        ...differences(
          asSnapshot(await fast.readEvaluationParameters()),
          asSnapshot(exact.evaluationParameters()),
          before,
          allowed,
        ),
      ]
      if (found.length > 0) return found.map((line) => `step ${step}: ${line}`)
    }
    return []
  } finally {
    fast.dispose()
  }
}
