import { isSchedule, show } from './schedule.ts'

/** One kind of argument: what is right, in words that follow "expected", and how to recognise it. */
export interface Kind {
  readonly expected: string
  accepts(value: unknown): boolean
}

/** Any number but NaN and the infinities. */
export const finite: Kind = { expected: 'a finite number', accepts: (value) => Number.isFinite(value) }

/** A finite number above 0. */
export const positive: Kind = {
  expected: 'a finite number above 0',
  accepts: (value) => Number.isFinite(value) && (value as number) > 0,
}

/** A share of the whole that leaves something for the rest. */
export const fraction: Kind = {
  expected: 'a number from 0 up to but not including 1',
  accepts: (value) => typeof value === 'number' && value >= 0 && value < 1,
}

/** A share of the whole that is neither nothing nor all of it. */
export const partOfWhole: Kind = {
  expected: 'a number above 0 and below 1',
  accepts: (value) => typeof value === 'number' && value > 0 && value < 1,
}

/** A number of steps that is at least 1. */
export const steps: Kind = {
  expected: 'a whole number of steps, 1 or more',
  accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 1,
}

/** A number of steps where 0 means "not at all". */
export const stepsOrNone: Kind = {
  expected: 'a whole number of steps, 0 or more',
  accepts: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
}

/** True or false. */
export const flag: Kind = { expected: 'true or false', accepts: (value) => typeof value === 'boolean' }

/** Something that stands for a number at every step. */
export const hyperValue: Kind = {
  expected: 'a finite number, a schedule or a function of the step',
  accepts: (value) => Number.isFinite(value) || typeof value === 'function' || isSchedule(value),
}

/** One of a few words. */
export function oneOf(...words: readonly string[]): Kind {
  return { expected: words.map(show).join(' or '), accepts: (value) => words.includes(value as string) }
}

/** An error that names the schedule, the argument, its value and what would be right. */
export function wrongArgument(schedule: string, argument: string, value: unknown, expected: string): Error {
  const found = value === undefined ? 'is missing' : `is ${show(value)}`
  return new Error(`${schedule}: ${argument} ${found}; expected ${expected}.`)
}

/**
 * Checks the arguments of a schedule against the kinds they must have; defaults are filled in by the caller before.
 * Names that the schedule does not know are errors too: a misspelt optional argument would otherwise be ignored.
 */
export function checkArguments<Name extends string>(
  schedule: string,
  given: { readonly [name in Name]: unknown },
  kinds: Readonly<Record<Name, Kind>>,
): void {
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(kinds, name)) continue
    throw new Error(`${schedule}: unknown argument "${name}"; it takes ${Object.keys(kinds).join(', ')}.`)
  }
  for (const name of Object.keys(kinds) as Name[]) {
    if (!kinds[name].accepts(given[name])) throw wrongArgument(schedule, name, given[name], kinds[name].expected)
  }
}

/** The argument object itself, or an error when something else was passed. */
export function checkObject<T>(schedule: string, given: T): T {
  if (typeof given === 'object' && given !== null && !Array.isArray(given)) return given
  throw new Error(`${schedule}: got ${show(given)}; expected an object of named arguments.`)
}
