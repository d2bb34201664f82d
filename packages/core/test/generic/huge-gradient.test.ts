import { adamW, type CompiledOptimizer, compile, reference, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { notFinite, snapshot } from '../support/compare.ts'
import { fillAll, randomNumbers } from '../support/random.ts'
import { takeStep } from '../support/step.ts'
import { make, registry } from '../support/variants.ts'

/**
 * Rules whose steps grow with the gradient, at least at first (rectified ones take plain steps then): in float64 they leave for
 * 1e7 to 1e37, in float32 with the gradient that they are given at most, which is nearer.
 */
const growing = new Set([
  'adaBelief',
  'adaBound',
  'adai',
  'adamG',
  'adaNorm',
  'adaShift',
  'apollo',
  'avaGrad',
  'fourBitShampoo',
  'madgrad',
  'mSVAG',
  'padam',
  'psgdAffine',
  'psgdDense',
  'psgdXMat',
  'rAdam',
  'ranger',
  'scaledGd',
  'shampoo',
])

/**
 * A basis of directions passes a huge gradient on to all others, which float32 then holds with few digits. AdaHessian loses what tells a huge gradient from a huge curvature. OASIS makes its step size of how far the parameters have moved. PID and optimistic gradients take multiples, beyond 3.4e38. The rows of sparse M-FAC that hold the same element as a huge one are nearly dependent on it.
 */
const tolerances: Readonly<Record<string, readonly [at1e25: number, at3e38: number]>> = {
  adaHessian: [0.3, 0.3],
  cosmos: [1e-2, 1e-2],
  distributedShampoo: [0.05, 0.05],
  oasis: [1e-4, 1e-4],
  optimisticGradient: [1e-5, 1],
  pid: [1e-5, 1],
  soap: [0.05, 0.05],
  sparseMFac: [1e-4, 1e-4],
  sPlus: [0.5, 0.5],
}

async function run(optimizer: CompiledOptimizer, huge: number): Promise<CompiledOptimizer> {
  const random = randomNumbers(4)
  fillAll(optimizer.parameters, random)
  for (let step = 1; step <= 20; step++) {
    fillAll(optimizer.gradients, random)
    if (step === 3) for (const gradient of Object.values(optimizer.gradients)) gradient[2] = huge
    await takeStep(optimizer, { loss: 1 })
  }
  return optimizer
}

describe('one huge gradient among others leaves in float32 what it leaves in float64', () => {
  const cases = registry.flatMap((factory) =>
    [1e25, 3e38].map((huge) => [factory.definition.name, huge, factory] as const),
  )

  it.each(cases)('with %s and %d', async (name, huge, factory) => {
    const [exact, fast] = await Promise.all(
      [reference(), wasm()].map(async (backend) =>
        run(await compile(make(factory), { matrix: [4, 7], vector: [5] }, { backend }), huge),
      ),
    )
    const tolerance = tolerances[name]?.[huge > 1e30 ? 1 : 0] ?? 1e-5
    for (const parameter of ['matrix', 'vector']) {
      const expected = exact!.parameters[parameter]!
      const found = fast!.parameters[parameter]!
      const largest = Math.max(...Array.from(expected, Math.abs))
      if (growing.has(name)) {
        expect(largest).toBeGreaterThan(1e6)
        expect(Math.max(...Array.from(found, Math.abs))).toBeLessThanOrEqual(1.0001 * largest)
      } else {
        const apart = Array.from(expected, (value, index) => Math.abs(found[index]! - value))
        expect(Math.max(...apart) / largest, parameter).toBeLessThan(tolerance)
      }
    }
    expect(notFinite(snapshot(fast!))).toEqual([])
    for (const optimizer of [exact!, fast!]) optimizer.dispose()
  })

  it.each([1e25, 3e38])('so that AdamW is at -0.008 a hundred steps after %d', async (huge) => {
    const ends: number[] = []
    for (const backend of [reference(), wasm()]) {
      const optimizer = await compile(adamW({ weightDecay: 0 }), { x: [1] }, { backend })
      optimizer.step({ gradients: { x: [huge] } })
      for (let step = 0; step < 100; step++) optimizer.step({ gradients: { x: [1] } })
      ends.push(optimizer.parameters.x[0]!)
      optimizer.dispose()
    }
    expect(ends[0]).toBeGreaterThan(-0.01)
    expect(ends[0]).toBeLessThan(-0.005)
    expect(ends[1]! / ends[0]!).toBeCloseTo(1, 4)
  })
})
