import {
  type PolicyFigures,
  referenceCases,
  Simulator,
  shippedCases,
} from '../../../packages/race/recording/figures.ts'
import { falseConfirmations } from '../../../packages/race/recording/identical.ts'
import { readTable } from '../../../packages/race/recording/table.ts'
import { confirmationLevel } from '../../../packages/race/src/choose/confirm.ts'
import { defaultPolicy } from '../../../packages/race/src/search/policies/index.ts'

/** Policies that choose an optimizer, replayed on the recorded table. */
export interface ChooseResult {
  /** Tasks on which policies were judged, and whether everything of them has been recorded. */
  tasks: { name: string; complete: boolean }[]
  configurations: number
  repetitions: number
  references: PolicyFigures[]
  shipped: PolicyFigures[]
  falseConfirmations: {
    level: number
    confirmed: number
    tested: number
    share: number
    /** Wilson's interval, 95 %. */
    low: number
    high: number
  }
}

const repetitions = 200
const identicalRepetitions = 1500

/** Replays the references and the shipped policy, and runs it on tables in which all optimizers are alike. */
export function measureChoose(progress: (text: string) => void): ChooseResult {
  const table = readTable()
  const simulator = new Simulator(table)
  const [references, shipped] = [referenceCases(), shippedCases()].map((cases) =>
    cases.map((each) => {
      progress(`${each.policy.name}, ${each.runs} runs, prior: ${each.prior}`)
      return simulator.measure(each, repetitions)
    }),
  )
  progress('identical optimizers')
  const { confirmed, tested } = falseConfirmations(defaultPolicy, {
    runs: 30,
    repetitions: identicalRepetitions,
    seed: 1,
  })
  const judged = simulator.grounds.map(({ task }) => table.tasks.find(({ name }) => name === task)!)
  return {
    tasks: judged.map(({ name, complete }) => ({ name, complete })),
    configurations: Math.max(...simulator.grounds.map(({ configurations }) => configurations.length)),
    repetitions,
    references: references!,
    shipped: shipped!,
    falseConfirmations: {
      level: confirmationLevel,
      confirmed,
      tested,
      share: confirmed / tested,
      ...wilson(confirmed, tested),
    },
  }
}

/** The interval of a share by Wilson (1927), 95 %. */
function wilson(count: number, total: number): { low: number; high: number } {
  const z = 1.96
  const share = count / total
  const center = share + z ** 2 / (2 * total)
  const half = z * Math.sqrt((share * (1 - share)) / total + z ** 2 / (4 * total ** 2))
  const scale = 1 + z ** 2 / total
  return { low: (center - half) / scale, high: (center + half) / scale }
}
