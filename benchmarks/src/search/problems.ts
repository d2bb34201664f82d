import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { type Parameters, type Space, space } from '@fallline/search'
import { endsOf, type Recorded, recordedTable, type Table } from '@fallline/search/testing'
import { branin, hartmann6, type TestFunction } from '../../../packages/search/test/support/functions.ts'

/** What samplers are compared on. */
export interface Problem {
  readonly name: string
  readonly space: Space<unknown>
  /** The smallest value there is. */
  readonly minimum: number
  /** To be made small. */
  value(parameters: Parameters): number
  /** The values of a table as the peer reads them: of every choice in turn all settings from 0 on. */
  readonly ends?: { readonly choices: readonly string[]; readonly values: readonly number[] }
}

const functionProblem = (name: string, { definition, minimum, value }: TestFunction): Problem => ({
  name,
  space: space(definition),
  minimum,
  value: (parameters) => value(parameters as Record<string, number>),
})

/** The ends of a table of a choice and a whole number, to be made small. */
function tableProblem(table: Table): Problem {
  const values = endsOf(table)
  const [choice] = table.space.dimensions.map(({ domain }) => domain)
  return {
    name: table.name,
    space: table.space,
    minimum: Math.min(...values),
    value: (parameters) => table.curve(parameters).at(-1)!,
    ends: { choices: choice?.kind === 'choice' ? choice.values.map(String) : [], values },
  }
}

const recordings = fileURLToPath(new URL('../../../packages/race/data/recorded.json.gz', import.meta.url))
const recorded = JSON.parse(gunzipSync(readFileSync(recordings)).toString()) as Recorded

/** Two functions, and the metric at the end of the recorded runs of a network: 113 optimizers with 8 settings each. */
export const problems: readonly Problem[] = [
  functionProblem('Branin', branin),
  functionProblem('Hartmann-6', hartmann6),
  tableProblem(recordedTable(recorded, 'digits-mlp')),
]
