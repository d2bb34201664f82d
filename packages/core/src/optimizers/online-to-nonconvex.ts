import { type CommonContext, defineOptimizer, type OptionSpecification } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf, seed } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

type Context = CommonContext<'seed', OptionSpecification, 'displacement', never>

/**
 * O2NC, online-to-non-convex conversion: an online learner chooses the displacements Δ of the parameters, here online gradient
 * descent; random scaling makes its regret a bound for losses that are neither convex nor smooth.
 *
 * ```text
 * Δ ← β / (1 + η μ) (Δ - η g)
 * Δ ← Δ min(1, D / ‖Δ‖)                   over all tensors; only with a radius D above 0
 * exponential:  θ ← θ + s Δ               s ~ Exp(1);  g = ∇L(θ)
 * uniform:      θ ← θ + Δ                 s ~ U(0, 1); g = ∇L(θ - s Δ), between the last two θ; needs `minimize`
 * ```
 *
 * `scaling: 'exponential'` (default) is SGD with momentum whose steps are scaled at random, the method of Zhang and Cutkosky;
 * `scaling: 'uniform'` with β 1, μ 0 and a radius is that of Cutkosky, Mehta and Orabona, who answer with the average of the
 * points where gradients were taken. s is one number for all tensors. Defaults, all ours: η 0.01, β 0.9, μ 0, D 0, that is
 * none; the official code has β 0.99 and μ 100. State: Δ. The official code goes back along (1 - s) Δ, which is the same.
 *
 * Cutkosky, Mehta, Orabona 2023, Optimal Stochastic Non-smooth Non-convex Optimization through Online-to-Non-convex
 * Conversion, arXiv 2302.03775. Zhang, Cutkosky 2024, Random Scaling and Momentum for Non-smooth Non-convex Optimization,
 * arXiv 2405.09742.
 */
export const onlineToNonconvex = defineOptimizer({
  name: 'onlineToNonconvex',
  title: 'O2NC',
  family: 'momentum',
  paper: {
    title: 'Optimal Stochastic Non-smooth Non-convex Optimization through Online-to-Non-convex Conversion',
    authors: 'Cutkosky, Mehta, Orabona',
    year: 2023,
    arxiv: '2302.03775',
  },
  hyper: {
    learningRate: nonNegative(0.01),
    beta: fraction(0.9),
    mu: nonNegative(0),
    radius: nonNegative(0),
    weightDecay: nonNegative(0),
    seed: seed(),
  },
  options: { scaling: 'exponential' as 'exponential' | 'uniform' },
  choices: { scaling: ['exponential', 'uniform'] },
  state: { displacement: zeros({ exact: true }) },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1), beta: oneOf(0.9, 0.99) },
  evaluations: ({ scaling }) =>
    scaling === 'uniform'
      ? [{ wants: ['gradient'], at: (context) => ({ parameter: context.p.minus(back(context)) }) }]
      : [],
  origin: (context) => (context.options.scaling === 'uniform' ? context.p.plus(back(context)) : context.p),
  rule(context) {
    const { g, state, hyper, options, disabled } = context
    const { learningRate, beta, mu, radius } = hyper
    const free = state.displacement.minus(g.times(learningRate)).times(beta.over(learningRate.times(mu).plus(1)))
    const norm = free.norm('all')
    const displacement = disabled('radius') ? free : free.times(where(norm.isGreaterThan(radius), radius.over(norm), 1))
    const scaled = options.scaling === 'uniform' ? displacement : displacement.times(scale(context).log().negated())
    const perRate = where(learningRate.isGreaterThan(0), learningRate.power(-1).negated(), 0)
    return { direction: scaled.times(perRate), state: { displacement } }
  },
})

/** How far the gradient lies behind the parameter. */
function back(context: Context): Value {
  return context.state.displacement.times(scale(context))
}

function scale({ random, hyper }: Context): Value {
  return random.uniform({ seed: hyper.seed, shared: true, dimensions: [1, 1, 1] }).sum()
}
