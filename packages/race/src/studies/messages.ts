import type { Outcome, TrialRecord } from '@fallline/search'

/** What the process that supervises tells the one that runs the objective. */
export type ToEvaluator =
  | {
      readonly kind: 'trial'
      readonly seed: number
      readonly until: number | null
      readonly from: number
      readonly record: TrialRecord
    }
  | { readonly kind: 'verdict'; readonly verdict: 'continue' | 'stop' }
  | { readonly kind: 'noted' }

/** What the process that runs the objective answers. */
export type FromEvaluator =
  | { readonly kind: 'report'; readonly step: number; readonly value: number }
  | { readonly kind: 'note'; readonly attribute: string; readonly value: Parameters<JSON['stringify']>[0] }
  | { readonly kind: 'outcome'; readonly outcome: Outcome | 'stopped' }
  | { readonly kind: 'error'; readonly message: string }
