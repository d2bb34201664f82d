import { execFile } from 'node:child_process'
import { access, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const environment = fileURLToPath(new URL('../../.peers/python', import.meta.url))
const requirements = fileURLToPath(new URL('./requirements.txt', import.meta.url))
const installMinutes = 20

/** Packages that are installed together; when one group cannot be had, the other still can. */
const groups: Record<PythonLibrary, readonly string[]> = {
  torch: ['numpy', 'torch', 'pytorch_optimizer'],
  jax: ['numpy', 'jax', 'optax'],
  optuna: ['optuna', 'cmaes', 'psycopg2-binary'],
  scipy: ['numpy', 'scipy'],
}

/** What the Python peer can load. */
export type PythonLibrary = 'torch' | 'jax' | 'optuna' | 'scipy'

/** A Python interpreter, and for each library why it could not be installed, if it could not. */
export interface PythonPeers {
  interpreter: string
  problems: Partial<Record<PythonLibrary, string>>
}

/**
 * Makes a virtual environment beside the benchmarks and installs the peers into it, unless that was done before. This takes minutes
 * and about 6 GB with PyTorch, which PyPI has only with its GPU libraries.
 */
export async function installPythonPeers(
  progress: (text: string) => void,
  libraries: readonly PythonLibrary[] = ['torch', 'jax'],
): Promise<PythonPeers> {
  const interpreter = join(environment, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python')
  const problems: PythonPeers['problems'] = {}
  const exists = await access(interpreter).then(
    () => true,
    () => false,
  )
  if (!exists) {
    progress('making a Python environment in benchmarks/.peers')
    try {
      await run('python3', ['-m', 'venv', environment])
    } catch (error) {
      const reason = `no Python environment: ${lastLine(error)}`
      return { interpreter, problems: Object.fromEntries(libraries.map((library) => [library, reason])) }
    }
  }
  const pins = (await readFile(requirements, 'utf8')).split('\n').filter((line) => line.trim() !== '')
  for (const library of libraries) {
    const names = groups[library]
    const wanted = pins.filter((pin) => names.includes(pin.split('==')[0]!))
    const marker = join(environment, `${library}-installed.txt`)
    const installed = await readFile(marker, 'utf8').catch(() => '')
    if (installed === wanted.join('\n')) continue
    progress(`installing ${wanted.join(', ')} with pip, which takes minutes (about 6 GB for all peers)`)
    try {
      await run(interpreter, ['-m', 'pip', 'install', '--quiet', '--no-cache-dir', ...wanted], {
        timeout: installMinutes * 60_000,
        maxBuffer: 1 << 26,
      })
      await writeFile(marker, wanted.join('\n'))
    } catch (error) {
      problems[library] = `could not be installed: ${lastLine(error)}`
    }
  }
  return { interpreter, problems }
}

function lastLine(error: unknown): string {
  const { stderr, message, killed } = error as { stderr?: string; message?: string; killed?: boolean }
  if (killed) return `not done after ${installMinutes} minutes`
  return (stderr?.trim() || message || String(error)).split('\n').at(-1)!
}
