import { defineOptimizer } from '../language/definition.ts'
import { fraction, logUniform, nonNegative, oneOf, positive } from '../language/hyperparameters.ts'
import { type ParameterShape, zeros } from '../language/slots.ts'
import { ema, type Value } from '../language/value.ts'
import { asMatrix, newtonSchulz } from '../parts/newton-schulz.ts'

/**
 * Scion: stochastic conditional gradient. Each step goes to where a ball of a norm chosen by layer lies furthest along the averaged
 * gradient.
 *
 * ```text
 * m ← (1 - α) m + α g
 * θ ← (1 - η λ) θ - η ρ u(m)
 *
 * norm       u(m)
 * auto       √(outputs / inputs) Newton-Schulz(m)     matrices; kernels as one matrix, divided by height · width
 *            m / (RMS(m) + 1e-8)                      vectors and numbers
 * sign       sign(m) / inputs
 * columns    m / (RMS of its column + 1e-8)           one column per input
 * rows       m / (√inputs · norm of its row + 1e-8)   one row per output
 * ```
 *
 * With λ = 1, the default, the parameters stay in the ball of radius ρ (constrained); with λ = 0 they do not (unconstrained).
 *
 * Defaults of the official code: η 1e-3, α 1, which is no momentum, ρ 1. Its authors give hidden layers ρ 50, the first layer the norm
 * `auto` or `columns` and the last one `sign` with ρ 3000: do so by `groups`. State: `m`, shaped like the parameter. `light: true` is
 * ScionLight, which keeps m ← (1 - α) m + g, 1 / α times as much, in the gradient: there it needs no memory, here it is state; the steps are the same but
 * for the 1e-8, and 1e-7 in Newton-Schulz.
 *
 * α is called `momentum` in the official code, where it is what a new gradient counts. Newton-Schulz has five steps. Other ranks than
 * two and four are seen as a batch of matrices, which the official code refuses. The official iteration runs in bfloat16, here in float32.
 *
 * Pethick, Xie, Antonakopoulos, Zhu, Silveti-Falls, Cevher 2025, Training Deep Learning Models with Norm-Constrained LMOs,
 * arXiv 2502.07529.
 */
export const scion = defineOptimizer({
  name: 'scion',
  title: 'Scion',
  family: 'matrix',
  paper: {
    title: 'Training Deep Learning Models with Norm-Constrained LMOs',
    authors: 'Pethick, Xie, Antonakopoulos, Zhu, Silveti-Falls, Cevher',
    year: 2025,
    arxiv: '2502.07529',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    alpha: fraction(1),
    radius: positive(1),
    weightDecay: nonNegative(1),
  },
  options: { norm: 'auto' as 'auto' | 'sign' | 'columns' | 'rows', newtonSchulzSteps: 5, light: false },
  choices: { norm: ['auto', 'sign', 'columns', 'rows'] },
  state: { m: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-1), alpha: oneOf(0.05, 0.1, 0.2, 1), radius: oneOf(1, 10, 50) },
  rule({ p, g, state, hyper, options, shape }) {
    const kept = hyper.alpha.negated().plus(1)
    const m = options.light ? state.m.times(kept).plus(g) : ema(state.m, g, kept)
    const matrix = m.as(shape.matrix)
    const furthest = {
      auto: () =>
        shape.rank < 2 ? m.over(rootMeanSquare(m).plus(1e-8)) : spectral(m, shape, options.newtonSchulzSteps),
      sign: () => m.sign().over(Math.max(shape.inputs, 1)),
      columns: () => matrix.over(matrix.square().mean('outputs').sqrt().plus(1e-8)).as(p),
      rows: () => {
        const norm = matrix.square().sum('inputs').sqrt()
        return matrix.over(norm.times(Math.sqrt(shape.inputs)).plus(1e-8)).as(p)
      },
    }[options.norm]
    return { direction: furthest().times(hyper.radius), state: { m } }
  },
})

function spectral(m: Value, shape: ParameterShape, steps: number): Value {
  const matrix = asMatrix(m, shape)
  const [outputs, inputs, ...kernel] = shape.rank === 4 ? shape.outputFirst : [matrix.outputs, matrix.inputs]
  const area = kernel.reduce((product, size) => product * size, 1)
  const scale = Math.sqrt(outputs! / Math.max(inputs!, 1)) / Math.max(area, 1)
  return newtonSchulz(matrix, steps).as(m).times(scale)
}

function rootMeanSquare(value: Value): Value {
  return value.square().mean().sqrt()
}
