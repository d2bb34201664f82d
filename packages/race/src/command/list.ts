import Table from 'cli-table3'
import { Command } from 'commander'
import { describe, explain, registry } from 'fallline'
import { formatNumber } from '../report/format.ts'
import { optimizerNamed } from './names.ts'

/** The command `fallline list`. */
export function listCommand(): Command {
  return new Command('list')
    .description('list all optimizers with their paper and what they cost')
    .option(
      '--json',
      'as JSON: name, title, paper, kind, bytes per parameter, hyperparameters, options and search ranges',
    )
    .action(({ json }: { json?: boolean }) => {
      const optimizers = registry.map((factory) => {
        const { name, title, paper, hyper, options, search, decay } = factory.definition
        const { kind, stateBytesPerParameter, bytesPerParameter, phases } = describe(factory)
        return {
          name,
          title,
          paper,
          kind,
          stateBytesPerParameter,
          bytesPerParameter,
          phases,
          hyper,
          options: options ?? {},
          decay,
          search,
        }
      })
      if (json) {
        process.stdout.write(`${JSON.stringify(optimizers, null, 2)}\n`)
        return
      }
      const table = new Table({
        head: ['name', 'kind', 'state\nbytes', 'moved\nbytes', 'hyperparameters', 'paper'],
        colAligns: ['left', 'left', 'right', 'right', 'left', 'left'],
        colWidths: [null, null, null, null, 34, null],
        wordWrap: true,
        style: { head: [], border: [], compact: true },
      })
      for (const { name, kind, stateBytesPerParameter, bytesPerParameter, hyper, paper } of optimizers) {
        const from = `${paper.authors.split(',')[0]} ${paper.year}${paper.arxiv ? `, arXiv ${paper.arxiv}` : ''}`
        const names = Object.keys(hyper).join(' ')
        table.push([name, kind, formatNumber(stateBytesPerParameter), formatNumber(bytesPerParameter), names, from])
      }
      process.stdout.write(
        `${table.toString()}\nBytes are per parameter and step. fallline explain NAME shows the rule.\n`,
      )
    })
}

/** The command `fallline explain`. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('explain an optimizer: its rule, its phases and the bytes it moves')
    .argument('<name>', 'an optimizer, see fallline list')
    .action((name: string) => {
      process.stdout.write(`${explain(optimizerNamed(name)).trimEnd()}\n`)
    })
}
