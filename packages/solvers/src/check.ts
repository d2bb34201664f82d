import type { Numbers } from './vector.ts'

/**
 * The method of that name.
 *
 * @throws RangeError when there is none, with the names that there are.
 */
export function methodNamed<Method>(methods: Readonly<Record<string, Method>>, name: string): Method {
  if (!Object.hasOwn(methods, name)) {
    throw new RangeError(`method: '${name}' is not one of ${Object.keys(methods).join(', ')}`)
  }
  return methods[name]!
}

/**
 * A copy of numbers that all have to be finite.
 *
 * @param what they are called where they are given.
 * @throws RangeError when one is not finite.
 */
export function finiteNumbers(given: Numbers, what = 'start'): Float64Array {
  const numbers = Float64Array.from(given)
  const wrong = numbers.findIndex((element) => !Number.isFinite(element))
  if (wrong >= 0) throw new RangeError(`${what}[${wrong}]: ${numbers[wrong]} is not a finite number`)
  return numbers
}
