import type { Evaluations } from './objective.ts'

/** Where a solver is after an iteration. */
export interface State {
  readonly point: Float64Array
  readonly value: number
  /** What becomes zero at a solution: most often the largest absolute element of the gradient. */
  readonly residual: number
  /** How far the last step went, as a Euclidean norm. */
  readonly step: number
  readonly evaluations: Evaluations
  /** By how much the constraint that is hurt most is hurt; only where there are constraints. */
  readonly violation?: number
}

/** How a solver ended. */
export type Status =
  /** `test` names what was met, such as "gradient". */
  | { readonly kind: 'converged'; readonly test: string }
  | { readonly kind: 'limit'; readonly of: 'iterations' | 'evaluations' | 'seconds' | 'signal' | 'callback' }
  | { readonly kind: 'infeasible'; readonly certificate: Float64Array }
  | { readonly kind: 'unbounded' }
  | { readonly kind: 'failed'; readonly reason: string }

/** A run of a method: gives its states, and at its end why it ended. */
export type Solving = Generator<State, Status, void>
