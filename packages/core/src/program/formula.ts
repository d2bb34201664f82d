/** Formulas for people. */

import type { ElementOperation } from '../graph/node.ts'
import type { HostProgram } from './host.ts'

/** The own name of a slot, hyperparameter or input, without the path before it. */
export function ownName(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1)
}

const symbols: Partial<Record<ElementOperation, string>> = {
  add: '+',
  subtract: '-',
  multiply: '*',
  divide: '/',
  power: '^',
  equal: '=',
  less: '<',
  lessOrEqual: '≤',
  and: 'and',
}

const functions: Partial<Record<ElementOperation, string>> = {
  absolute: 'abs',
  squareRoot: 'sqrt',
  exponential: 'exp',
  logarithm: 'log',
  select: 'where',
}

/** An operation on texts. */
export function formulaOf(operation: ElementOperation, parts: readonly string[]): string {
  const symbol = symbols[operation]
  if (symbol) return `(${parts.join(` ${symbol} `)})`
  return `${functions[operation] ?? operation}(${parts.join(', ')})`
}

/** The formula of a value that the host computes. */
export function hostFormula(host: HostProgram, place: number): string {
  const value = host.values[place]!
  switch (value.operation) {
    case 'constant':
      return String(value.value)
    case 'hyper':
    case 'slot':
    case 'input':
      return ownName(value.key)
    case 'count':
      return value.perTensor ? 't' : 'step'
    default:
      return formulaOf(
        value.operation,
        value.inputs.map((input) => hostFormula(host, input)),
      )
  }
}
