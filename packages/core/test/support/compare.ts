import type { CompiledOptimizer } from 'fallline'

/** What one tensor holds after a step: the parameter and its state, as arrays. */
export type Snapshot = Readonly<Record<string, Float64Array>>

/** Everything that a step may change, by a readable name; copies. */
export function snapshot(optimizer: CompiledOptimizer): Snapshot {
  const result: Record<string, Float64Array> = Object.create(null)
  for (const name of optimizer.names) {
    result[name] = new Float64Array(optimizer.parameters[name]!)
    for (const [slot, value] of Object.entries(optimizer.state(name))) {
      result[`${name} state ${slot}`] = typeof value === 'number' ? Float64Array.of(value) : new Float64Array(value)
    }
  }
  return result
}

/**
 * Bases of eigenvectors, and powers of matrices: where a matrix is singular, any basis of what it makes 0 is right, and rounding decides
 * how large its negative powers are there. What they do shows in all other arrays.
 */
const undetermined = / state (basis\d|Q[LR]|preconditioner\d)$/

/** Codes of four bits, kept as sixteenths: rounding decides between two of what lies halfway, and one is as right as the other. */
const codes = / state code$/
const nextCode = 1 / 16

export interface Tolerance {
  /** Of the element itself. */
  readonly relative: number
  /** Of the largest change, for parameters, or the largest old or new element, for state: terms of both signs cancel. */
  readonly scale: number
  /** Of 1, for numbers that are made from ones around 1 and may cancel; default 0. */
  readonly absolute?: number
}

/**
 * What differs, one line per array, by the worst element. `before` makes the tolerance of parameters one of their change:
 * a wrong small step does not hide behind a large parameter.
 */
export function differences(actual: Snapshot, expected: Snapshot, before: Snapshot, tolerance: Tolerance): string[] {
  const lines: string[] = []
  if (Object.keys(actual).join() !== Object.keys(expected).join()) {
    return [`${Object.keys(actual).join()} instead of ${Object.keys(expected).join()}`]
  }
  for (const [name, values] of Object.entries(expected)) {
    if (undetermined.test(name)) continue
    const found = actual[name]!
    const old = before[name]
    const isParameter = !name.includes(' state ')
    let scale = 0
    for (let index = 0; index < values.length; index++) {
      const [value, previous] = [values[index]!, old?.[index] ?? 0]
      scale = Math.max(scale, isParameter ? Math.abs(value - previous) : Math.max(Math.abs(value), Math.abs(previous)))
    }
    const absolute = (tolerance.absolute ?? 0) + (codes.test(name) ? nextCode : 0)
    let worst = 1
    let where = -1
    for (let index = 0; index < values.length; index++) {
      const limit = tolerance.relative * Math.abs(values[index]!) + tolerance.scale * scale + absolute
      const error = Math.abs(found[index]! - values[index]!)
      // A difference that is not a number is one, unless both are the same infinity or both not a number.
      if (Object.is(found[index], values[index]) || error <= limit * worst) continue
      worst = error / limit
      where = index
    }
    if (found.length !== values.length) lines.push(`${name}: ${found.length} elements, not ${values.length}`)
    else if (where >= 0) {
      lines.push(`${name}[${where}]: ${found[where]} instead of ${values[where]}, ${worst.toFixed(1)} tolerances`)
    }
  }
  return lines
}

/** The names of the arrays that differ in any bit. */
export function changedBits(actual: Snapshot, expected: Snapshot): string[] {
  const names = new Set([...Object.keys(actual), ...Object.keys(expected)])
  return [...names].filter((name) => {
    const [a, b] = [actual[name], expected[name]]
    return !a || !b || a.length !== b.length || a.some((value, index) => !Object.is(value, b[index]))
  })
}

/**
 * What a step that failed has changed: nothing at all, or where the optimizer moves parameters and finds its way back,
 * nothing but roundings and what it keeps for that.
 */
export function touched(optimizer: CompiledOptimizer, before: Snapshot): string[] {
  if (!optimizer.moves) return changedBits(snapshot(optimizer), before)
  const of = (values: Snapshot) => Object.fromEntries(optimizer.names.map((name) => [name, values[name]!]))
  return differences(of(snapshot(optimizer)), of(before), {}, { relative: 4e-7, scale: 0, absolute: 2e-7 })
}

/** The names of the arrays with an element that is infinite or not a number. */
export function notFinite(values: Snapshot): string[] {
  return Object.entries(values)
    .filter(([, array]) => !array.every(Number.isFinite))
    .map(([name]) => name)
}

/** Where two checkpoints first differ, -1 when they are the same bytes. */
export function differentByte(actual: Uint8Array, expected: Uint8Array): number {
  if (actual.length !== expected.length) return Math.min(actual.length, expected.length)
  return actual.findIndex((byte, index) => byte !== expected[index])
}
