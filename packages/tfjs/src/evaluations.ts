import * as tf from '@tensorflow/tfjs-core'
import type { Optimizer } from 'fallline'
import { elementsIn } from 'fallline/internal'

/** Optimizers and wrappers inside an optimizer that say where a step evaluates the model. */
function evaluating(optimizer: Optimizer) {
  return elementsIn(optimizer).flatMap(({ definition, options }) => {
    const evaluations: readonly { wants: readonly string[]; at?: unknown }[] = definition.evaluations?.(options) ?? []
    return evaluations.length > 0 ? [{ title: definition.title, evaluations }] : []
  })
}

/** True when the first evaluation of a step gives gradients where the variables stand. */
export function beginsHere(optimizer: Optimizer): boolean {
  return evaluating(optimizer).every(({ evaluations: [first] }) => !first!.at && first!.wants.includes('gradient'))
}

/** What evaluates the model elsewhere than where the variables stand; `undefined` when nothing does. */
export function movingTitle(optimizer: Optimizer): string | undefined {
  return evaluating(optimizer).find(({ evaluations }) => evaluations.some(({ at }) => at))?.title
}

/** The evaluations of one step of a function that computes the loss. */
export class Evaluations {
  /** The loss of the first one; the caller of `minimize` may want it. */
  first: tf.Scalar | undefined
  /** The gradients of the last one, by variable name. */
  gradients: tf.NamedTensorMap = {}
  /** Numbers that the function kept with `tf.keep` in evaluations after the first. */
  readonly kept: tf.Tensor[] = []
  private readonly f: () => tf.Scalar
  private last: tf.Scalar | undefined

  constructor(f: () => tf.Scalar) {
    this.f = f
  }

  /** The loss of the last one. */
  get loss(): number {
    return this.last!.dataSync()[0]!
  }

  /** Evaluates loss and gradients, of all trainable variables unless they are given. */
  differentiate(variables?: tf.Variable[]): void {
    this.free()
    const { value, grads } = tf.variableGrads(this.evaluate, variables)
    this.accept(value)
    for (const [name, gradient] of Object.entries(grads)) if (gradient) this.gradients[name] = gradient
  }

  /** Evaluates the loss alone. */
  look(): void {
    this.free()
    this.accept(tf.tidy(this.evaluate))
  }

  /** Gives variables that have no gradient one of zeros. */
  fill(variables: Iterable<tf.Variable>): void {
    for (const { name, shape } of variables) this.gradients[name] ??= tf.zeros(shape)
  }

  /** Frees all but the first loss. */
  free(): void {
    if (this.last !== this.first) this.last!.dispose()
    this.last = this.first
    tf.dispose(this.gradients)
    this.gradients = {}
  }

  private accept(value: tf.Scalar): void {
    this.first ??= value
    this.last = value
  }

  private readonly evaluate = (): tf.Scalar => {
    const value = this.f()
    if (!(value instanceof tf.Tensor) || value.rank !== 0) {
      const what = value instanceof tf.Tensor ? `a tensor of shape [${(value as tf.Tensor).shape}]` : String(value)
      throw new Error(`minimize: f must return the loss as a scalar, not ${what}`)
    }
    // A Layers model keeps its metrics for the caller, who knows of those of one evaluation only.
    if (this.first)
      this.kept.push(...tf.engine().state.activeScope.track.filter(({ kept, rank }) => kept && rank === 0))
    // Losses are disposed: a variable, or what others have kept, must not be.
    return value instanceof tf.Variable || value.kept ? tf.clone(value as tf.Scalar) : value
  }
}
