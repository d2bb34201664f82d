import type { EdgeRecord } from '../results.ts'

/** A number for a person: four significant digits, without trailing zeros, `1e-5` style for the very small and large. */
export function formatNumber(value: number, digits = 4): string {
  if (!Number.isFinite(value)) return value === Infinity ? '∞' : String(value)
  const rounded = Number(value.toPrecision(digits))
  const size = Math.abs(rounded)
  if (rounded !== 0 && (size < 1e-3 || size >= 1e6)) return rounded.toExponential().replace('e+', 'e')
  return Number.isInteger(rounded) ? rounded.toLocaleString('en') : String(rounded)
}

/** A number, or `∞` for `null`, which stands for never. */
export function formatOrInfinite(value: number | null, format: (value: number) => string = formatNumber): string {
  return value === null ? '∞' : format(value)
}

/** Milliseconds with a fitting unit: `12.3 µs`, `4.56 ms`, `7.8 s`, `2 min 5 s`. */
export function formatMilliseconds(milliseconds: number): string {
  if (milliseconds < 1) return `${formatNumber(milliseconds * 1000, 3)} µs`
  if (milliseconds < 1000) return `${formatNumber(milliseconds, 3)} ms`
  return milliseconds < 60_000 ? `${formatNumber(milliseconds / 1000, 3)} s` : formatDuration(milliseconds)
}

/** A duration for waiting people: `8 s`, `1 min 20 s`, `2 h 5 min`. */
export function formatDuration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`
  return minutes % 60 === 0 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** A number with its noun: `1 run`, `2 runs`. */
export function many(count: number, noun: string): string {
  return `${formatNumber(count)} ${noun}${count === 1 ? '' : 's'}`
}

/** A share as a whole percentage. */
export function formatPercent(share: number): string {
  return `${Math.round(share * 100)}%`
}

/** A setting on one line: `learningRate 0.003, weightDecay 0.1`. */
export function formatSetting(setting: Readonly<Record<string, number>>): string {
  return Object.entries(setting)
    .map(([name, value]) => `${name} ${formatNumber(value)}`)
    .join(', ')
}

/** An edge of a range: `the best learningRate is the largest that was tried, 0.026`, with median and count where there are several studies. */
export function edgeInWords({ hyperparameter, value, side, studies, of }: Omit<EdgeRecord, 'contender'>): string {
  const outermost = side === 'minimum' ? 'smallest' : 'largest'
  const which =
    of > 1 ? ` in ${studies} of ${of} studies, ${formatNumber(value)} in the median` : `, ${formatNumber(value)}`
  return `the best ${hyperparameter} is the ${outermost} that was tried${which}`
}
