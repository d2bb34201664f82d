import { describe, explain, type OptimizerDefinition, type OptimizerFactory, type Paper, registry } from 'fallline'
import { describeCount } from '../../core/src/language/definition.ts'
import { describeRange } from '../../core/src/language/hyperparameters.ts'
import { formatNumber } from '../src/report/format.ts'
import { membersByFamily } from './families.ts'
import { inputsOf } from './inputs.ts'
import { sourceOf } from './source.ts'

/** Everything that is written from the registry, by path from the root of the repository; pictures are drawn elsewhere. */
export function pages(readme: string): Map<string, string> {
  return new Map([
    ['README.md', withFamilies(readme)],
    [`${directory}/README.md`, indexPage()],
    ...registry.map((factory) => [`${directory}/${factory.definition.name}.md`, optimizerPage(factory)] as const),
  ])
}

/** Where the pages of the optimizers lie; their pictures lie in `pictures` below. */
export const directory = 'docs/optimizers'

const opening = '<!-- optimizers -->'
const closing = '<!-- end of optimizers -->'

/** The README with its table of families made anew. */
function withFamilies(readme: string): string {
  const [before, rest] = readme.split(opening)
  const [, after] = rest?.split(closing) ?? []
  if (after === undefined) throw new Error(`README.md has no section between ${opening} and ${closing}`)
  const rows = membersByFamily().map(({ title, members }) => [
    `[${title}](${directory}/README.md#${anchorOf(title)})`,
    members.map(({ name }) => `\`${name}\``).join(', '),
  ])
  return `${before}${opening}\n\n${table(['family', 'optimizers'], rows)}\n\n${closing}${after}`
}

const note = '<!-- Written by `npm run docs` from the registry: change the source file of the optimizer instead. -->'

function indexPage(): string {
  const families = membersByFamily()
  const sections = families.map(({ title, members }) => {
    const rows = members.map((definition) => {
      const { stateBytesPerParameter, bytesPerParameter } = describe(factoryOf(definition))
      return [
        `[${definition.title}](${definition.name}.md)`,
        paperLink(definition.paper),
        String(definition.paper.year),
        formatNumber(stateBytesPerParameter),
        formatNumber(bytesPerParameter),
      ]
    })
    return `## ${title}\n\n${table(['optimizer', 'paper', 'year', 'state', 'moved'], rows, 3)}`
  })
  return `${note}

# Optimizers

${registry.length} optimizers in ${families.length} families. State is what an optimizer keeps, in bytes per parameter; moved is
what a step reads and writes, in bytes per parameter. Both are of the defaults and a 1024 x 1024 matrix. Every page shows the
rule, the passes over memory that it becomes, and how it moves: on two surfaces and on a small network.

${sections.join('\n\n')}
`
}

function optimizerPage(factory: OptimizerFactory): string {
  const { definition } = factory
  const { name, title, family, paper, needs } = definition
  const { comment, rule, path } = sourceOf(name)
  const cost = describe(factory)
  const familyTitle = membersByFamily().find((other) => other.family === family)!.title
  const inputs = inputsOf(definition)
  const facts = [
    ['name', `\`${name}\``],
    ['family', `[${familyTitle}](README.md#${anchorOf(familyTitle)})`],
    ['paper', `${paper.authors} ${paper.year}: ${paperLink(paper)}`],
    ['state', `${formatNumber(cost.stateBytesPerParameter)} bytes per parameter`],
    [
      'moved in a step',
      `${formatNumber(cost.readBytesPerParameter)} bytes read and ${formatNumber(cost.writtenBytesPerParameter)} written per parameter, ` +
        `${formatNumber(cost.bytesPerParameter)} in all`,
    ],
    ['kind', kinds[cost.kind]],
    ...('weightDecay' in definition.hyper ? [['weight decay', decays[definition.decay]]] : []),
    ...(needs === undefined ? [] : [['takes', `${needs}; other parameters go to a fallback`]]),
    ...inputs.map(([input, { description }]) => [`needs \`${input}\``, description]),
    ['source', `[\`${path}\`](../../${path})`],
  ]
  const searched = definition.search as Readonly<Record<string, Parameters<typeof rangeInWords>[0]>>
  const hyper = Object.entries(definition.hyper).map(([key, range]) => [
    `\`${key}\``,
    String(range.default),
    describeRange(range),
    searched[key] === undefined ? '' : rangeInWords(searched[key]),
  ])
  const options = Object.entries(definition.options ?? {}).map(([key, value]) => [
    `\`${key}\``,
    `\`${value}\``,
    (definition.choices?.[key] ?? (typeof value === 'boolean' ? ['true', 'false'] : [describeCount(definition, key)]))
      .map((choice) => (choice.includes(' ') ? choice : `\`${choice}\``))
      .join(', '),
  ])
  return `${note}

# ${title}

![How ${title} moves on two surfaces and on a small network](pictures/${name}.svg)

${comment}

${table(['', ''], facts as string[][])}

## Hyperparameters

${table(['name', 'default', 'valid', 'searched by the race'], hyper)}
${options.length === 0 ? '' : `\n## Options\n\nThey are fixed when the optimizer is compiled.\n\n${table(['name', 'default', 'choices'], options)}\n`}
## Rule

\`\`\`ts
${rule}
\`\`\`

## Phases

What a step becomes for a matrix of 1024 x 1024; \`npm run fallline -- explain ${name}\` prints it.

${phasesOf(factory)}
`
}

function factoryOf({ name }: OptimizerDefinition): OptimizerFactory {
  return registry.find((factory) => factory.definition.name === name)!
}

/** The part of `explain` from the phases on: what comes before is on the page already. Long ones are folded. */
function phasesOf(factory: OptimizerFactory): string {
  const text = explain(factory)
  const phases = text.slice(text.indexOf('\nPhases') + 1).trimEnd()
  const block = `\`\`\`text\n${phases}\n\`\`\``
  const lines = phases.split('\n').length
  return lines > 60 ? `<details>\n<summary>${lines} lines</summary>\n\n${block}\n\n</details>` : block
}

const kinds = {
  elementwise: 'elementwise: every element by itself',
  reduction: 'reduction: needs sums over a tensor, its rows or columns',
  global: 'global: needs sums over all tensors',
  matrix: 'matrix: needs matrix products',
} as const

const decays = {
  decoupled: 'decoupled: θ ← (1 - η λ) θ before the step',
  independent: 'independent: θ ← (1 - λ) θ before the step',
  corrected: 'corrected: θ ← (1 - λ η² / η_max) θ before the step',
  proximal: 'proximal: θ ← θ / (1 + η λ) after the step',
  coupled: 'coupled: g ← g + λ θ before everything else',
  own: 'where the rule says',
} as const

function paperLink({ title, arxiv, url }: Paper): string {
  const target = arxiv === undefined ? url : `https://arxiv.org/abs/${arxiv}`
  return target === undefined ? title : `[${title}](${target})`
}

function rangeInWords(range: NonNullable<OptimizerDefinition['search'][string]>): string {
  if (range.scale === 'choice') return range.values.map((value) => formatNumber(value)).join(', ')
  const words = `${formatNumber(range.minimum)} to ${formatNumber(range.maximum)}`
  return range.scale === 'log' ? `${words}, logarithmic` : words
}

/** A Markdown table; the last `right` columns are aligned to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[], right = 0): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const rule = head.map((_, index) => (index >= head.length - right ? '---:' : '---'))
  return [line(head), line(rule), ...rows.map(line)].join('\n')
}

/** The anchor of a heading. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\w -]/g, '')
    .replaceAll(' ', '-')
}
