import * as tf from '@tensorflow/tfjs-core'
import { layers, sequential } from '@tensorflow/tfjs-layers'
import { adamW, centralizeGradients, type Layout, muon, sgd } from 'fallline'
import { describe, expect, it } from 'vitest'
import { relativeDifference, transposedRuns } from '../../core/test/support/transposed.ts'
import { layoutOf, toTensorFlow } from '../src/index.ts'
import { backends } from './support/tensorflow.ts'

/** Five steps in float32, with other sums than the authors'. */
const tolerance = 2e-4

describe.each(backends)('trajectories of the authors, with kernels of TensorFlow.js, on %s', (backend) => {
  const cases = ['muon', 'muon_moonlight', 'nero', 'adamp', 'sgdp', 'adafactor_t2t']

  it.each(cases.flatMap((name) => [true, false].map((fused) => [name, fused] as const)))(
    '%s, fused %s',
    async (name, fused) => {
      await tf.setBackend(backend)
      const run = (await transposedRuns(name))[0]!
      const variables = run.shapes.map((shape, k) =>
        tf.variable(tf.tensor([...run.initial[k]!], [...shape]), true, `${name}_${k}_${fused}/kernel`),
      )
      const optimizer = toTensorFlow(run.optimizer, { fused })
      let compared = 0
      for (let step = 1; step <= 5; step++) {
        const gradients = run.gradients(
          variables.map((variable) => variable.dataSync()),
          step,
        )
        const named = Object.fromEntries(
          variables.map(({ name, shape }, k) => [name, tf.tensor([...gradients[k]!], shape)]),
        )
        optimizer.applyGradients(named)
        tf.dispose(named)
        for (const [k, expected] of (run.expected.get(step) ?? []).entries()) {
          expect(relativeDifference(variables[k]!.dataSync(), expected)).toBeLessThan(tolerance)
          compared++
        }
      }
      expect(compared).toBeGreaterThan(6)
      optimizer.dispose()
      tf.dispose(variables)
    },
  )
})

describe('the layout of variables', () => {
  it.each<[string, Layout]>([
    ['dense_Dense1/kernel', 'outputLast'],
    ['conv2d_Conv2D1/kernel_1', 'outputLast'],
    ['depthwise_DepthwiseConv2D1/depthwise_kernel', 'depthwise'],
    ['separable_conv2d_SeparableConv2D1/depthwise_kernel_1', 'depthwise'],
    ['separable_conv2d_SeparableConv2D1/pointwise_kernel', 'outputLast'],
    ['embedding_Embedding1/embeddings', 'outputFirst'],
    ['lstm_LSTM1/recurrent_kernel', 'outputLast'],
  ])('of %s is %s', (name, layout) => {
    expect(layoutOf(name)).toBe(layout)
  })

  it('is found in the names that TensorFlow.js gives', () => {
    const model = sequential({
      layers: [
        layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, inputShape: [8, 8, 3] }),
        layers.conv2d({ filters: 4, kernelSize: 3 }),
        layers.flatten(),
        layers.dense({ units: 5 }),
      ],
    })
    const found = model.trainableWeights
      .filter(({ shape }) => shape.length > 1)
      .map(({ name, shape }) => [shape.join(' '), layoutOf(name)])
    expect(found).toEqual([
      ['3 3 3 2', 'depthwise'],
      ['3 3 6 4', 'outputLast'],
      ['64 5', 'outputLast'],
    ])
    model.dispose()
  })

  it('is of the user where they say so', async () => {
    await tf.setBackend('cpu')
    // 4 to 16: the steps of Muon are twice as long where the outputs are 16.
    const moved = (layout?: Layout) => {
      const variable = tf.variable(tf.zeros([4, 16]))
      const optimizer = toTensorFlow(muon({ learningRate: 1 }), layout ? { layout } : {})
      const gradient = tf.tidy(() => tf.randomNormal([4, 16], 0, 1, 'float32', 3))
      optimizer.applyGradients({ [variable.name]: gradient })
      const length = tf.tidy(() => tf.norm(variable).arraySync() as number)
      optimizer.dispose()
      tf.dispose([variable, gradient])
      return length
    }
    expect(moved() / moved('outputFirst')).toBeCloseTo(2, 5)
    expect(moved('outputLast')).toBe(moved())
  })

  it('gives a depthwise kernel one output per channel and multiplier', async () => {
    await tf.setBackend('cpu')
    const variable = tf.variable(tf.zeros([2, 1, 2, 2]), true, 'own/depthwise_kernel')
    const optimizer = toTensorFlow(centralizeGradients(sgd({ learningRate: 1 })))
    const gradient = tf.tensor([1, 0, 2, 0, 3, 4, 0, 5], [2, 1, 2, 2])
    optimizer.applyGradients({ [variable.name]: gradient })
    expect([...variable.dataSync()]).toEqual([1, 2, -1, 2.5, -1, -2, 1, -2.5])
    optimizer.dispose()
    tf.dispose([variable, gradient])
  })

  it('is refused where it is none, and where it cannot be saved', () => {
    expect(() => toTensorFlow(adamW(), { layout: 'rows' as Layout })).toThrow(/layout must be outputFirst/)
    expect(() => toTensorFlow(adamW(), { layout: () => 'outputLast' }).getConfig()).toThrow(/cannot be saved/)
    expect(toTensorFlow(adamW(), { layout: 'outputFirst' }).getConfig().name).toContain('outputFirst')
  })
})
