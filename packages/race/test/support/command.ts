import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { vi } from 'vitest'
import { runCommand } from '../../src/command/program.ts'

/** The file that is the command. */
export const command = fileURLToPath(new URL('../../src/command.ts', import.meta.url))

/** The path of a task module of the tests. */
export const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}.ts`, import.meta.url))

/** How a command ended and what it printed. */
export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs the command inside this process, which is quick. */
export async function inside(parameters: readonly string[]): Promise<Ended> {
  const text = { stdout: '', stderr: '' }
  const spies = (['stdout', 'stderr'] as const).map((stream) =>
    vi.spyOn(process[stream], 'write').mockImplementation((chunk) => {
      text[stream] += stripVTControlCharacters(String(chunk))
      return true
    }),
  )
  try {
    return { code: await runCommand(parameters), ...text }
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
}

/** Runs the command as a user would; `watch` sees the error stream as it grows, `input` is what it reads, `onLine` sees the first output. */
export function fallline(
  parameters: readonly string[],
  watch?: (stderr: string, child: ChildProcess) => void,
  input?: string,
  onLine?: (stdout: string, child: ChildProcess) => void,
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const node = ['--import', 'tsx', '--conditions=@fallline/source', command, ...parameters]
    const child = spawn(process.execPath, node, {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, NO_COLOR: '1' },
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (text) => {
      if (stdout === '') onLine?.(String(text), child)
      stdout += text
    })
    child.stderr.on('data', (text) => {
      stderr += text
      watch?.(stderr, child)
    })
    if (input !== undefined) child.stdin.end(input)
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr }))
  })
}
