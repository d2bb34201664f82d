import type { RuleContext, RuleResult } from '../language/definition.ts'
import { biasCorrection, ema } from '../language/value.ts'
import { emaOfSquare } from './ema-of-square.ts'

type Slots = 'm' | 'v' | 'vMaximum'
type Hyper = 'learningRate' | 'beta1' | 'beta2' | 'epsilon' | 'weightDecay'
type Context = RuleContext<Hyper, { amsgrad: boolean }, Slots>

/** The rule that Adam and AdamW share; they differ in how weight decay acts. */
export function adamRule({ g, t, state, hyper, options }: Context): RuleResult<Slots> {
  const { beta1, beta2, epsilon } = hyper
  const m = ema(state.m, g, beta1)
  const v = emaOfSquare(state.v, g, beta2)
  const vMaximum = options.amsgrad ? state.vMaximum.maximum(v) : v
  const mHat = m.over(biasCorrection(beta1, t))
  const root = vMaximum.sqrt().over(biasCorrection(beta2, t).sqrt())
  const direction = mHat.over(root.plus(epsilon))
  return { direction, state: options.amsgrad ? { m, v, vMaximum } : { m, v } }
}
