import { allocate, assemble, type Kernel } from './assemble.ts'

/** Hyperparameters of {@link handWrittenAdamW}. */
export interface AdamWHyper {
  learningRate: number
  beta1: number
  beta2: number
  epsilon: number
  weightDecay: number
}

/** The defaults that PyTorch documents for AdamW. */
export const adamWDefaults: AdamWHyper = {
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  weightDecay: 0.01,
}

const vectorsPerIteration = 4
const scalars = ['beta1', 'rest1', 'beta2', 'rest2', 'keep', 'rate', 'epsilon'] as const

/** One vector of four floats: every array is read once and written once. */
function vector(index: number): string {
  const at = `offset=${16 * index}`
  return `
      (local.set $gradient (v128.load ${at} (local.get $g)))
      (v128.store ${at} (local.get $m) (local.tee $first
        (f32x4.add
          (f32x4.mul (local.get $beta1) (v128.load ${at} (local.get $m)))
          (f32x4.mul (local.get $rest1) (local.get $gradient)))))
      (v128.store ${at} (local.get $v) (local.tee $second
        (f32x4.add
          (f32x4.mul (local.get $beta2) (v128.load ${at} (local.get $v)))
          (f32x4.mul (local.get $rest2) (f32x4.mul (local.get $gradient) (local.get $gradient))))))
      (v128.store ${at} (local.get $p)
        (f32x4.sub
          (f32x4.mul (local.get $keep) (v128.load ${at} (local.get $p)))
          (f32x4.div
            (f32x4.mul (local.get $rate) (local.get $first))
            (f32x4.add (f32x4.sqrt (local.get $second)) (local.get $epsilon)))))`
}

const text = `(module
  (import "host" "memory" (memory 1))
  (func (export "step") (param $p i32) (param $g i32) (param $m i32) (param $v i32) (param $count i32)
    ${scalars.map((name) => `(param $${name}_ f32)`).join(' ')}
    ${scalars.map((name) => `(local $${name} v128)`).join(' ')}
    (local $gradient v128) (local $first v128) (local $second v128) (local $end i32)
    ${scalars.map((name) => `(local.set $${name} (f32x4.splat (local.get $${name}_)))`).join('\n    ')}
    (local.set $end (i32.add (local.get $p) (i32.shl (local.get $count) (i32.const 2))))
    (loop $next
      ${Array.from({ length: vectorsPerIteration }, (_, index) => vector(index)).join('\n')}
      ${['p', 'g', 'm', 'v'].map((name) => `(local.set $${name} (i32.add (local.get $${name}) (i32.const ${16 * vectorsPerIteration})))`).join('\n      ')}
      (br_if $next (i32.lt_u (local.get $p) (local.get $end))))))`

/**
 * AdamW as a person would write it by hand for speed: one pass, four vectors an iteration, decoupled decay, and the bias corrections
 * folded into two scalars, since `rate m / bc1 / (sqrt(v / bc2) + epsilon) = (rate sqrt(bc2) / bc1) m / (sqrt(v) + epsilon sqrt(bc2))`.
 */
export async function handWrittenAdamW(
  size: number,
  hyper: AdamWHyper = adamWDefaults,
): Promise<Kernel<'p' | 'g' | 'm' | 'v'>> {
  const { memory, views, at, padded } = allocate(size, ['p', 'g', 'm', 'v'])
  const { step } = await assemble(text, memory)
  const { learningRate, beta1, beta2, epsilon, weightDecay } = hyper
  let t = 0
  return {
    arrays: views,
    step() {
      t++
      const root = Math.sqrt(1 - beta2 ** t)
      const rate = (learningRate * root) / (1 - beta1 ** t)
      const keep = 1 - learningRate * weightDecay
      step!(at.p, at.g, at.m, at.v, padded, beta1, 1 - beta1, beta2, 1 - beta2, keep, rate, epsilon * root)
    },
  }
}
