import type { ElementOperation } from '../graph/node.ts'
import { scalarOperations } from '../graph/scalar.ts'
import type { HostInstruction, HostProgram } from '../program/host.ts'

const infix: Partial<Record<ElementOperation, string>> = {
  add: '+',
  subtract: '-',
  multiply: '*',
  divide: '/',
  power: '**',
}

/**
 * The code of a function that computes host scalars of an environment, to the bit as `HostEvaluator` does.
 * @param operations is given the code of operations that have no sign of their own, by the name it calls them by.
 */
export function hostCode({ values, results }: HostProgram, operations: Map<string, string>): string {
  const uses = values.map(() => 0)
  for (const place of [...results, ...values.flatMap((value) => ('inputs' in value ? value.inputs : []))])
    uses[place]!++
  const texts: string[] = []
  const named: string[] = []
  values.forEach((value, place) => {
    const text = codeOf(value, texts, operations)
    // What is read is read in order, so that the same error comes first.
    const inPlace = value.operation === 'constant' || ('inputs' in value && uses[place]! < 2)
    if (!inPlace) named.push(`v${place} = ${text}`)
    texts.push(inPlace ? text : `v${place}`)
  })
  const list = `[${results.map((place) => texts[place]).join(', ')}]`
  return named.length > 0 ? `(e) => { const ${named.join(', ')}; return ${list} }` : `() => ${list}`
}

function codeOf(value: HostInstruction, texts: readonly string[], operations: Map<string, string>): string {
  switch (value.operation) {
    case 'constant':
      return Object.is(value.value, -0) ? '(-0)' : `(${value.value})`
    case 'hyper':
      return `e.hyper(${JSON.stringify(value.key)}, ${JSON.stringify(value.clock)})`
    case 'count':
      return `e.count(${JSON.stringify(value.clock)}, ${value.perTensor})`
    case 'input':
    case 'slot':
      return `e.${value.operation}(${JSON.stringify(value.key)})`
    default: {
      const { operation } = value
      const inputs = value.inputs.map((input) => texts[input]!)
      const sign = infix[operation]
      if (sign) return `(${inputs.join(` ${sign} `)})`
      if (operation === 'squareRoot') return `Math.sqrt(${inputs[0]})`
      const name = `${operation}Of`
      operations.set(name, String(scalarOperations[operation]))
      return `${name}(${inputs.join(', ')})`
    }
  }
}
