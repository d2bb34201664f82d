import { jit, numpy as np } from '@jax-js/jax'
import { fill, gradientScale, parameterScale } from '../values.ts'

/** Something whose step is measured, and how to give its memory back. */
export interface Subject {
  step(): void | Promise<void>
  dispose(): void
}

/** The settings of Adam in the JavaScript libraries. */
export const adamDefaults = { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 }

/** Numbers for an array of a peer; zeros when the scale is zero. */
export function numbers(size: number, scale: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(size)
  if (scale !== 0) fill(values, scale)
  return values
}

/**
 * Adam or AdamW written in jax-js operations and jitted, since its port of optax is not published. The bias corrections come from
 * outside as two scalars: computed inside, they make the step several times slower. `init('wasm')` must have been called.
 */
export async function jaxJsAdam(
  optimizer: string,
  shape: readonly number[],
): Promise<Subject & { parameters(): Promise<ArrayLike<number>> }> {
  const { learningRate, beta1, beta2, epsilon, weightDecay } = adamDefaults
  const size = shape.reduce((product, length) => product * length, 1)
  const make = (scale: number) => np.array(numbers(size, scale)).reshape([...shape])
  const keep = optimizer === 'adamW' ? 1 - learningRate * weightDecay : 1
  const update = jit((p: np.Array, m: np.Array, v: np.Array, g: np.Array, rate: np.Array, correction: np.Array) => {
    const first = m.mul(beta1).add(g.ref.mul(1 - beta1))
    const second = v.mul(beta2).add(np.square(g).mul(1 - beta2))
    const denominator = np.sqrt(second.ref.mul(correction)).add(epsilon)
    return [p.mul(keep).sub(rate.mul(first.ref).div(denominator)), first, second] as [np.Array, np.Array, np.Array]
  })
  const gradient = make(gradientScale)
  let state = [make(parameterScale), make(0), make(0)] as [np.Array, np.Array, np.Array]
  let t = 0
  return {
    async step() {
      t++
      const rate = np.array(learningRate / (1 - beta1 ** t))
      const correction = np.array(1 / (1 - beta2 ** t))
      state = update(...state, gradient.ref, rate, correction)
      for (const array of state) await array.blockUntilReady()
    },
    async parameters() {
      return (await state[0].ref.data()) as Float32Array
    },
    dispose() {
      for (const array of [...state, gradient]) array.dispose()
      update.dispose()
    },
  }
}
