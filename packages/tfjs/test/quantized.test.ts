/** State in fewer bits where a kernel of Fallline keeps it, and the error elsewhere. */

import * as tf from '@tensorflow/tfjs-core'
import { compile, adamW as coreAdamW, type QuantizedSettings, quantized } from 'fallline'
import { beforeEach, describe, expect, it } from 'vitest'
import { adamW, type TensorFlowOptimizer, toTensorFlow } from '../src/index.ts'
import { backends } from './support/tensorflow.ts'

const size = 5000
const ways: readonly QuantizedSettings[] = [
  { bits: 8 },
  { bits: 4 },
  { storage: 'bf16', seed: 2 },
  { storage: 'bf16+byte' },
]

const gradient = (step: number) =>
  Float32Array.from({ length: size }, (_, index) => Math.sin(index * step) / (1 + (index % 7)))

function step(optimizer: TensorFlowOptimizer, variable: tf.Variable, number: number): void {
  tf.tidy(() => optimizer.applyGradients({ [variable.name]: tf.tensor(gradient(number), variable.shape) }))
}

const values = (variable: tf.Variable) => [...variable.dataSync()]
const make = (name: string) => tf.tidy(() => tf.keep(tf.variable(tf.ones([50, 100]), true, name)) as tf.Variable)

describe.each(backends)('on the backend %s', (backend) => {
  beforeEach(async () => {
    await tf.setBackend(backend)
    tf.disposeVariables()
  })

  describe.each(ways)('%j', (settings) => {
    it('takes the steps of compile, and goes on from its weights as if nothing had been', async () => {
      const rule = quantized(coreAdamW({ learningRate: 0.01 }), settings)
      // Random numbers follow the order of variables, whose names change.
      const name = 'variable 0'
      const expected = await compile(rule, { [name]: [50, 100] })
      const parameter = expected.parameters[name] as Float32Array
      parameter.fill(1)
      const variable = make('w')
      const optimizer = toTensorFlow(rule)
      for (let number = 1; number <= 3; number++) {
        step(optimizer, variable, number)
        expected.step({ gradients: { [name]: gradient(number) } })
      }
      expect(values(variable)).toEqual([...parameter])
      const weights = await optimizer.getWeights()
      const again = toTensorFlow(rule)
      await again.setWeights(weights)
      step(again, variable, 4)
      expected.step({ gradients: { [name]: gradient(4) } })
      expect(values(variable)).toEqual([...parameter])
      optimizer.dispose()
      again.dispose()
    })
  })

  it('keeps less memory, and saves less', async () => {
    const kept: number[] = []
    for (const optimizer of [adamW(), toTensorFlow(quantized(coreAdamW()))]) {
      const variable = tf.tidy(() => tf.keep(tf.variable(tf.ones([1000, 500]), true)) as tf.Variable)
      const before = tf.memory().numBytes
      tf.tidy(() => optimizer.applyGradients({ [variable.name]: tf.ones([1000, 500]) }))
      const weights = await optimizer.getWeights()
      const saved = weights.reduce((sum, { tensor }) => sum + 4 * tensor.size, 0)
      kept.push(tf.memory().numBytes - before - saved, saved)
      optimizer.dispose()
      variable.dispose()
    }
    // The cpu backend copies parameter and gradient, the same for both.
    const copies = backend === 'cpu' ? 8 * 500_000 : 0
    // Tables take 165 kB, whatever the size.
    expect((kept[2]! - copies) / (kept[0]! - copies)).toBeLessThan(0.35)
    expect(kept[3]! / kept[1]!).toBeLessThan(0.27)
  })

  it('refuses the weights of another storage, and says what is lacking', async () => {
    const variable = make('w')
    const eight = toTensorFlow(quantized(coreAdamW(), { bits: 8 }))
    step(eight, variable, 1)
    const four = toTensorFlow(quantized(coreAdamW(), { bits: 4 }))
    step(four, variable, 1)
    const weights = await eight.getWeights()
    await expect(four.setWeights(weights)).rejects.toThrow(
      "setWeights: the state of 'w' lacks 'quantized/adamW.m as dynamic4'",
    )
    eight.dispose()
    four.dispose()
  })

  it('is refused where operations do the work, and the variable stays', () => {
    const variable = make('w')
    const optimizer = toTensorFlow(quantized(coreAdamW()), { fused: false })
    expect(() => step(optimizer, variable, 1)).toThrow(
      'TensorFlow.js keeps all state in float32 where no kernel of Fallline runs, and fused is false: leave out quantized(...)',
    )
    expect(values(variable).every((value) => value === 1)).toBe(true)
  })

  it('refuses parameters in anything but float32, which the variables are', () => {
    const variable = make('w')
    const optimizer = toTensorFlow(quantized(coreAdamW(), { parameters: 'bf16' }))
    expect(() => step(optimizer, variable, 1)).toThrow(
      "TensorFlow.js holds 'w' in float32: leave out 'parameters' of quantized, or take the step with compile of 'fallline'",
    )
    expect(values(variable).every((value) => value === 1)).toBe(true)
  })
})
