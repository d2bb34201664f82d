import { spawn } from 'node:child_process'

/** Runs a Python script that reads from standard input and writes to standard output; its lines on standard error say what it is doing. */
export function runScript(
  python: string,
  script: string,
  input: string,
  progress: (text: string) => void,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(python, [script])
    const [output, errors]: [string[], string[]] = [[], []]
    child.stdout.setEncoding('utf8').on('data', (text: string) => output.push(text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      const lines = text.split('\n').filter((line) => line !== '')
      errors.push(...lines)
      for (const line of lines) progress(line)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve(output.join(''))
      else reject(new Error(`the peer ended with ${code}: ${errors.at(-1) ?? 'without a word'}`))
    })
    child.stdin.end(input)
  })
}
