import { type CommonContext, defineOptimizer, type OptionSpecification } from '../language/definition.ts'
import { logUniform, nonNegative, oneOf, seed, smallDivisor } from '../language/hyperparameters.ts'
import { type Value, where } from '../language/value.ts'
import { perturbation } from '../parts/perturbation.ts'

type Context = CommonContext<'epsilon' | 'seed', OptionSpecification, never, never>

/**
 * ZO-RankSGD: descends by rankings alone. Of m random points around the parameters the best k are known in their order;
 * every pair of points whose order is known gives a direction. Needs `minimize`, which evaluates m times.
 *
 * ```text
 * zᵢ ~ N(0, 1), i = 1 .. m;  rank the points θ + ε zᵢ, best first
 * E: pairs (i, j), i among the best k, i better than j
 * θ ← θ - η / |E| Σ over E (zⱼ - zᵢ)
 * ```
 *
 * Whatever `evaluate` returns is used for its order only, so it may return the rank that a person gave. Equal values count
 * in the order of evaluation. All are ranked where k is not below m. Defaults: m = `points` 8, k = `best` 4, ε 0.1, η 0.1, all ours: the paper sets them per
 * problem. No state, no weight decay.
 *
 * Tang, Rybin, Chang 2023, Zeroth-Order Optimization Meets Human Feedback: Provable Learning via Ranking Oracles, arXiv
 * 2303.03751.
 */
export const zoRankSGD = defineOptimizer({
  name: 'zoRankSGD',
  title: 'ZO-RankSGD',
  family: 'gradientFree',
  paper: {
    title: 'Zeroth-Order Optimization Meets Human Feedback: Provable Learning via Ranking Oracles',
    authors: 'Tang, Rybin, Chang',
    year: 2023,
    arxiv: '2303.03751',
  },
  hyper: { learningRate: nonNegative(0.1), epsilon: smallDivisor(0.1), seed: seed() },
  options: { points: 8, best: 4 },
  limits: { points: [2] },
  state: {},
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1), epsilon: oneOf(0.01, 0.1, 1) },
  evaluations: ({ points }) =>
    Array.from({ length: points }, (_, point) => ({
      wants: ['loss'] as const,
      at(context: Context) {
        const back = point === 0 ? context.p : context.p.minus(perturbation(context, point - 1))
        return { parameter: back.plus(perturbation(context, point)) }
      },
    })),
  origin: (context) => context.p.minus(perturbation(context, context.options.points - 1)),
  rule({ losses, random, hyper, options }) {
    const truth = (condition: Value): Value => where(condition, condition.lifted(1), 0)
    // 1 where point i comes before point j.
    const before = (i: number, j: number) =>
      truth(i < j ? losses[i]!.isAtMost(losses[j]!) : losses[i]!.isLessThan(losses[j]!))
    const others = (i: number) => losses.map((_, j) => j).filter((j) => j !== i)
    const sum = (values: readonly Value[]) => values.reduce((total, value) => total.plus(value))
    const places = losses.map((_, i) => sum(others(i).map((j) => before(j, i))))
    const known = places.map((place) => truth(place.isLessThan(options.best)))
    const edges = Array.from({ length: options.best }, (_, place) => losses.length - 1 - place)
    const count = edges.filter((number) => number > 0).reduce((total, number) => total + number, 0)
    const terms = losses.map((_, i) => {
      const better = sum(others(i).map((j) => before(j, i).times(known[j]!)))
      const worse = sum(others(i).map((j) => before(i, j))).times(known[i]!)
      return random.normal({ seed: hyper.seed, draw: i }).times(better.minus(worse).over(Math.max(count, 1)))
    })
    return { direction: sum(terms) }
  },
})
