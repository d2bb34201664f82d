import { type CommonContext, defineTransform, type OptionSpecification } from '../language/definition.ts'
import { positive, seed } from '../language/hyperparameters.ts'
import { type Value, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'

type Options = { pairs: number; perturbation: 'fresh' | 'persistent' | 'single'; episode: number }
type Context = CommonContext<'sigma' | 'seed', OptionSpecification, never, never>

/**
 * Evolution strategies: feeds any optimizer with an estimate of the gradient from losses at points in random pairs around
 * the parameters. Needs `minimize`, which evaluates twice per pair; no gradients and no state.
 *
 * ```text
 * for i = 1 .. n:   zᵢ ~ N(0, 1);   Lᵢ⁺ = L(θ + σ zᵢ),  Lᵢ⁻ = L(θ - σ zᵢ)
 * g ← 1 / (2 σ n) Σ (Lᵢ⁺ - Lᵢ⁻) ζᵢ
 * ```
 *
 * When the loss is that of one part (truncation) of an inner problem that unrolls over `episode` steps, and evaluation 2 i
 * and 2 i + 1 continue the inner state of pair i, `perturbation` says how parts belong together:
 * - `fresh` (default): zᵢ is drawn at every step and ζᵢ = zᵢ. Antithetic sampling, biased where parts depend on each other.
 * - `persistent`: zᵢ is drawn at every step and ζᵢ is the sum of the zᵢ of this episode so far. Unbiased.
 * - `single`: one zᵢ for the whole episode, ζᵢ = zᵢ. Its variance does not grow with the number of parts.
 *
 * Defaults: n = `pairs` 8, σ 0.1, `episode` 1. Draws are never stored: the sum of an episode is drawn again, so `persistent`
 * costs as many draws as an episode has parts. The estimate is that of the loss smoothed by N(0, σ²).
 * All points of a step can be had at once: `minimizeTogether`.
 *
 * Rechenberg 1973; Salimans, Ho, Chen, Sidor, Sutskever 2017, Evolution Strategies as a Scalable Alternative to
 * Reinforcement Learning, arXiv 1703.03864. Vicol, Metz, Sohl-Dickstein 2021, Unbiased Gradient Estimation in Unrolled
 * Computation Graphs with Persistent Evolution Strategies, arXiv 2112.13835. Vicol 2023, Low-Variance Gradient Estimation in
 * Unrolled Computation Graphs with ES-Single, arXiv 2304.11153.
 */
export const evolutionStrategies = defineTransform({
  name: 'evolutionStrategies',
  title: 'Evolution strategies',
  paper: {
    title: 'Evolution Strategies as a Scalable Alternative to Reinforcement Learning',
    authors: 'Salimans, Ho, Chen, Sidor, Sutskever',
    year: 2017,
    arxiv: '1703.03864',
  },
  hyper: { sigma: positive(0.1), seed: seed() },
  options: { pairs: 8, perturbation: 'fresh' as Options['perturbation'], episode: 1 },
  choices: { perturbation: ['fresh', 'persistent', 'single'] },
  evaluations: ({ pairs, perturbation, episode }) => {
    const draw = (context: Context, pair: number) =>
      drawn(context, pair, perturbation, episode).times(context.hyper.sigma)
    return Array.from({ length: pairs }, (_, pair) => [
      {
        wants: ['loss'] as const,
        at: (context: Context) => {
          const back = pair === 0 ? context.p : context.p.plus(draw(context, pair - 1))
          return { parameter: back.plus(draw(context, pair)) }
        },
      },
      {
        wants: ['loss'] as const,
        at: (context: Context) => ({ parameter: context.p.minus(draw(context, pair).times(2)) }),
      },
    ]).flat()
  },
  origin(context) {
    const { pairs, perturbation, episode } = context.options
    return context.p.plus(drawn(context, pairs - 1, perturbation, episode).times(context.hyper.sigma))
  },
  gradient(context) {
    const { losses, hyper, options } = context
    const { pairs, perturbation, episode } = options
    const terms = Array.from({ length: pairs }, (_, pair) => {
      const slope = losses[2 * pair]!.minus(losses[2 * pair + 1]!).over(hyper.sigma.times(2 * pairs))
      const zeta =
        perturbation === 'persistent'
          ? accumulated(context, pair, episode)
          : drawn(context, pair, perturbation, episode)
      return zeta.times(slope)
    })
    return { gradient: terms.reduce((sum, term) => sum.plus(term)) }
  },
})

/** The direction in which a pair lies at this step. */
function drawn({ random, hyper, step }: Context, pair: number, perturbation: Options['perturbation'], episode: number) {
  const when = perturbation === 'single' ? step.minus(1).over(episode).floor() : step
  return random.normal({ seed: hyper.seed, draw: pair, step: when })
}

/** The sum of the directions of a pair since its episode began. */
function accumulated({ random, hyper, step }: Context, pair: number, episode: number): Value {
  const age = ageOf(step, episode)
  let sum = random.normal({ seed: hyper.seed, draw: pair, step })
  for (let ago = 1; ago < episode; ago++) {
    const earlier = random.normal({ seed: hyper.seed, draw: pair, step: step.minus(ago).maximum(0) })
    sum = sum.plus(earlier.times(where(age.isGreaterThan(ago), 1, 0)))
  }
  return sum
}
