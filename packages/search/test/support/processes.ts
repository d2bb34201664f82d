import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** Built once, because many processes start from it. */
const script = here(`../../node_modules/.test/folder-process-${process.pid}.mjs`)
buildSync({
  entryPoints: [here('./folder-process.ts')],
  outfile: script,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
})
process.on('exit', () => rmSync(script, { force: true }))

/** A process that works on studies, and what it has said so far. */
export interface Worker {
  readonly child: ChildProcess
  readonly lines: readonly string[]
  /** The first line it says. */
  readonly first: Promise<string>
  /** Resolves with what it wrote to stderr when it did not end well and was not killed. */
  readonly ended: Promise<void>
}

/** Starts a process of `folder-process.ts`. */
export function startWorker(...given: readonly string[]): Worker {
  const child = spawn(process.execPath, [script, ...given], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  let errors = ''
  child.stderr!.on('data', (data) => {
    errors += data
  })
  const reader = createInterface({ input: child.stdout! })
  const first = new Promise<string>((resolve) => reader.once('line', resolve))
  reader.on('line', (line) => lines.push(line))
  const ended = new Promise<void>((resolve, reject) =>
    child.once('close', (code) =>
      code ? reject(new Error(`${given.join(' ')} ended with ${code}: ${errors}`)) : resolve(),
    ),
  )
  // Whoever waits for it sees the error all the same.
  ended.catch(() => {})
  return { child, lines, first, ended }
}
