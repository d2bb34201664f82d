import type { Claim, PairRecord } from '../results.ts'
import type { Arrival } from './ratios.ts'

/** A ratio that a race should be able to show. */
export const ratioToFind = 1.3

/** One contender's fresh runs. */
export interface FieldEntry {
  name: string
  title: string
  /** `gradients[replicate][run][target]`: when each target was reached, in gradients. */
  gradients: readonly (readonly (readonly Arrival[])[])[]
  /** The same in optimizer steps. */
  steps: readonly (readonly (readonly Arrival[])[])[]
  /** Milliseconds of a whole step in each block of the micro-race; absent where it could not be measured. */
  costs?: readonly number[]
  /** The setting as code, for a claim about settings. */
  code: string
  /** Whether it has fresh runs at all. */
  ran: boolean
  /** Whether its best values lie at the edge of what was tried. */
  edge: boolean
}

/** How a field is compared. */
export interface FieldOptions {
  claim: Claim
  /** Probability of a false claim that this look may spend. */
  level: number
  /** Tuning trials of a study, for the words. */
  trials: number
}

/** Pairs by the names of both, whichever way round they are stored. */
export class PairLookup {
  readonly #pairs = new Map<string, PairRecord>()

  constructor(pairs: readonly PairRecord[]) {
    for (const pair of pairs) {
      this.#pairs.set(JSON.stringify([pair.first, pair.second]), pair)
      this.#pairs.set(JSON.stringify([pair.second, pair.first]), turned(pair))
    }
  }

  /** How many times the gradients (time) of `first` the contender `second` needs, with its interval. */
  of(first: string, second: string): PairRecord | undefined {
    return this.#pairs.get(JSON.stringify([first, second]))
  }
}

function turned(pair: PairRecord): PairRecord {
  const low = pair.high === null ? 0 : 1 / pair.high
  const high = pair.low > 0 ? 1 / pair.low : null
  return { ...pair, first: pair.second, second: pair.first, ratio: 1 / pair.ratio, low, high }
}
