import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import * as tf from '@tensorflow/tfjs-core'
import { beforeEach, describe, expect, expectTypeOf, it } from 'vitest'
import {
  adamW,
  adan,
  cautious,
  clipByGlobalNorm,
  groups,
  lookahead,
  muon,
  prodigy,
  scheduleFreeAdamW,
  sgd,
  type TensorFlowOptimizer,
  toTensorFlow,
} from '../src/index.ts'
import { makeModel, saved } from './support/models.ts'
import { backends, makeGradients, makeVariables } from './support/tensorflow.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const values = (tensor: tf.Tensor) => [...(tensor.dataSync() as Float32Array)]

/** Takes steps with seeded gradients. */
function train(optimizer: TensorFlowOptimizer, variables: ReadonlyMap<string, tf.Variable>, steps: readonly number[]) {
  for (const step of steps) tf.tidy(() => optimizer.applyGradients(makeGradients(variables, step)))
}

const only = (variables: ReadonlyMap<string, tf.Variable>, ...names: string[]) =>
  new Map(names.map((name) => [name, variables.get(name)!]))

describe.each(backends)('on the backend %s', (backend) => {
  beforeEach(async () => {
    await tf.setBackend(backend)
    tf.disposeVariables()
  })

  describe('rebase', () => {
    it.each([true, false])('moves copies of the variable along, fused: %s', async (fused) => {
      const variables = makeVariables({ w: [3], other: [2] })
      const [w, other] = [variables.get('w')!, variables.get('other')!]
      w.assign(tf.tensor1d([1, 2, 3]))
      const rule = lookahead(sgd({ learningRate: 0.5, momentum: 0.9 }), { period: 2, alpha: 0.5 })
      const optimizer = toTensorFlow(rule, { fused })
      const gradient = tf.ones([3])
      const step = () => optimizer.applyGradients({ [w.name]: gradient, [other.name]: tf.ones([2]) })
      step()
      expect(values(w)).toEqual([0.5, 1.5, 2.5])
      const untouched = values(other)
      const given = tf.tensor1d([10, 20, 30])
      const result = await optimizer.rebase({ [w.name]: given })
      expect(result).toEqual({ moved: [`${w.name}/lookahead.slow`], kept: [`${w.name}/lookahead/sgd.b`] })
      expect(values(w)).toEqual([10, 20, 30])
      expect(values(other)).toEqual(untouched)
      given.dispose()
      step()
      // From 10 by -0.5 (0.9 + 1) to 9.05, halfway back to where lookahead began, which moved along: 10.5.
      values(w).forEach((value, index) => {
        expect(value).toBeCloseTo([9.775, 19.775, 29.775][index]!, 5)
      })
    })

    it('gives values before there is any state, and refuses what does not fit', async () => {
      const w = [...makeVariables({ w: [2] }).values()][0]!
      const optimizer = prodigy()
      expect(await optimizer.rebase({ [w.name]: tf.tensor1d([3, 4]) })).toEqual({ moved: [], kept: [] })
      expect(values(w)).toEqual([3, 4])
      await expect(optimizer.rebase({ nobody: tf.ones([2]) })).rejects.toThrow("there is no variable 'nobody'")
      await expect(optimizer.rebase({ [w.name]: tf.ones([3]) })).rejects.toThrow('its new value has shape [3]')
      optimizer.applyGradients({ [w.name]: tf.ones([2]) })
      const reading = optimizer.rebase({ [w.name]: tf.tensor1d([1, 1]) })
      expect(() => optimizer.applyGradients({ [w.name]: tf.ones([2]) })).toThrow('rebase is reading the state')
      await reading
    })
  })

  describe('the weights of another optimizer', () => {
    it('are taken where only wrappers without state differ', async () => {
      const variables = makeVariables({ w: [4, 3] })
      const plain = adan({ learningRate: 0.01 })
      train(plain, variables, [1, 2])
      const wrapped = clipByGlobalNorm(cautious(adan({ learningRate: 0.01 })), { maximumNorm: 1e9 })
      await wrapped.setWeights(await plain.getWeights())
      const back = adan({ learningRate: 0.01 })
      await back.setWeights(await wrapped.getWeights())
      const start = tf.clone(variables.get('w')! as tf.Tensor)
      train(plain, variables, [3])
      const expected = values(variables.get('w')!)
      variables.get('w')!.assign(start)
      train(back, variables, [3])
      expect(values(variables.get('w')!)).toEqual(expected)
      expect(back.iterations).toBe(3)
    })

    it.each([0, 1])('are taken as far as they fit when that is asked for, after %d steps', async (before) => {
      const variables = makeVariables({ kernel: [4, 3], bias: [3], head: [3, 2] })
      const [kernel, bias, head] = [...variables.values()] as [tf.Variable, tf.Variable, tf.Variable]
      const one = adamW({ learningRate: 0.01 })
      train(one, only(variables, 'kernel', 'bias'), [1, 2, 3])
      const weights = await one.getWeights()
      // The kernel goes to another optimizer, the bias goes on, the head is new.
      const make = () => groups(adamW({ learningRate: 0.01 }), [{ match: /kernel/, optimizer: muon() }])
      const strict = make()
      await strict.setWeights(weights)
      expect(() => train(strict, variables, [4])).toThrow(/the state is of the optimizer/)
      const two = make()
      train(
        two,
        variables,
        Array.from({ length: before }, (_, step) => step),
      )
      await two.setWeights(weights, { take: 'fitting' })
      expect(two.iterations).toBe(3)
      const start = [kernel, bias, head].map((variable) => tf.clone(variable as tf.Tensor))
      train(two, variables, [4])
      expect(two.untaken).toEqual([kernel.name])
      const found = [kernel, bias, head].map(values)
      const restore = () => {
        for (const [index, variable] of [kernel, bias, head].entries()) variable.assign(start[index]!)
      }
      // The bias goes on where it was.
      restore()
      train(one, variables, [4])
      expect(found[1]).toEqual(values(bias))
      // The others begin anew.
      restore()
      const fresh = make()
      train(fresh, variables, [4])
      expect(found[0]).toEqual(values(kernel))
      expect(found[2]).toEqual(values(head))
      expect(two.iterations).toBe(4)
      const again = make()
      await again.setWeights(await two.getWeights())
      train(again, variables, [5])
      expect(again.untaken).toEqual([])
    })

    it('say what may be asked', async () => {
      const optimizer = adan()
      const weights = await optimizer.getWeights()
      await expect(optimizer.setWeights(weights, { take: 'parameters' as never })).rejects.toThrow(
        'setWeights: take must be everything or fitting, not parameters',
      )
      await expect(optimizer.setWeights(weights, { partial: true } as never)).rejects.toThrow(
        "unknown option 'partial'",
      )
    })
  })
})

it('finish leaves what to evaluate with in the variables', async () => {
  await tf.setBackend('cpu')
  const variables = makeVariables({ w: [5] })
  const w = variables.get('w')!
  const optimizer = scheduleFreeAdamW({ learningRate: 0.1 })
  train(optimizer, variables, [1, 2, 3])
  const evaluated = await optimizer.withEvaluationParameters(() => values(w))
  expect(evaluated).not.toEqual(values(w))
  optimizer.finish()
  expect(values(w)).toEqual(evaluated)
  expect(() => train(optimizer, variables, [4])).toThrow('has been disposed')
})

describe('names in the types', () => {
  it('of hyperparameters', () => {
    const optimizer = clipByGlobalNorm(adan())
    expectTypeOf(optimizer).toEqualTypeOf<
      TensorFlowOptimizer<
        'maximumNorm' | 'learningRate' | 'beta1' | 'beta2' | 'beta3' | 'epsilon' | 'weightDecay' | 'maximumGradientNorm'
      >
    >()
    optimizer.set({ maximumNorm: 2, beta3: 0.9 })
    // @ts-expect-error the name is misspelt
    expect(() => optimizer.set({ maximumNrom: 2 })).toThrow(/did you mean 'maximumNorm'/)
    // @ts-expect-error Adan has no momentum
    expect(optimizer.hyper.momentum).toBeUndefined()
    expect(optimizer.hyper.beta3).toBe(0.9)
    // @ts-expect-error the names of what is wrapped are known too
    expect(() => toTensorFlow(optimizer).set({ lr: 1 })).toThrow(/unknown hyperparameter 'lr'/)
  })

  it('of groups', async () => {
    const grouped = groups(adan(), [{ name: 'biases', match: /bias/, hyper: { weightDecay: 0 } }])
    grouped.set({ weightDecay: 0.1 }, { group: 'biases' })
    // @ts-expect-error the name is misspelt
    const wrong = groups(adan(), [{ match: /bias/, hyper: { weightDecai: 0 } }])
    await tf.setBackend('cpu')
    const variables = makeVariables({ bias: [3] })
    expect(() => train(wrong, variables, [1])).toThrow(/unknown hyperparameter 'weightDecai'/)
  })
})

describe('a model whose optimizer the program does not know', () => {
  it('is loaded as the README says', async () => {
    await tf.setBackend('cpu')
    const model = makeModel()
    model.compile({ optimizer: clipByGlobalNorm(adan()), loss: 'categoricalCrossentropy' })
    const { weightData, ...artifacts } = await saved(model)
    const topology = JSON.stringify(artifacts)
    const bytes = JSON.stringify([...new Uint8Array(weightData as ArrayBuffer)])
    const folder = await mkdtemp(join(root, 'node_modules', '.resuming-'))
    try {
      const program = `import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import '@tensorflow/tfjs-backend-cpu'
await tf.setBackend('cpu')
const weightData = Uint8Array.from(${bytes}).buffer
const load = () => layers
  .loadLayersModel(tf.io.fromMemory({ ...${topology}, weightData }))
  .then((model) => model.optimizer.constructor.className, (error) => error.message.split('\\n')[0])
const found = [await load()]
const { adan, clipByGlobalNorm, registerOptimizers } = await import('@fallline/tfjs')
found.push(await load())
registerOptimizers(adan, clipByGlobalNorm)
found.push(await load())
console.log(JSON.stringify(found))
process.exit(0)
`
      const file = join(folder, 'load.mts')
      await writeFile(file, program)
      const node = ['--import', 'tsx', '--conditions=@fallline/source', file]
      const { stdout } = await promisify(execFile)(process.execPath, node, { cwd: root })
      const [without, imported, registered] = JSON.parse(stdout) as string[]
      const readme = await readFile(join(root, 'packages/tfjs/README.md'), 'utf8')
      const unknown = 'Unknown layer: Fallline'
      expect(readme).toContain(unknown)
      expect(without).toContain(unknown)
      const unused = "the saved optimizer uses 'adan', which this program has not used yet"
      expect(readme).toContain(unused)
      expect(imported).toBe(
        `${unused}; before loading: import { adan, registerOptimizers } from '@fallline/tfjs' and call registerOptimizers(adan)`,
      )
      expect(registered).toBe('Fallline')
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
