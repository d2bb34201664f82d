import type { RuleContext, RuleResult } from '../language/definition.ts'
import {
  decayRate,
  fraction,
  logUniform,
  nonNegative,
  oneOf,
  smallDivisor,
  stepCount,
} from '../language/hyperparameters.ts'
import { layerStatistics } from '../language/layer-statistics.ts'
import { perInput, perOutput, zeros } from '../language/slots.ts'
import { biasCorrection, ema, type Value } from '../language/value.ts'

/** What AdaFisher and AdaFisherW share; they differ in how weight decay acts. */
export const adaFisherParts = {
  hyper: {
    learningRate: nonNegative(1e-3),
    beta: decayRate(0.9),
    gamma: fraction(0.8),
    damping: smallDivisor(1e-3),
    weightDecay: nonNegative(0),
    statisticsPeriod: stepCount(100),
  },
  inputs: {
    activationSquares: layerStatistics.activationSquares,
    outputGradientSquares: layerStatistics.outputGradientSquares,
  },
  state: { m: zeros(), H: perInput({ start: 1 }), S: perOutput({ start: 1 }) },
  search: {
    learningRate: logUniform(1e-4, 3e-2),
    gamma: oneOf(0.8, 0.95),
    damping: oneOf(1e-3, 1e-2),
    statisticsPeriod: oneOf(1, 10, 100),
  },
  accepts: ({ rank }: { readonly rank: number }) => rank === 2,
  needs: 'the weights of a dense layer',
} as const

type Parts = typeof adaFisherParts
type Context = RuleContext<keyof Parts['hyper'], Record<never, never>, keyof Parts['state'], keyof Parts['inputs']>

export function adaFisherRule({ g, t, state, hyper, inputs, every }: Context): RuleResult<keyof Parts['state']> {
  const averaged = (old: Value, squares: Value) =>
    old.times(hyper.gamma.over(10)).plus(normalized(squares.as(old)).times(hyper.gamma.over(100)))
  const { H, S } = every(
    hyper.statisticsPeriod,
    () => ({ H: averaged(state.H, inputs.activationSquares), S: averaged(state.S, inputs.outputGradientSquares) }),
    { H: state.H, S: state.S },
    'first',
  )
  const m = ema(state.m, g, hyper.beta)
  const fisher = S.times(H).plus(hyper.damping)
  return { direction: m.over(biasCorrection(hyper.beta, t)).over(fisher), state: { m, H, S } }
}

/** From 0 for the least number to nearly 1 for the largest. */
function normalized(x: Value): Value {
  const least = x.negated().largest().negated()
  return x.minus(least).over(x.largest().minus(least).plus(1e-6))
}
