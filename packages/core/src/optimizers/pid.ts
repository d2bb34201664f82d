import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { zeros } from '../language/slots.ts'
import { ema, where } from '../language/value.ts'

/**
 * PID: gradient descent as a controller, with a proportional, an integral (momentum) and a derivative part, the last
 * against overshooting.
 *
 * ```text
 * i ← μ i + (1 - dampening) g              i ← g at the first step
 * d ← μ d + (1 - μ) (g - g₋)               0 at the first step; g₋ is the previous g
 * θ ← θ - η (g + integral i + derivative d)
 * ```
 *
 * Defaults: integral 5, derivative 10, dampening 0, coupled weight decay 0 as in the official code; μ 0.9 as in the paper where
 * the code has 0, with which nothing but the gradient is left; η 1e-3. State: `i`, `d` and `previous`, shaped like the
 * parameter; none when μ is 0.
 *
 * The derivative is the paper's. The official code never stores the previous gradient, so that its d is a second momentum,
 * weighted with η in place of 1 - μ; ports repair this to a degree, pytorch_optimizer for one forgets the first gradient.
 *
 * An, Wang, Sun, Xu, Dai, Zhang 2018, A PID Controller Approach for Stochastic Optimization of Deep Networks.
 */
export const pid = defineOptimizer({
  name: 'pid',
  title: 'PID',
  family: 'momentum',
  paper: {
    title: 'A PID Controller Approach for Stochastic Optimization of Deep Networks',
    authors: 'An, Wang, Sun, Xu, Dai, Zhang',
    year: 2018,
    url: 'https://openaccess.thecvf.com/content_cvpr_2018/papers/An_A_PID_Controller_CVPR_2018_paper.pdf',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: decayRate(0.9),
    dampening: fraction(0),
    integral: nonNegative(5),
    derivative: nonNegative(10),
    weightDecay: nonNegative(0),
  },
  state: {
    i: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    d: zeros({ when: ({ disabled }) => !disabled('momentum') }),
    previous: zeros({ when: ({ disabled }) => !disabled('momentum') }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-4, 1e-1), derivative: oneOf(0, 10, 100) },
  rule({ g, t, state, hyper, disabled }) {
    if (disabled('momentum')) return { direction: g }
    const share = where(t.equals(1), 1, hyper.dampening.negated().plus(1))
    const change = where(t.equals(1), 0, g.minus(state.previous))
    const i = state.i.times(hyper.momentum).plus(g.times(share))
    const d = ema(state.d, change, hyper.momentum)
    const direction = g.plus(i.times(hyper.integral)).plus(d.times(hyper.derivative))
    const held = direction.limitedInSize()
    return { direction: held, state: { i, d, previous: g } }
  },
})
