import * as tf from '@tensorflow/tfjs-core'
import { switchAfter } from 'fallline'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import {
  type AnyOptimizer,
  adamW,
  adan,
  clipByGlobalNorm,
  evolutionStrategies,
  groups,
  lion,
  mars,
  mezo,
  momentumSAM,
  muon,
  parameterAverage,
  prodigy,
  refresh,
  sgd,
  sharpnessAware,
  toTensorFlow,
  zoFrankWolfe,
} from '../src/index.ts'
import { backends, disposeAll, makeGradients, makeVariables } from './support/tensorflow.ts'

const values = (tensor: tf.Tensor) => [...(tensor.dataSync() as Float32Array)]
/** Gradients of ones, by variable name. */
const ones = (...variables: tf.Variable[]): tf.NamedTensorMap =>
  Object.fromEntries(variables.map(({ name, shape }) => [name, tf.ones(shape)]))

/** Optimizers that compile free the state of others whose variables are gone. */
function freeUnused(): void {
  const variable = tf.variable(tf.zeros([1]))
  const optimizer = sgd()
  tf.tidy(() => optimizer.applyGradients(ones(variable)))
  optimizer.dispose()
  variable.dispose()
}

describe.each(backends)('an optimizer on the backend %s', (backend) => {
  beforeEach(async () => {
    await tf.setBackend(backend)
    tf.disposeVariables()
  })

  it('minimizes, returns the cost when it is asked to, and frees the gradients', () => {
    const x = tf.variable(tf.tensor1d([3, -2]), true)
    const optimizer = adan({ learningRate: 0.1 })
    const loss = () => tf.sum(tf.square(x)) as tf.Scalar
    const first = optimizer.minimize(loss, true)!
    expect(values(first)).toEqual([13])
    first.dispose()
    const { numTensors } = tf.memory()
    for (let step = 0; step < 150; step++) expect(optimizer.minimize(loss)).toBeNull()
    expect(tf.memory().numTensors).toBe(numTensors)
    expect(Math.hypot(...values(x))).toBeLessThan(0.5)
    expect(optimizer.iterations).toBe(151)
    expect(optimizer.lastStep).toEqual({ step: 151, skipped: false, nonFinite: [] })
  })

  it('leaves variables alone that have no gradient, an absent one, or null', () => {
    const [a, b, c] = [1, 2, 3].map((value) => tf.variable(tf.tensor1d([value, value]), true)) as [
      tf.Variable,
      tf.Variable,
      tf.Variable,
    ]
    const optimizer = adamW({ learningRate: 0.1, weightDecay: 0.5 })
    const frozen = tf.variable(tf.scalar(5), false)
    // c does not enter the loss, and `frozen` is not trainable: TensorFlow.js gives none and null.
    optimizer.minimize(() => tf.sum(tf.mul(tf.add(a, frozen), b)) as tf.Scalar, false, [a, b, c, frozen])
    expect(values(a)).not.toEqual([1, 1])
    expect([values(c), values(frozen)]).toEqual([[3, 3], [5]])
    const [before] = [values(a)]
    optimizer.applyGradients([
      { name: a.name, tensor: null as unknown as tf.Tensor },
      { name: b.name, tensor: undefined as unknown as tf.Tensor },
      { name: c.name, tensor: tf.ones([2]) },
    ])
    expect(values(a)).toEqual(before)
    // The first update of c, corrected as a first one.
    expect(values(c)[0]).toBeCloseTo(3 - 0.1 * 0.5 * 3 - 0.1, 5)
    optimizer.applyGradients({})
    expect(optimizer.iterations).toBe(2)
  })

  it('takes in variables that come later without touching the state of the others', () => {
    const train = (late: boolean, fused: boolean) => {
      const variables = makeVariables({ first: [4, 3], second: [3] })
      const [first, second] = [...variables.values()] as [tf.Variable, tf.Variable]
      const optimizer = clipByGlobalNorm(prodigy({}, { fused }), { maximumNorm: 100 })
      for (let step = 1; step <= 6; step++) {
        const gradients = makeGradients(variables, step)
        if (late && step < 4) delete gradients[second.name]
        if (!late && step < 4) gradients[second.name] = undefined as unknown as tf.Tensor
        optimizer.applyGradients(gradients)
        // A third one, whose name is new in the last step.
        if (step === 6 && late) optimizer.applyGradients(ones(tf.variable(tf.zeros([2]))))
      }
      return [values(first), values(second)]
    }
    expect(train(true, true)).toEqual(train(false, true))
    expect(train(true, false)).toEqual(train(false, false))
  })

  it('does not change what shares memory with a variable', () => {
    const initial = Float32Array.of(1, 2, 3, 4)
    const source = tf.tensor1d(initial)
    const variable = tf.variable(source)
    const twin = tf.variable(source)
    const view = tf.reshape(variable, [2, 2])
    const part = tf.slice(variable, [1], [2])
    const optimizer = sgd({ learningRate: 1, momentum: 0 })
    for (let step = 1; step <= 3; step++) {
      optimizer.applyGradients(ones(variable))
      expect(values(variable)).toEqual([1 - step, 2 - step, 3 - step, 4 - step])
      expect([values(source), values(twin), [...initial]]).toEqual(Array(3).fill([1, 2, 3, 4]))
      expect([values(view), values(part)]).toEqual([
        [1, 2, 3, 4],
        [2, 3],
      ])
    }
  })

  it('follows a variable that was assigned to, or trained on another backend in between', async () => {
    const other = backend === 'cpu' ? 'wasm' : 'cpu'
    const x = tf.variable(tf.tensor1d([1, 1]))
    const y = tf.variable(tf.tensor1d([1, 1]))
    const [here, steady] = [adan({ learningRate: 0.1 }), adan({ learningRate: 0.1 })]
    const step = () => {
      here.applyGradients(ones(x))
      steady.applyGradients(ones(y))
    }
    step()
    for (const variable of [x, y]) variable.assign(tf.tensor1d([5, 6]))
    step()
    await tf.setBackend(other)
    here.applyGradients(ones(x))
    expect(here.execution).toBe(other)
    await tf.setBackend(backend)
    steady.applyGradients(ones(y))
    step()
    expect(here.execution).toBe(backend)
    expect(values(x)).toEqual(values(y))
  })

  it('trains two models with two optimizers at once', () => {
    const x = tf.variable(tf.tensor1d([1, 2]), true)
    const y = tf.variable(tf.tensor1d([1, 2]), true)
    const [one, two] = [adan({ learningRate: 0.1 }), adan({ learningRate: 0.1 })]
    for (let step = 0; step < 5; step++) {
      one.minimize(() => tf.sum(tf.square(x)) as tf.Scalar, false, [x])
      // All trainable variables: those of the other model are not in the loss.
      two.minimize(() => tf.sum(tf.square(y)) as tf.Scalar)
    }
    one.dispose()
    two.minimize(() => tf.sum(tf.square(y)) as tf.Scalar)
    expect(values(x)).not.toEqual(values(y))
    expect([one.iterations, two.iterations]).toEqual([0, 6])
    expect(() => one.applyGradients(ones(x))).toThrow('disposed')
  })

  it('refuses gradients that are not finite, skips them, or lets them pass', () => {
    const [a, b] = [tf.variable(tf.ones([3]), true, `a ${backend}`), tf.variable(tf.ones([2]), true, `b ${backend}`)]
    const gradients = () => ({ ...ones(a), [b.name]: tf.tensor1d([1, Number.NaN]) })
    for (const fused of [true, false]) {
      const throwing = adan({}, { fused })
      expect(() => throwing.applyGradients(gradients())).toThrow(`the gradient of 'b ${backend}' is not finite`)
      const skipping = adan({}, { fused, nonFinite: 'skip' })
      skipping.applyGradients(gradients())
      expect([skipping.skipped, skipping.iterations]).toEqual([1, 0])
      expect(skipping.lastStep).toEqual({ step: 0, skipped: true, nonFinite: [`b ${backend}`] })
      expect([values(a), values(b)]).toEqual([
        [1, 1, 1],
        [1, 1],
      ])
    }
    adan({}, { nonFinite: 'allow' }).applyGradients(gradients())
    expect(values(b)[1]).toBeNaN()
  })

  it('frees all that it holds', () => {
    const variables = makeVariables({ a: [20, 30], b: [] })
    freeUnused()
    const { numTensors, numBytes } = tf.memory()
    for (const fused of [true, false]) {
      const optimizer = parameterAverage(muon({}, { fused, telemetry: true }))
      for (let step = 1; step <= 3; step++) {
        const gradients = makeGradients(variables, step)
        optimizer.applyGradients(gradients)
        tf.dispose(gradients)
      }
      optimizer.dispose()
      expect([tf.memory().numTensors, tf.memory().numBytes]).toEqual([numTensors, numBytes])
    }
    disposeAll(variables)
  })

  it('tells the same telemetry with a kernel and with operations', async () => {
    const found = []
    for (const fused of [true, false]) {
      const variable = tf.variable(tf.tensor1d([3, 4]), true, `${backend} ${fused}`)
      const optimizer = sgd({ learningRate: 0.5, momentum: 0 }, { fused, telemetry: true })
      await expect(optimizer.telemetry()).rejects.toThrow('before the first step')
      optimizer.applyGradients({ [variable.name]: tf.tensor1d([6, 8]) })
      found.push((await optimizer.telemetry())[variable.name])
      expect(found.at(-1)).toEqual({
        gradientNorm: 10,
        updateNorm: 5,
        parameterNorm: 0,
        nonFinite: 0,
        failedFactorizations: 0,
      })
    }
    await expect(adan().telemetry()).rejects.toThrow('telemetry: true')
  })

  it('sets hyperparameters of groups, wrappers and fallbacks before and after the first step', () => {
    const variables = makeVariables({ matrix: [4, 4], bias: [4] })
    const biases = toTensorFlow(switchAfter(sgd({ learningRate: 0.1 }).rule, lion({ learningRate: 0.5 }).rule))
    const make = () =>
      clipByGlobalNorm(groups(muon({ learningRate: 0.02 }), [{ name: 'biases', match: 'bias*', optimizer: biases }]))
    const [early, late] = [make(), make()]
    early.set({ maximumNorm: 0.5 })
    early.set({ learningRate: 0.25 }, { group: 'biases' })
    early.set({ learningRate: 0.75 }, { group: 'biases/first' })
    expect([early.hyper.maximumNorm, early.hyper.learningRate, early.hyperOf('biases').learningRate]).toEqual([
      0.5, 0.02, 0.25,
    ])
    late.applyGradients(makeGradients(variables, 1))
    late.set({ maximumNorm: 0.5 })
    late.set({ learningRate: 0.25 }, { group: 'biases' })
    late.set({ learningRate: 0.75 }, { group: 'biases/first' })
    expect(early.hyperOf('biases/first').learningRate).toBe(0.75)
    expect(late.hyperOf('biases/first')).toEqual(early.hyperOf('biases/first'))
    expect(late.hyper).toEqual(early.hyper)
    expect(late.hyperOf('biases')).toEqual(early.hyperOf('biases'))
    expect(late.rule).toEqual(early.rule)
    for (const optimizer of [early, late]) {
      // @ts-expect-error the name is misspelt
      expect(() => optimizer.set({ lerningRate: 1 })).toThrow(
        /unknown hyperparameter 'lerningRate'; valid names are .*learningRate/,
      )
      expect(() => optimizer.set({ learningRate: -1 })).toThrow(/learningRate/)
      expect(() => optimizer.set({ learningRate: 1 }, { group: 'none' })).toThrow(/none/)
      expect(optimizer.hyper.learningRate).toBe(0.02)
    }
  })
})

describe.each(backends)('an optimizer that looks around on the backend %s', (backend) => {
  beforeEach(async () => {
    await tf.setBackend(backend)
    tf.disposeVariables()
  })

  const many = {
    sharpnessAware: sharpnessAware(adamW({ learningRate: 0.05 })),
    momentumSAM: momentumSAM({ learningRate: 0.02 }),
    'mars, exact': mars({ learningRate: 0.05, exact: true, matricesOnly: false }),
    mezo: mezo({ learningRate: 0.02 }),
    zoFrankWolfe: zoFrankWolfe({ learningRate: 0.5 }),
    evolutionStrategies: evolutionStrategies(sgd({ learningRate: 0.02 }), { pairs: 3 }),
  }

  it.each(Object.entries(many))('%s lowers the loss, keeps no tensor and returns the first loss', (_, { rule }) => {
    for (const fused of [true, false]) {
      const variables = makeVariables({ matrix: [4, 3], vector: [5], none: [0] })
      const loss = () => tf.addN([...variables.values()].map((v) => tf.sum(tf.square(tf.sub(v, 0.25))))) as tf.Scalar
      const optimizer = toTensorFlow(rule, { fused })
      const losses: number[] = []
      let evaluations = 0
      let tensors = 0
      const steps = fused ? 60 : 20
      for (let step = 1; step <= steps; step++) {
        let first: number | undefined
        const counted = () => {
          evaluations++
          const value = loss()
          first ??= value.dataSync()[0]!
          return value
        }
        const cost = optimizer.minimize(counted, true, [...variables.values()])!
        expect(cost.dataSync()[0]).toBe(first)
        losses.push(first!)
        cost.dispose()
        if (step === 1) tensors = tf.memory().numTensors
      }
      expect(tf.memory().numTensors).toBe(tensors)
      expect(evaluations % steps).toBe(0)
      expect(losses.at(-1)).toBeLessThan((fused ? 0.7 : 0.95) * losses[0]!)
      expect(optimizer.iterations).toBe(steps)
      optimizer.dispose()
      disposeAll(variables)
    }
  })

  it.each(Object.entries(many))('%s puts everything back when an evaluation fails or is not finite', (_, { rule }) => {
    for (const fused of [true, false]) {
      const variables = makeVariables({ matrix: [4, 3], vector: [5] })
      const optimizer = toTensorFlow(rule, { fused, nonFinite: 'skip' })
      let evaluation = 0
      const step = (failing = -1, spoil?: 'throw' | 'shape' | 'not a number') => {
        evaluation = 0
        optimizer.minimize(
          () => {
            const here = evaluation++ === failing
            if (here && spoil === 'throw') throw new Error('no batch')
            const parts = [...variables.values()].map((v) => tf.sum(tf.square(v)))
            const value = here && spoil === 'not a number' ? tf.mul(tf.addN(parts), Number.NaN) : tf.addN(parts)
            return (here && spoil === 'shape' ? tf.stack([value, value]) : value) as tf.Scalar
          },
          false,
          [...variables.values()],
        )
      }
      for (let count = 0; count < 3; count++) step()
      const evaluations = evaluation
      const before = [...variables.values()].map(values)
      const same = () =>
        [...variables.values()].forEach((variable, k) => {
          values(variable).forEach((value, i) => {
            expect(value).toBeCloseTo(before[k]![i]!, 5)
          })
        })
      for (let failing = 0; failing < evaluations; failing++) {
        expect(() => step(failing, 'throw')).toThrow('no batch')
        same()
        expect(() => step(failing, 'shape')).toThrow('f must return the loss as a scalar, not a tensor of shape [2]')
        same()
      }
      // What a tape holds when the function throws, TensorFlow.js never frees.
      const { numTensors } = tf.memory()
      step(evaluations - 1, 'not a number')
      expect(optimizer.skipped).toBe(1)
      same()
      expect(optimizer.iterations).toBe(3)
      expect(tf.memory().numTensors).toBe(numTensors)
      step()
      expect(optimizer.iterations).toBe(4)
      optimizer.dispose()
      disposeAll(variables)
    }
  })

  it('leaves variables alone that the loss does not depend on, that are not listed or not trainable', () => {
    for (const fused of [true, false]) {
      const variables = makeVariables({ used: [4, 3], unused: [5], other: [2] })
      const [used, unused, other] = [...variables.values()] as [tf.Variable, tf.Variable, tf.Variable]
      const fixed = tf.variable(tf.ones([2]), false)
      const before = [unused, other, fixed].map(values)
      const alone = makeVariables({ used: [4, 3] }).get('used')!
      const rules: AnyOptimizer[] = [sharpnessAware(sgd({ learningRate: 0.1 })), momentumSAM(), clipByGlobalNorm(sgd())]
      for (const rule of rules) {
        alone.assign(used)
        const loss = (x: tf.Variable) => () => tf.sum(tf.mul(tf.square(x), tf.sum(fixed))) as tf.Scalar
        const [one, two] = [0, 1].map(() => toTensorFlow(rule, { fused }))
        for (let step = 0; step < 3; step++) {
          one!.minimize(loss(used), false, [used, unused, fixed])
          two!.minimize(loss(alone), false, [alone])
        }
        expect([unused, other, fixed].map(values)).toEqual(before)
        expect(values(used)).toEqual(values(alone))
      }
      // One that was there in an earlier step stays exactly where it is.
      const late = toTensorFlow(mezo({ learningRate: 0.1 }), { fused })
      const both = () => tf.add(tf.sum(used), tf.sum(other)) as tf.Scalar
      late.minimize(both, false, [used, other])
      const [there, here] = [values(other), values(used)]
      late.minimize(both, false, [used])
      expect(values(other)).toEqual(there)
      expect(values(used)).not.toEqual(here)
      tf.disposeVariables()
    }
  })

  it('needs no gradients where it reads the loss alone, beside others that do', () => {
    for (const fused of [true, false]) {
      const variables = makeVariables({ rounded: [40], smooth: [6] })
      const [rounded, smooth] = [...variables.values()] as [tf.Variable, tf.Variable]
      const optimizer = toTensorFlow(
        groups(evolutionStrategies(sgd({ learningRate: 0.05, momentum: 0 }), { sigma: 0.3 }), [
          { match: 'smooth*', optimizer: adan({ learningRate: 0.05 }) },
        ]),
        { fused, telemetry: true },
      )
      // No operation here has a gradient for what is rounded.
      const loss = () =>
        tf.add(tf.mean(tf.square(tf.round(tf.mul(rounded, 8)))), tf.sum(tf.square(smooth))) as tf.Scalar
      const parts = () => [values(tf.mean(tf.square(rounded)))[0]!, values(tf.sum(tf.square(smooth)))[0]!] as const
      const before = parts()
      for (let step = 0; step < 25; step++) optimizer.minimize(loss, false, [rounded, smooth])
      const after = parts()
      expect(after[0]).toBeLessThan(0.9 * before[0])
      expect(after[1]).toBeLessThan(0.5 * before[1])
      disposeAll(variables)
    }
  })

  it('goes on with the same random numbers under other names, loaded before or after a step', async () => {
    const loss = (x: tf.Variable) => () => tf.sum(tf.square(x)) as tf.Scalar
    for (const fused of [true, false]) {
      for (const stepsBefore of [0, 2]) {
        const [one, two] = [0, 1].map(() => mezo({ learningRate: 0.02 }, { fused }))
        const [x, y] = [...makeVariables({ x: [30], y: [30] }).values()] as [tf.Variable, tf.Variable]
        for (let step = 0; step < 3; step++) one!.minimize(loss(x), false, [x])
        for (let step = 0; step < stepsBefore; step++) two!.minimize(loss(y), false, [y])
        y.assign(x)
        await two!.setWeights(await one!.getWeights())
        for (let step = 0; step < 3; step++) {
          one!.minimize(loss(x), false, [x])
          two!.minimize(loss(y), false, [y])
        }
        expect(values(x)).toEqual(values(y))
        expect(two!.iterations).toBe(6)
      }
    }
  })

  it('refuses single gradients and inputs that it does not take', () => {
    const x = tf.variable(tf.ones([2]))
    const optimizer = sharpnessAware(adamW())
    expect(() => optimizer.applyGradients(ones(x))).toThrow(
      'Sharpness-aware minimization evaluates the model at points of its own: use minimize(f)',
    )
    const loss = () => tf.sum(tf.square(x)) as tf.Scalar
    expect(() => optimizer.minimize(loss, false, [x], { fisherDiagonal: ones(x) })).toThrow(
      "unknown input 'fisherDiagonal'",
    )
    const fisher = refresh(sgd(), { fisher: true })
    expect(() => fisher.minimize(loss, false, [x])).toThrow(/needs the input 'fisherDiagonal'.* or minimize/)
    expect(values(x)).toEqual([1, 1])
    fisher.minimize(loss, false, [x], { fisherDiagonal: ones(x) })
    expect(values(x)).not.toEqual([1, 1])
  })
})

describe('mistakes', () => {
  beforeEach(async () => {
    await tf.setBackend('cpu')
    tf.disposeVariables()
  })

  it('are named before anything changes', async () => {
    const x = tf.variable(tf.ones([2]), true, 'x')
    const whole = tf.variable(tf.tensor1d([1, 2], 'int32'), true, 'whole')
    const optimizer = adan()
    expect(() => optimizer.applyGradients({ y: tf.ones([2]) })).toThrow("there is no variable 'y'")
    expect(() => optimizer.applyGradients({ whole: tf.ones([2]) })).toThrow(
      "'whole' must be float32 to be trained, not int32",
    )
    expect(() => optimizer.applyGradients({ x: tf.ones([3]) })).toThrow(
      "'x' has shape [2], but its gradient has shape [3]",
    )
    expect(() => optimizer.applyGradients(ones(x), { loss: 1 })).toThrow("unknown input 'loss'")
    const typo = groups(adan(), [{ match: 'z*', frozen: true }])
    expect(() => typo.applyGradients(ones(x))).toThrow(/\(z\*\) matches no parameter; there are x/)
    expect(() => adan({}, { nonfinite: 'skip' } as never)).toThrow("unknown option 'nonfinite'")
    expect(() => adan({}, { nonFinite: 'ignore' as never })).toThrow('not ignore')
    await expect(adan().setWeights([{ name: 'iter', tensor: tf.scalar(1) }])).rejects.toThrow("not 'iter'")
    optimizer.applyGradients(ones(x))
    const weights = await optimizer.getWeights()
    const before = values(x)
    const other = lion()
    await other.setWeights(weights)
    expect(() => other.applyGradients(ones(x))).toThrow(/the state is of the optimizer adan\(\), this one is lion\(\)/)
    expect(values(x)).toEqual(before)
    whole.dispose()
  })

  it('of a device leave the work to operations, with a word', async () => {
    const x = tf.variable(tf.ones([2]))
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    const { Module } = WebAssembly
    WebAssembly.Module = class {
      constructor() {
        throw new WebAssembly.CompileError('no SIMD here')
      }
    } as unknown as typeof Module
    const optimizer = adamW({ learningRate: 0.1, weightDecay: 0, beta2: 0.9123 })
    optimizer.applyGradients({ ...ones(x), ...ones(tf.variable(tf.ones([2, 3, 5]))) })
    WebAssembly.Module = Module
    expect(warn.mock.calls).toEqual([[expect.stringContaining('no SIMD here')]])
    warn.mockRestore()
    expect(optimizer.execution).toBe('operations')
    expect(values(x)[0]).toBeCloseTo(0.9, 5)
  })
})

it('a wrapper without an optimizer says what it wants', () => {
  const wrap = clipByGlobalNorm as unknown as (given: unknown) => unknown
  expect(() => wrap(1)).toThrow(
    'Clipping by global norm: the first argument must be an optimizer such as adamW(), not 1',
  )
  expect(() => toTensorFlow(undefined as never)).toThrow(
    'TensorFlowOptimizer must be an optimizer such as adamW(), not undefined',
  )
})
