import { type Value, where } from '../language/value.ts'

/** The model of the loss that momentum averages make, as MoMo and MoMo-Adam have it. */
export interface MomentumModel {
  /** The average of losses. */
  readonly loss: Value
  /** The average of ⟨g, θ⟩. */
  readonly product: Value
  /** ⟨d, θ⟩ with the average d of gradients. */
  readonly current: Value
  /** ⟨d, D⁻¹ d⟩. */
  readonly squaredNorm: Value
  /** What the averages' weights sum to. */
  readonly weight: Value
  readonly learningRate: Value
  /** `1 + η λ`. */
  readonly decay: Value
  /** The bound that the user gives. */
  readonly lossMinimum: Value
  /** The estimate of the bound so far; `undefined` where the user's is taken. */
  readonly estimate: Value | undefined
}

/** The step size that brings the model to its lower bound, no larger than the learning rate, and the new estimate. */
export function momentumModelStep(model: MomentumModel): { stepSize: Value; estimate: Value } {
  const { loss, product, current, squaredNorm, weight, decay, lossMinimum, estimate } = model
  const start = loss.minus(product).times(decay).plus(current)
  const scale = decay.times(weight)
  const lowered = start.over(scale.times(2)).maximum(lossMinimum)
  const bound = estimate ? where(start.isLessThan(scale.times(estimate)), lowered, estimate) : lossMinimum
  const gap = start.minus(scale.times(bound)).maximum(0)
  const truncated = where(squaredNorm.isGreaterThan(0), gap.over(squaredNorm), 0)
  const stepSize = truncated.minimum(model.learningRate.over(weight))
  const end = loss.plus(current).minus(product).minus(stepSize.times(squaredNorm).times(0.5))
  return { stepSize, estimate: end.over(weight).maximum(lossMinimum) }
}
