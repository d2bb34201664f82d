/** Functions on rows of float64, two numbers at a time, that the kernels of matrix functions call. */

import type { FunctionBuilder, Helpers, Local, ValueType } from '../assembler.ts'
import { Code, exactly, Row, type WholeVariable } from '../code.ts'
import { whileLeft } from '../library.ts'

const pair = 16

function move(f: FunctionBuilder, pointer: Local, bytes: number): void {
  f.get(pointer).i32(bytes).op('i32.add').set(pointer)
}

/** Emits a body for pairs, and one for the last number of an odd count; pointers move on by so many bytes a number. */
function eachPair(
  f: FunctionBuilder,
  remaining: Local,
  pointers: readonly (readonly [Local, number])[],
  two: () => void,
  one: () => void,
): void {
  whileLeft(f, remaining, 2, () => {
    two()
    for (const [pointer, bytes] of pointers) move(f, pointer, 2 * bytes)
  })
  f.get(remaining).if(one)
}

function splat(f: FunctionBuilder, factor: Local): Local {
  const both = f.local('v128')
  f.get(factor).op('f64x2.splat').set(both)
  return both
}

/** Σ x y, in four pairs of sums. */
function dot(): FunctionBuilder {
  const { f } = new Code('row_dot', ['i32', 'i32', 'i32'], ['f64'])
  const [x, y, remaining] = f.parameters as [Local, Local, Local]
  const sums = Array.from({ length: 4 }, () => f.local('v128'))
  const rest = f.local('f64')
  const add = (sum: Local, offset: number) =>
    f.get(x).at('v128.load', offset).get(y).at('v128.load', offset).op('f64x2.mul').get(sum).op('f64x2.add').set(sum)
  whileLeft(f, remaining, 8, () => {
    sums.forEach((sum, index) => {
      add(sum, pair * index)
    })
    move(f, x, 64)
    move(f, y, 64)
  })
  const pointers = [[x, 8] as const, [y, 8] as const]
  eachPair(
    f,
    remaining,
    pointers,
    () => add(sums[0]!, 0),
    () => f.get(x).at('f64.load').get(y).at('f64.load').op('f64.mul').set(rest),
  )
  f.get(sums[0]!).get(sums[1]!).op('f64x2.add').get(sums[2]!).get(sums[3]!).op('f64x2.add', 'f64x2.add').set(sums[0]!)
  f.get(sums[0]!).extract('f64x2', 0).get(sums[0]!).extract('f64x2', 1).op('f64.add').get(rest).op('f64.add')
  return f
}

/** `y ← y + Σ factor x` for one or two rows x. */
function add(name: string, count: 1 | 2): FunctionBuilder {
  const terms = new Array<ValueType[]>(count).fill(['i32', 'f64']).flat()
  const { f } = new Code(name, ['i32', 'i32', ...terms])
  const [y, remaining, ...rest] = f.parameters as Local[]
  const rows = Array.from({ length: count }, (_, index) => ({ x: rest[2 * index]!, factor: rest[2 * index + 1]! }))
  const both = rows.map(({ factor }) => splat(f, factor))
  eachPair(
    f,
    remaining!,
    [y!, ...rows.map(({ x }) => x)].map((pointer) => [pointer, 8] as const),
    () => {
      f.get(y!).get(y!).at('v128.load')
      rows.forEach(({ x }, index) => {
        f.get(x).at('v128.load').get(both[index]!).op('f64x2.mul', 'f64x2.add')
      })
      f.at('v128.store')
    },
    () => {
      f.get(y!).get(y!).at('f64.load')
      for (const { x, factor } of rows) f.get(x).at('f64.load').get(factor).op('f64.mul', 'f64.add')
      f.at('f64.store')
    },
  )
  return f
}

/** `x ← factor x`. */
function scale(): FunctionBuilder {
  const { f } = new Code('row_scale', ['i32', 'i32', 'f64'])
  const [x, remaining, factor] = f.parameters as [Local, Local, Local]
  const both = splat(f, factor)
  eachPair(
    f,
    remaining,
    [[x, 8]],
    () => f.get(x).get(x).at('v128.load').get(both).op('f64x2.mul').at('v128.store'),
    () => f.get(x).get(x).at('f64.load').get(factor).op('f64.mul').at('f64.store'),
  )
  return f
}

/** `y ← x`, from float32 to float64 or back. */
function convert(name: string, widen: boolean): FunctionBuilder {
  const code = new Code(name, ['i32', 'i32', 'i32'])
  const { f } = code
  const [y, x, remaining] = f.parameters as [Local, Local, Local]
  const [from, to] = widen ? [4, 8] : [8, 4]
  whileLeft(f, remaining, 1, () => {
    f.get(y).get(x)
    if (widen) f.at('f32.load').op('f64.promote_f32').at('f64.store')
    else f.at('f64.load').op('f32.demote_f64').at('f32.store')
    move(f, x, from)
    move(f, y, to)
  })
  return f
}

/**
 * Householder's reflection `1 - τ v vᵀ` that leaves only the first number of a row: gives τ, puts what is left in that place and
 * the rest of v, whose first number is 1, behind it. τ is 0 where the rest is 0 already.
 */
function reflect(): FunctionBuilder {
  const code = new Code('row_reflect', ['i32', 'i32'], ['f64'])
  const [address, count] = code.wholes() as [WholeVariable, WholeVariable]
  const x = new Row(address)
  const rest = x.place(1)
  const others = count.minus(1)
  const tau = code.real(0)
  const squares = code.real(code.result('row_dot', rest, rest, others))
  const first = code.real(x.at(0))
  const left = code.real()
  code.if(squares.equals(0).not(), () => {
    code.set(left, first.square().plus(squares).sqrt().withSignOf(first).negated())
    code.set(tau, left.minus(first).over(left))
    code.call('row_scale', rest, others, exactly(1).over(first.minus(left)))
    code.store(x, 0, left)
  })
  return code.gives(tau)
}

/** 1 or -1: the sign of the first of the largest numbers of a row. */
function sign(): FunctionBuilder {
  const code = new Code('row_sign', ['i32', 'i32'], ['f64'])
  const [address, count] = code.wholes() as [WholeVariable, WholeVariable]
  const x = new Row(address)
  const largest = code.real(0)
  code.up(0, count, (place) => {
    code.if(largest.abs().isBelow(x.at(place).abs()), () => code.set(largest, x.at(place)))
  })
  return code.gives(exactly(1).withSignOf(largest))
}

/**
 * Turns neighbours among the rows of a matrix, from the last to the first: rows i + 1 and i become s xᵢ + c xᵢ₊₁ and c xᵢ - s xᵢ₊₁.
 * Parameters: matrix, columns, first and last row, cosines and sines by row. Some columns after the other, so that what the
 * next turn needs stays in registers.
 */
function turn(): FunctionBuilder {
  const { f } = new Code('rows_turn', ['i32', 'i32', 'i32', 'i32', 'i32', 'i32'])
  const [column, remaining, first, last, cosines, sines] = f.parameters as Local[]
  const [pointer, above, stride, row, angle] = Array.from({ length: 5 }, () => f.local('i32')) as Local[]
  f.get(remaining!).i32(8).op('i32.mul').set(stride!)
  const columns = (type: 'v128' | 'f64', count: number) => {
    const width = type === 'v128' ? 2 * count : count
    const held = Array.from({ length: count }, () => f.local(type))
    const [c, s, x] = [f.local(type), f.local(type), f.local(type)]
    const load = type === 'v128' ? 'v128.load' : 'f64.load'
    const store = type === 'v128' ? 'v128.store' : 'f64.store'
    const broadcast = type === 'v128' ? 'v128.load64_splat' : 'f64.load'
    const [plus, minus, times] =
      type === 'v128'
        ? (['f64x2.add', 'f64x2.sub', 'f64x2.mul'] as const)
        : (['f64.add', 'f64.sub', 'f64.mul'] as const)
    whileLeft(f, remaining!, width, () => {
      f.get(column!).get(last!).get(stride!).op('i32.mul', 'i32.add').set(pointer!)
      held.forEach((h, index) => {
        f.get(pointer!)
          .at(load, pair * index)
          .set(h)
      })
      f.get(last!).set(row!)
      f.loop(() => {
        f.get(row!).i32(1).op('i32.sub').tee(row!).i32(8).op('i32.mul').set(angle!)
        f.get(cosines!).get(angle!).op('i32.add').at(broadcast).set(c)
        f.get(sines!).get(angle!).op('i32.add').at(broadcast).set(s)
        f.get(pointer!).get(stride!).op('i32.sub').set(above!)
        held.forEach((h, index) => {
          const offset = pair * index
          f.get(above!).at(load, offset).set(x)
          f.get(pointer!).get(s).get(x).op(times).get(c).get(h).op(times, plus).at(store, offset)
          f.get(c).get(x).op(times).get(s).get(h).op(times, minus).set(h)
        })
        f.get(above!).set(pointer!)
        f.get(row!).get(first!).op('i32.gt_u').branchIf(0)
      })
      held.forEach((h, index) => {
        f.get(pointer!)
          .get(h)
          .at(store, pair * index)
      })
      move(f, column!, 8 * width)
    })
  }
  columns('v128', 4)
  columns('v128', 1)
  columns('f64', 1)
  return f
}

export const rowFunctions: Helpers = {
  row_dot: dot,
  row_add: () => add('row_add', 1),
  row_add_two: () => add('row_add_two', 2),
  row_scale: scale,
  row_widen: () => convert('row_widen', true),
  row_narrow: () => convert('row_narrow', false),
  row_reflect: reflect,
  row_sign: sign,
  rows_turn: turn,
}
