import {
  type Backend,
  type CompiledOptimizer,
  columns,
  compile,
  copyOfParameter,
  defineOptimizer,
  defineTransform,
  type Optimizer,
  positive,
  reference,
  rows,
  type Slot,
  scalar,
  sgd,
  sharedScalar,
  Value,
  wasm,
  where,
  zeros,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { WholeGraph } from '../../src/graph/whole-graph.ts'
import { optimizerOf } from '../support/rules.ts'

const backends: readonly (readonly [string, () => Backend])[] = [
  ['reference', reference],
  ['wasm', wasm],
]

/** Compiling such a rule for a matrix fails with this message. */
async function expectError(rule: Parameters<typeof optimizerOf>[0], message: RegExp, state?: Record<string, Slot>) {
  await expect(compile(optimizerOf(rule, state), { 'block/w': [4, 6] })).rejects.toThrow(message)
}

describe('the shape and the place of a value', () => {
  const graph = new WholeGraph()
  let names = 0
  const value = (node: ReturnType<WholeGraph['constant']>) => new Value(graph, node, () => `sum ${names++}`)
  const p = value(graph.parameter([2, 3, 4]))
  const h = value(graph.hyper('o.h', '', false))
  const t = value(graph.count('', true))
  const facts = ({ node }: Value) => [node.space, ...node.dimensions]

  it.each<[string, Value, string, readonly number[]]>([
    ['a hyperparameter', h, 'host', [1, 1, 1]],
    ['a step count and numbers', t.plus(1).power(h).log().exp().sqrt(), 'host', [1, 1, 1]],
    ['the parameter', p, 'array', [2, 3, 4]],
    ['the parameter with a hyperparameter', p.times(h).plus(t), 'array', [2, 3, 4]],
    ['a sum over the columns', p.sum('columns'), 'array', [2, 3, 1]],
    ['a mean over the rows', p.mean('rows'), 'array', [2, 1, 4]],
    ['the mean of means', p.mean('rows').mean('columns'), 'array', [2, 1, 1]],
    ['rows and columns together', p.sum('columns').times(p.sum('rows')), 'array', [2, 3, 4]],
    ['a sum over the tensor', p.sum(), 'tensor', [1, 1, 1]],
    ['the largest element', p.largest(), 'tensor', [1, 1, 1]],
    ['a norm over all tensors', p.norm('all'), 'global', [1, 1, 1]],
    ['that with a hyperparameter', p.norm('all').times(h), 'global', [1, 1, 1]],
    ['that with this tensor’s count', p.norm('all').times(t), 'tensor', [1, 1, 1]],
    ['that with a norm of this tensor', p.norm('all').times(p.norm()), 'tensor', [1, 1, 1]],
    ['a tensor’s number and the parameter', p.over(p.norm()), 'array', [2, 3, 4]],
    ['the transposed', p.transposed(), 'array', [2, 4, 3]],
    ['the rows in the opposite order', p.reversedRows(), 'array', [2, 3, 4]],
    ['a product of matrices', p.matmul(p.transposed()), 'array', [2, 3, 3]],
    ['another view', p.as([1, 6, 4]), 'array', [1, 6, 4]],
    ['the view of another', p.as([1, 1, 24]).as(p.transposed()), 'array', [2, 4, 3]],
    ['a comparison', p.isLessThan(0), 'array', [2, 3, 4]],
    ['a choice by a row', where(p.sum('columns').isAtLeast(h), p, 0), 'array', [2, 3, 4]],
  ])('%s', (_, found, space, dimensions) => {
    expect(facts(found)).toEqual([space, ...dimensions])
    expect([found.batch, found.rows, found.columns]).toEqual(dimensions)
  })

  it('is found once: equal expressions are one node', () => {
    expect(p.times(h).plus(1).node).toBe(p.times(h).plus(1).node)
    expect(p.sum('columns').node).toBe(p.sum('columns').node)
    expect(p.times(2).node).not.toBe(p.times(-2).node)
    expect(p.plus(0).node).toBe(p.node)
    expect(p.times(1).node).toBe(p.node)
    expect(p.transposed().transposed().node).toBe(p.node)
    expect(p.reversedRows().reversedRows().node).toBe(p.node)
    expect(p.as([1, 1, 24]).as(p).node).toBe(p.node)
    expect(p.times(0).node).not.toBe(p.times(-0).node)
  })

  it('keeps factors of the host together, so that kernels see one', () => {
    const scaled = p.times(h).times(t).over(h.plus(1)).times(2)
    expect(scaled.node.operation).toBe('multiply')
    expect(scaled.node.inputs[0]).toBe(p.node)
    expect(scaled.node.inputs[1]!.space).toBe('host')
  })
})

describe('what a rule may compute', () => {
  const matrix = [1, 2, 3, 4, 5, 6]
  /** θ is [[1, 2, 3], [4, 5, 6]], g is [[1, -1, 0], [2, -2, 0.5]]; the direction as the rule gives it. */
  async function direction(rule: Parameters<typeof optimizerOf>[0], backend: () => Backend) {
    const optimizer = await compile(optimizerOf(rule), { w: [2, 3] }, { backend: backend() })
    optimizer.parameters.w!.set(matrix)
    optimizer.step({ gradients: { w: [1, -1, 0, 2, -2, 0.5] } })
    return matrix.map((value, index) => value - optimizer.parameters.w![index]! + 0)
  }
  const same = (value: number) => matrix.map(() => value)

  it.each<[string, Parameters<typeof optimizerOf>[0], readonly number[]]>([
    [
      'plus, minus, times, over',
      ({ p, g }) => ({ direction: p.plus(g).minus(1).times(2).over(4) }),
      [0.5, 0, 1, 2.5, 1, 2.75],
    ],
    [
      'the square, the root',
      ({ p }) => ({ direction: p.square().plus(p.square().times(3)).sqrt() }),
      [2, 4, 6, 8, 10, 12],
    ],
    ['the reciprocal root', ({ p }) => ({ direction: p.times(0).plus(16).reciprocalSqrt() }), same(0.25)],
    [
      'absolute value, sign, negation',
      ({ g }) => ({ direction: g.abs().plus(g.sign()).plus(g.negated()) }),
      [1, 1, 0, 1, 3, 1],
    ],
    [
      'largest and smallest of two',
      ({ p, g }) => ({ direction: p.minimum(4).maximum(g.plus(2.5)) }),
      [3.5, 2, 3, 4.5, 4, 4],
    ],
    [
      'less, equal, at most',
      ({ p }) => ({ direction: where(p.isLessThan(3), 1, where(p.equals(3), 2, where(p.isAtMost(5), 3, 4))) }),
      [1, 1, 2, 3, 3, 4],
    ],
    [
      'greater, at least, and, not',
      ({ p, g }) => ({ direction: where(p.isGreaterThan(2).and(g.isAtLeast(0)), 1, where(p.equals(1).not(), 2, 3)) }),
      [3, 2, 1, 1, 2, 1],
    ],
    [
      'a choice by a row, and by a row and an element',
      ({ p, g }) => {
        const row = g.sum('columns').isGreaterThan(0)
        return { direction: where(row, p, p.negated()).plus(where(p.isGreaterThan(4).and(row), 10, 0)) }
      },
      [-1, -2, -3, 4, 15, 16],
    ],
    ['sums over columns', ({ p }) => ({ direction: p.times(0).plus(p.sum('columns')) }), [6, 6, 6, 15, 15, 15]],
    ['means over rows', ({ p }) => ({ direction: p.times(0).plus(p.mean('rows')) }), [2.5, 3.5, 4.5, 2.5, 3.5, 4.5]],
    [
      'norms',
      ({ p, g }) => ({ direction: p.times(0).plus(g.plus(1).norm().square()) }),
      same(4 + 0 + 1 + 9 + 1 + 2.25),
    ],
    [
      'the norm of rows',
      ({ p }) => ({ direction: p.times(0).plus(p.norm('rows').square()) }),
      [17, 29, 45, 17, 29, 45],
    ],
    ['the largest element', ({ p, g }) => ({ direction: p.times(0).plus(g.largest()) }), same(2)],
    ['the largest of negative ones', ({ p }) => ({ direction: p.times(0).plus(p.negated().largest()) }), same(-1)],
    [
      'a product with the transposed',
      ({ p }) => ({ direction: p.matmul(p.transposed()).matmul(p).times(0.5) }),
      [71, 94, 117, 170, 224.5, 279],
    ],
    ['the transposed', ({ p }) => ({ direction: p.transposed().as(p) }), [1, 4, 2, 5, 3, 6]],
    [
      'another view',
      ({ p }) => ({
        direction: p
          .as([1, 3, 2])
          .minus(p.as([1, 3, 2]).sum('columns'))
          .as(p),
      }),
      [-2, -1, -4, -3, -6, -5],
    ],
    ['every second element', ({ p }) => ({ direction: where(p.everyElement(2), p, 0) }), [1, 0, 3, 0, 5, 0]],
    [
      'powers, exponents, logarithms on the host',
      ({ p, hyper, t }) => ({ direction: p.times(0).plus(hyper.h.power(t.plus(1)).exp().log()) }),
      same(0.25),
    ],
    [
      'a plain number of the shape',
      ({ p, shape }) => ({
        direction: p.times(0).plus(shape.size + shape.rank + shape.shape[1]! + p.rows + p.columns),
      }),
      same(16),
    ],
    ['a scalar direction', ({ g }) => ({ direction: g.sum() }), same(0.5)],
    ['a direction of the host', ({ hyper }) => ({ direction: hyper.h.times(3) }), same(1.5)],
    ['a row as the direction, repeated', ({ p }) => ({ direction: p.sum('rows') }), [5, 7, 9, 5, 7, 9]],
  ])('%s', async (_, rule, expected) => {
    for (const [, backend] of backends) {
      const found = await direction(rule, backend)
      found.forEach((value, index) => {
        expect(value).toBeCloseTo(expected[index]!, 4)
      })
    }
  })

  it('treats what is not a number alike on both backends', async () => {
    const run = async (backend: () => Backend) => {
      const optimizer = await compile(
        optimizerOf(
          ({ p, g }) => ({
            direction: p.times(0),
            state: {
              a: g.maximum(1),
              b: g.minimum(1),
              c: where(g.isLessThan(1), 1, where(g.equals(g), 2, 3)),
              d: g.sign(),
              e: where(g.isAtMost(3e38).not(), 5, 6),
            },
          }),
          { a: zeros(), b: zeros(), c: zeros(), d: zeros(), e: zeros() },
        ),
        { w: [7] },
        { backend: backend(), nonFinite: 'allow' },
      )
      optimizer.step({
        gradients: { w: [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, -0, 1, 2] },
      })
      return Object.fromEntries(
        Object.entries(optimizer.state('w')).map(([name, array]) => [name, [...(array as Float32Array)]]),
      )
    }
    const [exact, fast] = [await run(reference), await run(wasm)]
    expect(fast).toEqual(exact)
    expect(exact).toEqual({
      // maximum(a, b) is b only if a < b: what is not a number stays.
      a: [Number.NaN, Number.POSITIVE_INFINITY, 1, 1, 1, 1, 2],
      b: [Number.NaN, 1, Number.NEGATIVE_INFINITY, 0, -0, 1, 1],
      c: [3, 2, 1, 1, 1, 2, 2],
      d: [0, 1, -1, 0, 0, 1, 1],
      e: [5, 5, 6, 6, 6, 6, 6],
    })
  })
})

describe('state', () => {
  const kinds = {
    z: zeros(),
    c: copyOfParameter(),
    r: rows(),
    k: columns(),
    s: scalar(7),
    g: sharedScalar(9),
    d: scalar(2),
  }

  it.each(backends)('has its shape and first value on %s', async (_, backend) => {
    const optimizer: CompiledOptimizer = await compile(
      optimizerOf(({ p, state }) => ({ direction: p.times(0), state: { d: state.d!.plus(p.sum().times(0)) } }), kinds),
      { w: [2, 3], v: [3], n: [], x: [2, 2, 3] },
      { backend: backend() },
    )
    const lengths = (name: string) =>
      Object.fromEntries(
        Object.entries(optimizer.state(name)).map(([key, value]) => [
          key,
          typeof value === 'number' ? value : value.length,
        ]),
      )
    expect(lengths('w')).toEqual({ z: 6, c: 6, r: 2, k: 3, s: 7, g: 9, d: 2 })
    expect(lengths('v')).toEqual({ z: 3, c: 3, r: 1, k: 3, s: 7, g: 9, d: 2 })
    expect(lengths('n')).toEqual({ z: 1, c: 1, r: 1, k: 1, s: 7, g: 9, d: 2 })
    expect(lengths('x')).toEqual({ z: 12, c: 12, r: 4, k: 6, s: 7, g: 9, d: 2 })
    optimizer.parameters.w!.fill(3)
    optimizer.step()
    expect([...(optimizer.state('w').c as Float32Array)]).toEqual([3, 3, 3, 3, 3, 3])
    expect(optimizer.state('w').d).toBe(2)
  })

  it.each(backends)('keeps scalars of the host, of a tensor and of all in float64 on %s', async (_, backend) => {
    const third = 1 / 3
    const made = optimizerOf(
      ({ p, g, state, hyper }) => ({
        direction: p.times(0),
        state: {
          s: state.s!.plus(hyper.h.times(0).plus(third)),
          d: state.d!.plus(g.sum()).plus(third),
          g: state.g!.plus(g.sum('all')).plus(third),
        },
      }),
      { s: scalar(0), d: scalar(0), g: sharedScalar(0) },
    )
    const optimizer = await compile(made, { a: [2], b: [1] }, { backend: backend() })
    for (let step = 0; step < 3; step++) optimizer.step({ gradients: { a: [1, 2], b: step === 1 ? null : [8] } })
    expect(optimizer.state('a')).toEqual({
      s: third + third + third,
      d: 3 + third + 3 + third + 3 + third,
      g: expect.closeTo(26, 13),
    })
    expect(optimizer.state('b')).toEqual({
      s: third + third,
      d: expect.closeTo(16 + 2 * third, 13),
      g: optimizer.state('a').g,
    })
  })

  it('left out of a result keeps its value', async () => {
    const made = optimizerOf(({ g, t, state }) => ({ direction: g, state: { a: where(t.equals(1), g, state.a!) } }), {
      a: zeros(),
      b: copyOfParameter(),
    })
    for (const [, backend] of backends) {
      const optimizer = await compile(made, { w: [2] }, { backend: backend() })
      optimizer.parameters.w!.set([5, 6])
      optimizer.step({ gradients: { w: [1, 2] } })
      optimizer.step({ gradients: { w: [3, 4] } })
      expect([...(optimizer.state('w').a as Float32Array), ...(optimizer.state('w').b as Float32Array)]).toEqual([
        1, 2, 5, 6,
      ])
    }
  })
})

describe('errors of rules', () => {
  it('name the tensors for which a rule takes other sums over all tensors, which would be added up as one', async () => {
    const matrices = optimizerOf(({ g, shape }) => {
      const ofMatrices = shape.rank === 2 ? g.square().sum('all') : 0
      return { direction: g.times(g.sum('all').plus(ofMatrices)) }
    })
    await expect(compile(matrices, { weight: [2, 2], bias: [2] })).rejects.toThrow(
      "1 sums and maxima over all tensors here but 2 for 'weight', so that different ones would be added up; take the same " +
        "for every tensor, or none (parameter 'bias', shape [2])",
    )
    const some = optimizerOf(({ g, shape }) => ({ direction: shape.rank === 2 ? g.times(g.sum('all')) : g }))
    await expect(compile(some, { weight: [2, 2], bias: [2] })).resolves.toBeDefined()
  })

  it('name the state that is not declared, and what is', async () => {
    await expectError(
      ({ g }) => ({ direction: g, state: { momentum: g } }),
      /^Made.*the rule returns state 'momentum', which it does not declare here; declared: a, b/,
      {
        a: zeros(),
        b: zeros(),
      },
    )
  })

  it('name the state that does not exist for this parameter', async () => {
    const when = { a: zeros(), b: zeros({ when: ({ shape }) => shape.rank > 2 }) }
    await expectError(({ g }) => ({ direction: g, state: { b: g } }), /^Made.*state 'b'.*declared: a/, when)
  })

  it('show the shapes that do not fit', async () => {
    await expectError(
      ({ g }) => ({ direction: g.plus(g.transposed()) }),
      /add: shapes \[1, 4, 6\] and \[1, 6, 4\] \(batch, rows, columns\) do not fit; dimensions must be equal or 1/,
    )
    await expectError(
      ({ g }) => ({ direction: g.matmul(g) }),
      /matmul: \[1, 4, 6\] times \[1, 4, 6\] \(batch, rows, columns\): the columns of the first must be the rows of the second/,
    )
    await expectError(
      ({ g }) => ({ direction: g.as([1, 5, 5]) }),
      /as: \[1, 4, 6\] has 24 elements and cannot be seen as \[1, 5, 5\], which has 25/,
    )
    await expectError(
      ({ g }) => ({ direction: g, state: { a: g.sum('rows') } }),
      /state 'a' of Made.*\[1, 4, 6\].*\[1, 1, 6\]|cannot be seen/,
    )
    await expectError(({ g }) => ({ direction: g, state: { r: g } }), /\[1, 4, 1\]/, { r: rows() })
  })

  it('name the optimizer and the parameter', async () => {
    await expectError(({ g }) => ({ direction: g.matmul(g) }), /Made.*'block\/w'|'block\/w'.*Made/s)
    await expectError(({ g }) => ({ direction: g, state: { r: g } }), /Made.*'block\/w'|'block\/w'.*Made/s, {
      r: rows(),
    })
  })

  it('say what can be reduced and multiplied', async () => {
    await expectError(({ g, t }) => ({ direction: g.times(t.sum()) }), /sum: a host scalar has nothing to reduce/)
    await expectError(
      ({ g }) => ({ direction: g.times(g.norm().largest()) }),
      /maximum: a tensor scalar has nothing to reduce/,
    )
    await expectError(({ g, t }) => ({ direction: g.matmul(t) }), /matmul: a host scalar is not a matrix/)
    await expectError(({ t }) => ({ direction: t.transposed() }), /transposed: a host scalar is not a matrix/)
  })

  it('say what the period of every() may be', async () => {
    const message = /^Made.*the period of every\(\) must be a number or a hyperparameter/
    await expectError(({ g, t, every }) => ({ direction: every(t, () => g, g) }), message)
    await expectError(({ g, every }) => ({ direction: every(g.norm(), () => g, g) }), message)
    await expectError(({ g, hyper, every }) => ({ direction: every(hyper.k.plus(1), () => g, g) }), message)
    for (const period of [0, -1, 0.5, Number.NaN]) {
      await expectError(
        ({ g, every }) => ({ direction: every(period, () => g, g) }),
        /^Made.*every\(\).*whole number.*not/,
      )
    }
  })

  it('say what one number may come from', async () => {
    const state = { s: scalar(0), all: sharedScalar(0) }
    await expectError(
      ({ g }) => ({ direction: g, state: { s: g } }),
      /^Made.*state 's' is one number per tensor, but its new value is an array/,
      state,
    )
    await expectError(
      ({ g }) => ({ direction: g, state: { all: g.norm() } }),
      /^Made.*state 'all' is one number for all tensors, but its new value is one tensor's own/,
      state,
    )
    await expectError(
      ({ g, t }) => ({ direction: g, state: { all: t } }),
      /^Made.*state 'all' is one number for all tensors.*use step, not t/,
      state,
    )
  })

  it('say that a truth value is not a number', async () => {
    const message = /Made.*truth value.*where/s
    await expectError(({ g }) => ({ direction: g.isLessThan(0) }), message)
    await expectError(({ g }) => ({ direction: g, state: { a: g.isLessThan(0) } }), message)
    await expectError(({ g }) => ({ direction: g, state: { s: g.norm().isLessThan(1) } }), message, { s: scalar(0) })
    await expectError(({ g }) => ({ direction: g.plus(g.isLessThan(0)) }), message)
    await expectError(({ g }) => ({ direction: g.times(g.isLessThan(0).sum()) }), message)
    await expectError(({ g }) => ({ direction: where(g, g, 0) }), message)
  })

  it('say what a rule must return', async () => {
    await expectError(
      (() => undefined) as never,
      /^Made.*the rule must return \{ direction \} as a value, not undefined/,
    )
    await expectError(
      (() => ({ direction: 3 })) as never,
      /^Made.*the rule must return \{ direction \} as a value, not 3/,
    )
    await expectError(
      (({ g }: { g: Value }) => ({ direction: g, state: { a: 3 } })) as never,
      /^Made.*the new state 'a' must be a value, not 3/,
    )
  })

  it('are those of shared numbers that a group would make differ', async () => {
    const { groups } = await import('fallline')
    const made = optimizerOf(({ g, hyper, state }) => ({ direction: g, state: { all: state.all!.plus(hyper.h) } }), {
      all: sharedScalar(0),
    })
    const grouped: Optimizer = groups(made, [{ match: 'b', hyper: { h: 2 } }])
    await expect(compile(grouped, { a: [1], b: [1] })).rejects.toThrow(
      /^Made.*state 'all' is one number for all tensors/,
    )
  })
})

describe('definitions', () => {
  it('of transforms say which hook is wrong', async () => {
    const made = (hooks: object) =>
      defineTransform({ name: 'wrap', title: 'Wrap', hyper: { factor: positive(1) }, ...hooks } as never)(sgd())
    await expect(compile(made({ gradient: () => undefined }), { a: [1] })).rejects.toThrow(/^Wrap: .*gradient/)
    await expect(compile(made({ direction: () => ({}) }), { a: [1] })).rejects.toThrow(/^Wrap: .*direction/)
    await expect(compile(made({ parameter: () => ({ next: 1 }) }), { a: [1] })).rejects.toThrow(/^Wrap: .*parameter/)
  })

  it('keep defaults of options apart from those of others', () => {
    const define = (name: string) =>
      defineOptimizer({
        name,
        title: name,
        paper: { title: 'None', authors: 'Nobody', year: 2000 },
        hyper: { learningRate: positive(1) },
        options: { turned: false },
        state: {},
        decay: 'decoupled',
        search: { learningRate: { scale: 'log', minimum: 0.1, maximum: 1 } },
        rule: ({ g, options }) => ({ direction: options.turned ? g.negated() : g }),
      })
    const [first, second] = [define('first'), define('second')]
    first({ turned: true })
    expect(second.definition.options).toEqual({ turned: false })
    expect(() => first({ weightDecay: 1 } as never)).toThrow(
      /first: unknown setting 'weightDecay'; valid names are learningRate, turned/,
    )
    expect(() => first({ decay: 'coupled' })).toThrow(/first: decay has no effect, this optimizer has no weightDecay/)
  })
})
