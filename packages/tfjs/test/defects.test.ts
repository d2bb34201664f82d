/** What goes wrong in the optimizers of TensorFlow.js 4.22, and does not here. */

import * as tf from '@tensorflow/tfjs-core'
import { defineOptimizer, logUniform, nonNegative, zeros } from 'fallline'
import { beforeEach, describe, expect, it } from 'vitest'
import { adamW, adan, registerOptimizers, sgd, toTensorFlow } from '../src/index.ts'
import { fit, makeModel, saveAndLoad, saved } from './support/models.ts'
import './support/tensorflow.ts'

const value = (tensor: tf.Tensor) => tensor.dataSync()[0]!

/** Their declarations ask for variables where gradients are meant. */
const apply = (optimizer: tf.Optimizer, gradients: tf.NamedTensorMap) => optimizer.applyGradients(gradients)

/** Adadelta (Zeiler 2012), as its paper has it. */
const adadelta = defineOptimizer({
  name: 'testAdadelta',
  title: 'Adadelta',
  family: 'adaptive',
  paper: { title: 'ADADELTA', authors: 'Zeiler', year: 2012, arxiv: '1212.5701' },
  hyper: { learningRate: nonNegative(1), rho: nonNegative(0.95), epsilon: nonNegative(1e-6) },
  state: { squares: zeros(), updates: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(0.1, 10) },
  rule({ g, state, hyper: { rho, epsilon } }) {
    const squares = state.squares.times(rho).plus(g.square().times(rho.negated().plus(1)))
    const direction = g.times(state.updates.plus(epsilon).sqrt()).over(squares.plus(epsilon).sqrt())
    const updates = state.updates.times(rho).plus(direction.square().times(rho.negated().plus(1)))
    return { direction, state: { squares, updates } }
  },
})

/** RMSProp with centered squares (Hinton 2012, Graves 2013). */
const centered = defineOptimizer({
  name: 'testCentered',
  title: 'Centered RMSProp',
  family: 'adaptive',
  paper: {
    title: 'Generating Sequences With Recurrent Neural Networks',
    authors: 'Graves',
    year: 2013,
    arxiv: '1308.0850',
  },
  hyper: { learningRate: nonNegative(0.001), rho: nonNegative(0.9), epsilon: nonNegative(1e-7) },
  state: { squares: zeros(), mean: zeros() },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 1e-2) },
  rule({ g, state, hyper: { rho, epsilon } }) {
    const rest = rho.negated().plus(1)
    const squares = state.squares.times(rho).plus(g.square().times(rest))
    const mean = state.mean.times(rho).plus(g.times(rest))
    const variance = squares.minus(mean.square()).maximum(0)
    return { direction: g.over(variance.plus(epsilon).sqrt()), state: { squares, mean } }
  },
})

beforeEach(async () => {
  await tf.setBackend('cpu')
  tf.disposeVariables()
})

describe('a defect of TensorFlow.js', () => {
  it('Adadelta: its first step is the learning rate times the gradient', () => {
    const [theirs, ours] = [tf.variable(tf.scalar(0), true, 'theirs'), tf.variable(tf.scalar(0), true, 'ours')]
    apply(tf.train.adadelta(1, 0.95, 1e-6), { theirs: tf.scalar(10) })
    toTensorFlow(adadelta()).applyGradients({ ours: tf.scalar(10) })
    expect(value(theirs)).toBeCloseTo(-10, 4)
    // -10 √ε / √(0.05 · 100 + ε)
    expect(value(ours)).toBeCloseTo((-10 * Math.sqrt(1e-6)) / Math.sqrt(5), 7)
  })

  it('centered RMSProp: small steady gradients give what is not a number', () => {
    const [theirs, ours] = [tf.variable(tf.scalar(0), true, 'theirs'), tf.variable(tf.scalar(0), true, 'ours')]
    const [rmsprop, right] = [tf.train.rmsprop(0.001, 0.9, 0, 1e-7, true), toTensorFlow(centered())]
    for (let step = 0; step < 60; step++) {
      rmsprop.applyGradients({ theirs: tf.scalar(1e-4) })
      right.applyGradients({ ours: tf.scalar(1e-4) })
    }
    expect(value(theirs)).toBeNaN()
    expect(value(ours)).toBeLessThan(0)
  })

  it('momentum: setMomentum changes nothing', () => {
    const run = (change: (optimizer: tf.MomentumOptimizer) => void): number => {
      const x = tf.variable(tf.scalar(0))
      const optimizer = tf.train.momentum(1, 0.9)
      change(optimizer)
      for (let step = 0; step < 3; step++) apply(optimizer, { [x.name]: tf.scalar(1) })
      return value(x)
    }
    expect(run((optimizer) => optimizer.setMomentum(0.1))).toBe(run(() => {}))
    const x = tf.variable(tf.scalar(0))
    const optimizer = sgd({ learningRate: 1, momentum: 0.9 })
    optimizer.set({ momentum: 0.5 })
    for (let step = 0; step < 3; step++) {
      if (step === 1) optimizer.set({ momentum: 0.25 })
      optimizer.applyGradients({ [x.name]: tf.scalar(1) })
    }
    expect(value(x)).toBeCloseTo(-(1 + 1.25 + (1.25 * 0.25 + 1)), 6)
  })

  it('momentum: dispose leaves the learning rate behind', () => {
    const x = tf.variable(tf.scalar(0))
    const left = (make: () => tf.Optimizer): number => {
      const { numTensors } = tf.memory()
      const optimizer = make()
      tf.tidy(() => apply(optimizer, { [x.name]: tf.scalar(1) }))
      optimizer.dispose()
      return tf.memory().numTensors - numTensors
    }
    expect(left(() => tf.train.momentum(1, 0.9))).toBeGreaterThan(0)
    // The first one frees what optimizers of variables that are gone still hold.
    left(() => sgd({ momentum: 0.9 }))
    expect(left(() => sgd({ momentum: 0.9 }))).toBe(0)
  })

  it('Adam: state belongs to a place in the list and not to a variable', () => {
    const [a, b] = [tf.variable(tf.zeros([2]), true, 'a'), tf.variable(tf.zeros([3]), true, 'b')]
    const theirs = tf.train.adam()
    apply(theirs, { a: tf.ones([2]), b: tf.ones([3]) })
    expect(() => apply(theirs, { b: tf.ones([3]) })).toThrow()
    const alone = adamW({ learningRate: 0.1 })
    const c = tf.variable(tf.zeros([3]), true, 'c')
    const ours = adamW({ learningRate: 0.1 })
    a.assign(tf.zeros([2]))
    b.assign(tf.zeros([3]))
    ours.applyGradients({ a: tf.ones([2]), b: tf.tensor1d([1, 2, 3]) })
    ours.applyGradients({ b: tf.tensor1d([3, 2, 1]) })
    alone.applyGradients({ c: tf.tensor1d([1, 2, 3]) })
    alone.applyGradients({ c: tf.tensor1d([3, 2, 1]) })
    expect([...b.dataSync()]).toEqual([...c.dataSync()])
  })

  it('Adamax: saving a model with it fails', async () => {
    const loss = 'categoricalCrossentropy'
    const model = makeModel()
    model.compile({ optimizer: tf.train.adamax(0.01), loss })
    await fit(model, 1)
    await expect(saved(model)).rejects.toThrow('not implemented')
    registerOptimizers(adadelta)
    model.compile({ optimizer: toTensorFlow(adadelta()), loss })
    await fit(model, 1)
    const loaded = await saveAndLoad(model)
    expect(await fit(loaded, 1)).toEqual(await fit(model, 1))
  })

  it('epsilon: the default depends on the device', () => {
    expect(adan().hyper.epsilon).toBe(1e-8)
    expect(tf.train.adam().getConfig().epsilon).toBe(tf.backend().epsilon())
  })

  it('saving with the optimizer leaks a tensor every time', async () => {
    const leaked = async (optimizer: tf.Optimizer) => {
      const model = makeModel()
      model.compile({ optimizer, loss: 'categoricalCrossentropy' })
      await fit(model, 1)
      await saved(model)
      const { numTensors } = tf.memory()
      for (let time = 0; time < 4; time++) await saved(model)
      return tf.memory().numTensors - numTensors
    }
    expect(await leaked(tf.train.adam())).toBeGreaterThanOrEqual(4)
    expect(await leaked(adan())).toBe(0)
  })
})
