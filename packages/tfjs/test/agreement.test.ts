import * as tf from '@tensorflow/tfjs-core'
import { adamW, adan, cosine, groups, lamb, lion, sgdSaI } from 'fallline'
import { beforeAll, describe, it } from 'vitest'
import { another, everything, meets, metByAll, sample } from '../../core/test/support/sample.ts'
import { make, sensitive, variantsOf, wrappers, wrappersAround } from '../../core/test/support/variants.ts'
import { check, checkOperations, checkPoints, steps } from './support/agreement.ts'
import { backends, looking, usable } from './support/tensorflow.ts'

describe.each(backends)('on the backend %s the model is asked where the core asks it', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend)
  })

  const every = backend === 'wasm' ? looking : looking.filter(([title]) => /^(mezo|uDoG|sharpnessAware), d/.test(title))
  it.each(every)('%s', async (_, optimizer) => {
    await checkPoints(optimizer, backend)
  })
})

describe.each(backends)('on the backend %s the fused kernel and operations agree', (backend) => {
  beforeAll(async () => {
    await tf.setBackend(backend)
  })

  const every = backend === 'wasm' ? usable : usable.slice(0, 3)
  it.each(every.map((factory) => [factory.definition.name, factory] as const))('%s', async (_, factory) => {
    // The kernel is the core's: where its arrays lie does not depend on the rule.
    if (meets('memory of TensorFlow.js', factory.definition.name)) await check(make(factory), backend)
    else await checkOperations(make(factory))
  })

  it('with groups and schedules', async () => {
    const rule = groups(adan({ learningRate: cosine({ from: 0.1, to: 0, steps }) }), [
      { match: 'bias*', hyper: { weightDecay: 0.1 } },
      { match: /kernel/, optimizer: lion({ learningRate: (step) => 0.01 * step }) },
      { match: /scale/, frozen: true },
      { match: ({ rank }) => rank === 2, optimizer: groups(lamb(), [{ match: 'row*', optimizer: adamW() }]) },
    ])
    await check(rule, backend)
  })
})

describe('operations do what the core does', () => {
  beforeAll(async () => {
    await tf.setBackend('wasm')
  })

  // Decay styles and the like are the framework's: one optimizer is enough for them.
  const common = new Set(['decay', 'weightDecay', 'maximize'])
  const met = usable.filter(({ definition }) => meets('options in operations', definition.name))
  const own = met.flatMap((factory) => {
    const variants = variantsOf(factory).slice(1)
    const chosen =
      factory.definition === adamW.definition
        ? variants
        : variants.filter(({ settings }) => !Object.keys(settings).some((key) => common.has(key)))
    // Powers of singular matrices.
    const some = sample(
      factory.definition.name,
      chosen.filter(({ title }) => !/exponent/.test(title)),
      ({ title }) => title,
    )
    return some.map(({ title, settings }) => [factory.definition.name, title, make(factory, settings)] as const)
  })
  it.each(own)('%s, %s', async (_, __, optimizer) => {
    await checkOperations(optimizer)
  })

  const around = usable
    .filter(
      ({ definition: { name, joint } }) =>
        !joint && (everything || metByAll.includes(name)) && !sensitive.includes(name),
    )
    .flatMap((factory) => {
      const { name: own } = factory.definition
      return another('operations', own, wrappersAround(factory)).map((name) => [name, own, factory] as const)
    })
  it.each(around)('%s around %s', async (name, _, factory) => {
    // Divides by the deviation and epsilon; the deviation of one clipped element is a rounding error.
    const settings = factory.definition === sgdSaI.definition ? { epsilon: 1e-3 } : {}
    await checkOperations(wrappers[name]!(make(factory, settings)))
  })
})
