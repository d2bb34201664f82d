import { adamW, clipByGlobalNorm, compile, reference, sgd, wasm, zeroNans } from 'fallline'
import { describe, expect, it } from 'vitest'

describe.each([
  ['wasm', wasm],
  ['reference', reference],
] as const)('zeroNans on %s', (_, backend) => {
  it('takes what is not a number for 0, and nothing else', async () => {
    const optimizer = await compile(
      zeroNans(sgd({ learningRate: 1 })),
      { w: [7] },
      { backend: backend(), nonFinite: 'allow' },
    )
    optimizer.step({ gradients: { w: [1, Number.NaN, -2, 0, Number.POSITIVE_INFINITY, -Number.NaN, 0.5] } })
    expect([...optimizer.parameters.w].map((value) => value + 0)).toEqual([
      -1,
      0,
      2,
      0,
      Number.NEGATIVE_INFINITY,
      0,
      -0.5,
    ])
  })

  it('keeps them out of sums and of state', async () => {
    const rule = zeroNans(clipByGlobalNorm(adamW({ learningRate: 0.1 }), { maximumNorm: 1 }))
    const runs = [Number.NaN, 0].map(async (bad) => {
      const optimizer = await compile(rule, { w: [3], b: [2] }, { backend: backend(), nonFinite: 'allow' })
      for (let step = 0; step < 3; step++) optimizer.step({ gradients: { w: [3, bad, -4], b: [bad, 1] } })
      return [...optimizer.parameters.w, ...optimizer.parameters.b, ...(optimizer.state('w').v as Float32Array)]
    })
    const [withNans, withZeros] = await Promise.all(runs)
    expect(withNans).toEqual(withZeros)
    expect(withNans!.every(Number.isFinite)).toBe(true)
  })
})
