import * as tf from '@tensorflow/tfjs-core'
import { beforeAll, describe, expect, it } from 'vitest'
import { scheduleFreeAdamW, sgd, sharpnessAware, type TensorFlowOptimizer } from '../src/index.ts'
import { makeModel, saved } from './support/models.ts'
import './support/tensorflow.ts'

beforeAll(async () => {
  await tf.setBackend('cpu')
})

const loss = (w: tf.Variable) => () => tf.sum(tf.square(w)) as tf.Scalar

describe('while minimize evaluates the model', () => {
  it.each([
    ['where the variables stand', () => sgd({ learningRate: 0.1 }), 0.8],
    ['elsewhere too', () => sharpnessAware(sgd({ learningRate: 0.1 }), { rho: 0.5 }), 0.7],
  ])('%s, the function cannot use the optimizer', (_, make, expected) => {
    const w = tf.variable(tf.tensor1d([1]))
    const optimizer = make()
    const actions: Record<string, () => unknown> = {
      minimize: () => optimizer.minimize(loss(w)),
      applyGradients: () => optimizer.applyGradients({ [w.name]: tf.tensor1d([1]) }),
      set: () => optimizer.set({ learningRate: 1 }),
      dispose: () => optimizer.dispose(),
    }
    let evaluations = 0
    optimizer.minimize(
      () => {
        evaluations++
        for (const [name, action] of Object.entries(actions)) {
          expect(action).toThrow(`${name}: minimize is evaluating the model; wait until that is done`)
        }
        return loss(w)()
      },
      false,
      [w],
    )
    expect(evaluations).toBeGreaterThan(0)
    expect(w.dataSync()[0]).toBeCloseTo(expected, 6)
    optimizer.set({ learningRate: 1 })
    optimizer.minimize(() => loss(w)(), false, [w])
    expect(optimizer.iterations).toBe(2)
  })

  it('a function that throws does not leave it waiting', () => {
    const w = tf.variable(tf.tensor1d([1]))
    const optimizer = sgd({ learningRate: 0.1 })
    const fail = () => {
      throw new Error('no data')
    }
    expect(() => optimizer.minimize(fail, false, [w])).toThrow('no data')
    optimizer.minimize(loss(w), false, [w])
    expect(w.dataSync()[0]).toBeCloseTo(0.8, 6)
  })
})

describe('while other values are in the variables', () => {
  const swap = 'withEvaluationParameters has other values in the variables; wait until that is done'

  it('a model cannot be saved with its optimizer, as training could not go on from there', async () => {
    const model = makeModel()
    const optimizer = scheduleFreeAdamW({ learningRate: 0.05 }) as TensorFlowOptimizer
    model.compile({ optimizer, loss: 'meanSquaredError' })
    await model.trainOnBatch(tf.ones([4, 6]), tf.ones([4, 2]))
    await model.trainOnBatch(tf.ones([4, 6]), tf.zeros([4, 2]))
    await optimizer.withEvaluationParameters(async () => {
      await expect(saved(model)).rejects.toThrow(`getWeights: ${swap}`)
      // Without the optimizer it can.
      const handler = tf.io.withSaveHandler(async () => ({
        modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' as const },
      }))
      await model.save(handler)
      await expect(model.trainOnBatch(tf.ones([4, 6]), tf.ones([4, 2]))).rejects.toThrow(`minimize: ${swap}`)
      await expect(optimizer.withEvaluationParameters(() => 1)).rejects.toThrow(`withEvaluationParameters: ${swap}`)
    })
    await saved(model)
    await model.trainOnBatch(tf.ones([4, 6]), tf.ones([4, 2]))
    expect(optimizer.iterations).toBe(3)
  })
})
