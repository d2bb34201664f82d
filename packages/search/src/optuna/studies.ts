/** What Optuna keeps of a parameter's range, by the name of its class. */
export interface Distribution {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
}

/** A trial as Optuna keeps it. */
export interface OptunaTrial {
  readonly number: number
  state: 'RUNNING' | 'COMPLETE' | 'PRUNED' | 'FAIL' | 'WAITING'
  /** By name, in the order in which they were suggested: the number that Optuna keeps (an index for categories), and the range. */
  readonly parameters: Map<string, { readonly value: number; readonly distribution: Distribution }>
  values: readonly number[] | null
  readonly reports: Map<number, number>
  readonly userAttributes: Record<string, unknown>
  readonly systemAttributes: Record<string, unknown>
  startedAt: number | null
  endedAt: number | null
}

/** A study as Optuna keeps it. */
export interface OptunaStudy {
  readonly name: string
  readonly directions: readonly ('minimize' | 'maximize')[]
  readonly userAttributes: Record<string, unknown>
  readonly systemAttributes: Record<string, unknown>
  readonly trials: OptunaTrial[]
}

/** Parses JSON as Python writes it: NaN, which becomes a text, and infinite numbers included. */
export function parsePythonJson(text: string): unknown {
  return JSON.parse(
    text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) =>
      token.startsWith('"') ? token : token === 'NaN' ? '"NaN"' : token.replace('Infinity', '1e999'),
    ),
  )
}

/** Milliseconds since 1970 of a time of Optuna, which is the local one of its machine, taken as that of this one, when it does not say. */
export function timeOf(text: unknown): number | null {
  return typeof text === 'string' ? Date.parse(text.replace(' ', 'T')) : null
}

export function newTrial(number: number): OptunaTrial {
  return {
    number,
    state: 'RUNNING',
    parameters: new Map(),
    values: null,
    reports: new Map(),
    userAttributes: {},
    systemAttributes: {},
    startedAt: null,
    endedAt: null,
  }
}
