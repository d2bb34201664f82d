import { createTrainer, differentiate, type Tree } from '@fallline/jax'
import { init, jit, nn, numpy as np, vmap } from '@jax-js/jax'
import { compile, groups, kfac, type LayoutChoice, layerStatistics, mkor, type Optimizer, sgd, singd } from 'fallline'
import { beforeAll, describe, expect, it } from 'vitest'
import { DenseNetwork, softmaxCrossEntropy } from '../../race/src/tasks/dense.ts'
import { expectClose, numbers } from './support/numbers.ts'

beforeAll(async () => {
  await init('cpu', 'wasm')
})

const names = Object.keys(layerStatistics)

const array = (values: Float32Array<ArrayBuffer>, shape: readonly number[]) => np.array(values, { shape: [...shape] })

/** What `layerStatistics` says of rows of inputs and of the gradients of an example's own loss. */
function defined(a: readonly number[][], s: readonly number[][]): Record<string, number[]> {
  const mean = (rows: readonly number[][], of: (row: number[]) => number[]) => {
    const all = rows.map(of)
    return all[0]!.map((_, i) => all.reduce((sum, each) => sum + each[i]!, 0) / rows.length)
  }
  const outer = (row: number[]) => row.flatMap((x) => row.map((y) => x * y))
  const squares = (row: number[]) => row.map((x) => x * x)
  return {
    activationMoment: mean(a, outer),
    activationSquares: mean(a, squares),
    activationMean: mean(a, (row) => row),
    outputGradientMoment: mean(s, outer),
    outputGradientSquares: mean(s, squares),
    outputGradientMean: mean(s, (row) => row),
  }
}

/** All statistics of some weights, as a model supplies them. */
async function supplied(
  loss: (params: never, ...batch: never[]) => np.Array,
  parameters: Tree,
  batch: Tree[],
  layers: Readonly<Record<string, readonly [inputs: number, outputs: number]>>,
  layout: LayoutChoice = 'outputLast',
) {
  const model = await differentiate(loss as (params: Tree, ...batch: Tree[]) => np.Array, parameters, { layout })
  const size = (name: string, [inputs, outputs]: readonly [number, number]) => {
    const side = name.startsWith('activation') ? inputs : outputs
    return name.endsWith('Moment') ? side ** 2 : side
  }
  const inputs = Object.fromEntries(
    names.map((name) => [
      name,
      Object.fromEntries(Object.entries(layers).map(([layer, sides]) => [layer, new Float32Array(size(name, sides))])),
    ]),
  )
  const entries = Object.entries(model.parameters)
  const gradients = Object.fromEntries(entries.map(([name, values]) => [name, new Float32Array(values.length)]))
  const on = model.on(...batch)
  const wants = new Set(['gradient', 'loss', ...names])
  const request = { parameters: model.parameters, gradients, inputs, wants, evaluation: 0, evaluations: 1 }
  try {
    const answer = await on.evaluate(request)
    return { loss: (answer as { loss: number }).loss, gradients, inputs }
  } finally {
    on.dispose()
    model.dispose()
  }
}

describe('statistics of a dense layer', () => {
  const [rows, inputs, outputs] = [6, 3, 4]
  const x = numbers(rows * inputs, 1)
  // The loss is the mean over rows of ⟨c, y⟩, so c is the gradient of a row's own loss.
  const c = numbers(rows * outputs, 2)
  const w = numbers(inputs * outputs, 3)
  const cut = (values: Float32Array, length: number) =>
    Array.from({ length: values.length / length }, (_, row) => [...values.subarray(row * length, (row + 1) * length)])
  const expected = defined(cut(x, inputs), cut(c, outputs))
  const X = () => array(x, [rows, inputs])
  const C = () => array(c, [rows, outputs])
  const weighted = (y: np.Array, of: np.Array) => np.sum(y.mul(of)).div(rows)

  type Written = (params: { w: np.Array }, x: np.Array, c: np.Array) => np.Array
  const forms: Readonly<Record<string, Written>> = {
    matmul: ({ w }, x, c) => weighted(np.matmul(x, w), c),
    dot: ({ w }, x, c) => weighted(np.dot(x, w), c),
    tensordot: ({ w }, x, c) => weighted(np.tensordot(x, w, 1), c),
    'matmul of transposed matrices': ({ w }, x, c) => weighted(np.matmul(w.transpose(), x.transpose()).transpose(), c),
    'matmul in a jitted function': ({ w }, x, c) => {
      const layer = jit((x: np.Array, w: np.Array) => np.matmul(x, w))
      return weighted(layer(x, w), c)
    },
    'matmul of one row at a time': ({ w }, x, c) => weighted(vmap((row: np.Array) => np.matmul(row, w.ref))(x), c),
    'matmul of rows in two dimensions': ({ w }, x, c) =>
      weighted(np.matmul(x.reshape([2, 3, inputs]), w).reshape([rows, outputs]), c),
    'a decay of the weights beside': ({ w }, x, c) =>
      weighted(np.matmul(x, w.ref), c).add(np.sum(np.square(w)).mul(0.01)),
  }

  it.each(Object.entries(forms))('are found in %s', async (_, loss) => {
    const found = await supplied(loss, { w: array(w, [inputs, outputs]) }, [X(), C()], { w: [inputs, outputs] })
    for (const name of names) expectClose(found.inputs[name]!.w!, expected[name]!)
  })

  it('are found where weights lie with outputs first', async () => {
    const loss: Written = ({ w }, x, c) => weighted(np.matmul(x, w.transpose()), c)
    const turned = { w: array(w, [outputs, inputs]) }
    const found = await supplied(loss, turned, [X(), C()], { w: [inputs, outputs] }, 'outputFirst')
    for (const name of names) expectClose(found.inputs[name]!.w!, expected[name]!)
  })

  it('are found in a square layer and in layers of one input or output', async () => {
    const one = numbers(rows, 4)
    const column = cut(one, 1)
    const square = await supplied(
      (({ w }, x, c) => weighted(np.matmul(x, w), c)) as Written,
      { w: array(numbers(9, 5), [3, 3]) },
      [X(), array(x, [rows, 3])],
      { w: [3, 3] },
    )
    const ofSquare = defined(cut(x, 3), cut(x, 3))
    const toOne = await supplied(
      (({ w }, x, c) => weighted(np.matmul(x, w), c)) as Written,
      { w: array(numbers(3, 6), [3, 1]) },
      [X(), array(one, [rows, 1])],
      { w: [3, 1] },
    )
    const ofOne = defined(cut(x, 3), column)
    const fromOne = await supplied(
      (({ w }, x, c) => weighted(np.matmul(x, w), c)) as Written,
      { w: array(numbers(4, 7), [1, 4]) },
      [array(one, [rows, 1]), C()],
      { w: [1, 4] },
    )
    const ofFirst = defined(column, cut(c, 4))
    for (const name of names) {
      expectClose(square.inputs[name]!.w!, ofSquare[name]!)
      expectClose(toOne.inputs[name]!.w!, ofOne[name]!)
      expectClose(fromOne.inputs[name]!.w!, ofFirst[name]!)
    }
  })

  it('are found where data are constants of the loss, with the bias as the last weight', async () => {
    const data = X()
    const loss = ({ w }: { w: np.Array }) => {
      const withOne = np.concatenate([data.ref, np.ones([rows, 1])], 1)
      return weighted(np.matmul(withOne, w), C())
    }
    const found = await supplied(loss, { w: array(numbers(16, 8), [4, 4]) }, [], { w: [4, 4] })
    const withOne = cut(x, inputs).map((row) => [...row, 1])
    const wanted = defined(withOne, cut(c, outputs))
    for (const name of names) expectClose(found.inputs[name]!.w!, wanted[name]!)
    expect(data.refCount).toBe(1)
    data.dispose()
  })

  it.each<readonly [string, Written, readonly [number, number] | undefined, RegExp]>([
    [
      'two layers',
      ({ w }, x, c) => weighted(np.matmul(x.ref, w.ref).add(np.matmul(x, w)), c),
      undefined,
      /in 2 places/,
    ],
    [
      'no product',
      ({ w }, x, c) => weighted(np.broadcastTo(np.sum(w, 0), [rows, 4]), c).add(np.sum(x)),
      undefined,
      /no inputs with them/,
    ],
    [
      'weights that were changed before',
      ({ w }, x, c) => weighted(np.matmul(x, np.tanh(w)), c),
      undefined,
      /no inputs with them/,
    ],
    [
      'another layout',
      ({ w }, x, c) => weighted(np.matmul(x, w.transpose()), c),
      [outputs, inputs],
      /does not multiply inputs with them as \[in, out\], their layout/,
    ],
  ])('are refused by name for %s', async (_, loss, shape = [inputs, outputs], message) => {
    const given = { w: array(w, shape) }
    const asked = { w: [shape[0], shape[1]] as const }
    const failing = supplied(loss, given, [X(), C()], asked)
    await expect(failing).rejects.toThrow(message)
    await expect(failing).rejects.toThrow("with the weights 'w', [")
    await expect(failing).rejects.toThrow("another optimizer with groups, or pass the statistics as 'inputs'")
  })
})

describe('a network of dense layers', () => {
  const rows = 7
  const network = new DenseNetwork(
    [
      { name: 'hidden', inputs: 5, outputs: 4, activation: 'tanh' },
      { name: 'output', inputs: 4, outputs: 3, activation: 'linear' },
    ],
    rows,
  )
  const images = numbers(rows * 5, 11)
  const labels = Uint8Array.from({ length: rows }, (_, row) => (row * row) % 3)
  const sides = { 'hidden/kernel': [5, 4], 'output/kernel': [4, 3] } as const
  type Params = Record<'hidden' | 'output', { kernel: np.Array; bias: np.Array }>

  const loss = ({ hidden, output }: Params, x: np.Array, y: np.Array) => {
    const h = np.tanh(np.matmul(x, hidden.kernel).add(hidden.bias))
    const logits = np.matmul(h, output.kernel).add(output.bias)
    return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(y), -1)).neg()
  }

  function start(): Record<string, Float32Array<ArrayBuffer>> {
    const entries = Object.entries(network.parameters)
    return Object.fromEntries(
      entries.map(([name, shape], index) => [
        name,
        numbers(
          shape.reduce((a, b) => a * b),
          20 + index,
        ),
      ]),
    )
  }

  function treeOf(values: Record<string, Float32Array<ArrayBuffer>>): Params {
    const layer = (name: string) => ({
      kernel: array(values[`${name}/kernel`]!, network.parameters[`${name}/kernel`]!),
      bias: array(values[`${name}/bias`]!, network.parameters[`${name}/bias`]!),
    })
    return { hidden: layer('hidden'), output: layer('output') }
  }

  const batch = (): [np.Array, np.Array] => [
    array(images, [rows, 5]),
    array(
      Float32Array.from({ length: rows * 3 }, (_, i) => (labels[Math.floor(i / 3)] === i % 3 ? 1 : 0)),
      [rows, 3],
    ),
  ]

  function gradient(
    parameters: Record<string, Float32Array>,
    gradients: Record<string, Float32Array>,
    statistics: Record<string, Record<string, Float32Array>>,
  ): number {
    const logits = network.forward(parameters, images, rows)
    const value = softmaxCrossEntropy(logits, labels, rows, 3, network.outputSlope(rows))
    network.backward(parameters, gradients, images, rows, statistics)
    return value
  }

  it('has the statistics, gradients and loss that the dense tasks of the race give', async () => {
    const values = start()
    const found = await supplied(loss, treeOf(values), batch(), sides)
    const empty = (arrays: Readonly<Record<string, Float32Array>>) =>
      Object.fromEntries(Object.entries(arrays).map(([name, { length }]) => [name, new Float32Array(length)]))
    const gradients = empty(values)
    const statistics = Object.fromEntries(names.map((name) => [name, empty(found.inputs[name]!)]))
    expect(found.loss).toBeCloseTo(gradient(values, gradients, statistics), 6)
    for (const name of Object.keys(values)) expectClose(found.gradients[name]!, gradients[name]!, 6)
    for (const name of names) {
      for (const layer of Object.keys(sides)) expectClose(found.inputs[name]![layer]!, statistics[name]![layer]!, 5)
    }
  })

  it.each<readonly [string, Optimizer]>([
    ['K-FAC', kfac({ learningRate: 0.1, statisticsPeriod: 2, inversePeriod: 4, damping: 0.1 })],
    ['MKOR around SGD', mkor(sgd({ learningRate: 0.1 }), { renewalPeriod: 2 })],
    [
      'SINGD for one layer',
      groups(sgd({ learningRate: 0.1 }), [{ match: 'hidden/kernel', optimizer: singd({ learningRate: 0.05 }) }]),
    ],
  ])('goes with %s where it goes with statistics of the race', async (_, optimizer) => {
    const compiled = await compile(optimizer, network.parameters, { layout: 'outputLast' })
    for (const [name, values] of Object.entries(start())) compiled.parameters[name]!.set(values)
    const [fused, graph] = [
      await createTrainer(loss, optimizer, treeOf(start()), { path: 'fused' }),
      await createTrainer(loss, optimizer, treeOf(start()), { path: 'graph' }),
    ]
    for (let step = 0; step < 7; step++) {
      await compiled.minimize(({ parameters, gradients, inputs, wants }) => {
        const asked = Object.entries(inputs).filter(([name]) => wants.has(name))
        return gradient(
          parameters as Record<string, Float32Array>,
          gradients as Record<string, Float32Array>,
          Object.fromEntries(asked) as Record<string, Record<string, Float32Array>>,
        )
      })
      for (const trainer of [fused, graph]) (await trainer.step(...batch())).dispose()
    }
    for (const trainer of [fused, graph]) {
      const { hidden, output } = trainer.parameters()
      for (const [name, values] of Object.entries({
        'hidden/kernel': hidden.kernel,
        'hidden/bias': hidden.bias,
        'output/kernel': output.kernel,
        'output/bias': output.bias,
      })) {
        expectClose(values.dataSync(), compiled.parameters[name]!, 4)
      }
      trainer.dispose()
    }
    const moved = Object.entries(start()).map(([name, values]) => Math.abs(compiled.parameters[name]![0]! - values[0]!))
    expect(Math.max(...moved)).toBeGreaterThan(0.01)
    compiled.dispose()
  })
})
