/** Says why a trajectory is not replayed. */
export class Skip extends Error {}

/** Settings that choose how a reference computes, not what. */
const implementation = new Set(['foreach', 'fused', 'capturable', 'differentiable', 'fsdp_in_use', 'print_change_log'])

/**
 * A reference's hyperparameters while they are mapped to ours. Whatever is not asked for by the end has no counterpart and
 * means that the trajectory is skipped: better than a pass that ignored a setting.
 */
export class Fields {
  private readonly left: Set<string>
  private readonly values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values
    this.left = new Set(Object.keys(values).filter((name) => !implementation.has(name)))
  }

  /** True when the reference's settings have this name. */
  has(name: string): boolean {
    return Object.hasOwn(this.values, name)
  }

  number(name: string, fallback?: number): number {
    return this.asNumber(name, this.take(name, fallback))
  }

  /** A number, or `undefined` where the reference has None. */
  optional(name: string, fallback?: number): number | undefined {
    const value = this.take(name, fallback ?? null)
    return value === null ? undefined : this.asNumber(name, value)
  }

  boolean(name: string, fallback?: boolean): boolean {
    const value = this.take(name, fallback)
    if (typeof value !== 'boolean') throw new Skip(`${name} is ${show(value)}, not true or false`)
    return value
  }

  string<T extends string>(name: string, known: readonly T[], fallback?: T): T {
    const value = this.take(name, fallback)
    if (!known.includes(value as T)) throw new Skip(`${name} is ${show(value)}; known are ${known.join(', ')}`)
    return value as T
  }

  /** A string, or `undefined` where the reference has None. */
  optionalString(name: string): string | undefined {
    const value = this.take(name, null)
    if (value !== null && typeof value !== 'string') throw new Skip(`${name} is ${show(value)}, not a string`)
    return value ?? undefined
  }

  numbers(name: string, count: number, fallback?: readonly number[]): number[] {
    const value = this.take(name, fallback)
    if (!Array.isArray(value) || value.length !== count)
      throw new Skip(`${name} is ${show(value)}, not ${count} numbers`)
    return value.map((item) => this.asNumber(name, item))
  }

  /** Numbers, however many. */
  list(name: string): number[] {
    const value = this.take(name)
    if (!Array.isArray(value)) throw new Skip(`${name} is ${show(value)}, not a list of numbers`)
    return value.map((item) => this.asNumber(name, item))
  }

  /** A setting that may be of several types. */
  value(name: string): unknown {
    return this.take(name)
  }

  /** A setting that works only with one value here. */
  expect(name: string, value: unknown, why: string): void {
    if (!this.has(name)) return
    const given = this.take(name)
    if (show(given) !== show(value)) throw new Skip(`${name} ${show(given)}: ${why}`)
  }

  /** @throws Skip when settings are left that nothing asked for. */
  finish(): void {
    const list = [...this.left].map((name) => `${name} ${show(this.values[name])}`)
    if (list.length > 0) throw new Skip(`no counterpart for ${list.join(', ')}`)
  }

  private take(name: string, fallback?: unknown): unknown {
    this.left.delete(name)
    if (this.has(name)) return this.values[name]
    if (fallback === undefined) throw new Skip(`its settings have no ${name}`)
    return fallback
  }

  private asNumber(name: string, value: unknown): number {
    const number = typeof value === 'string' && /^[+-]?inf(inity)?$/i.test(value) ? Number.POSITIVE_INFINITY : value
    if (typeof number !== 'number') throw new Skip(`${name} is ${show(value)}, not a number`)
    return typeof value === 'string' && value.startsWith('-') ? -number : number
  }
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value)
}
