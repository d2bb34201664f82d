import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { listFiles, readGolden } from './files.ts'
import { mappings } from './mapping.ts'
import { drivers } from './mappings/drivers.ts'
import { type BackendName, passes, type RunResult, replayFile } from './replay.ts'
import { formatReport } from './report.ts'

const usage = `Usage: npm run golden -- DIR [--only NAME,...] [--backend NAME]

Replays every trajectory file (*.json, *.json.gz) of DIR: on the reference backend in float64 and on wasm in float32.
Prints the worst relative error of each configuration and exits with 1 if one is too large.

  --only NAME,...  only the files of these optimizers, such as adan,torch_adamw
  --backend NAME   only this backend: reference, wasm, or webgpu where there is an adapter
  --help           this text

Known optimizers: ${[...Object.keys(mappings), ...Object.keys(drivers)].sort().join(', ')}
`

/** Says what is wrong with how the command was called; exit code 2. */
class UsageError extends Error {}

/** Where the command writes. */
export interface Streams {
  readonly output: (text: string) => void
  readonly error: (text: string) => void
}

/** Runs the command; returns its exit code: 0 all passed, 1 something failed, 2 wrong arguments. */
export async function runGolden(args: readonly string[], write: Streams): Promise<number> {
  try {
    return await replayDirectory(args, write)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    write.error(`golden: ${error.message}\n\n${usage}`)
    return 2
  }
}

async function replayDirectory(args: readonly string[], write: Streams): Promise<number> {
  const { directory, only, backends } = readArguments(args)
  if (directory === undefined) {
    write.output(usage)
    return 0
  }
  const files = await listFiles(directory).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`cannot read the directory '${directory}': ${error.code ?? error.message}`)
  })
  if (files.length === 0) throw new UsageError(`'${directory}' has no trajectory files (*.json or *.json.gz)`)
  const results: RunResult[] = []
  const found = new Set<string>()
  for (const path of files) {
    const name = basename(path).replace(/\.json(\.gz)?$/, '')
    const plain = { optimizer: name, config: '', layout: '', outcomes: {} }
    try {
      const file = await readGolden(path)
      found.add(file?.optimizer ?? name)
      if (only && !only.includes(file?.optimizer ?? name)) continue
      if (file) results.push(...(await replayFile(file, backends)))
      else results.push({ ...plain, skipped: 'not a trajectory file: it has no optimizer and runs' })
    } catch (error) {
      if (!only || only.includes(name))
        results.push({ ...plain, failure: `cannot read ${basename(path)}: ${(error as Error).message}` })
    }
  }
  const missing = only?.filter((name) => !found.has(name)) ?? []
  if (missing.length > 0) throw new UsageError(`'${directory}' has no file of ${missing.join(', ')}`)
  write.output(`${formatReport(results, backends)}\n`)
  return results.every(passes) ? 0 : 1
}

function readArguments(args: readonly string[]) {
  const { values, positionals } = parse(args)
  if (values.help) return { directory: undefined, only: undefined, backends: [] }
  if (positionals.length !== 1) throw new UsageError(`give one directory, not ${positionals.length || 'none'}`)
  const backends: BackendName[] = ['reference', 'wasm']
  if (values.backend !== undefined && ![...backends, 'webgpu'].includes(values.backend)) {
    throw new UsageError(`--backend must be reference, wasm or webgpu, not '${values.backend}'`)
  }
  return {
    directory: positionals[0]!,
    only: values.only?.split(',').map((name) => name.trim()),
    backends: values.backend === undefined ? backends : [values.backend as BackendName],
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        only: { type: 'string' },
        backend: { type: 'string' },
      },
    })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}
