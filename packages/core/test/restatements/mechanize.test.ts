import { readFileSync } from 'node:fs'
import { adamW, type Backend, compile, mechanize, type Optimizer, reference, sgd, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'

interface Recorded {
  readonly name: string
  readonly shapes: readonly (readonly number[])[]
  readonly recorded: readonly { readonly step: number; readonly params: readonly (readonly number[])[] }[]
}

const runs: readonly Recorded[] = JSON.parse(readFileSync(new URL('../optax/mechanize.json', import.meta.url), 'utf8'))

const optimizers: Readonly<Record<string, Optimizer>> = {
  sgd: mechanize(sgd({ learningRate: 1 })),
  adamW: mechanize(adamW({ learningRate: 1, weightDecay: 0.1 }), { weightDecay: 0, initialScale: 1e-3 }),
  momentum: mechanize(sgd({ learningRate: 0.5, momentum: 0.9 }), {
    weightDecay: 0.05,
    epsilon: 1e-6,
    initialScale: 1e-2,
  }),
}

/** How far from optax the parameters get at most, relative to the largest, and how far they have moved. */
async function distance({ name, shapes, recorded }: Recorded, backend: Backend) {
  const named = Object.fromEntries(shapes.map((shape, k) => [`tensor${k}`, shape]))
  const optimizer = await compile(optimizers[name]!, named, { backend })
  Object.values(optimizer.parameters).forEach((values, k) => {
    values.forEach((_, i) => {
      values[i] = Math.sin(0.7 * (i + 1) + 1.3 * k)
    })
  })
  const start = Object.values(optimizer.parameters).map((values) => [...values])
  let [apart, moved] = [0, 0]
  for (let step = 1; step <= recorded.at(-1)!.step; step++) {
    for (const [key, gradient] of Object.entries(optimizer.gradients)) {
      gradient.forEach((_, i) => {
        gradient[i] = optimizer.parameters[key]![i]! - 1 + 0.3 * Math.cos(1.1 * i + 2.3 * step)
      })
    }
    optimizer.step()
    const found = recorded.find((one) => one.step === step)
    Object.values(optimizer.parameters).forEach((values, k) => {
      values.forEach((value, i) => {
        if (found) apart = Math.max(apart, Math.abs(value - found.params[k]![i]!))
        moved = Math.max(moved, Math.abs(value - start[k]![i]!))
      })
    })
  }
  optimizer.dispose()
  return { apart, moved }
}

describe('mechanize goes where optax goes', () => {
  it.each(runs.map((run) => [run.name, run] as const))('around %s', async (_, run) => {
    const exact = await distance(run, reference())
    expect(exact.apart).toBeLessThan(1e-11)
    expect(exact.moved).toBeGreaterThan(run.name === 'sgd' ? 1e-4 : 0.5)
    expect((await distance(run, wasm())).apart).toBeLessThan(2e-5)
  })

  it('and is tried around every optimizer of the record', () => {
    expect(runs.map(({ name }) => name)).toEqual(Object.keys(optimizers))
  })
})
