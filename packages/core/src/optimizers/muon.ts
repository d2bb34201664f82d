import { defineOptimizer } from '../language/definition.ts'
import { decayRate, logUniform, nonNegative, oneOf } from '../language/hyperparameters.ts'
import { relativeRate } from '../language/relative-rate.ts'
import { zeros } from '../language/slots.ts'
import { ema } from '../language/value.ts'
import { asMatrix, newtonSchulz, scaledSides } from '../parts/newton-schulz.ts'
import { polarExpress } from '../parts/polar-express.ts'
import { whereAgreeing } from '../parts/where-agreeing.ts'
import { adamW } from './adam-w.ts'

/**
 * Muon: momentum made orthogonal, so that all singular values of the step are about 1.
 *
 * ```text
 * b ← μ b + (1 - μ) g
 * u ← (1 - μ) g + μ b                      nesterov; else b
 * X ← u / (‖u‖ + 1e-7)                     transposed if it has more rows than columns
 * five times:  A ← X Xᵀ;  X ← 3.4445 X + (-4.7750 A + 2.0315 A²) X
 * θ ← (1 - η λ) θ - η √max(1, outputs / inputs) X
 * ```
 *
 * Defaults of the official code: η 0.02, μ 0.95, nesterov true, λ 0, 5 Newton-Schulz steps. State: `b`, shaped like the
 * parameter.
 *
 * For hidden matrices only. What has fewer than two dimensions goes to `fallback`, by default AdamW with the official
 * auxiliary settings β (0.9, 0.95), ε 1e-10, λ 0 and a rate of 0.015 η, 3e-4 by default, which follows η (with
 * `form: 'moonlight'`, whose steps are those of AdamW, it is η itself). A fallback of your own has a rate of its own, unless
 * that is a `relativeRate`. Give embeddings and output layers to AdamW by `groups`.
 * Convolution kernels of four dimensions are seen as one matrix of outputs and inputs, by the layout; other ranks as a batch of
 * matrices in their last two, with `outputLast` `[in, out]`.
 *
 * `form: 'moonlight'` is Liu et al. 2025 (Muon is Scalable for LLM Training, arXiv 2502.16982): b ← μ b + g, u ← g + μ b,
 * the factor 0.2 √max(outputs, inputs), which matches the step size of AdamW (so η about 1e-3, λ 0.1), and only tensors of
 * exactly two dimensions.
 *
 * `form: 'rmsToRms'` is the original with the factor √(outputs / inputs), also where that is below 1: the longest step of a given size as
 * measured from root mean squares of inputs to those of outputs, which keeps learning rates from one width to the next (Bernstein 2025,
 * Deriving Muon, https://jeremybernste.in/writing/deriving-muon). Kernels of four dimensions are scaled by their outputs and inputs.
 *
 * `cautious: true` is C-Muon (Liang, Chen, Liu, Liu 2024, arXiv 2411.16085): u is 0 where b and g differ in sign, before it is made
 * orthogonal. The transform of that name masks afterwards.
 *
 * `iteration: 'polarExpress'` takes other coefficients at every step, which bring singular values nearer to 1 (Amsel, Persson,
 * Musco, Gower 2025, arXiv 2505.16932). A matrix more than twice as long as wide is iterated on its short side.
 *
 * As in the official code the original factor for a kernel of four dimensions comes from height and
 * width, not from outputs and inputs. The official iteration runs in bfloat16, here in float32; the singular values land between 0.7 and 1.2.
 *
 * Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein 2024, Muon: An optimizer for hidden layers in neural networks,
 * https://kellerjordan.github.io/posts/muon.
 */
export const muon = defineOptimizer({
  name: 'muon',
  title: 'Muon',
  family: 'matrix',
  paper: {
    title: 'Muon: An optimizer for hidden layers in neural networks',
    authors: 'Jordan, Jin, Boza, You, Cesista, Newhouse, Bernstein',
    year: 2024,
    url: 'https://kellerjordan.github.io/posts/muon/',
  },
  hyper: { learningRate: nonNegative(0.02), momentum: decayRate(0.95), weightDecay: nonNegative(0) },
  options: {
    form: 'original' as 'original' | 'moonlight' | 'rmsToRms',
    nesterov: true,
    newtonSchulzSteps: 5,
    iteration: 'quintic' as 'quintic' | 'polarExpress',
    cautious: false,
  },
  choices: { form: ['original', 'moonlight', 'rmsToRms'], iteration: ['quintic', 'polarExpress'] },
  state: { b: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-3, 1e-1), momentum: oneOf(0.9, 0.95) },
  accepts: ({ rank }, { form }) => (form === 'moonlight' ? rank === 2 : rank >= 2),
  needs: 'a matrix',
  fallback: (options) => {
    const learningRate = relativeRate(options?.form === 'moonlight' ? 1 : 0.015)
    return adamW({ learningRate, beta1: 0.9, beta2: 0.95, epsilon: 1e-10, weightDecay: 0 })
  },
  rule({ p, g, state, hyper, options, shape }) {
    const { momentum } = hyper
    const moonlight = options.form === 'moonlight'
    const b = moonlight ? state.b.times(momentum).plus(g) : ema(state.b, g, momentum)
    const ahead = moonlight ? g.plus(b.times(momentum)) : ema(b, g, momentum)
    const chosen = options.nesterov ? ahead : b
    const update = options.cautious ? whereAgreeing(chosen, b, g) : chosen
    const matrix = asMatrix(update, shape)
    const coefficients = options.iteration === 'polarExpress' ? polarExpress : undefined
    const orthogonal = newtonSchulz(matrix, options.newtonSchulzSteps, 1e-7, coefficients).as(p)
    const [outputs, inputs] = options.form === 'rmsToRms' ? [matrix.outputs, matrix.inputs] : scaledSides(matrix, shape)
    const scales = {
      original: () => Math.sqrt(Math.max(1, outputs / inputs)),
      moonlight: () => 0.2 * Math.sqrt(Math.max(outputs, inputs)),
      rmsToRms: () => Math.sqrt(outputs / inputs),
    }
    return { direction: orthogonal.times(scales[options.form]()), state: { b } }
  },
})
