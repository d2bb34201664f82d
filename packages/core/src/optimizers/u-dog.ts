import { type CommonContext, defineOptimizer, type OptionSpecification } from '../language/definition.ts'
import { logUniform, nonNegative, smallDivisor } from '../language/hyperparameters.ts'
import { copyOfParameter, sharedScalar, zeros } from '../language/slots.ts'
import { type Operand, type Value, where } from '../language/value.ts'

type Context = CommonContext<
  'learningRate' | 'relativeDistance' | 'epsilon',
  OptionSpecification,
  'y' | 'start' | 'average' | 'm' | 'distance' | 'distances' | 'weights' | 'squares',
  never
>

/**
 * U-DoG: accelerated gradient descent (UniXGrad) whose step size is the largest distance from the start so far over the root
 * of the sum of squared changes of the gradient (DoG). Two gradients per step; needs `minimize`.
 *
 * ```text
 * r ← max(r, ‖x - θ0‖, ‖y - θ0‖)           r = relativeDistance (1 + ‖θ0‖) at the first step
 * ω ← ω + r;  α = ω / r;  Ω ← Ω + ω        ω is the sum of all r so far
 * m ← ∇L(θ + ω / Ω (y - θ))
 * x ← y - α η r / √(G + ε) m               G = ‖m‖² at the first step (inferred)
 * θ ← θ + ω / Ω (x - θ);  g ← ∇L(θ)        θ is the average of all x, weighted by ω
 * G ← G + α² ‖g - m‖²                      inferred: the sum of UniXGrad
 * y ← y - α η r / √(G + ε) g
 * ```
 *
 * The norms are over all tensors. Defaults: η 1 (leave it), ε 1e-8 as in DoG, relativeDistance 1e-4, not its 1e-6, at which
 * float32 hardly tells x and y from θ0. No weight decay. State: y, θ0 (`start`), m and a copy of θ (`average`) for the way
 * back, shaped like the parameter; the numbers `distance` (r), `distances` (ω), `weights` (Ω) and `squares` (G), shared by all
 * tensors.
 *
 * The two lines marked as inferred are not the paper's own, of which no source could be read: the abstract says that U-DoG is UniXGrad
 * with the step size of DoG and stabilized iterates. G is the sum of UniXGrad, started with ‖m‖² of the first step where
 * UniXGrad has 1. The paper's G is larger, by what its bound with high probability needs, and differs between x and y. The
 * projection to a known domain is left out.
 *
 * Kreisler, Ivgi, Hinder, Carmon 2024, Accelerated Parameter-Free Stochastic Optimization, arXiv 2404.00666.
 */
export const uDoG = defineOptimizer({
  name: 'uDoG',
  title: 'U-DoG',
  family: 'stepSize',
  paper: {
    title: 'Accelerated Parameter-Free Stochastic Optimization',
    authors: 'Kreisler, Ivgi, Hinder, Carmon',
    year: 2024,
    arxiv: '2404.00666',
  },
  hyper: { learningRate: nonNegative(1), relativeDistance: nonNegative(1e-4), epsilon: smallDivisor(1e-8) },
  state: {
    y: copyOfParameter(),
    start: copyOfParameter(),
    average: zeros({ exact: true }),
    m: zeros(),
    distance: sharedScalar(0),
    distances: sharedScalar(0),
    weights: sharedScalar(0),
    squares: sharedScalar(0),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(0.1, 10), relativeDistance: logUniform(1e-6, 1e-2) },
  evaluations: () => [
    {
      wants: ['gradient'],
      at(context) {
        const { p, state } = context
        const { share } = stepOf(context, initialDistance(context))
        return { parameter: p.plus(state.y.minus(p).times(share)), state: { average: p } }
      },
    },
    {
      wants: ['gradient'],
      at(context) {
        const { p, g, state } = context
        const { share, stepSize } = stepOf(context, initialDistance(context))
        const squares = where(state.squares.equals(0), g.square().sum('all'), state.squares)
        return { parameter: p.minus(g.times(stepSize(squares).times(share))), state: { m: g } }
      },
    },
  ],
  origin: ({ state }) => state.average,
  rule(context) {
    const { p, g, state } = context
    const { distance, omega, alpha, weights, share, stepSize } = stepOf(context, initialDistance(context))
    const before = where(state.squares.equals(0), state.m.square().sum('all'), state.squares)
    const squares = before.plus(g.minus(state.m).square().sum('all').times(alpha.square()))
    const x = state.y.minus(state.m.times(stepSize(before)))
    return {
      direction: g,
      state: { distances: omega, weights, squares },
      apply(direction) {
        const y = state.y.minus(direction.times(stepSize(squares)))
        const furthest = x.minus(state.start).norm('all').maximum(y.minus(state.start).norm('all'))
        return { parameter: p.plus(x.minus(p).times(share)), state: { y, distance: distance.maximum(furthest) } }
      },
    }
  },
})

function initialDistance({ p, hyper }: Context): Value {
  return p.norm('all').plus(1).times(hyper.relativeDistance)
}

/** The numbers of the step that is under way. */
function stepOf({ state, hyper }: Context, initial: Operand) {
  const distance = where(state.distance.equals(0), initial, state.distance)
  const omega = state.distances.plus(distance)
  const alpha = omega.over(distance)
  const weights = state.weights.plus(omega)
  const stepSize = (squares: Value) => {
    const root = squares.plus(hyper.epsilon).sqrt()
    return where(root.isGreaterThan(0), alpha.times(hyper.learningRate).times(distance).over(root), 0)
  }
  return { distance, omega, alpha, weights, share: omega.over(weights), stepSize }
}
