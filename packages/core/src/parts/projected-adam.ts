import { biasCorrection, ema, type Operand, type Value } from '../language/value.ts'
import { type Decaying, decayedAfter } from './decayed-after.ts'
import { emaOfSquare } from './ema-of-square.ts'

interface Averaging {
  readonly t: Value
  readonly state: { readonly m: Value; readonly v: Value }
  readonly hyper: { readonly beta1: Value; readonly beta2: Value; readonly epsilon: Value }
  readonly options: { readonly biasCorrection: boolean }
}

/**
 * Adam of what rules of low rank project: m / (√v + ε), and apart from it √(1 - β2ᵗ) / (1 - β1ᵗ), by which the step is multiplied,
 * 1 without `biasCorrection`.
 */
export function projectedAdam(
  projected: Value,
  { t, state, hyper, options }: Averaging,
): { readonly u: Value; readonly correction: Operand; readonly moments: { readonly m: Value; readonly v: Value } } {
  const { beta1, beta2, epsilon } = hyper
  const m = ema(state.m, projected, beta1)
  const v = emaOfSquare(state.v, projected, beta2)
  const correction = options.biasCorrection ? biasCorrection(beta2, t).sqrt().over(biasCorrection(beta1, t)) : 1
  return { u: m.over(v.sqrt().plus(epsilon)), correction, moments: { m, v } }
}

/** What rules of low rank do with what is no matrix: Adam, which decays what it comes to. */
export function plainAdam(context: Averaging & Decaying & { readonly g: Value }) {
  const { g, state } = context
  const { u, correction, moments } = projectedAdam(g.as(state.m), context)
  return { direction: decayedAfter(u.as(g).times(correction), context), state: moments }
}
