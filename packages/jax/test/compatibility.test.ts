import {
  addDecayedWeights,
  applyUpdates,
  chain,
  clipByGlobalNorm,
  gradientTransformation,
  scaleBySchedule,
  type Tree,
} from '@fallline/jax'
import { init, jit, numpy as np, tree } from '@jax-js/jax'
import { adamW, type CompiledOptimizer, clipByGlobalNorm as clip, compile } from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

type Params = { w: np.Array; b: np.Array[] }
const parameters = (): Params => ({
  w: np.array([
    [0.5, -1.25],
    [2, 0.75],
  ]),
  b: [np.array([0.1, -0.2, 0.3])],
})
const gradients = (step: number): Params => {
  const w = [
    [
      [1, -2],
      [0.5, 3],
    ],
    [
      [0.1, 0.2],
      [-0.1, 0.05],
    ],
    [
      [-4, 1],
      [2, -0.5],
    ],
  ][step]!
  const b = [
    [0.25, -0.75, 1.5],
    [0.02, -0.03, 0.01],
    [1, 1, -2],
  ][step]!
  return { w: np.array(w), b: [np.array(b)] }
}
const mask = (): Params => ({ w: np.ones([2, 2]), b: [np.zeros([3])] })

const maskOf = (updates: Tree): Tree => {
  tree.dispose(updates)
  return mask()
}

// Parameters after each step of the port's chain(clipByGlobalNorm(1), addDecayedWeights, scaleBySchedule), computed with it.
const expected = [
  {
    w: [
      [0.4708351194858551, -1.189170241355896],
      [1.967917561531067, 0.6700053215026855],
    ],
    b: [0.09295877814292908, -0.17987634241580963, 0.26075267791748047],
  },
  {
    w: [
      [0.46348094940185547, -1.1932244300842285],
      [1.9630780220031738, 0.6641553044319153],
    ],
    b: [0.09149398654699326, -0.17747695744037628, 0.2589489221572876],
  },
  {
    w: [
      [0.4874780476093292, -1.1956325769424438],
      [1.9437633752822876, 0.6651341915130615],
    ],
    b: [0.0848034992814064, -0.1832708716392517, 0.2708567678928375],
  },
]
// The same with the decay of b masked: w as above.
const expectedMasked = [
  [0.093958780169487, -0.18187634646892548, 0.26375269889831543],
  [0.09295877814292908, -0.1803763508796692, 0.26325270533561707],
  [0.0865732729434967, -0.18676185607910156, 0.2760237157344818],
]

function close(found: unknown, values: readonly unknown[]): void {
  const flat = (found as number[]).flat()
  values.flat().forEach((value, index) => {
    expect(Math.abs(flat[index]! - (value as number))).toBeLessThan(1e-6)
  })
}

const schedule = (count: number) => -0.1 / (1 + count)

describe.each([
  ['no mask', undefined],
  ['a mask', mask],
  ['a function that makes a mask', maskOf],
])('chain, clipByGlobalNorm, addDecayedWeights and scaleBySchedule with %s', (title, masking) => {
  const make = () =>
    chain(
      clipByGlobalNorm(1),
      addDecayedWeights({
        weightDecay: 0.1,
        ...(masking
          ? { mask: masking.length > 0 ? (masking as (updates: Tree) => Tree) : (masking as () => Params)() }
          : {}),
      }),
      scaleBySchedule(schedule),
    )
  const check = (params: Params, step: number) => {
    close(params.w.ref.js(), expected[step]!.w)
    close(params.b[0]!.ref.js(), title === 'no mask' ? expected[step]!.b : expectedMasked[step]!)
  }

  it('agree with the port of optax outside of jit', () => {
    const solver = make()
    let params = parameters()
    let state = solver.init(tree.ref(params))
    for (let step = 0; step < 3; step++) {
      const [updates, next] = solver.update(gradients(step), state, tree.ref(params))
      params = applyUpdates(params, updates)
      state = next
      check(params, step)
      for (const leaf of tree.leaves([params, state])) expect((leaf as np.Array).refCount).toBe(1)
    }
    tree.dispose([params, state] as Tree)
  })

  it('agree with it inside of jit, traced once', () => {
    const solver = make()
    let traced = 0
    const train = jit((params: Params, state: Tree, scalars: Tree, gradients: Params) => {
      traced++
      const [updates, next] = solver.update(gradients, state, tree.ref(params), scalars)
      return [applyUpdates(params, updates), next] as Tree[]
    })
    let params = parameters()
    let state = solver.init(tree.ref(params))
    for (let step = 0; step < 3; step++) {
      ;[params, state] = train(params, state, solver.scalars(step + 1), gradients(step)) as [Params, Tree]
      check(params, step)
    }
    expect(traced).toBe(1)
    tree.dispose([params, state] as Tree)
  })
})

describe('addDecayedWeights', () => {
  it('takes a schedule', () => {
    const decay = addDecayedWeights({ weightDecay: (count) => count })
    let state = decay.init({ w: np.ones([1]) })
    const seen: number[] = []
    for (let step = 0; step < 3; step++) {
      const [updates, next] = decay.update({ w: np.array([1]) }, state, { w: np.array([10]) })
      seen.push(updates.w.item())
      state = next
    }
    expect(seen).toEqual([1, 11, 21])
    tree.dispose(state)
  })

  it('asks for the parameters', () => {
    const missing = 'addDecayedWeights: the third argument of update, the parameters, is missing'
    expect(() => addDecayedWeights().update({ w: np.ones([1]) }, [])).toThrow(missing)
    const scheduled = addDecayedWeights({ weightDecay: () => 1 })
    expect(() => scheduled.update({ w: np.ones([1]) }, scheduled.init({ w: np.ones([1]) }))).toThrow(missing)
  })
})

describe('scaleBySchedule', () => {
  it('names the count at which a schedule fails', () => {
    const scaling = scaleBySchedule((count) => 1 / count)
    expect(() => scaling.scalars!(1)).toThrow(
      'scaleBySchedule: the schedule gave Infinity at count 0; it must be finite',
    )
  })
})

describe('chain', () => {
  it('puts clipping before an optimizer of Fallline like its own wrapper', async () => {
    const solver = chain(clipByGlobalNorm(1), gradientTransformation(adamW({ learningRate: 0.1 })))
    const shapes = { w: [2, 2], 'b/0': [3] }
    const compiled: CompiledOptimizer = await compile(clip(adamW({ learningRate: 0.1 }), { maximumNorm: 1 }), shapes)
    let params = parameters()
    const flat = (tree: Params) => ({
      w: tree.w.ref.dataSync() as Float32Array,
      'b/0': tree.b[0]!.ref.dataSync() as Float32Array,
    })
    for (const [name, values] of Object.entries(flat(params))) compiled.parameters[name]!.set(values)
    let state = solver.init(tree.ref(params))
    for (let step = 0; step < 3; step++) {
      compiled.step({ gradients: flat(gradients(step)) })
      const [updates, next] = solver.update(gradients(step), state, tree.ref(params))
      params = applyUpdates(params, updates)
      state = next
    }
    for (const [name, values] of Object.entries(flat(params))) {
      values.forEach((value, index) => {
        expect(value).toBeCloseTo(compiled.parameters[name]![index]!, 5)
      })
    }
    tree.dispose([params, state] as Tree)
  })
})
