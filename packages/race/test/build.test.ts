import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { adamW, compile, cosine } from 'fallline'
import { afterAll, describe, expect, it } from 'vitest'
import { inside } from './support/command.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
// Inside the repository, where what is written finds the packages.
const folder = mkdtempSync(join(root, 'packages/race/test/built-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const guide = readFileSync(join(root, 'docs/ahead-of-time.md'), 'utf8')
const blocks = (language: string) =>
  [...guide.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map((match) => match[1]!)

const file = (name: string, text?: string): string => {
  const path = join(folder, name)
  if (text !== undefined) writeFileSync(path, text)
  return path
}
const optimizer = file('optimizer.ts', blocks('ts')[0])
const shapes = file('shapes.json', blocks('json')[0])
const out = file('trained.js')

describe('fallline build', () => {
  it('writes a module that trains as the guide says', async () => {
    const command = blocks('sh')[0]!.trim().replace('npx fallline ', '')
    const places: Record<string, string> = { 'optimizer.ts': optimizer, 'shapes.json': shapes, 'trained.js': out }
    const ended = await inside(command.split(' ').map((word) => places[word] ?? word))
    expect(ended).toMatchObject({ code: 0, stderr: '' })
    expect(ended.stdout).toMatch(/^wrote .*trained\.js \(\d+\.\d KiB\) and .*trained\.d\.ts\n$/)
    expect(readFileSync(file('trained.d.ts'), 'utf8')).toContain('export type Name = "dense/kernel" | "dense/bias"')

    const given = `
const initial = Float32Array.from({ length: 7840 }, (_, i) => Math.cos(i))
const gradient = Float32Array.from({ length: 7840 }, (_, i) => Math.sin(i))
const evaluate = ({ gradients }) => { gradients['dense/kernel'].set(gradient) }
`
    const [start, more] = blocks('js')
    const script = file(
      'script.mjs',
      `${given}${start}${more}\nconsole.log(JSON.stringify([...optimizer.parameters['dense/kernel']]))`,
    )
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--conditions=@fallline/source', script],
      {
        cwd: root,
      },
    )

    const compiled = await compile(adamW({ learningRate: cosine({ from: 1e-3, to: 0, steps: 1000 }) }), {
      'dense/kernel': [784, 10],
      'dense/bias': [10],
    })
    const gradient = Float32Array.from({ length: 7840 }, (_, i) => Math.sin(i))
    compiled.parameters['dense/kernel'].set(Float32Array.from({ length: 7840 }, (_, i) => Math.cos(i)))
    compiled.gradients['dense/kernel'].set(gradient)
    compiled.step()
    compiled.set({ learningRate: 1e-4 })
    compiled.step()
    expect(JSON.parse(stdout)).toEqual([...compiled.parameters['dense/kernel']])
  })

  it.each([
    [[optimizer], 2, "required option '--shapes <file>' not specified"],
    [[file('nowhere.ts'), '--shapes', shapes, '--out', out], 3, "nowhere.ts' is not a file"],
    [[shapes, '--shapes', shapes, '--out', out], 3, 'must end in one of .ts'],
    [[optimizer, '--shapes', optimizer, '--out', out], 3, 'cannot be read as JSON'],
    [[optimizer, '--shapes', file('list.json', '[]'), '--out', file('none/out.js')], 3, 'cannot be written'],
    [[optimizer, '--shapes', file('wrong.json', '{ "w": 3 }'), '--out', out], 3, "the shape of parameter 'w'"],
    [[optimizer, '--shapes', shapes, '--out', 'out.ts'], 2, '--out out.ts must end in .js or .mjs'],
    [[optimizer, '--shapes', shapes, '--out', out, '--layout', 'rows'], 2, 'Allowed choices are outputFirst'],
    [[file('no-default.ts', 'export const rule = 1'), '--shapes', shapes, '--out', out], 3, '(it exports rule)'],
    [[file('no-optimizer.ts', 'export default 1'), '--shapes', shapes, '--out', out], 3, 'build: the first argument'],
    [
      [file('broken.ts', 'throw new Error("no luck")'), '--shapes', shapes, '--out', out],
      3,
      'could not be imported: no luck',
    ],
  ] as const)('%# ends with an error that says why', async (parameters, code, message) => {
    const ended = await inside(['build', ...parameters])
    expect(ended.stderr).toContain(message)
    expect(ended.code).toBe(code)
  })
})
