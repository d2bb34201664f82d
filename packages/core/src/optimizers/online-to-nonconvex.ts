import { type CommonContext, defineOptimizer, type RuleContext } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf, seed } from '../language/hyperparameters.ts'
import { copyOfParameter, zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { sumOfSquares } from '../parts/sum-of-squares.ts'

type Learner = 'descent' | 'optimistic' | 'adaGrad' | 'followTheLeader'
type Hyper = 'learningRate' | 'beta' | 'mu' | 'seed'
type Slots = 'displacement' | 'previous' | 'squares' | 'sum' | 'average' | 'answer'
type Options = { learner: Learner; averageSteps: number }
type Context = CommonContext<Hyper, Options, Slots, never>

/**
 * O2NC, online-to-non-convex conversion: an online learner chooses the displacements Δ of the parameters; random scaling makes its
 * regret a bound for losses that are neither convex nor smooth.
 *
 * ```text
 * learner descent:     Δ ← β / (1 + η μ) (Δ - η g)
 * learner optimistic:  Δ ← β / (1 + η μ) (Δ - η (2 g - g₋))             g₋ of the step before, g at the first step
 * learner adaGrad:     v ← v + g²;  Δ ← β / (1 + η μ) (Δ - η g / (√v + 1e-10))
 * learner followTheLeader:  G ← β G + g;  Δ ← - η G / (1 + η μ)         over the discounted sum of all gradients
 * Δ ← Δ min(1, D / ‖Δ‖)                   over all tensors; only with a radius D above 0
 * exponential:  θ ← θ + s Δ               s ~ Exp(1);  g = ∇L(θ)
 * uniform:      θ ← θ + Δ                 s ~ U(0, 1); g = ∇L(θ - s Δ), between the last two θ; needs `minimize`
 * θ̄ ← θ̄ + (w - θ̄) / k                     w where the gradient was taken, k = 1 .. averageSteps, then from 1 again
 * ```
 *
 * `scaling: 'exponential'` (default) is SGD with momentum whose steps are scaled at random, the method of Zhang and Cutkosky;
 * `scaling: 'uniform'` with β 1, μ 0 and a radius is that of Cutkosky, Mehta and Orabona, whose answer is the average of the points at
 * which the gradients of one of several epochs of equal length were taken: `averageSteps`, the length of an epoch, 0 for none. Then
 * `evaluationParameters()` gives the average of the last whole epoch, or of the first while it lasts. `learner` is what chooses Δ:
 * gradient descent (default), its optimistic form, which is the better the less gradients change, AdaGrad, or following the
 * regularized leader. s is one number for all tensors. Defaults, all ours: η 0.01, β 0.9, μ 0, D 0, that is none; the
 * official code has β 0.99 and μ 100. State: Δ; `previous` (g₋), `squares` (v) or `sum` (G) of the learner; with averageSteps
 * `average`, which grows, and `answer`, the last whole one. The official code goes back along (1 - s) Δ, which is the same.
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
  options: { scaling: 'exponential' as 'exponential' | 'uniform', learner: 'descent' as Learner, averageSteps: 0 },
  choices: { scaling: ['exponential', 'uniform'], learner: ['descent', 'optimistic', 'adaGrad', 'followTheLeader'] },
  limits: { averageSteps: [0] },
  state: {
    displacement: zeros({ exact: true }),
    previous: zeros({ when: ({ options }) => options.learner === 'optimistic' }),
    squares: zeros({ when: ({ options }) => options.learner === 'adaGrad' }),
    sum: zeros({ when: ({ options }) => options.learner === 'followTheLeader' }),
    average: copyOfParameter({ when: ({ options }) => options.averageSteps !== 0 }),
    answer: copyOfParameter({ when: ({ options }) => options.averageSteps !== 0 }),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1), beta: oneOf(0.9, 0.99) },
  evaluations: ({ scaling }) =>
    scaling === 'uniform'
      ? [{ wants: ['gradient'], at: (context) => ({ parameter: context.p.minus(back(context)) }) }]
      : [],
  origin: (context) => (context.options.scaling === 'uniform' ? context.p.plus(back(context)) : context.p),
  rule(context) {
    const { p, hyper, options, disabled } = context
    const { learningRate, radius } = hyper
    const { free, state: learned } = learn(context)
    const norm = free.norm('all')
    const displacement = disabled('radius') ? free : free.times(where(norm.isGreaterThan(radius), radius.over(norm), 1))
    const scaled = options.scaling === 'uniform' ? displacement : displacement.times(scale(context).log().negated())
    const perRate = where(learningRate.isGreaterThan(0), learningRate.power(-1).negated(), 0)
    const answered =
      options.averageSteps === 0 ? {} : averaged(context, options.scaling === 'uniform' ? p.minus(back(context)) : p)
    return { direction: scaled.times(perRate), state: { displacement, ...learned, ...answered } }
  },
  average: ({ state, options }) => (options.averageSteps === 0 ? undefined : state.answer),
})

/** How far the gradient lies behind the parameter. */
function back(context: Context): Value {
  return context.state.displacement.times(scale(context))
}

function scale({ random, hyper }: Context): Value {
  return random.uniform({ seed: hyper.seed, shared: true, dimensions: [1, 1, 1] }).sum()
}

/** The displacement that the learner chooses, before it is brought within the radius, and the learner's new state. */
function learn({ g, t, state, hyper, options }: RuleContext<Hyper, Options, Slots, never>) {
  const { learningRate, beta, mu } = hyper
  const shrinking = learningRate.times(mu).plus(1).power(-1)
  const from = (step: Value) => state.displacement.minus(step.times(learningRate)).times(beta.times(shrinking))
  switch (options.learner) {
    case 'descent':
      return { free: from(g), state: {} }
    case 'optimistic':
      return { free: from(g.times(2).minus(where(t.equals(1), g, state.previous))), state: { previous: g } }
    case 'adaGrad': {
      const squares = sumOfSquares(state.squares, g)
      return { free: from(g.over(squares.sqrt().plus(1e-10))), state: { squares } }
    }
    case 'followTheLeader': {
      const sum = state.sum.times(beta).plus(g)
      return { free: sum.times(learningRate.times(shrinking).negated()), state: { sum } }
    }
  }
}

/** The average of the points of an epoch so far, and that of the last whole one. */
function averaged({ t, state, options: { averageSteps } }: Context, point: Value) {
  const place = ageOf(t, averageSteps)
  const average = state.average.plus(point.minus(state.average).over(place))
  const whole = place.isAtLeast(averageSteps).or(t.isAtMost(averageSteps))
  return { average, answer: where(whole, average, state.answer) }
}
