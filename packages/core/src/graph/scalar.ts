import type { ElementOperation } from './node.ts'

/** Float64 meaning of every scalar operation; the host evaluator and the reference backend share it. */
export function applyScalar(operation: ElementOperation, a: number, b: number, c: number): number {
  switch (operation) {
    case 'add':
      return a + b
    case 'subtract':
      return a - b
    case 'multiply':
      return a * b
    case 'divide':
      return a / b
    case 'maximum':
      // As the SIMD instructions, unlike Math.max when one is not a number.
      return a < b ? b : a
    case 'minimum':
      // As the SIMD instructions, unlike Math.min when one is not a number.
      return b < a ? b : a
    case 'absolute':
      return Math.abs(a)
    case 'sign':
      return a > 0 ? 1 : a < 0 ? -1 : 0
    case 'squareRoot':
      return Math.sqrt(a)
    case 'select':
      return a !== 0 ? b : c
    case 'equal':
      return a === b ? 1 : 0
    case 'less':
      return a < b ? 1 : 0
    case 'lessOrEqual':
      return a <= b ? 1 : 0
    case 'and':
      return a !== 0 && b !== 0 ? 1 : 0
    case 'not':
      return a === 0 ? 1 : 0
    case 'floor':
      return Math.floor(a)
    case 'power':
      return a ** b
    case 'exponential':
      return Math.exp(a)
    case 'logarithm':
      return Math.log(a)
    case 'sigmoid':
      return 1 / (1 + Math.exp(-a))
    case 'tanh':
      return Math.tanh(a)
    case 'cosine':
      return Math.cos(a)
    case 'softplus':
      return Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a)))
  }
}
