import { defineTransform } from '../language/definition.ts'
import { decayRate, positive, stepCount } from '../language/hyperparameters.ts'
import { scalar } from '../language/slots.ts'
import { where } from '../language/value.ts'

/**
 * AdaGC: scales the gradient of each tensor down when it is longer than the tensor's gradients have been.
 *
 * ```text
 * before step T:  g ← g min(1, a / ‖g‖ over all tensors);   γ ← min(γ, ‖g‖)      γ ← ‖g‖ at the first step
 * from then on:   g ← g min(1, r γ / ‖g‖);                  γ ← β γ + (1 - β) ‖g‖
 * ```
 *
 * γ and the norms without mention of all tensors are of one tensor, after clipping. Defaults of the paper: a (`absolute`) 1, r
 * (`relative`) 1.05, β 0.98, T (`warmupSteps`) 100. State: one number per tensor. Where γ is 0, because there has been no gradient
 * yet, nothing is scaled.
 *
 * pytorch_optimizer has it within AdamW, and divides by the squared norm over all tensors while it warms up.
 *
 * Wang, Li, Chen, Zeng, Yang, Sun, Ma, Yu, Shen 2025, AdaGC: Improving Training Stability for Large Language Model Pretraining,
 * arXiv 2502.11034.
 */
export const adaGC = defineTransform({
  name: 'adaGC',
  title: 'AdaGC',
  paper: {
    title: 'AdaGC: Improving Training Stability for Large Language Model Pretraining',
    authors: 'Wang, Li, Chen, Zeng, Yang, Sun, Ma, Yu, Shen',
    year: 2025,
    arxiv: '2502.11034',
  },
  hyper: { absolute: positive(1), relative: positive(1.05), beta: decayRate(0.98), warmupSteps: stepCount(100) },
  state: { usual: scalar(0) },
  gradient({ g, t, state, hyper }) {
    const length = g.norm()
    const all = g.norm('all')
    const warming = t.isLessThan(hyper.warmupSteps)
    const known = state.usual.isGreaterThan(0)
    const early = where(all.isGreaterThan(hyper.absolute), hyper.absolute.over(all), 1)
    const bound = state.usual.times(hyper.relative)
    const late = where(known.and(length.isGreaterThan(bound)), bound.over(length), 1)
    const factor = where(warming, early, late)
    const clipped = length.times(factor)
    const average = state.usual.times(hyper.beta).plus(clipped.times(hyper.beta.negated().plus(1)))
    const usual = where(known, where(warming, state.usual.minimum(clipped), average), clipped)
    return { gradient: g.times(factor), state: { usual } }
  },
})
