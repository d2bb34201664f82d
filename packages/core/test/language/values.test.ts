import { type Backend, compile, reference, scalar, shaped, sharedScalar, wasm, where, zeros } from 'fallline'
import { describe, expect, it } from 'vitest'
import { optimizerOf } from '../support/rules.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]

type Rule = Parameters<typeof optimizerOf>[0]

describe.each(backends)('values on %s', (_, backend) => {
  /** What a rule moves zeros to in one step, with the gradients 1, 2, 3, ... for every tensor. */
  async function moved(shapes: Readonly<Record<string, readonly number[]>>, rule: Rule) {
    const compiled = await compile(optimizerOf(rule), shapes, { backend: backend() })
    for (const values of Object.values(compiled.gradients)) values.set(values.map((_, i) => i + 1))
    compiled.step()
    return Object.fromEntries(compiled.names.map((name) => [name, [...compiled.parameters[name]!].map((x) => 0 - x)]))
  }

  it('count rows and columns from 0, in each matrix of a batch', async () => {
    const rows: Rule = ({ g }) => ({ direction: g.rowIndex().plus(g.times(0)) })
    const columns: Rule = ({ g }) => ({ direction: g.columnIndex().plus(g.times(0)) })
    const shapes = { matrix: [3, 2], batch: [2, 2, 3], vector: [4], number: [] }
    expect(await moved(shapes, rows)).toEqual({
      matrix: [0, 0, 1, 1, 2, 2],
      batch: [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1],
      vector: [0, 0, 0, 0],
      number: [0],
    })
    expect(await moved(shapes, columns)).toEqual({
      matrix: [0, 1, 0, 1, 0, 1],
      batch: [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2],
      vector: [0, 1, 2, 3],
      number: [0],
    })
  })

  it('say with indices where they are, also beyond one chunk of work', async () => {
    const size = [300, 257]
    const diagonal: Rule = ({ g }) => ({
      direction: where(g.rowIndex().equals(g.columnIndex()), 1, 0).plus(g.times(0)),
    })
    const { x } = await moved({ x: size }, diagonal)
    expect(x!.every((value, at) => value === (Math.floor(at / 257) === at % 257 ? 1 : 0))).toBe(true)
  })

  it('index the dimensions of another view', async () => {
    const rule: Rule = ({ g }) => ({
      direction: g
        .as([1, 2, 6])
        .rowIndex()
        .plus(g.as([1, 2, 6]).times(0))
        .as(g),
    })
    expect(await moved({ x: [3, 4] }, rule)).toEqual({ x: [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1] })
  })

  it('average over the tensor, a row, a column or all tensors', async () => {
    const shapes = { a: [2, 3], b: [2], c: [0] }
    const mean =
      (axis: 'tensor' | 'rows' | 'columns' | 'all'): Rule =>
      ({ g }) => ({ direction: g.mean(axis).plus(g.times(0)) })
    expect(await moved(shapes, mean('tensor'))).toEqual({ a: new Array(6).fill(3.5), b: [1.5, 1.5], c: [] })
    expect(await moved(shapes, mean('columns'))).toEqual({ a: [2, 2, 2, 5, 5, 5], b: [1.5, 1.5], c: [] })
    expect(await moved(shapes, mean('rows'))).toEqual({ a: [2.5, 3.5, 4.5, 2.5, 3.5, 4.5], b: [1, 2], c: [] })
    // Of all elements, not of the means of tensors: (21 + 3) / 8.
    expect(await moved(shapes, mean('all'))).toEqual({ a: new Array(6).fill(3), b: [3, 3], c: [] })
  })

  it('count what a sum adds', async () => {
    const shapes = { a: [2, 3], b: [2], c: [0] }
    const count =
      (axis: 'tensor' | 'rows' | 'columns' | 'all'): Rule =>
      ({ g }) => ({ direction: g.times(0).plus(g.count(axis)) })
    expect(await moved(shapes, count('tensor'))).toEqual({ a: new Array(6).fill(6), b: [2, 2], c: [] })
    expect(await moved(shapes, count('columns'))).toEqual({ a: new Array(6).fill(3), b: [2, 2], c: [] })
    expect(await moved(shapes, count('rows'))).toEqual({ a: new Array(6).fill(2), b: [1, 1], c: [] })
    expect(await moved(shapes, count('all'))).toEqual({ a: new Array(6).fill(8), b: [8, 8], c: [] })
  })

  it('count only the tensors that take part in a step', async () => {
    const rule: Rule = ({ g }) => ({ direction: g.times(0).plus(g.count('all')).plus(g.mean('all').times(100)) })
    const compiled = await compile(optimizerOf(rule), { a: [2, 3], b: [2] }, { backend: backend() })
    compiled.step({ gradients: { b: [1, 5] } })
    expect([...compiled.parameters.a!]).toEqual([0, 0, 0, 0, 0, 0])
    expect([...compiled.parameters.b!]).toEqual([-302, -302])
  })
})

describe.each(backends)('firstSteps() on %s', (_, backend) => {
  /** Adds 1 to `a` in the first `k` steps and 10 in later ones. */
  const counting = optimizerOf(({ g, state, hyper, firstSteps }) => {
    const a = firstSteps(hyper.k, () => state.a!.plus(1), state.a!.plus(10))
    return { direction: g.times(0), state: { a } }
  })
  const read = (compiled: Awaited<ReturnType<typeof compile>>, name: string) =>
    (compiled.state(name).a as Float32Array)[0]

  it('tells the first steps from the later ones', async () => {
    const compiled = await compile(counting, { w: [2] }, { backend: backend() })
    const found = Array.from({ length: 5 }, () => {
      compiled.step({ gradients: { w: [1, 1] } })
      return read(compiled, 'w')
    })
    expect(found).toEqual([1, 2, 3, 13, 23])
  })

  it('counts the updates of each tensor', async () => {
    const compiled = await compile(counting, { a: [2], b: [2] }, { backend: backend() })
    for (let step = 1; step <= 4; step++) compiled.step({ without: step <= 2 ? ['b'] : [] })
    expect([read(compiled, 'a'), read(compiled, 'b')]).toEqual([13, 2])
  })

  it('follows its count when that is set, and goes on from a checkpoint', async () => {
    const compiled = await compile(counting, { w: [2] }, { backend: backend() })
    compiled.set({ k: 1 })
    for (let step = 0; step < 2; step++) compiled.step()
    expect(read(compiled, 'w')).toBe(11)
    const other = await compile(counting, { w: [2] }, { backend: backend() })
    other.load(compiled.save())
    other.step()
    // The third of the first three steps.
    expect(read(other, 'w')).toBe(12)
  })

  it('wants a whole number or a hyperparameter', async () => {
    const first = (count: (context: Parameters<Rule>[0]) => Parameters<Parameters<Rule>[0]['firstSteps']>[0]) =>
      compile(
        optimizerOf((context) => ({ direction: context.firstSteps(count(context), () => context.g, context.p) })),
        { w: [2] },
      )
    await expect(first(() => 0)).rejects.toThrow(
      'Made: the count of firstSteps() must be a whole number from 1 up, not 0',
    )
    await expect(first(() => 1.5)).rejects.toThrow('must be a whole number from 1 up, not 1.5')
    await expect(first(({ t }) => t)).rejects.toThrow('the count of firstSteps() must be a number or a hyperparameter')
  })
})

describe.each(backends)('slots of their own dimensions on %s', (_, backend) => {
  /** Keeps the last gradients of a tensor in a slot with one row for each. */
  const history = optimizerOf(
    ({ g, state, t, shape }) => {
      const flat = g.as([1, 1, shape.size])
      const kept = state.past!
      const turn = t.minus(t.over(3).floor().times(3))
      const past = where(kept.rowIndex().equals(turn), flat, kept)
      return { direction: past.sum('rows').as(g), state: { past } }
    },
    { past: shaped(({ size }) => [1, 3, size]) },
  )

  it('hold what the rule stores there, by tensor', async () => {
    const compiled = await compile(history, { a: [2, 2], b: [3] }, { backend: backend() })
    for (let step = 1; step <= 4; step++) {
      compiled.step({ gradients: { a: [1, 2, 3, 4].map((x) => x * step), b: [step, step, step] } })
    }
    // Row t mod 3 holds the gradient of step t: the rows are steps 3, 4 and 2.
    expect([...(compiled.state('a').past as Float32Array)]).toEqual([3, 6, 9, 12, 4, 8, 12, 16, 2, 4, 6, 8])
    expect([...(compiled.state('b').past as Float32Array)]).toEqual([3, 3, 3, 4, 4, 4, 2, 2, 2])
    expect([...compiled.parameters.b!]).toEqual([-(1 + 3 + 6 + 9), -19, -19])
    const other = await compile(history, { a: [2, 2], b: [3] }, { backend: backend() })
    other.load(compiled.save())
    expect([...(other.state('a').past as Float32Array)]).toEqual([...(compiled.state('a').past as Float32Array)])
  })

  it('must be stored with these dimensions', async () => {
    const wrong = optimizerOf(({ g }) => ({ direction: g, state: { past: g } }), { past: shaped(() => [1, 2, 5]) })
    await expect(compile(wrong, { a: [4] }, { backend: backend() })).rejects.toThrow(
      "Made: as: [1, 1, 4] has 4 elements and cannot be seen as [1, 2, 5], which has 10 (parameter 'a', shape [4])",
    )
  })

  it('lie beside numbers for a tensor and for all', async () => {
    const rule: Rule = ({ g, state }) => ({
      direction: g.times(0),
      state: { own: state.own!.plus(g.sum()), all: state.all!.plus(g.sum('all')), a: state.a! },
    })
    const optimizer = optimizerOf(rule, { own: scalar(1), all: sharedScalar(100), a: zeros() })
    const compiled = await compile(optimizer, { a: [2], b: [1] }, { backend: backend() })
    for (let step = 0; step < 2; step++) compiled.step({ gradients: { a: [1, 2], b: [10] } })
    expect([compiled.state('a').own, compiled.state('b').own]).toEqual([7, 21])
    expect([compiled.state('a').all, compiled.state('b').all]).toEqual([126, 126])
  })
})
