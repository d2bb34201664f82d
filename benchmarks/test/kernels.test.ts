import { compile, findOptimizer, reference } from 'fallline'
import { describe, expect, it } from 'vitest'
import { copy } from '../src/kernels/copy.ts'
import { adamWDefaults, handWrittenAdamW } from '../src/kernels/hand-written.ts'
import { type UnfusedName, unfused, unfusedHyper, unfusedNames } from '../src/kernels/unfused.ts'
import { subject } from '../src/subjects.ts'

type Arrays = Record<string, Float64Array>
type Loop = (a: Arrays, i: number, t: number, h: Readonly<Record<string, number>>) => void

/** Every rule once more, element by element in float64, written from the papers. */
const loops: Record<UnfusedName, Loop> = {
  sgd(a, i, _t, h) {
    a.buffer![i] = h.momentum! * a.buffer![i]! + a.g![i]!
    a.p![i] = a.p![i]! - h.learningRate! * a.buffer![i]!
  },
  adamW(a, i, t, h) {
    const g = a.g![i]!
    a.m![i] = h.beta1! * a.m![i]! + (1 - h.beta1!) * g
    a.v![i] = h.beta2! * a.v![i]! + (1 - h.beta2!) * g * g
    const first = a.m![i]! / (1 - h.beta1! ** t)
    const second = a.v![i]! / (1 - h.beta2! ** t)
    const kept = a.p![i]! * (1 - h.learningRate! * h.weightDecay!)
    a.p![i] = kept - (h.learningRate! * first) / (Math.sqrt(second) + h.epsilon!)
  },
  adan(a, i, t, h) {
    const g = a.g![i]!
    const difference = t === 1 ? 0 : g - a.previous![i]!
    a.m![i] = h.beta1! * a.m![i]! + (1 - h.beta1!) * g
    a.v![i] = h.beta2! * a.v![i]! + (1 - h.beta2!) * difference
    a.n![i] = h.beta3! * a.n![i]! + (1 - h.beta3!) * (g + h.beta2! * difference) ** 2
    const rate = h.learningRate! / (Math.sqrt(a.n![i]! / (1 - h.beta3! ** t)) + h.epsilon!)
    const direction = a.m![i]! / (1 - h.beta1! ** t) + (h.beta2! * a.v![i]!) / (1 - h.beta2! ** t)
    a.p![i] = (a.p![i]! - rate * direction) / (1 + h.learningRate! * h.weightDecay!)
    a.previous![i] = g
  },
  adEMAMix(a, i, t, h) {
    const g = a.g![i]!
    a.fast![i] = h.beta1! * a.fast![i]! + (1 - h.beta1!) * g
    a.slow![i] = h.beta3! * a.slow![i]! + (1 - h.beta3!) * g
    a.v![i] = h.beta2! * a.v![i]! + (1 - h.beta2!) * g * g
    const mixed = a.fast![i]! / (1 - h.beta1! ** t) + h.alpha! * a.slow![i]!
    const update = mixed / (Math.sqrt(a.v![i]! / (1 - h.beta2! ** t)) + h.epsilon!)
    a.p![i] = a.p![i]! - h.learningRate! * (update + h.weightDecay! * a.p![i]!)
  },
  lion(a, i, _t, h) {
    const g = a.g![i]!
    const update = Math.sign(h.beta1! * a.m![i]! + (1 - h.beta1!) * g)
    a.p![i] = a.p![i]! - h.learningRate! * (update + h.weightDecay! * a.p![i]!)
    a.m![i] = h.beta2! * a.m![i]! + (1 - h.beta2!) * g
  },
}

const steps = 25
const startOf = (i: number) => Math.sin(0.7 * (i + 1))
const gradientOf = (i: number, t: number) => Math.fround(Math.cos(1.1 * (i + 1) + 2.3 * t) + 0.2)

/** Parameters after some steps in float64. */
function expected(name: UnfusedName, size: number, hyper: Readonly<Record<string, number>>): Float64Array {
  const names = ['p', 'g', 'm', 'v', 'n', 'previous', 'fast', 'slow', 'buffer']
  const arrays = Object.fromEntries(names.map((key) => [key, new Float64Array(size)]))
  for (let i = 0; i < size; i++) arrays.p![i] = Math.fround(startOf(i))
  for (let t = 1; t <= steps; t++) {
    for (let i = 0; i < size; i++) arrays.g![i] = gradientOf(i, t)
    for (let i = 0; i < size; i++) loops[name](arrays, i, t, hyper)
  }
  return arrays.p!
}

function run(kernel: { arrays: Record<string, Float32Array>; step(): void }, size: number): Float32Array {
  const { p, g } = kernel.arrays
  for (let i = 0; i < size; i++) p![i] = startOf(i)
  for (let t = 1; t <= steps; t++) {
    for (let i = 0; i < size; i++) g![i] = gradientOf(i, t)
    kernel.step()
  }
  return p!
}

function worstDifference(actual: Float32Array, wanted: Float64Array): number {
  expect(actual.length).toBe(wanted.length)
  return wanted.reduce((worst, value, i) => Math.max(worst, Math.abs(actual[i]! - value)), 0)
}

// Sizes that fill whole iterations of the kernels and sizes that do not.
const sizes = [1, 16, 100, 1003]

describe('hand-written AdamW', () => {
  it.each(sizes)('equals a float64 loop on %i parameters', async (size) => {
    const kernel = await handWrittenAdamW(size)
    const wanted = expected('adamW', size, { ...adamWDefaults })
    expect(worstDifference(run(kernel, size), wanted)).toBeLessThan(2e-6)
  })

  it('moves the parameters, so that equality means something', async () => {
    const kernel = await handWrittenAdamW(100)
    const moved = run(kernel, 100)
    expect(Math.abs(moved[3]! - Math.fround(startOf(3)))).toBeGreaterThan(1e-4)
  })
})

describe('unfused optimizers', () => {
  for (const name of unfusedNames) {
    it.each(sizes)(`${name} equals a float64 loop on %i parameters`, async (size) => {
      const kernel = await unfused(name, size)
      const wanted = expected(name, size, unfusedHyper(name))
      expect(worstDifference(run(kernel, size), wanted)).toBeLessThan(3e-6)
    })
  }
})

describe('what is compared', () => {
  it.each(unfusedNames)('%s is the same rule in the unfused version and in Fallline', async (name) => {
    const size = 48
    const factory = findOptimizer(name)
    const compiled = await compile(subject(factory), { weight: [size] }, { backend: reference() })
    const kernel = await unfused(name, size)
    for (let i = 0; i < size; i++) compiled.parameters.weight![i] = Math.fround(startOf(i))
    for (let t = 1; t <= steps; t++) {
      for (let i = 0; i < size; i++) compiled.gradients.weight![i] = gradientOf(i, t)
      compiled.step()
    }
    const wanted = Float64Array.from(compiled.parameters.weight!)
    expect(worstDifference(run(kernel, size), wanted)).toBeLessThan(3e-6)
  })

  it('hand-written AdamW has the hyperparameters of the others', () => {
    expect({ ...adamWDefaults }).toEqual({ ...unfusedHyper('adamW') })
  })
})

describe('copy', () => {
  it('moves half of the bytes, rounded up to whole vectors', async () => {
    const { source, target, step } = await copy(2 * 65536 * 3 + 12)
    expect(source.length).toBe(65536 * 3 + 16)
    source.forEach((_, index) => {
      source[index] = index % 251
    })
    step()
    expect(Buffer.compare(source, target)).toBe(0)
    expect(target[1000]).toBe(1000 % 251)
  })
})
