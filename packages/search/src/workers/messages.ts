import type { Json } from '../json.ts'
import type { Outcome } from '../study/outcome.ts'
import type { Trial } from '../study/run.ts'

/** What a trial is to those who only evaluate it. */
export type SentTrial = Omit<Trial, 'report' | 'annotate' | 'signal'>

/** What who supervises tells the one that runs the objective. */
export type ToEvaluator =
  | { readonly kind: 'trial'; readonly trial: SentTrial }
  | { readonly kind: 'verdict'; readonly verdict: 'continue' | 'stop' }
  | { readonly kind: 'noted' }

/** What the one that runs the objective answers. */
export type FromEvaluator =
  | { readonly kind: 'report'; readonly step: number; readonly value: number }
  | { readonly kind: 'note'; readonly attribute: string; readonly value: Json }
  | { readonly kind: 'outcome'; readonly outcome: Outcome | 'stopped' }
  | { readonly kind: 'error'; readonly message: string }
