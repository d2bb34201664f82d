import type { Numbers } from './vector.ts'

/** What a round costs where the learner has chosen x, and its (sub)gradient there. */
export interface OnlineLoss {
  value(x: Float64Array): number
  gradient(x: Float64Array): Numbers
}

/** Chooses a point, is told the gradient there, chooses the next: the iterator behind `online`, for who has no list of losses. */
export interface Learner {
  /** The choice for this round. */
  readonly point: Float64Array
  /** @param hint what the next gradient is thought to be, for those who take it; by default this one. */
  update(gradient: Float64Array, hint?: Float64Array): void
}

/** What the methods of `online` are told. */
export interface OnlineSettings {
  /** G: a bound of the gradients (for `unboundedLosses` of those at the start). Default 1. */
  readonly lipschitz: number
  /** L: gradients are at most G + L |x - start|, for `unboundedLosses`. Default 0. */
  readonly growth: number
  /** D: the diameter of the set, for `optimisticMirrorDescent`. Default 10. */
  readonly diameter: number
  /** α: losses less α |x|² / 2 are convex, for `optimisticMirrorDescent`. Default 0. */
  readonly strongConvexity: number
  /** ε: what a learner without bounds may lose against its own start. Default 1. */
  readonly wealth: number
  /** The nearest point that is allowed; `coinBetting` and `unboundedLosses` are for where all are. */
  readonly project?: (x: Float64Array) => Numbers
}

/** A method of `online`. */
export interface OnlineMethod {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly learner: (start: Float64Array, settings: OnlineSettings) => Learner
}
