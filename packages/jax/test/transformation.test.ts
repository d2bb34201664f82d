import { applyUpdates, gradientTransformation, type Scalars, type State, type Tree } from '@fallline/jax'
import { grad, init, jit, numpy as np, tree } from '@jax-js/jax'
import {
  accumulateGradients,
  adamW,
  type CompiledOptimizer,
  compile,
  groups,
  linear,
  lookahead,
  muon,
  prodigy,
  scheduleFreeAdamW,
  sgd,
} from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'
import { findMemory } from './support/memory.ts'
import { arraysOf, jittedStep, numbersFor } from './support/training.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

const shapes = { w: [3, 4], b: [4] }
const model = () => arraysOf(numbersFor(shapes, 0).parameters, shapes)
const ones = () => ({ w: np.ones([3, 4]), b: np.ones([4]) })

describe('scalars', () => {
  it('let schedules and changes of hyperparameters act without another trace', () => {
    const optimizer = gradientTransformation(sgd({ learningRate: linear({ from: 1, to: 0, steps: 4 }) }))
    const { step, counter } = jittedStep(optimizer)
    let params: Tree = { w: np.zeros([2]) }
    let state = optimizer.init(tree.ref(params))
    const seen: number[] = []
    for (let t = 1; t <= 4; t++) {
      if (t === 4) optimizer.set({ learningRate: 0.5 })
      ;[params, state] = step(params, state, optimizer.scalars(t), { w: np.array(Float32Array.of(1, 2)) })
      seen.push((params as { w: np.Array }).w.ref.js()[0])
    }
    expect(seen).toEqual([-0.75, -1.25, -1.5, -2])
    expect(counter.traced).toBe(1)
    tree.dispose([params, state])
  })

  it('are the same whatever was asked before', () => {
    const optimizer = gradientTransformation(scheduleFreeAdamW({ warmupSteps: 3 }))
    tree.dispose(optimizer.init(model()))
    const values = (step: number) => {
      const scalars = optimizer.scalars(step)
      expect(scalars.step.item()).toBe(step)
      return [...scalars.values.dataSync()]
    }
    const forward = [1, 2, 3, 4].map(values)
    expect(new Set(forward.map(String)).size).toBe(4)
    expect([3, 1, 4, 4, 2].map(values)).toEqual([3, 1, 4, 4, 2].map((step) => forward[step - 1]))
  })

  it('are computed in float64: the bias correction of the first step is right to float32', () => {
    const optimizer = gradientTransformation(adamW({ learningRate: 1, beta2: 0.9999, epsilon: 0, weightDecay: 0 }))
    const params = { w: np.zeros([1]) }
    const state = optimizer.init(tree.ref(params))
    const [updates, next] = optimizer.update({ w: np.array([3]) }, state, params)
    expect(updates.w.item()).toBeCloseTo(-1, 6)
    tree.dispose(next)
  })

  it('do not grow with the number of parameters that are treated alike', () => {
    const optimizer = gradientTransformation(adamW())
    const many = Object.fromEntries(Array.from({ length: 50 }, (_, index) => [`p${index}`, np.zeros([index + 2])]))
    tree.dispose(optimizer.init(many))
    const { step, values } = optimizer.scalars(1)
    expect(values.size).toBeLessThan(12)
    tree.dispose([step, values])
  })

  it('refuse a step that does not exist, and to come before init', () => {
    const optimizer = gradientTransformation(adamW())
    expect(() => optimizer.scalars(1)).toThrow('scalars: call init with the parameters first')
    expect(() => optimizer.set({ learningRate: 1 })).toThrow('set: call init with the parameters first')
    tree.dispose(optimizer.init(model()))
    expect(() => optimizer.scalars(0)).toThrow('scalars: the step must be a whole number from 1 up, not 0')
    expect(() => optimizer.set({ learningRat: 1 })).toThrow("unknown hyperparameter 'learningRat'")
  })

  it('are asked for by update itself outside of jit, from the count in the state', () => {
    const optimizer = gradientTransformation(adamW({ learningRate: 0.1 }))
    const eager = gradientTransformation(adamW({ learningRate: 0.1 }))
    const { step } = jittedStep(optimizer)
    let [a, b]: Tree[] = [model(), model()]
    let stateA = optimizer.init(tree.ref(a!))
    let stateB = eager.init(tree.ref(b!))
    for (let t = 1; t <= 3; t++) {
      ;[a, stateA] = step(a!, stateA, optimizer.scalars(t), ones())
      const [updates, next]: [Tree, State] = eager.update(ones() as Tree, stateB, tree.ref(b!))
      b = applyUpdates(b!, updates)
      stateB = next
    }
    expect(tree.map((leaf: np.Array) => leaf.js(), a!)).toEqual(tree.map((leaf: np.Array) => leaf.js(), b!))
    tree.dispose([stateA, stateB])
  })

  it('are asked for by name inside of jit', () => {
    const optimizer = gradientTransformation(adamW())
    const state = optimizer.init(model())
    const step = jit((state: State, gradients: Tree, params: Tree) => optimizer.update(gradients, state, params)[0])
    expect(() => step(state, ones(), model())).toThrow(
      'update: inside jit the fourth argument of update is needed: pass optimizer.scalars(step) through the jitted function',
    )
  })
})

describe('trees', () => {
  it.each([
    ['one array', () => np.ones([3]), ['parameter']],
    ['lists of objects', () => [{ w: np.ones([2]) }, { w: np.ones([3]), b: np.ones([]) }], ['0/w', '1/w', '1/b']],
    ['deep nesting', () => ({ a: { b: [[np.ones([2, 2])], { c: np.ones([1]) }] }, d: {} }), ['a/b/0/0', 'a/b/1/c']],
  ])('of any nesting keep their structure: %s', (_, make, names) => {
    const seen: string[] = []
    const optimizer = gradientTransformation(
      groups(sgd({ learningRate: 1 }), [{ match: ({ name }) => seen.push(name) > 0, hyper: { learningRate: 0.5 } }]),
    )
    const params: Tree = make()
    const state = optimizer.init(tree.ref(params))
    expect(seen).toEqual(names)
    const [updates, next] = optimizer.update(make() as Tree, state, tree.ref(params))
    expect(tree.structure(updates).toString()).toBe(tree.structure(params).toString())
    for (const leaf of tree.leaves(updates))
      expect([...(leaf as np.Array).dataSync()].every((x) => x === -0.5)).toBe(true)
    tree.dispose([params, next])
  })

  it('are checked: names that collide, other types, other parameters, missing parameters', () => {
    const optimizer = gradientTransformation(sgd({ weightDecay: 0.1 }))
    expect(() => optimizer.init({ 'a/b': np.ones([1]), a: { b: np.ones([1]) } })).toThrow(
      "init: two parameters are named 'a/b'; use keys that differ when joined by '/'",
    )
    expect(() => optimizer.init({ a: np.ones([1], { dtype: np.int32 }) })).toThrow(
      "init: 'a' must be a jax-js array of float32, not an array of int32",
    )
    expect(() => optimizer.init({ a: 3 as never })).toThrow("init: 'a' must be a jax-js array of float32, not 3")
    const state = optimizer.init({ a: np.ones([2]) })
    expect(() => optimizer.init({ a: np.ones([3]) })).toThrow('make one for each model')
    expect(() => optimizer.update({ a: np.ones([2]) }, state)).toThrow(
      "update: SGD reads the parameters, here 'a' (weight decay does, for example): pass them as the third argument",
    )
    expect(() => optimizer.update({ b: np.ones([2]) }, state, { a: np.ones([2]) } as never)).toThrow(
      'update: the gradients are of b, the parameters are a',
    )
  })

  it('are not needed where the rule only moves the parameters', () => {
    const rules = {
      sgd: sgd({ learningRate: 0.5, momentum: 0.9 }),
      adam: adamW({ weightDecay: 0 }),
      muon: muon({ weightDecay: 0, fallback: adamW({ weightDecay: 0 }) }),
      accumulated: accumulateGradients(sgd({ learningRate: 1 }), { period: 2 }),
      frozen: groups(sgd(), [{ match: 'b', frozen: true }]),
    }
    for (const rule of Object.values(rules)) {
      const [with0, without] = [gradientTransformation(rule), gradientTransformation(rule)]
      let [a, b]: State[] = [with0.init(model()), without.init(model())]
      const jitted = jit((gradients: Tree, state: State, scalars: Scalars) =>
        without.update(gradients, state, undefined, scalars),
      )
      for (let t = 1; t <= 4; t++) {
        const [updates, next] = with0.update(
          ones() as Tree,
          a!,
          tree.map((x: np.Array) => np.zeros(x.shape), model()),
        )
        const found = t % 2 === 0 ? jitted(ones(), b!, without.scalars(t)) : without.update(ones() as Tree, b!)
        a = next
        b = found[1] as State
        expect(tree.map((leaf: np.Array) => leaf.js(), found[0] as Tree)).toEqual(
          tree.map((leaf: np.Array) => leaf.js(), updates),
        )
      }
      expect((b!.count as np.Array).ref.item()).toBe(4)
      tree.dispose([a, b])
    }
    for (const rule of [adamW(), lookahead(sgd()), sgd({ weightDecay: 0.1 }), scheduleFreeAdamW(), prodigy()]) {
      const optimizer = gradientTransformation(rule)
      const state = optimizer.init(model())
      expect(() => optimizer.update(ones(), state)).toThrow(/update: .* reads the parameters, here 'w'/)
    }
    const decays = gradientTransformation(sgd())
    const state = decays.init(model())
    const [updates, next] = decays.update(ones(), state)
    decays.set({ weightDecay: 0.1 })
    expect(() => decays.scalars(2)).toThrow('SGD reads the parameters')
    tree.dispose([updates, next])
    expect(() => gradientTransformation(sgd()).update(ones(), {} as State)).toThrow('call init with the parameters')
  })

  it('say which parameter a rule does not fit', () => {
    const optimizer = gradientTransformation(groups(adamW(), [{ match: 'none', frozen: true }]))
    expect(() => optimizer.init({ a: np.ones([1]) })).toThrow('matches no parameter; there are a')
  })
})

describe('ownership', () => {
  const optimizers = {
    adamW: adamW(),
    muon: muon(),
    prodigy: prodigy(),
    lookahead: lookahead(adamW(), { period: 2 }),
    accumulateGradients: accumulateGradients(sgd({ momentum: 0.9 }), { period: 2 }),
    frozen: groups(adamW(), [{ match: 'b', frozen: true }]),
  }

  it.each(Object.entries(optimizers))('%s consumes what it is given and gives arrays with one reference', (_, rule) => {
    for (const compiled of [true, false]) {
      const optimizer = gradientTransformation(rule)
      const { step } = jittedStep(optimizer)
      let params: Tree = model()
      const given = tree.leaves(params) as np.Array[]
      let state = optimizer.init(tree.ref(params))
      // A slot that starts as a copy of the parameter shares it until the first step.
      expect(given.every((array) => array.refCount >= 1)).toBe(true)
      for (let t = 1; t <= 3; t++) {
        const gradients = ones()
        const before = [...tree.leaves([params, state]), ...tree.leaves(gradients)] as np.Array[]
        if (compiled) [params, state] = step(params, state, optimizer.scalars(t), gradients)
        else {
          const [updates, next]: [Tree, State] = optimizer.update(gradients as Tree, state, tree.ref(params))
          params = applyUpdates(params, updates)
          state = next
        }
        const after = tree.leaves([params, state]) as np.Array[]
        for (const array of after) expect(array.refCount).toBe(1)
        for (const array of before) if (!after.includes(array)) expect(() => array.ref).toThrow(ReferenceError)
      }
      tree.dispose([params, state])
    }
  })

  it('leaks nothing in 1,000 steps', () => {
    const memory = findMemory()
    const optimizer = gradientTransformation(lookahead(adamW(), { period: 5 }))
    const slope = jit(
      grad((params: { w: np.Array; b: np.Array }, x: np.Array) => np.sum(np.square(np.dot(x, params.w).add(params.b)))),
    )
    const { step } = jittedStep(optimizer)
    let params: Tree = { w: np.ones([64, 64]), b: np.ones([64]) }
    let state = optimizer.init(tree.ref(params))
    const x = np.ones([8, 64])
    const train = (from: number, to: number) => {
      for (let t = from; t <= to; t++) {
        const gradients = slope(tree.ref(params) as never, x.ref) as Tree
        ;[params, state] = step(params, state, optimizer.scalars(t), gradients)
        if (t % 100 === 0) tree.dispose(optimizer.evaluationParameters(tree.ref(params), tree.ref(state)))
      }
    }
    train(1, 100)
    const before = memory().buffer.byteLength
    train(101, 1000)
    // A leaked copy of one matrix in each step alone would be 14 MiB.
    expect(memory().buffer.byteLength - before).toBeLessThan(2 ** 20)
    x.dispose()
    tree.dispose([params, state])
  })
})

describe('evaluationParameters', () => {
  it('are the parameters before the first step and where a rule has no average', () => {
    const optimizer = gradientTransformation(sgd({ learningRate: 1 }))
    const state = optimizer.init({ w: np.ones([2]) })
    const same = optimizer.evaluationParameters({ w: np.array([3, 4]) }, tree.ref(state))
    expect(same.w.js()).toEqual([3, 4])
    const [updates, next] = optimizer.update({ w: np.ones([2]) }, state, { w: np.ones([2]) })
    tree.dispose(updates)
    expect(optimizer.evaluationParameters({ w: np.array([3, 4]) }, next).w.js()).toEqual([3, 4])
  })
})

describe('a step of the jitted pair', () => {
  it('takes three kernels for each parameter with AdamW, none for what the host knows', async () => {
    const { Instance } = WebAssembly
    let kernels = 0
    const optimizer = gradientTransformation(adamW())
    const { step } = jittedStep(optimizer)
    let params: Tree = model()
    let state = optimizer.init(tree.ref(params))
    ;[params, state] = step(params, state, optimizer.scalars(1), ones())
    for (const leaf of tree.leaves([params, state])) await (leaf as np.Array).blockUntilReady()
    const gradients = ones()
    for (const leaf of tree.leaves(gradients)) await (leaf as np.Array).blockUntilReady()
    try {
      WebAssembly.Instance = class extends Instance {
        constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
          super(module, imports)
          kernels++
        }
      }
      ;[params, state] = step(params, state, optimizer.scalars(2), gradients)
      for (const leaf of tree.leaves([params, state])) await (leaf as np.Array).blockUntilReady()
    } finally {
      WebAssembly.Instance = Instance
    }
    // Two parameters, each with m, v and the parameter; constants of `ones` are kernels of their own.
    expect(kernels).toBeLessThanOrEqual(6 + 2)
    tree.dispose([params, state])
  })

  it('agrees with the compiled kernel to float32', async () => {
    const numbers = numbersFor(shapes, 5)
    const compiled: CompiledOptimizer = await compile(adamW({ learningRate: 0.01 }), shapes)
    for (const name of compiled.names) compiled.parameters[name]!.set(numbers.parameters[name]!)
    const optimizer = gradientTransformation(adamW({ learningRate: 0.01 }))
    const { step } = jittedStep(optimizer)
    let params: Tree = arraysOf(numbers.parameters, shapes)
    let state = optimizer.init(tree.ref(params))
    numbers.gradients.forEach((gradients, index) => {
      compiled.step({ gradients })
      ;[params, state] = step(params, state, optimizer.scalars(index + 1), arraysOf(gradients, shapes))
    })
    for (const [name, array] of Object.entries(params as Record<string, np.Array>)) {
      const found = array.dataSync()
      compiled.parameters[name]!.forEach((value, index) => {
        expect(found[index]).toBeCloseTo(value, 6)
      })
    }
    tree.dispose(state)
  })
})
