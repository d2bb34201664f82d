import {
  columns,
  copyOfParameter,
  type Optimizer,
  rows,
  type Shapes,
  scalar,
  sharedScalar,
  type Value,
  where,
  zeros,
} from 'fallline'
import fc from 'fast-check'
import { optimizerOf } from './rules.ts'

/** One operation of a random rule; operands are picked from what is there by then. */
export interface Step {
  readonly operation: (typeof operations)[number]
  readonly left: number
  readonly right: number
}

/** A random rule as data: what is computed, and which results go where. */
export interface Recipe {
  readonly steps: readonly Step[]
  readonly results: readonly number[]
  readonly shapes: Shapes
}

const operations = [
  'plus',
  'minus',
  'times',
  'over',
  'maximum',
  'minimum',
  'abs',
  'sqrt',
  'choose',
  'scale',
  'sum',
  'norm',
  'largest',
  'sumColumns',
  'sumRows',
  'normColumns',
  'meanRows',
  'sumAll',
  'normAll',
  'transpose',
  'product',
  'square',
  'flatten',
  'split',
  'everySecond',
  'everyOther',
] as const

const sizes = fc.constantFrom(1, 2, 3, 4, 5, 8, 17, 33)
const shape = fc.oneof(
  fc.constant([]),
  fc.tuple(sizes),
  fc.tuple(sizes, sizes),
  fc.tuple(fc.constantFrom(1, 2, 3), fc.constantFrom(1, 3, 4), sizes),
  fc.tuple(fc.constantFrom(1, 2, 3), fc.constantFrom(1, 2), fc.constantFrom(1, 3), fc.constantFrom(1, 3, 5)),
  fc.constantFrom([0], [0, 3], [3, 0], [0, 2, 3], [70, 129]),
)

const index = fc.nat({ max: 1000 })

export const recipes: fc.Arbitrary<Recipe> = fc.record({
  steps: fc.array(fc.record({ operation: fc.constantFrom(...operations), left: index, right: index }), {
    minLength: 1,
    maxLength: 14,
  }),
  results: fc.tuple(index, index, index, index, index, index, index),
  shapes: fc.tuple(shape, shape).map(([a, b]) => ({ a, b }) as Shapes),
})

/** Keeps numbers within [-1, 1], so that no chain of operations overflows or loses its digits to cancellation. */
const squash = (value: Value) => value.over(value.abs().plus(1))

const isArray = (value: Value) => value.node.space === 'array'
const sameDimensions = (a: Value, b: Value) => a.batch === b.batch && a.rows === b.rows && a.columns === b.columns
const broadcasts = (a: Value, b: Value) => {
  if (!isArray(a) || !isArray(b)) return true
  const axes = [
    [a.batch, b.batch],
    [a.rows, b.rows],
    [a.columns, b.columns],
  ] as const
  return axes.every(([x, y]) => x === y || x === 1 || y === 1)
}

/** The rule that a recipe stands for. */
export function optimizerOfRecipe({ steps, results }: Recipe): Optimizer {
  return optimizerOf(
    (context) => {
      const { p, g, t, hyper, state, every } = context
      const values: Value[] = [p, g, state.a!, state.b!, state.c!, state.r!, state.k!, state.s!, state.all!, hyper.h]
      const pick = (list: readonly Value[], at: number) => list[at % list.length]!
      for (const { operation, left, right } of steps) {
        const x = pick(values, left)
        const y = pick(
          values.filter((value) => broadcasts(x, value)),
          right,
        )
        const arrays = values.filter(isArray)
        const array = pick(arrays, left)
        values.push(apply(operation, x, y, array, arrays, right, context))
      }
      function apply(
        operation: Step['operation'],
        x: Value,
        y: Value,
        array: Value,
        arrays: readonly Value[],
        right: number,
        { shape }: { shape: { size: number } },
      ): Value {
        switch (operation) {
          case 'plus':
            return squash(x.plus(y))
          case 'minus':
            return squash(x.minus(y))
          case 'times':
            return x.times(y)
          case 'over':
            return squash(x.over(y.abs().plus(0.5)))
          case 'maximum':
            return x.maximum(y)
          case 'minimum':
            return x.minimum(y)
          case 'abs':
            return x.abs()
          case 'sqrt':
            return x.abs().plus(0.25).sqrt()
          case 'choose':
            // Conditions on inputs only, which both backends hold to the bit.
            return broadcasts(p, x) && broadcasts(p, y) && broadcasts(x, y) ? where(p.isLessThan(g), x, y) : x
          case 'scale':
            return x.times(hyper.h).times(t).over(t.plus(1))
          case 'sum':
            return squash(array.sum())
          case 'norm':
            return squash(array.norm())
          case 'largest':
            return shape.size === 0 ? array : array.largest()
          case 'sumColumns':
            return squash(array.sum('columns'))
          case 'sumRows':
            return squash(array.sum('rows'))
          case 'normColumns':
            return squash(array.norm('columns'))
          case 'meanRows':
            return array.mean('rows')
          case 'sumAll':
            return squash(array.sum('all'))
          case 'normAll':
            return squash(array.norm('all'))
          case 'transpose':
            return array.transposed()
          case 'product': {
            const fitting = arrays.filter((other) => other.rows === array.columns && other.batch === array.batch)
            return fitting.length > 0 ? squash(array.matmul(pick(fitting, right))) : array
          }
          case 'square':
            return squash(array.matmul(array.transposed()))
          case 'flatten':
            return array.as([1, 1, array.batch * array.rows * array.columns])
          case 'split':
            return array.as([1, array.batch * array.rows, array.columns])
          case 'everySecond':
            return where(array.everyElement(2 + (right % 3)), array, 0)
          case 'everyOther':
            return every(2, () => x.times(0.5), x)
        }
      }
      const full = values.filter((value) => broadcasts(p, value) && fitsInto(value, p))
      const like = (old: Value) => values.filter((value) => isArray(value) && sameDimensions(value, old))
      const [direction, a, b, r, k, s, all] = results as [number, number, number, number, number, number, number]
      const size = (value: Value) => value.batch * value.rows * value.columns
      const sized = values.filter((value) => !isArray(value) || size(value) === size(p))
      const ofTensor = values.filter((value) => !isArray(value))
      const ofAll = ofTensor.filter(({ node }) => (node.space === 'global' || node.space === 'host') && !node.perTensor)
      return {
        direction: squash(pick(full, direction)),
        state: {
          a: pick(sized, a),
          b: pick(like(state.b!), b),
          r: pick(like(state.r!), r),
          k: pick(like(state.k!), k),
          s: pick(ofTensor, s),
          all: pick(ofAll, all),
        },
      }
    },
    { a: zeros(), b: zeros(), c: copyOfParameter(), r: rows(), k: columns(), s: scalar(0.5), all: sharedScalar(0.25) },
  )
}

/** True when broadcasting `value` over `target` gives the dimensions of `target`. */
function fitsInto(value: Value, target: Value): boolean {
  if (!isArray(value)) return true
  const grows = (from: number, to: number) => from === to || from === 1
  return grows(value.batch, target.batch) && grows(value.rows, target.rows) && grows(value.columns, target.columns)
}
