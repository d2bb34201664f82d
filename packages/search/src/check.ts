/**
 * Checks that an option is a whole number.
 *
 * @throws RangeError that names whose option it is, the option and the value
 */
export function wholeFrom(owner: string, option: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value
  throw new RangeError(`${owner}: ${option} must be a whole number from ${least}, not ${value}`)
}

/**
 * Checks that an option lies in `(0, most]`.
 *
 * @throws RangeError that names whose option it is, the option and the value
 */
export function positiveUpTo(owner: string, option: string, value: number, most: number): number {
  if (value > 0 && value <= most) return value
  const bound = most === Infinity ? '' : ` and at most ${most}`
  throw new RangeError(`${owner}: ${option} must be above 0${bound}, not ${value}`)
}
