/** @internal @throws Error that says what an option must be. */
export function checkOption(caller: string, name: string, value: unknown, holds: boolean, what: string): void {
  if (!holds) throw new Error(`${caller}: ${name} must be ${what}, not ${String(value)}`)
}

/** @internal @throws Error for an option that is not a whole number from 1 up. */
export function checkCounts(caller: string, counts: Readonly<Record<string, unknown>>): void {
  for (const [name, value] of Object.entries(counts)) {
    checkOption(caller, name, value, Number.isInteger(value) && (value as number) >= 1, 'a whole number from 1 up')
  }
}
