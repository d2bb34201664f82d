import {
  accumulateGradients,
  adamW,
  type CompiledOptimizer,
  cautious,
  centralizeGradients,
  clipByGlobalNorm,
  compile,
  groups,
  lookahead,
  momentumSAM,
  type Optimizer,
  parameterAverage,
  reference,
  scheduleFreeSGD,
  sgd,
  sharpnessAware,
  switchAfter,
} from 'fallline'
import { describe, expect, it } from 'vitest'

type Arrays = Readonly<Record<string, ArrayLike<number>>>

const shapes = { matrix: [3, 2], vector: [4], bias: [] }
const names = Object.keys(shapes)

/** The gradient of a bumpy loss, another one at every step. */
function gradientAt(parameters: Arrays, step: number): Record<string, Float64Array> {
  const of = (name: string, k: number) =>
    Float64Array.from(
      parameters[name]!,
      (x, i) => (1 + (i % 3)) * x + Math.cos(2 * x + i) + 0.3 * Math.sin(step + i + k),
    )
  return Object.fromEntries(names.map((name, k) => [name, of(name, k)]))
}

async function start(optimizer: Optimizer) {
  const compiled: CompiledOptimizer = await compile(optimizer, shapes, { backend: reference() })
  names.forEach((name, k) => {
    compiled.parameters[name]!.forEach((_, i, array) => {
      array[i] = Math.sin(1 + i + 2 * k)
    })
  })
  return compiled
}

const steps = 12

/** What `minimize` does with an optimizer. */
async function minimized(optimizer: Optimizer): Promise<Arrays> {
  const compiled = await start(optimizer)
  for (let step = 1; step <= steps; step++) {
    await compiled.minimize(({ parameters, gradients }) => {
      for (const [name, array] of Object.entries(gradientAt(parameters, step))) gradients[name]!.set(array)
    })
  }
  return { ...compiled.parameters, ...prefixed(compiled.evaluationParameters()) }
}

/** SAM by hand around an optimizer that knows nothing of it: only the tensors in `ascending` are moved. */
async function byHand(optimizer: Optimizer, rho: number, ascending: readonly string[] = names): Promise<Arrays> {
  const compiled = await start(optimizer)
  for (let step = 1; step <= steps; step++) {
    const first = gradientAt(compiled.parameters, step)
    const length = Math.hypot(...ascending.flatMap((name) => [...first[name]!]))
    const point = Object.fromEntries(
      names.map((name) => {
        const share = ascending.includes(name) ? rho / (length + 1e-12) : 0
        return [name, Float64Array.from(compiled.parameters[name]!, (x, i) => x + share * first[name]![i]!)]
      }),
    )
    compiled.step({ gradients: gradientAt(point, step) })
  }
  return { ...compiled.parameters, ...prefixed(compiled.evaluationParameters()) }
}

const prefixed = (arrays: Arrays): Arrays =>
  Object.fromEntries(Object.entries(arrays).map(([name, array]) => [`evaluated ${name}`, array]))

function expectSame(actual: Arrays, expected: Arrays): void {
  expect(Object.keys(actual)).toEqual(Object.keys(expected))
  for (const [name, values] of Object.entries(expected)) {
    Array.from(values).forEach((value, i) => {
      expect(Math.abs(actual[name]![i]! - value)).toBeLessThan(1e-12)
    })
  }
}

const momentum = sgd({ learningRate: 0.05, momentum: 0.9 })
const inside: Readonly<Record<string, Optimizer>> = {
  accumulateGradients: accumulateGradients(momentum, { period: 3 }),
  clipByGlobalNorm: clipByGlobalNorm(momentum, { maximumNorm: 0.5 }),
  centralizeGradients: centralizeGradients(momentum),
  cautious: cautious(adamW({ learningRate: 0.05 })),
  lookahead: lookahead(momentum, { period: 4, momentum: 'pullback' }),
  'lookahead that forgets momentum': lookahead(momentum, { period: 3, momentum: 'reset' }),
  parameterAverage: parameterAverage(momentum, { beta: 0.9 }),
  scheduleFreeSGD: scheduleFreeSGD({ learningRate: 0.05 }),
  switchAfter: switchAfter(adamW({ learningRate: 0.05 }), momentum, { steps: 5 }),
  groups: groups(momentum, [
    { match: 'bias', frozen: true },
    { match: /vector/, optimizer: adamW({ learningRate: 0.01 }) },
  ]),
}

describe('sharpness-aware minimization', () => {
  const trained = (name: string) => (name === 'groups' ? ['matrix', 'vector'] : names)

  it.each(Object.entries(inside))('around is what it is by hand: %s', async (name, optimizer) => {
    const around = await minimized(sharpnessAware(optimizer, { rho: 0.3 }))
    expectSame(around, await byHand(optimizer, 0.3, trained(name)))
  })

  it.each(Object.entries(inside))('of radius 0 is nothing: %s', async (_, optimizer) => {
    expectSame(await minimized(sharpnessAware(optimizer, { rho: 0 })), await minimized(optimizer))
  })

  it('may be inside of wrappers that change gradients, directions or parameters', async () => {
    const wraps: readonly ((inner: Optimizer) => Optimizer)[] = [
      (inner) => clipByGlobalNorm(inner, { maximumNorm: 0.5 }),
      (inner) => accumulateGradients(inner, { period: 2 }),
      (inner) => lookahead(inner, { period: 3 }),
      (inner) => lookahead(inner, { period: 3, momentum: 'reset' }),
      (inner) => cautious(inner),
      (inner) => parameterAverage(inner, { beta: 0.8 }),
    ]
    for (const wrap of wraps) {
      const within = await minimized(wrap(sharpnessAware(momentum, { rho: 0.3 })))
      expectSame(within, await byHand(wrap(momentum), 0.3))
    }
  })

  it('in a group ascends along the gradients of the group alone', async () => {
    const grouped = groups(momentum, [{ match: /matrix|vector/, optimizer: sharpnessAware(momentum, { rho: 0.3 }) }])
    expectSame(await minimized(grouped), await byHand(momentum, 0.3, ['matrix', 'vector']))
  })

  it('sees hyperparameters of groups inside', async () => {
    const list = [{ match: 'vector', hyper: { learningRate: 0.2 } }]
    expectSame(
      await minimized(sharpnessAware(groups(momentum, list), { rho: 0.3 })),
      await byHand(groups(momentum, list), 0.3),
    )
  })
})

describe('Momentum-SAM', () => {
  const settings = { learningRate: 0.05, weightDecay: 0 }

  it('of radius 0 is SGD with momentum, whatever is around', async () => {
    const wraps: readonly ((inner: Optimizer) => Optimizer)[] = [
      (inner) => inner,
      (inner) => clipByGlobalNorm(inner, { maximumNorm: 0.5 }),
      (inner) => accumulateGradients(inner, { period: 2 }),
      (inner) => lookahead(inner, { period: 3 }),
    ]
    for (const wrap of wraps) {
      expectSame(await minimized(wrap(momentumSAM({ ...settings, rho: 0 }))), await minimized(wrap(momentum)))
    }
  })

  it('comes back from its points while gradients are accumulated', async () => {
    const compiled = await start(accumulateGradients(momentumSAM({ ...settings, rho: 0.5 }), { period: 3 }))
    for (let step = 1; step <= 9; step++) {
      const before = names.flatMap((name) => [...compiled.parameters[name]!])
      let looked = false
      await compiled.minimize(({ parameters, gradients }) => {
        looked = names.some((name) => parameters[name]!.some((x, i) => Math.abs(x - before[offset(name) + i]!) > 1e-3))
        for (const [name, array] of Object.entries(gradientAt(parameters, step))) gradients[name]!.set(array)
      })
      // The momentum is 0 until the third step.
      expect(looked).toBe(step > 3)
      const moved = names.flatMap((name) => [...compiled.parameters[name]!]).map((x, i) => Math.abs(x - before[i]!))
      if (step % 3 === 0) expect(Math.max(...moved)).toBeGreaterThan(1e-3)
      else expect(Math.max(...moved)).toBeLessThan(1e-14)
    }
  })

  const offset = (name: string) => ({ matrix: 0, vector: 6, bias: 10 })[name]!
})
