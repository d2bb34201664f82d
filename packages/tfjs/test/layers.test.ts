import * as tf from '@tensorflow/tfjs-core'
import type { LayersModel } from '@tensorflow/tfjs-layers'
import { adamW as coreAdamW, clipByGlobalNorm as coreClip, groups as coreGroups, registry, switchAfter } from 'fallline'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  adamW,
  adan,
  cautious,
  clipByGlobalNorm,
  cosine,
  grokfast,
  groups,
  join,
  linear,
  lookahead,
  mezo,
  muon,
  prodigy,
  registerOptimizers,
  relativeRate,
  scheduleFreeAdamW,
  sharpnessAware,
  type TensorFlowOptimizer,
  telemetryCallback,
  toTensorFlow,
  warmup,
} from '../src/index.ts'
import { fit, makeData, makeModel, saveAndLoad, saved } from './support/models.ts'
import { backends } from './support/tensorflow.ts'

const loss = 'categoricalCrossentropy'
const optimizerOf = (model: LayersModel) => model.optimizer as unknown as TensorFlowOptimizer

describe.each(backends)('a Layers model on the backend %s', (backend) => {
  beforeEach(async () => {
    await tf.setBackend(backend)
  })

  it('trains alike with the fused kernel and with operations', async () => {
    const losses: number[][] = []
    for (const fused of [true, false]) {
      const model = makeModel()
      const optimizer = adan({ learningRate: 0.02 }, { fused })
      model.compile({ optimizer, loss })
      losses.push(await fit(model, 8))
      expect(optimizer.execution).toBe(fused ? backend : 'operations')
      expect(optimizer.iterations).toBe(24)
      optimizer.dispose()
      model.dispose()
    }
    losses[0]!.forEach((value, epoch) => {
      expect(value).toBeCloseTo(losses[1]![epoch]!, 5)
    })
    expect(losses[0]!.at(-1)).toBeLessThan(0.9 * losses[0]![0]!)
  })

  it('keeps no tensor over 1,000 steps, and dispose frees everything', async () => {
    const before = tf.memory()
    for (const fused of [true, false]) {
      const model = makeModel()
      const optimizer = clipByGlobalNorm(cautious(prodigy({}, { fused })))
      model.compile({ optimizer, loss })
      await fit(model, 1)
      const { numTensors, numBytes } = tf.memory()
      await fit(model, fused ? 333 : 30)
      expect(optimizer.iterations).toBe(fused ? 1002 : 93)
      // What earlier tests have lost may be freed meanwhile.
      expect(tf.memory().numTensors).toBeLessThanOrEqual(numTensors)
      expect(tf.memory().numBytes).toBeLessThanOrEqual(numBytes)
      optimizer.dispose()
      model.dispose()
    }
    expect(tf.memory().numTensors).toBeLessThanOrEqual(before.numTensors)
    expect(tf.memory().numBytes).toBeLessThanOrEqual(before.numBytes)
  })

  it('trains with optimizers that evaluate the model several times in a step, with metrics', async () => {
    const makers: Record<string, (fused: boolean) => TensorFlowOptimizer> = {
      sharpnessAware: (fused) => sharpnessAware(adamW({ learningRate: 0.02 }, { fused }), { rho: 0.1 }),
      mezo: (fused) => mezo({ learningRate: 0.03 }, { fused }),
    }
    const metrics = ['accuracy']
    for (const [name, make] of Object.entries(makers)) {
      const losses: number[][] = []
      for (const fused of [true, false]) {
        const model = makeModel()
        const optimizer = make(fused)
        model.compile({ optimizer, loss, metrics })
        losses.push(await fit(model, 1))
        const { numTensors } = tf.memory()
        losses.at(-1)!.push(...(await fit(model, 11)))
        expect(tf.memory().numTensors).toBeLessThanOrEqual(numTensors)
        expect(optimizer.iterations).toBe(36)
        optimizer.dispose()
        model.dispose()
      }
      for (const [first, ...others] of losses) expect(others.at(-1)).toBeLessThan(0.95 * first!)
      // Random directions follow the names of variables, which differ from model to model.
      if (name === 'mezo') continue
      losses[0]!.forEach((value, epoch) => {
        expect(value).toBeCloseTo(losses[1]![epoch]!, 4)
      })
    }
  })

  const rules: Record<string, () => TensorFlowOptimizer> = {
    adan: () => adan({ learningRate: warmup({ steps: 4 }, cosine({ from: 0.02, to: 0.001, steps: 40 })) }),
    'prodigy, whose tensors share numbers': () => prodigy(),
    'groups, fallbacks and wrappers': () =>
      clipByGlobalNorm(
        groups(muon({ learningRate: 0.02, fallback: adamW({ learningRate: relativeRate(0.5) }) }), [
          { name: 'all_biases', match: /bias/, optimizer: lookahead(adan({ learningRate: 0.01 }), { period: 4 }) },
        ]),
        { maximumNorm: join([{ schedule: linear({ from: 1, to: 0.5, steps: 5 }), steps: 5 }, 0.5]) },
      ),
    'schedule-free': () => scheduleFreeAdamW({ learningRate: 0.05 }),
    'options of wrappers': () =>
      sharpnessAware(grokfast(adan({ learningRate: 0.02 }), { average: 'moving', window: 3 }), { adaptive: true }),
    'random numbers': () => mezo({ learningRate: 0.03 }),
    'a switch': () => toTensorFlow(switchAfter(adamW({ learningRate: 0.02 }).rule, adan().rule, { steps: 11 })),
  }
  it.each(Object.entries(rules))('continues exactly when it is saved and loaded with %s', async (_, make) => {
    const model = makeModel()
    model.compile({ optimizer: make(), loss })
    await fit(model, 3)
    const loaded = await saveAndLoad(model)
    expect(optimizerOf(loaded)).not.toBe(optimizerOf(model))
    const names = (of: LayersModel) => of.trainableWeights.map((weight) => weight.name)
    expect(names(loaded)).not.toEqual(names(model))
    expect(optimizerOf(loaded).iterations).toBe(9)
    expect(optimizerOf(loaded).hyper).toEqual(expect.objectContaining({ learningRate: expect.any(Number) as number }))
    const onwards = await fit(model, 3)
    expect(await fit(loaded, 3)).toEqual(onwards)
    // Once more, from a model that was loaded and not trained.
    const again = await saveAndLoad(await saveAndLoad(loaded))
    expect(await fit(again, 3)).toEqual(await fit(model, 3))
    expect(optimizerOf(again).hyper).toEqual(optimizerOf(model).hyper)
  })

  it('saves often without keeping tensors', async () => {
    const model = makeModel()
    model.compile({ optimizer: adan(), loss })
    await fit(model, 1)
    const { numTensors } = tf.memory()
    for (let time = 0; time < 5; time++) await saved(model)
    await fit(model, 1)
    expect(tf.memory().numTensors).toBeLessThanOrEqual(numTensors)
    await saved(model)
    optimizerOf(model).dispose()
    expect(tf.memory().numTensors).toBeLessThanOrEqual(numTensors)
  })

  it('changes hyperparameters while it trains', async () => {
    const model = makeModel()
    const optimizer = adan({ learningRate: 0 })
    model.compile({ optimizer, loss })
    const weight = () => [...(model.trainableWeights[0]!.read().dataSync() as Float32Array)]
    const before = weight()
    await fit(model, 1)
    expect(weight()).toEqual(before)
    optimizer.learningRate = 0.01
    expect(optimizer.hyper.learningRate).toBe(0.01)
    await fit(model, 1)
    expect(weight()).not.toEqual(before)
    const rates: number[] = []
    optimizer.set({ learningRate: linear({ from: 0.1, to: 0, steps: 9 }), beta1: 0.5 })
    await fit(model, 1, { onBatchEnd: async () => void rates.push(optimizer.learningRate) })
    expect(rates.map((rate) => Number(rate.toFixed(4)))).toEqual([0.0222, 0.0111, 0])
    expect(optimizer.hyper.beta1).toBe(0.5)
  })

  it('logs telemetry in a callback and in the history', async () => {
    const model = makeModel()
    const optimizer = adamW({ learningRate: 0.01, weightDecay: 0 }, { telemetry: true })
    model.compile({ optimizer, loss })
    const { x, y } = makeData()
    const steps: number[] = []
    const before = tf.memory().numTensors
    const history = await model.fit(x, y, {
      epochs: 2,
      batchSize: 16,
      verbose: 0,
      callbacks: telemetryCallback(optimizer, ({ step, variables, updateNorm }) => {
        steps.push(step)
        expect(Object.keys(variables)).toHaveLength(4)
        const total = Math.hypot(...Object.values(variables).map((variable) => variable.updateNorm))
        expect(updateNorm).toBeCloseTo(total, 10)
      }),
    })
    expect(steps).toEqual([1, 2, 3, 4, 5, 6])
    expect(history.history.learningRate).toEqual([0.01, 0.01])
    const [first] = history.history.updateNorm as number[]
    // Every element of Adam's first updates is about the learning rate.
    expect(first).toBeGreaterThan(0)
    expect(first).toBeLessThan(0.01 * Math.sqrt(110) * 1.5)
    expect(tf.memory().numTensors).toBeLessThan(before + 20)
    expect(() => telemetryCallback(adan())).toThrow('telemetry: true')
    tf.dispose([x, y])
  })

  it('evaluates with the averaged parameters and goes on with the trained ones', async () => {
    const model = makeModel()
    const optimizer = scheduleFreeAdamW({ learningRate: 0.1 })
    model.compile({ optimizer, loss })
    await fit(model, 10)
    const { x, y } = makeData()
    const evaluate = () => (model.evaluate(x, y) as tf.Scalar).dataSync()[0]!
    const trained = evaluate()
    const { numTensors } = tf.memory()
    const averaged = await optimizer.withEvaluationParameters(evaluate)
    expect(averaged).not.toBe(trained)
    expect(evaluate()).toBe(trained)
    await expect(optimizer.withEvaluationParameters(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    expect(evaluate()).toBe(trained)
    expect(tf.memory().numTensors).toBeLessThanOrEqual(numTensors + 6)
    tf.dispose([x, y])
  })
})

describe('saving', () => {
  it('keeps every optimizer of the registry with its hyperparameters', async () => {
    await tf.setBackend('cpu')
    registerOptimizers(...registry)
    for (const factory of registry) {
      const optimizer = toTensorFlow(factory())
      const revived = (optimizer.constructor as typeof TensorFlowOptimizer).fromConfig(optimizer.constructor as never, {
        ...optimizer.getConfig(),
        customObjects: {},
      }) as TensorFlowOptimizer
      expect(revived.getConfig()).toEqual(optimizer.getConfig())
      expect(revived.rule).toEqual(optimizer.rule)
    }
  })

  it('refuses what no file can hold, and says what would be right', () => {
    expect(() => adan({ learningRate: (step) => 1 / step }).getConfig()).toThrow(
      /Adan: learningRate is a schedule of your own/,
    )
    const byFunction = groups(adan(), [{ match: () => true, frozen: true }])
    expect(() => byFunction.getConfig()).toThrow(/group 1: match is a function/)
    expect(() =>
      (adan().constructor as never as { fromConfig: (...all: unknown[]) => void }).fromConfig(undefined, {
        name: JSON.stringify({ rule: JSON.stringify({ optimizer: 'mystery', hyper: {}, options: {} }), options: {} }),
      }),
    ).toThrow(/registerOptimizers\(mystery\)/)
  })
})

it('an optimizer of fallline itself, given to a model, says where the right one is', async () => {
  await tf.setBackend('cpu')
  const model = makeModel()
  for (const given of [coreAdamW(), coreClip(coreAdamW()), coreGroups(coreAdamW(), [{ match: 'a', frozen: true }])]) {
    expect(() => model.compile({ optimizer: given as never, loss })).toThrow(
      /takes those of '@fallline\/tfjs'.*toTensorFlow\(optimizer\)/,
    )
    expect(JSON.stringify({ ...given })).not.toContain('minimize')
  }
  model.compile({ optimizer: toTensorFlow(coreAdamW()), loss })
  model.dispose()
})
