import { type CommonContext, defineTransform, type OptionSpecification } from '../language/definition.ts'
import { positive, seed } from '../language/hyperparameters.ts'
import type { Value } from '../language/value.ts'

type Context = CommonContext<'radius' | 'seed', OptionSpecification, never, never>

/**
 * Randomized smoothing: feeds any first-order method with the gradient of the loss averaged over a ball, estimated from
 * losses alone. Needs `minimize`, which evaluates twice per pair; no gradients and no state.
 *
 * ```text
 * for i = 1 .. n:   eᵢ uniform on the unit sphere of all d parameters
 * g ← d / (2 γ n) Σ (L(θ + γ eᵢ) - L(θ - γ eᵢ)) eᵢ
 * ```
 *
 * The smoothed loss of a non-smooth one that is M-Lipschitz has a gradient with Lipschitz constant √d M / γ and is within
 * γ M of it, so optimal (accelerated) methods apply: `randomizedSmoothing(similarTriangles())` is the scheme of the paper.
 * Defaults: n = `pairs` 4, γ = `radius` 0.01. The points do not depend on the losses: `minimizeTogether` asks for all at once.
 *
 * Saddle points, min over x of max over y of L(x, y): the same points on the sphere of x and y together, whose estimate is then taken
 * downhill in x and uphill in y. Let groups say who climbs, of a method that finds saddle points:
 *
 * ```ts
 * import { groups, optimisticGradient, randomizedSmoothing } from 'fallline'
 *
 * const players = groups(optimisticGradient(), [{ match: /^y/, optimizer: optimisticGradient({ maximize: true }) }])
 * export const optimizer = randomizedSmoothing(players)
 * ```
 *
 * Gasnikov, Novitskii, Novitskii, Abdukhakimov, Kamzolov, Beznosikov, Takáč, Dvurechensky, Gu 2022, The Power of First-Order
 * Smooth Optimization for Black-Box Non-Smooth Problems, arXiv 2201.12289.
 */
export const randomizedSmoothing = defineTransform({
  name: 'randomizedSmoothing',
  title: 'Randomized smoothing',
  paper: {
    title: 'The Power of First-Order Smooth Optimization for Black-Box Non-Smooth Problems',
    authors: 'Gasnikov, Novitskii, Novitskii, Abdukhakimov, Kamzolov, Beznosikov, Takáč, Dvurechensky, Gu',
    year: 2022,
    arxiv: '2201.12289',
  },
  hyper: { radius: positive(0.01), seed: seed() },
  options: { pairs: 4 },
  evaluations: ({ pairs }) =>
    Array.from({ length: pairs }, (_, pair) => [
      {
        wants: ['loss'] as const,
        at: (context: Context) => {
          const back = pair === 0 ? context.p : context.p.plus(onSphere(context, pair - 1).times(context.hyper.radius))
          return { parameter: back.plus(onSphere(context, pair).times(context.hyper.radius)) }
        },
      },
      {
        wants: ['loss'] as const,
        at: (context: Context) => ({
          parameter: context.p.minus(onSphere(context, pair).times(context.hyper.radius.times(2))),
        }),
      },
    ]).flat(),
  origin: (context) => context.p.plus(onSphere(context, context.options.pairs - 1).times(context.hyper.radius)),
  gradient(context) {
    const { losses, hyper, options, p } = context
    const terms = Array.from({ length: options.pairs }, (_, pair) => {
      const slope = losses[2 * pair]!.minus(losses[2 * pair + 1]!).over(hyper.radius.times(2 * options.pairs))
      return onSphere(context, pair).times(slope)
    })
    const sum = terms.reduce((total, term) => total.plus(term))
    return { gradient: sum.times(p.count('all')) }
  },
})

function onSphere({ random, hyper }: Context, pair: number): Value {
  const normal = random.normal({ seed: hyper.seed, draw: pair })
  return normal.over(normal.norm('all'))
}
