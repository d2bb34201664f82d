import type { ElementOperation } from './node.ts'

/** Float64 meaning of every scalar operation; the host evaluator and the reference backend share it. */
export const scalarOperations: Readonly<Record<ElementOperation, (a: number, b: number, c: number) => number>> = {
  add: (a, b) => a + b,
  subtract: (a, b) => a - b,
  multiply: (a, b) => a * b,
  divide: (a, b) => a / b,
  // As the SIMD instructions, unlike Math.max when one is not a number.
  maximum: (a, b) => (a < b ? b : a),
  // As the SIMD instructions, unlike Math.min when one is not a number.
  minimum: (a, b) => (b < a ? b : a),
  absolute: (a) => Math.abs(a),
  sign: (a) => (a > 0 ? 1 : a < 0 ? -1 : 0),
  squareRoot: (a) => Math.sqrt(a),
  select: (a, b, c) => (a !== 0 ? b : c),
  equal: (a, b) => (a === b ? 1 : 0),
  less: (a, b) => (a < b ? 1 : 0),
  lessOrEqual: (a, b) => (a <= b ? 1 : 0),
  and: (a, b) => (a !== 0 && b !== 0 ? 1 : 0),
  not: (a) => (a === 0 ? 1 : 0),
  floor: (a) => Math.floor(a),
  power: (a, b) => a ** b,
  exponential: (a) => Math.exp(a),
  logarithm: (a) => Math.log(a),
  sigmoid: (a) => 1 / (1 + Math.exp(-a)),
  tanh: (a) => Math.tanh(a),
  cosine: (a) => Math.cos(a),
  softplus: (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a))),
}

/** What an operation makes of numbers. */
export function applyScalar(operation: ElementOperation, a: number, b: number, c: number): number {
  return scalarOperations[operation](a, b, c)
}
