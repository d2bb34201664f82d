/**
 * `npm run docs`: writes the pages of the optimizers and the table of the README from the registry, and draws the pictures
 * from runs made now. `npm run docs -- adan lion` draws those of the named optimizers only.
 */
import { fork } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { registry } from 'fallline'
import { optimizerNamed } from '../src/names.ts'
import { directory, pages } from './pages.ts'
import { picture } from './pictures.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const file = (path: string) => `${root}${directory}/${path}`

/** Draws pictures in this process. One that fails does not keep the others from being drawn. */
async function draw(names: readonly string[]): Promise<void> {
  for (const name of names) {
    try {
      writeFileSync(file(`pictures/${name}.svg`), await picture(optimizerNamed(name)))
    } catch (error) {
      process.stderr.write(`${name}: ${error instanceof Error ? error.message : String(error)}\n`)
      process.exitCode = 1
    }
  }
}

/** Draws pictures in as many processes as the machine runs at once. */
async function drawAll(names: readonly string[]): Promise<void> {
  const count = Math.min(availableParallelism(), names.length)
  const shares = Array.from({ length: count }, (_, share) => names.filter((_, index) => index % count === share))
  await Promise.all(
    shares.map(
      (share) =>
        new Promise<void>((resolve, reject) => {
          fork(fileURLToPath(import.meta.url), ['--draw', ...share]).on('exit', (code) =>
            code === 0 ? resolve() : reject(new Error('not all pictures could be drawn')),
          )
        }),
    ),
  )
}

/** Writes the pages, and removes those of optimizers that are gone. */
function writePages(): void {
  const written = pages(readFileSync(`${root}README.md`, 'utf8'))
  for (const [path, text] of written) writeFileSync(`${root}${path}`, text)
  const names = new Set(registry.map(({ definition }) => definition.name))
  for (const name of readdirSync(file(''))) {
    if (name.endsWith('.md') && !written.has(`${directory}/${name}`)) rmSync(file(name))
  }
  for (const name of readdirSync(file('pictures'))) {
    if (!names.has(name.replace(/\.svg$/, ''))) rmSync(file(`pictures/${name}`))
  }
}

const [first, ...rest] = process.argv.slice(2)
mkdirSync(file('pictures'), { recursive: true })
if (first === '--draw') await draw(rest)
else {
  const named = first === undefined ? [] : [first, ...rest]
  const all = registry.map(({ definition }) => definition.name)
  const names = named.length > 0 ? named.map((name) => optimizerNamed(name).definition.name) : all
  writePages()
  await drawAll(names)
}
