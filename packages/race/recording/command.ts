/**
 * `npm run record`: records what is missing of the registry on the tasks (hours; it may be interrupted and goes on the next time), then
 * packs the table and the prior. `npm run record -- digits-mlp` records that task alone, `npm run record -- --pack` nothing.
 */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { builtinTasks } from '../src/tasks/index.ts'
import { createLogisticRegression, createNoisyQuadratic } from '../src/tasks/synthetic.ts'
import { scoresOf } from './prior.ts'
import { record } from './record.ts'
import { packTable, tablePath, writeTable } from './table.ts'

const priorPath = fileURLToPath(new URL('../data/prior.json', import.meta.url))

await new Command('record')
  .description('Records the registry on tasks and packs what was recorded.')
  .argument('[tasks...]', 'record these tasks alone (default: all)')
  .option('--directory <folder>', 'where the recorded runs lie', '.fallline/recording')
  .option('--pack', 'record nothing, pack what is there')
  .action(async (names: string[], { directory, pack }: { directory: string; pack?: boolean }) => {
    const tasks = [
      createNoisyQuadratic(),
      createLogisticRegression(),
      ...(await Promise.all(builtinTasks.map(({ load }) => load()))),
    ]
    const unknown = names.find((name) => !tasks.some((task) => task.name === name))
    if (unknown !== undefined) {
      throw new Error(`unknown task '${unknown}': recorded are ${tasks.map(({ name }) => name).join(', ')}`)
    }
    const wanted = pack ? [] : tasks.filter(({ name }) => names.length === 0 || names.includes(name))
    for (const task of wanted) await record(task, directory, (text) => console.log(text))
    const table = packTable(tasks, directory)
    if (table.tasks.length === 0) throw new Error(`nothing has been recorded in '${directory}'`)
    writeTable(table)
    writeFileSync(priorPath, `${JSON.stringify(scoresOf(table))}\n`)
    const incomplete = table.tasks.filter(({ complete }) => !complete).map(({ name }) => name)
    console.log(`packed ${table.tasks.length} tasks into ${tablePath}`)
    if (incomplete.length > 0) console.log(`not completely recorded: ${incomplete.join(', ')}`)
    for (const task of tasks) task.dispose?.()
  })
  .parseAsync()
