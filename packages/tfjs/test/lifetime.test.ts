/** What becomes of state and random numbers when variables come and go. */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import * as tf from '@tensorflow/tfjs-core'
import { compile, adam as coreAdam } from 'fallline'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  adam,
  adan,
  evolutionStrategies,
  mezo,
  prodigy,
  scheduleFreeAdamW,
  sgd,
  type TensorFlowOptimizer,
} from '../src/index.ts'
import { fit, makeModel } from './support/models.ts'
import { backends } from './support/tensorflow.ts'

const values = (tensor: tf.Tensor) => [...(tensor.dataSync() as Float32Array)]

/** Steps with a gradient of ones times a factor. */
function step(optimizer: TensorFlowOptimizer, variables: readonly tf.Variable[], factor = 1): void {
  tf.tidy(() =>
    optimizer.applyGradients(Object.fromEntries(variables.map((v) => [v.name, tf.mul(tf.ones(v.shape), factor)]))),
  )
}

const make = (name: string, size = 1000) =>
  tf.tidy(() => tf.keep(tf.variable(tf.zeros([size]), true, name)) as tf.Variable)

describe.each(backends)('on the backend %s', (backend) => {
  beforeEach(async () => {
    await tf.setBackend(backend)
    tf.disposeVariables()
  })

  it.each([true, false])(
    'state is freed with its variable, and an optimizer over models keeps one (fused: %s)',
    (fused) => {
      const optimizer = adan({}, { fused })
      const bytes: number[] = []
      for (let model = 0; model < 4; model++) {
        const variables = [make(`a ${model}`), make(`b ${model}`)]
        step(optimizer, variables)
        step(optimizer, variables)
        bytes.push(tf.memory().numBytes)
        tf.dispose(variables)
      }
      expect(new Set(bytes).size).toBe(1)
      const stays = make('stays')
      const first = make('first')
      step(optimizer, [stays, first])
      first.dispose()
      const alone = tf.memory().numBytes
      step(optimizer, [stays])
      expect(tf.memory().numBytes).toBeLessThan(alone)
      expect(optimizer.iterations).toBe(10)
      optimizer.dispose()
    },
  )

  it.each([true, false])('a new variable under an old name begins anew (fused: %s)', async (fused) => {
    for (const keep of [false, true]) {
      const optimizer = adam({ learningRate: 0.1 }, { fused })
      const other = make('other', 3)
      const old = make('same', 3)
      for (let count = 0; count < 3; count++) step(optimizer, keep ? [other, old] : [old])
      old.dispose()
      const fresh = make('same', 3)
      step(optimizer, [fresh], -2)
      step(optimizer, [fresh], 1)
      const alone = await compile(coreAdam({ learningRate: 0.1 }), { same: [3] })
      for (const gradient of [-2, 1]) alone.step({ gradients: { same: [gradient, gradient, gradient] } })
      values(fresh).forEach((value, index) => {
        expect(value).toBeCloseTo(alone.parameters.same[index]!, 6)
      })
      // Another shape under the name is another variable too.
      fresh.dispose()
      step(optimizer, [make('same', 5)])
      expect(optimizer.iterations).toBe(6)
      tf.disposeVariables()
      optimizer.dispose()
    }
  })

  it('what variables shared goes with the last of them', () => {
    const distances = [0, 1].map(() => {
      const optimizer = prodigy()
      const path: number[][] = []
      for (let model = 0; model < 2; model++) {
        const variable = make(`model ${model}`, 2)
        for (let count = 0; count < 20; count++) step(optimizer, [variable], count + 1)
        path.push(values(variable))
        variable.dispose()
      }
      optimizer.dispose()
      return path
    })
    expect(distances[0]).toEqual(distances[1])
    expect(distances[0]![0]).toEqual(distances[0]![1])
  })

  it('retraining frees the state of models that were disposed without their optimizers, and memory counts it', async () => {
    const bytes: number[] = []
    for (let training = 0; training < 4; training++) {
      const model = makeModel()
      model.compile({ optimizer: adan({ learningRate: 0.02 }), loss: 'categoricalCrossentropy' })
      const before = tf.memory().numBytes
      await fit(model, 1)
      // Three arrays of state for each parameter, at least; the first training also has nothing to free.
      if (training === 0) expect(tf.memory().numBytes - before).toBeGreaterThan(3 * 4 * model.countParams())
      bytes.push(tf.memory().numBytes)
      model.dispose()
    }
    expect(new Set(bytes.slice(1)).size).toBe(1)
  })

  it('evaluation and saving do without variables that are gone', async () => {
    const optimizer = scheduleFreeAdamW({ learningRate: 0.1 })
    const [a, b] = [make('a', 2), make('b', 2)]
    for (let count = 0; count < 3; count++) step(optimizer, [a, b])
    b.dispose()
    const trained = values(a)
    await optimizer.withEvaluationParameters(() => expect(values(a)).not.toEqual(trained))
    expect(values(a)).toEqual(trained)
    step(optimizer, [a])
    const names = (await optimizer.getWeights()).map(({ name }) => name)
    expect(names.some((name) => name.startsWith('a/'))).toBe(true)
    expect(names.some((name) => name.startsWith('b/'))).toBe(false)
    optimizer.dispose()
  })

  it.each([true, false])('finish leaves what to evaluate with, and frees the optimizer (fused: %s)', async (fused) => {
    const before = tf.memory().numTensors
    const variable = make('finished', 3)
    const optimizer = scheduleFreeAdamW({ learningRate: 0.1 }, { fused })
    for (let count = 0; count < 4; count++) step(optimizer, [variable], count - 1.5)
    let expected: number[] = []
    await optimizer.withEvaluationParameters(() => {
      expected = values(variable)
    })
    expect(values(variable)).not.toEqual(expected)
    optimizer.finish()
    expect(values(variable)).toEqual(expected)
    expect(() => step(optimizer, [variable])).toThrow('disposed')
    variable.dispose()
    expect(tf.memory().numTensors).toBeLessThanOrEqual(before)
  })

  it('a seed gives one run, whatever TensorFlow.js calls the variables', async () => {
    const zeroth = () => mezo({ learningRate: 0.01, seed: 7 })
    const wrapped = () => evolutionStrategies(sgd({ learningRate: 0.02 }), { pairs: 2 })
    for (const optimizer of [zeroth, wrapped]) {
      const runs: number[][] = []
      for (let run = 0; run < 2; run++) {
        const model = makeModel()
        model.compile({ optimizer: optimizer(), loss: 'categoricalCrossentropy' })
        runs.push(await fit(model, 2))
        model.dispose()
      }
      expect(runs[0]).toEqual(runs[1])
    }
  })
})

it('the state of an optimizer that the program has lost is freed with it', async () => {
  await tf.setBackend('wasm')
  tf.disposeVariables()
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const variable = make('stays')
  // Frees what optimizers of earlier tests hold.
  const first = sgd()
  step(first, [variable])
  first.dispose()
  const before = tf.memory().numBytes
  // In a function of its own, so that no place of this one still holds it.
  ;(() => step(adan(), [variable]))()
  expect(tf.memory().numBytes).toBeGreaterThan(before)
  for (let turn = 0; turn < 50 && tf.memory().numBytes > before; turn++) {
    collect()
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  expect(tf.memory().numBytes).toBe(before)
})
