import { adam, adamW, type CompiledOptimizer, clipByGlobalNorm, compile, groups, sgd, warmupCosine } from 'fallline'
import { describe, expect, it } from 'vitest'

const make = (settings: object) => adamW(settings as never)

describe('an unknown name', () => {
  it.each([
    ['lr', "'learningRate'"],
    ['learning_rate', "'learningRate'"],
    ['learnigRate', "'learningRate'"],
    ['wd', "'weightDecay'"],
    ['weight_decay', "'weightDecay'"],
    ['eps', "'epsilon'"],
    ['betas', "'beta1' and 'beta2'"],
    ['momentum', "'beta1'"],
    ['maximise', "'maximize'"],
  ])('%s is answered with %s, and with each valid name once', (name, meant) => {
    const error = (() => {
      try {
        make({ [name]: 1 })
      } catch (error) {
        return (error as Error).message
      }
      return ''
    })()
    expect(error).toMatch(
      new RegExp(`^AdamW: unknown setting '${name}'; valid names are .*; did you mean ${meant}\\?$`),
    )
    expect(error.match(/learningRate/g)!.length).toBeLessThanOrEqual(2)
  })

  it('that is like none is answered with the list alone', () => {
    expect(() => make({ zzz: 1 })).toThrow(/valid names are [^;]*$/)
  })

  it('is answered in set, groups, step, state and compile alike', async () => {
    const rule = clipByGlobalNorm(groups(adam(), [{ name: 'g', match: 'bias', hyper: {} }]))
    const optimizer: CompiledOptimizer = await compile(rule, { weights: [1], bias: [1] })
    expect(() => optimizer.set({ lr: 1 })).toThrow(/did you mean 'learningRate'\?$/)
    expect(() => optimizer.set({ lr: 1 })).not.toThrow(/beta1.*beta1/)
    expect(() => optimizer.step({ gradients: { wieghts: [1] } })).toThrow(
      /there are weights, bias; did you mean 'weights'\?/,
    )
    expect(() => optimizer.state('bais')).toThrow(/did you mean 'bias'\?/)
    // @ts-expect-error misspelled
    const misspelled = groups(adam(), [{ match: 'bias', hyper: { weightDecai: 0 } }])
    await expect(compile(misspelled, { bias: [1] })).rejects.toThrow(/did you mean 'weightDecay'\?/)
    await expect(compile(adam(), { a: [1] }, { telemetri: true } as never)).rejects.toThrow(
      /did you mean 'telemetry'\?/,
    )
  })

  it('of a list that is a text is not taken for its letters', async () => {
    const optimizer = await compile(sgd(), { b: [1], bias: [1] })
    const message = "without must be a list of names such as ['bias'], not the text 'bias'"
    expect(() => optimizer.step({ without: 'bias' as never })).toThrow(`step: ${message}`)
    await expect(optimizer.minimize(() => ({ without: 'bias' }))).rejects.toThrow(`minimize: ${message}`)
  })

  it('of a schedule too', () => {
    expect(() => warmupCosine({ peak: 1, warmup: 1, total: 5 } as never)).toThrow(
      /unknown argument "total"; it takes.*steps/,
    )
  })
})

it('a wrapper without an optimizer says what it wants', () => {
  const wrap = clipByGlobalNorm as unknown as (...given: unknown[]) => unknown
  const message = 'Clipping by global norm: the first argument must be an optimizer such as adamW(), not'
  expect(() => wrap(1)).toThrow(`${message} 1`)
  expect(() => wrap()).toThrow(`${message} undefined`)
  expect(() => wrap({ maximumNorm: 1 })).toThrow(`${message} an object with maximumNorm`)
  expect(() => wrap(adamW)).toThrow(`${message} the function adamW; call it: adamW()`)
})

describe('an optimizer', () => {
  it('says to TensorFlow.js, which asks for its method, where its own are, and to nobody who prints it', () => {
    for (const optimizer of [adamW(), clipByGlobalNorm(adamW())]) {
      expect(() => (optimizer as unknown as { minimize: unknown }).minimize).toThrow("'@fallline/tfjs'")
      expect(Object.getOwnPropertyNames(optimizer)).not.toContain('minimize')
    }
  })
})
