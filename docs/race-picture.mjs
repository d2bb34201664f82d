// Draws docs/race.svg from a finished race: node docs/race-picture.mjs [directory of the race]
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const directory = process.argv[2] ?? '.fallline/digits-mlp'
const { analysis, contenders, task } = JSON.parse(readFileSync(join(directory, 'results.json'), 'utf8'))
const report = readFileSync(join(directory, 'report.html'), 'utf8')

const chart = report.match(/<svg aria-label="Validation[^>]*class="wide">(.*?)<\/svg>/s)?.[1]
const light = report.match(/:root \{ color-scheme: light dark;([^}]*)\}/)?.[1]
const dark = report.match(/prefers-color-scheme: dark\) \{ :root \{([^}]*)\}/)?.[1]
if (!chart || !light || !dark) throw new Error(`${directory}/report.html is not a report with a validation chart`)

const escaped = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

/** Breaks a text into lines of at most `length` characters. */
function wrap(text, length) {
  const lines = ['']
  for (const word of text.split(' ')) {
    if (lines.at(-1).length + word.length >= length) lines.push('')
    lines[lines.length - 1] += lines.at(-1) === '' ? word : ` ${word}`
  }
  return lines
}

const verdict = wrap(analysis.gradients.verdict, 92)
// The report draws the contenders in the order of their score, with a pattern by place.
const ranked = [...contenders].sort(
  (a, b) => (analysis.gradients.scores[b.name] ?? -1) - (analysis.gradients.scores[a.name] ?? -1),
)
const patterns = ['none', '7 3', '2 3', '9 3 2 3']
const top = 66
const panel = 22 * verdict.length + 16
const legend = top + panel + 28
const height = legend + 366

const text = [
  `<text x="20" y="36" font-size="20" font-weight="600">${escaped(task.title)}: which optimizer?</text>`,
  `<rect x="20" y="${top - 16}" width="720" height="${panel}" fill="var(--panel)"/>`,
  `<rect x="20" y="${top - 16}" width="4" height="${panel}" fill="var(--good)"/>`,
  ...verdict.map((line, index) => `<text x="38" y="${top + 9 + 22 * index}" font-size="13.5">${escaped(line)}</text>`),
  ...ranked.flatMap(({ title }, index) => {
    const x = 24 + 110 * index
    const stroke = `stroke="var(--series-${index % 8})" stroke-width="2.5" stroke-dasharray="${patterns[index % 4]}"`
    return [
      `<line x1="${x}" x2="${x + 30}" y1="${legend - 5}" y2="${legend - 5}" ${stroke}/>`,
      `<text x="${x + 38}" y="${legend}" font-size="14">${escaped(title)}</text>`,
    ]
  }),
]

const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 ${height}" width="760" height="${height}" role="img" aria-label="Verdict and loss curves of a race" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif">
<style>
svg {${light}}
@media (prefers-color-scheme: dark) { svg {${dark}} }
.all { fill: var(--text); color: var(--text); }
</style>
<g class="all">
<rect x="0.5" y="0.5" width="759" height="${height - 1}" rx="12" fill="var(--ground)" stroke="var(--line)"/>
${text.join('\n')}
<g transform="translate(24,${legend + 10})" text-anchor="middle" font-size="12" fill="currentColor">${chart}</g>
</g>
</svg>
`
writeFileSync(new URL('race.svg', import.meta.url), svg)
