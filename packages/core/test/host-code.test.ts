import { describe, expect, it } from 'vitest'
import { hostCode } from '../src/ahead/host-code.ts'
import { elementOperations } from '../src/graph/node.ts'
import { scalarOperations } from '../src/graph/scalar.ts'
import { type HostEnvironment, HostEvaluator, type HostProgram } from '../src/program/host.ts'

const numbers = [0, -0, 1, -1, 0.1, -2.5, 3, 1e-300, 1e300, Number.POSITIVE_INFINITY, Number.NaN]

/** What an environment gives, and in which order it was asked. */
function environmentOf(values: readonly number[]): HostEnvironment & { readonly asked: string[] } {
  const asked: string[] = []
  const give = (...question: unknown[]) => values[asked.push(question.join(' ')) - 1]!
  return {
    asked,
    hyper: (key, clock) => give('hyper', key, clock),
    count: (clock, perTensor) => give('count', clock, perTensor),
    slot: (key) => give('slot', key),
    input: (key) => give('input', key),
  }
}

/** Computes a program both ways and gives the results of its code. */
function computed(program: HostProgram, given: readonly number[]): readonly number[] {
  const operations = new Map<string, string>()
  const code = hostCode(program, operations)
  const declared = [...operations].map(([name, text]) => `const ${name} = ${text}\n`).join('')
  const run = new Function(`${declared}return ${code}`)() as (environment: HostEnvironment) => readonly number[]
  const [here, there] = [environmentOf(given), environmentOf(given)]
  const results = run(here)
  const expected: number[] = []
  expect(new HostEvaluator(program).evaluate(there, expected)).toBe(results.length)
  // toEqual tells -0 from 0.
  expect(results).toEqual(expected)
  expect(here.asked).toEqual(there.asked)
  return results
}

describe('the code of host values', () => {
  const leaves = [
    { operation: 'hyper', key: "a 'key'", clock: '' },
    { operation: 'count', clock: 'slow', perTensor: true },
    { operation: 'slot', key: 'b' },
  ] as const

  it.each(elementOperations)('does %s to the bit as the evaluator', (operation) => {
    const inputs = [0, 1, 2].slice(0, scalarOperations[operation].length)
    const program: HostProgram = { values: [...leaves, { operation, inputs }], results: [3] }
    for (const a of numbers) for (const b of numbers) computed(program, [a, b, 0.75])
  })

  it('keeps constants as they are, and the order of what is asked', () => {
    const constants = numbers.map((value) => ({ operation: 'constant', value }) as const)
    const values: HostProgram['values'] = [
      ...constants,
      ...leaves,
      { operation: 'input', key: 'loss' },
      { operation: 'power', inputs: [3, numbers.length + 3] },
      { operation: 'add', inputs: [numbers.length + 1, numbers.length] },
    ]
    const results = [...values.keys(), values.length - 1].reverse()
    expect(computed({ values, results }, [2, 3, 5, 7]).slice(0, 3)).toEqual([5, 5, -1])
    expect(computed({ values: [], results: [] }, [])).toEqual([])
  })
})
