import { defineTransform } from '../language/definition.ts'
import { nonNegative, seed } from '../language/hyperparameters.ts'
import { type Input, inputArray } from '../language/inputs.ts'
import { zeros } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * Refresh learning: unlearns the current data a little, with noise, before it is learnt again; in continual learning that
 * forgets what is outdated in favour of what is general. Two evaluations per step; needs `minimize`.
 *
 * ```text
 * u ← δ / (1 + f F) (‖θ‖ ∇L(θ) / ‖∇L(θ)‖ + σ z),   z ~ N(0, 1)         norms over the tensor
 * the wrapped optimizer steps from θ + u with ∇L(θ + u)
 * ```
 *
 * F is the diagonal of the Fisher information of what was learnt before: the input `fisherDiagonal` with `fisher: true`,
 * else 0, as the official code has it during the first task; the first evaluation of a step supplies it. Tensors without a gradient only get the noise. Defaults of
 * the official code: δ (`amount`) 1e-5, σ (`noise`) 1e-3, f (`fisherWeight`) 1e-3. State: u, shaped like the parameter.
 *
 * This is the order of the paper: unlearn, then learn. The official code learns first and unlearns the same data after that
 * step, which is the same sequence but for its beginning and the data of neighbouring steps.
 *
 * Wang, Li, Shen, Huang 2024, A Unified and General Framework for Continual Learning, arXiv 2403.13249.
 */
export const refresh = defineTransform({
  name: 'refresh',
  title: 'Refresh learning',
  paper: {
    title: 'A Unified and General Framework for Continual Learning',
    authors: 'Wang, Li, Shen, Huang',
    year: 2024,
    arxiv: '2403.13249',
  },
  hyper: { amount: nonNegative(1e-5), noise: nonNegative(1e-3), fisherWeight: nonNegative(1e-3), seed: seed() },
  options: { fisher: false },
  inputs: ({ fisher }): Readonly<Record<string, Input>> =>
    fisher ? { fisherDiagonal: inputArray('the diagonal of the Fisher information of what was learnt before') } : {},
  state: { move: zeros() },
  evaluations: () => [
    { wants: ['gradient'] },
    {
      wants: ['gradient'],
      at({ p, g, hyper, inputs, options, random }) {
        const length = g.norm()
        const ascent = g.times(where(length.isGreaterThan(0), p.norm().over(length).limited(), 0))
        const noisy = ascent.plus(random.normal({ seed: hyper.seed }).times(hyper.noise)).times(hyper.amount)
        const move = options.fisher ? noisy.over(inputs.fisherDiagonal!.times(hyper.fisherWeight).plus(1)) : noisy
        return { parameter: p.plus(move), state: { move } }
      },
    },
  ],
  origin: ({ p, state }) => p.minus(state.move),
  innerParameter: ({ p, state }) => p.plus(state.move),
  parameter: ({ next }) => ({ parameter: next }),
})
