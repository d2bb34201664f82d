import { readFileSync } from 'node:fs'
import { applyUpdates, createTrainer, gradientTransformation } from '@fallline/jax'
import { init, numpy as np, tree } from '@jax-js/jax'
import { adaptiveGradientClipping, type Layout, muon, type Optimizer, sgd } from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'
import { relativeDifference, transposedRuns } from '../../core/test/support/transposed.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

/** Float32 against float64, over five steps. */
const tolerance = 2e-4

type Numbers = readonly ArrayLike<number>[]
type Shapes = readonly (readonly number[])[]

/** The two ways of taking steps on given gradients, both with the layout of JAX. */
const ways = {
  async fused(optimizer: Optimizer, shapes: Shapes, initial: Numbers) {
    // The gradient of ⟨parameters, given⟩ is what is given.
    const loss = (parameters: np.Array[], given: np.Array[]) =>
      parameters.map((parameter, k) => np.sum(parameter.mul(given[k]!))).reduce((sum, term) => sum.add(term))
    const trainer = await createTrainer(loss, optimizer, arrays(initial, shapes), { path: 'fused' })
    return {
      step: async (gradients: Numbers) => (await trainer.step(arrays(gradients, shapes))).dispose(),
      read: () => trainer.parameters().map(take),
      end: () => trainer.dispose(),
    }
  },
  async graph(optimizer: Optimizer, shapes: Shapes, initial: Numbers) {
    const transformation = gradientTransformation(optimizer)
    let parameters = arrays(initial, shapes)
    let state = transformation.init(tree.ref(parameters))
    return {
      async step(gradients: Numbers) {
        const [updates, next] = transformation.update(arrays(gradients, shapes), state, tree.ref(parameters))
        state = next
        parameters = applyUpdates(parameters, updates)
      },
      read: () => parameters.map((array) => take(array.ref)),
      end: () => tree.dispose([parameters, state]),
    }
  },
}

function arrays(values: Numbers, shapes: Shapes): np.Array[] {
  return values.map((numbers, k) => np.array(Float32Array.from(numbers), { shape: [...shapes[k]!] }))
}

function take(array: np.Array): Float32Array {
  return array.dataSync() as Float32Array
}

describe.each(Object.entries(ways))('on the path %s', (_, way) => {
  interface Recorded {
    readonly name: string
    readonly shapes: number[][]
    readonly steps: number
    readonly params: number[][]
  }
  const recorded: Recorded[] = JSON.parse(readFileSync(new URL('optax/trajectories.json', import.meta.url), 'utf8'))
  const optimizers: Record<string, Optimizer> = {
    muon: muon({ learningRate: 0.05, momentum: 0.9, nesterov: false }),
    adaptiveGradientClipping: adaptiveGradientClipping(sgd({ learningRate: 0.3 }), { clipping: 0.1 }),
  }

  it.each(recorded)('$name goes where optax goes', async ({ name, shapes, steps, params }) => {
    const size = (shape: readonly number[]) => shape.reduce((product, length) => product * length, 1)
    const fill = (value: (i: number, k: number) => number) =>
      shapes.map((shape, k) => Float64Array.from({ length: size(shape) }, (_, index) => value(index + 1, k)))
    const training = await way(
      optimizers[name]!,
      shapes,
      fill((i, k) => Math.sin(0.7 * i + 1.3 * k)),
    )
    for (let step = 1; step <= steps; step++) await training.step(fill((i, k) => Math.cos(1.1 * i + k + 2.3 * step)))
    training.read().forEach((values, k) => {
      expect(relativeDifference(values, params[k]!), `tensor ${k}`).toBeLessThan(2e-5)
    })
    training.end()
  })

  it.each(['muon', 'muon_moonlight', 'nero', 'adamp', 'sgdp', 'adafactor_t2t'])(
    '%s goes where its authors go',
    async (name) => {
      const run = (await transposedRuns(name))[0]!
      const training = await way(run.optimizer, run.shapes, run.initial)
      let compared = 0
      for (let step = 1; step <= 5; step++) {
        await training.step(run.gradients(training.read(), step))
        const found = training.read()
        for (const [k, expected] of (run.expected.get(step) ?? []).entries()) {
          expect(relativeDifference(found[k]!, expected), `tensor ${k} at step ${step}`).toBeLessThan(tolerance)
          compared++
        }
      }
      expect(compared).toBeGreaterThan(6)
      training.end()
    },
  )
})

describe('the layout of parameters', () => {
  it('is of the user where they say so', () => {
    const moved = (layout?: Layout) => {
      const transformation = gradientTransformation(muon({ learningRate: 1 }), layout ? { layout } : {})
      const params = { w: np.zeros([4, 16]) }
      const state = transformation.init(tree.ref(params))
      const gradient = Float32Array.from({ length: 64 }, (_, i) => Math.sin(i * i))
      const [updates, next] = transformation.update({ w: np.array(gradient, { shape: [4, 16] }) }, state, params)
      tree.dispose(next)
      return Math.hypot(...take(updates.w))
    }
    expect(moved() / moved('outputFirst')).toBeCloseTo(2, 5)
    expect(moved('outputLast')).toBe(moved())
  })

  it('is refused where it is none', async () => {
    expect(() => gradientTransformation(sgd(), { layout: 'rows' as Layout })).toThrow(/layout must be outputFirst/)
    expect(() => gradientTransformation(sgd(), { layuot: 'outputLast' } as object)).toThrow(/layuot/)
    const loss = ({ w }: { w: np.Array }) => np.sum(w)
    const options = { layout: 'rows' as Layout }
    await expect(createTrainer(loss, sgd(), { w: np.zeros([2]) }, options)).rejects.toThrow(/layout must be/)
  })
})
