/** The code of operations element by element, on vectors of four float32 and on single numbers; one that lacks it does not compile. */

import type { ElementOperation } from '../../graph/node.ts'
import type { FunctionBuilder, Local, PlainInstruction } from './assembler.ts'
import type { Transcendental } from './mathematics.ts'
import { single } from './names.ts'

type Operands = readonly [a: Local, b: Local, c: Local]

/** One instruction on all operands, or what emits several. */
type Code = PlainInstruction | ((f: FunctionBuilder, operands: Operands, inputs: readonly Local[]) => void)

function emit(f: FunctionBuilder, code: Code, inputs: readonly Local[]): void {
  if (typeof code === 'function') {
    code(f, inputs as unknown as Operands, inputs)
    return
  }
  for (const input of inputs) f.get(input)
  f.op(code)
}

/** Emits an operation on vectors of four; the operands are locals. */
export function emitVector(f: FunctionBuilder, operation: ElementOperation, inputs: readonly Local[]): void {
  emit(f, vectorCode[operation], inputs)
}

/** Emits an operation on single numbers of a type; the operands are locals, truth values are i32. */
export function emitScalar(
  f: FunctionBuilder,
  type: 'f32' | 'f64',
  operation: ElementOperation,
  inputs: readonly Local[],
): void {
  emit(f, scalarCode(type)[operation], inputs)
}

const vectorCall =
  (name: Transcendental): Code =>
  (f, _, inputs) => {
    for (const input of inputs) f.get(input)
    f.callHelper(single(name))
  }

const vectorCode: Readonly<Record<ElementOperation, Code>> = {
  add: 'f32x4.add',
  subtract: 'f32x4.sub',
  multiply: 'f32x4.mul',
  divide: 'f32x4.div',
  maximum: 'f32x4.pmax',
  minimum: 'f32x4.pmin',
  absolute: 'f32x4.abs',
  sign(f, [a]) {
    const one = (value: number) => f.f32(value).op('f32x4.splat')
    f.zeroVector().get(a).op('f32x4.lt')
    one(1).op('v128.and').get(a).zeroVector().op('f32x4.lt')
    one(-1).op('v128.and', 'v128.or')
  },
  squareRoot: 'f32x4.sqrt',
  select: (f, [a, b, c]) => void f.get(b).get(c).get(a).op('v128.bitselect'),
  equal: 'f32x4.eq',
  less: 'f32x4.lt',
  lessOrEqual: 'f32x4.le',
  and: 'v128.and',
  not: 'v128.not',
  floor: 'f32x4.floor',
  power: vectorCall('power'),
  exponential: vectorCall('exponential'),
  logarithm: vectorCall('logarithm'),
  sigmoid: vectorCall('sigmoid'),
  tanh: vectorCall('tanh'),
  softplus: vectorCall('softplus'),
  cosine: vectorCall('cosine'),
}

function scalarCode(type: 'f32' | 'f64'): Readonly<Record<ElementOperation, Code>> {
  const [splat, lanes] = type === 'f32' ? (['f32x4.splat', 'f32x4'] as const) : (['f64x2.splat', 'f64x2'] as const)
  const call =
    (name: Transcendental): Code =>
    (f, _, inputs) => {
      for (const input of inputs) f.get(input).op(splat)
      f.callHelper(type === 'f32' ? single(name) : name).extract(lanes, 0)
    }
  return {
    add: `${type}.add`,
    subtract: `${type}.sub`,
    multiply: `${type}.mul`,
    divide: `${type}.div`,
    maximum: (f, [a, b]) => void f.get(b).get(a).get(a).get(b).op(`${type}.lt`, 'select'),
    minimum: (f, [a, b]) => void f.get(b).get(a).get(b).get(a).op(`${type}.lt`, 'select'),
    absolute: `${type}.abs`,
    sign(f, [a]) {
      const constant = (value: number) => (type === 'f32' ? f.f32(value) : f.f64(value))
      constant(1)
      constant(-1)
      constant(0)
      f.get(a)
      constant(0)
      f.op(`${type}.lt`, 'select')
      constant(0)
      f.get(a).op(`${type}.lt`, 'select')
    },
    squareRoot: `${type}.sqrt`,
    select: (f, [a, b, c]) => void f.get(b).get(c).get(a).op('select'),
    equal: `${type}.eq`,
    less: `${type}.lt`,
    lessOrEqual: `${type}.le`,
    and: 'i32.and',
    not: 'i32.eqz',
    floor: `${type}.floor`,
    power: call('power'),
    exponential: call('exponential'),
    logarithm: call('logarithm'),
    sigmoid: call('sigmoid'),
    tanh: call('tanh'),
    softplus: call('softplus'),
    cosine: call('cosine'),
  }
}
