import { type CommonContext, defineOptimizer, type OptionSpecification } from '../language/definition.ts'
import { logUniform, nonNegative, seed, smallDivisor, stepCount } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { type Value, where } from '../language/value.ts'

type Context = CommonContext<'epsilon' | 'exploration' | 'steps' | 'seed', OptionSpecification, 'history', never>

/**
 * ZO-AdaMU: MeZO whose random direction leans towards the directions that helped before. Needs `minimize`.
 *
 * ```text
 * ż ~ N(0, a),  z̈ ~ N(h, 1 - a)            a = w(1): how much of the direction is new
 * z ← b1 ż + (1 - b1) z̈                    b1 = w(0.1)
 * c ← (L(θ + ε z) - L(θ - ε z)) / (2 ε)
 * v ← b2 ż² + (1 - b2) z̈²                  b2 = w(1.5)
 * θ ← (1 - η λ) θ - η c z / √(v + 1e-8)
 * h ← sign(c) z
 *
 * w(φ) = 1 in the first T1 steps, then ½ + ½ cos(π φ s), s = (t - T1) / (T - T1), constant from s = 0.8 on
 * ```
 *
 * T1 is `exploration`, 1024, and T is `steps`, the length of the run. Defaults of the official code: ε 1e-3, λ 0; learning
 * rates as for MeZO. State: h.
 *
 * The official code calls its schedule without its argument, mixes z for the losses by 0.9 and 0.1 and draws anew for the
 * update, so that losses and update belong to different directions; here, as in the paper, they are the same. In the first
 * T1 steps z̈ has no weight and the rule is MeZO divided by |z|.
 *
 * Jiang, Chen, Pan, Ding, Liu, Liu 2024, ZO-AdaMU Optimizer: Adapting Perturbation by the Momentum and Uncertainty in
 * Zeroth-Order Optimization, arXiv 2312.15184.
 */
export const zoAdaMU = defineOptimizer({
  name: 'zoAdaMU',
  title: 'ZO-AdaMU',
  family: 'gradientFree',
  paper: {
    title: 'ZO-AdaMU Optimizer: Adapting Perturbation by the Momentum and Uncertainty in Zeroth-Order Optimization',
    authors: 'Jiang, Chen, Pan, Ding, Liu, Liu',
    year: 2024,
    arxiv: '2312.15184',
  },
  hyper: {
    learningRate: nonNegative(1e-6),
    epsilon: smallDivisor(1e-3),
    exploration: stepCount(1024),
    steps: stepCount(20000),
    weightDecay: nonNegative(0),
    seed: seed(),
  },
  state: { history: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-7, 1e-1) },
  evaluations: () => [
    {
      wants: ['loss'],
      at: (context) => ({ parameter: context.p.plus(mixed(context).z.times(context.hyper.epsilon)) }),
    },
    {
      wants: ['loss'],
      at: (context) => ({ parameter: context.p.minus(mixed(context).z.times(context.hyper.epsilon.times(2))) }),
    },
  ],
  origin: (context) => context.p.plus(mixed(context).z.times(context.hyper.epsilon)),
  rule(context) {
    const { p, losses, hyper, decay } = context
    const [above, below] = losses
    const slope = above!.minus(below!).over(hyper.epsilon.times(2))
    const { z, fresh, remembered } = mixed(context)
    const beta2 = weight(context, 1.5)
    const v = fresh
      .square()
      .times(beta2)
      .plus(remembered.square().times(beta2.negated().plus(1)))
    const estimate = z.times(slope).over(v.plus(1e-8).sqrt())
    const direction = decay === 'coupled' ? estimate.plus(p.times(hyper.weightDecay)) : estimate
    return { direction, state: { history: z.times(slope.sign()) } }
  },
})

/** The direction of this step, and the two that it is mixed of. */
function mixed(context: Context): { z: Value; fresh: Value; remembered: Value } {
  const { random, hyper, state } = context
  const share = weight(context, 1)
  const fresh = random.normal({ seed: hyper.seed, draw: 0 }).times(share.sqrt())
  const spread = share.negated().plus(1).maximum(0).sqrt()
  const remembered = state.history.plus(random.normal({ seed: hyper.seed, draw: 1 }).times(spread))
  const beta1 = weight(context, 0.1)
  return { z: fresh.times(beta1).plus(remembered.times(beta1.negated().plus(1))), fresh, remembered }
}

function weight({ t, hyper }: Context, phase: number): Value {
  const { exploration, steps } = hyper
  const progress = t.minus(exploration).over(steps.minus(exploration).maximum(1)).minimum(0.8)
  const annealed = progress
    .times(Math.PI * phase)
    .cos()
    .plus(1)
    .over(2)
  return where(t.isAtMost(exploration), 1, annealed)
}
