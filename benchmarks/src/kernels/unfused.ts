import { allocate, assemble, type Kernel } from './assemble.ts'

/**
 * Optimizers as an eager framework runs them: each operation of the rule is a pass of its own over whole arrays. The passes are those
 * of the usual single-tensor implementations, where one pass already does what `lerp_`, `addcmul_` or `addcdiv_` do. Every pass is
 * four vectors an iteration, and temporaries are allocated once, which is kinder than most frameworks are.
 */

const vectorsPerIteration = 4

const x = '(v128.load OFFSET (local.get $x))'
const y = '(v128.load OFFSET (local.get $y))'
const z = '(v128.load OFFSET (local.get $z))'
const s = '(local.get $s)'
const one = '(v128.const f32x4 1 1 1 1)'
const zero = '(v128.const f32x4 0 0 0 0)'

/** What each pass writes to its array `x`, from the arrays `x`, `y` and `z` and the scalar `s`. */
const passes = {
  scale: `(f32x4.mul ${x} ${s})`,
  scaled: `(f32x4.mul ${y} ${s})`,
  shift: `(f32x4.add ${x} ${s})`,
  addScaled: `(f32x4.add ${x} (f32x4.mul ${s} ${y}))`,
  interpolate: `(f32x4.add ${x} (f32x4.mul ${s} (f32x4.sub ${y} ${x})))`,
  addProduct: `(f32x4.add ${x} (f32x4.mul ${s} (f32x4.mul ${y} ${z})))`,
  addQuotient: `(f32x4.add ${x} (f32x4.div (f32x4.mul ${s} ${y}) ${z}))`,
  divide: `(f32x4.div ${x} ${y})`,
  squareRoot: `(f32x4.sqrt ${y})`,
  sign: `(f32x4.sub (v128.and (f32x4.gt ${x} ${zero}) ${one}) (v128.and (f32x4.lt ${x} ${zero}) ${one}))`,
} as const

function passText([name, value]: [string, string]): string {
  const stores = Array.from({ length: vectorsPerIteration }, (_, index) => {
    const offset = `offset=${16 * index}`
    return `(v128.store ${offset} (local.get $x) ${value.replaceAll('OFFSET', offset)})`
  })
  const advance = ['x', 'y', 'z'].map(
    (array) => `(local.set $${array} (i32.add (local.get $${array}) (i32.const ${16 * vectorsPerIteration})))`,
  )
  return `
  (func (export "${name}") (param $x i32) (param $y i32) (param $z i32) (param $scalar f32) (param $count i32)
    (local $s v128) (local $end i32)
    (local.set $s (f32x4.splat (local.get $scalar)))
    (local.set $end (i32.add (local.get $x) (i32.shl (local.get $count) (i32.const 2))))
    (loop $next
      ${[...stores, ...advance].join('\n      ')}
      (br_if $next (i32.lt_u (local.get $x) (local.get $end)))))`
}

const text = `(module (import "host" "memory" (memory 1)) ${Object.entries(passes).map(passText).join('')})`

/** The passes; arrays are given by where they are, the first one is written. */
interface Passes {
  /** x = s x */
  scale(x: number, s: number): void
  /** x = s y */
  scaled(x: number, y: number, s: number): void
  /** x = x + s */
  shift(x: number, s: number): void
  /** x = x + s y */
  addScaled(x: number, y: number, s: number): void
  /** x = x + s (y - x) */
  interpolate(x: number, y: number, s: number): void
  /** x = x + s y z */
  addProduct(x: number, y: number, z: number, s: number): void
  /** x = x + s y / z */
  addQuotient(x: number, y: number, z: number, s: number): void
  /** x = x / y */
  divide(x: number, y: number): void
  /** x = sqrt(y) */
  squareRoot(x: number, y: number): void
  /** x = sign(x), zero where x is zero */
  sign(x: number): void
}

function bind(exports: Record<string, (...numbers: number[]) => void>, count: number): Passes {
  const pass = (name: keyof typeof passes) => exports[name]!
  return {
    scale: (x, s) => pass('scale')(x, x, x, s, count),
    scaled: (x, y, s) => pass('scaled')(x, y, x, s, count),
    shift: (x, s) => pass('shift')(x, x, x, s, count),
    addScaled: (x, y, s) => pass('addScaled')(x, y, x, s, count),
    interpolate: (x, y, s) => pass('interpolate')(x, y, x, s, count),
    addProduct: (x, y, z, s) => pass('addProduct')(x, y, z, s, count),
    addQuotient: (x, y, z, s) => pass('addQuotient')(x, y, z, s, count),
    divide: (x, y) => pass('divide')(x, y, x, 0, count),
    squareRoot: (x, y) => pass('squareRoot')(x, y, x, 0, count),
    sign: (x) => pass('sign')(x, x, x, 0, count),
  }
}

/** A rule written as a sequence of passes. */
interface EagerRule<Hyper extends string = string, Name extends string = string> {
  /** Hyperparameters that it runs with, by Fallline's names. */
  hyper: Readonly<Record<Hyper, number>>
  /** Arrays beside the parameter `p` and its gradient `g`: state, then temporaries. */
  arrays: readonly Name[]
  /** One step over the arrays `at` their places; `t` counts steps from 1. */
  step(pass: Passes, at: Record<Name | 'p' | 'g', number>, t: number, hyper: Readonly<Record<Hyper, number>>): void
}

function rule<const Hyper extends string, const Name extends string>(definition: EagerRule<Hyper, Name>): EagerRule {
  return definition
}

const rules = {
  /** Momentum, as in torch.optim.SGD. */
  sgd: rule({
    hyper: { learningRate: 1e-2, momentum: 0.9 },
    arrays: ['buffer'],
    step(pass, { p, g, buffer }, _t, { learningRate, momentum }) {
      pass.scale(buffer, momentum)
      pass.addScaled(buffer, g, 1)
      pass.addScaled(p, buffer, -learningRate)
    },
  }),

  /** As in torch.optim.AdamW with foreach=False. */
  adamW: rule({
    hyper: { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 },
    arrays: ['m', 'v', 'denominator'],
    step(pass, { p, g, m, v, denominator }, t, { learningRate, beta1, beta2, epsilon, weightDecay }) {
      pass.scale(p, 1 - learningRate * weightDecay)
      pass.interpolate(m, g, 1 - beta1)
      pass.scale(v, beta2)
      pass.addProduct(v, g, g, 1 - beta2)
      pass.squareRoot(denominator, v)
      pass.scale(denominator, 1 / Math.sqrt(1 - beta2 ** t))
      pass.shift(denominator, epsilon)
      pass.addQuotient(p, m, denominator, -learningRate / (1 - beta1 ** t))
    },
  }),

  /** As in the authors' code: proximal decay, the previous gradient kept negated. */
  adan: rule({
    hyper: { learningRate: 1e-3, beta1: 0.98, beta2: 0.92, beta3: 0.99, epsilon: 1e-8, weightDecay: 0.02 },
    arrays: ['m', 'v', 'n', 'negated', 'denominator'],
    step(pass, at, t, { learningRate, beta1, beta2, beta3, epsilon, weightDecay }) {
      const { p, g, m, v, n, negated, denominator } = at
      // The difference of the first step is zero.
      if (t === 1) pass.scaled(negated, g, -1)
      pass.addScaled(negated, g, 1)
      pass.scale(m, beta1)
      pass.addScaled(m, g, 1 - beta1)
      pass.scale(v, beta2)
      pass.addScaled(v, negated, 1 - beta2)
      pass.scale(negated, beta2)
      pass.addScaled(negated, g, 1)
      pass.scale(n, beta3)
      pass.addProduct(n, negated, negated, 1 - beta3)
      pass.squareRoot(denominator, n)
      pass.scale(denominator, 1 / Math.sqrt(1 - beta3 ** t))
      pass.shift(denominator, epsilon)
      pass.addQuotient(p, m, denominator, -learningRate / (1 - beta1 ** t))
      pass.addQuotient(p, v, denominator, (-learningRate * beta2) / (1 - beta2 ** t))
      pass.scale(p, 1 / (1 + learningRate * weightDecay))
      pass.scaled(negated, g, -1)
    },
  }),

  /** As in the authors' code, schedules at their end; the decay is inside the update. */
  adEMAMix: rule({
    hyper: { learningRate: 1e-3, beta1: 0.9, beta2: 0.999, beta3: 0.9999, alpha: 2, epsilon: 1e-8, weightDecay: 0.01 },
    arrays: ['fast', 'slow', 'v', 'denominator', 'update'],
    step(pass, at, t, { learningRate, beta1, beta2, beta3, alpha, epsilon, weightDecay }) {
      const { p, g, fast, slow, v, denominator, update } = at
      pass.scale(fast, beta1)
      pass.addScaled(fast, g, 1 - beta1)
      pass.scale(slow, beta3)
      pass.addScaled(slow, g, 1 - beta3)
      pass.scale(v, beta2)
      pass.addProduct(v, g, g, 1 - beta2)
      pass.squareRoot(denominator, v)
      pass.scale(denominator, 1 / Math.sqrt(1 - beta2 ** t))
      pass.shift(denominator, epsilon)
      pass.scaled(update, fast, 1 / (1 - beta1 ** t))
      pass.addScaled(update, slow, alpha)
      pass.divide(update, denominator)
      pass.addScaled(update, p, weightDecay)
      pass.addScaled(p, update, -learningRate)
    },
  }),

  /** As in the authors' code. */
  lion: rule({
    hyper: { learningRate: 1e-4, beta1: 0.9, beta2: 0.99, weightDecay: 0.01 },
    arrays: ['m', 'update'],
    step(pass, { p, g, m, update }, _t, { learningRate, beta1, beta2, weightDecay }) {
      pass.scale(p, 1 - learningRate * weightDecay)
      pass.scaled(update, m, beta1)
      pass.addScaled(update, g, 1 - beta1)
      pass.sign(update)
      pass.addScaled(p, update, -learningRate)
      pass.scale(m, beta2)
      pass.addScaled(m, g, 1 - beta2)
    },
  }),
}

/** The optimizers that have an unfused version. */
export type UnfusedName = keyof typeof rules

/** Their names, as the registry spells them. */
export const unfusedNames = Object.keys(rules) as readonly UnfusedName[]

/** Whether an optimizer of the registry has an unfused version. */
export function hasUnfused(name: string): name is UnfusedName {
  return Object.hasOwn(rules, name)
}

/** The hyperparameters that the unfused version of an optimizer runs with. */
export function unfusedHyper(name: UnfusedName): Readonly<Record<string, number>> {
  return rules[name].hyper
}

/** The optimizer as one pass per operation. `arrays` has `p`, `g`, the state and the temporaries. */
export async function unfused(name: UnfusedName, size: number): Promise<Kernel> {
  const { hyper, arrays, step } = rules[name]
  const { memory, views, at, padded } = allocate(size, ['p', 'g', ...arrays])
  const pass = bind(await assemble(text, memory), padded)
  let t = 0
  return {
    arrays: views,
    step() {
      t++
      step(pass, at, t, hyper)
    },
  }
}
