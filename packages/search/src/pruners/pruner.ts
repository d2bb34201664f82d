import type { SeenTrial, View } from '../study/view.ts'

/**
 * Decides whether a trial goes on after a report. A pure function of what is known; `trial` is the one that has just reported, its last
 * report the newest.
 */
export interface Pruner {
  /** As its registry has it. */
  readonly name: string
  decide(view: View, trial: SeenTrial): 'continue' | 'stop'
}
