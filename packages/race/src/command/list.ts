import Table from 'cli-table3'
import { Command } from 'commander'
import { describe, explain, families, registry } from 'fallline'
import pc from 'picocolors'
import { optimizerNamed } from '../names.ts'
import { formatNumber } from '../report/format.ts'

/** Families are told apart by headings, so lines between cells would only be noise. */
const borderless = Object.fromEntries(
  [
    'top',
    'top-mid',
    'top-left',
    'top-right',
    'bottom',
    'bottom-mid',
    'bottom-left',
    'bottom-right',
    'left',
    'left-mid',
    'mid',
  ]
    .concat(['mid-mid', 'right', 'right-mid', 'middle'])
    .map((name) => [name, '']),
)

/** The command `fallline list`. */
export function listCommand(): Command {
  return new Command('list')
    .description('list all optimizers by family, with their paper and what they cost')
    .option(
      '--json',
      'as JSON: name, title, family, paper, kind, bytes per parameter, hyperparameters, options and search ranges',
    )
    .action(({ json }: { json?: boolean }) => {
      const optimizers = registry.map((factory) => {
        const { name, title, family, paper, hyper, options, search, decay } = factory.definition
        const { kind, stateBytesPerParameter, bytesPerParameter, phases } = describe(factory)
        return {
          name,
          title,
          family,
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
      const shown = Object.entries(families).map(([family, heading]) => ({
        heading,
        members: optimizers.filter((optimizer) => optimizer.family === family),
      }))
      // One table for all keeps the columns of the families in line.
      const table = new Table({
        head: ['name', 'kind', 'state', 'moved', 'paper'],
        colAligns: ['left', 'left', 'right', 'right', 'left'],
        chars: borderless,
        style: { head: [], border: [], 'padding-left': 0, 'padding-right': 2, compact: true },
      })
      for (const { heading, members } of shown) {
        if (members.length === 0) continue
        table.push([{ content: `\n${pc.bold(heading)} (${members.length})`, colSpan: 5 }])
        for (const { name, kind, stateBytesPerParameter, bytesPerParameter, paper } of members) {
          const from = `${paper.authors.split(',')[0]} ${paper.year}${paper.arxiv ? `, arXiv ${paper.arxiv}` : ''}`
          const cost = [formatNumber(stateBytesPerParameter), formatNumber(bytesPerParameter)]
          table.push([name, kind, ...cost, from])
        }
      }
      process.stdout.write(
        `${table.toString()}\n\n${optimizers.length} optimizers. State and moved are bytes per parameter, moved in each step. fallline explain NAME shows the rule.\n`,
      )
    })
}

/** The command `fallline explain`. */
export function explainCommand(): Command {
  return new Command('explain')
    .description('explain an optimizer: its rule, its phases and the bytes it moves')
    .argument('<name>', 'an optimizer, see fallline list')
    .option('--wgsl', 'print the kernels of WebGPU instead')
    .action(async (name: string, { wgsl = false }: { wgsl?: boolean }) => {
      const optimizer = optimizerNamed(name)
      const text = wgsl ? (await import('fallline/webgpu')).wgslOf(optimizer) : explain(optimizer)
      process.stdout.write(`${text.trimEnd()}\n`)
    })
}
