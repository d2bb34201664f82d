/** The pages of the documentation. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../../../../', import.meta.url))
export const pages = [
  'README.md',
  'benchmarks/README.md',
  'packages/core/README.md',
  'packages/jax/README.md',
  'packages/tfjs/README.md',
  'packages/race/README.md',
  'packages/search/README.md',
  'packages/solvers/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

export const read = (page: string) => readFileSync(join(root, page), 'utf8')

/** The fenced blocks of a language. */
export function blocksOf(page: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms')
  return [...read(page).matchAll(pattern)].map((match) => match[1]!)
}
