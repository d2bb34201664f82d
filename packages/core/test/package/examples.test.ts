import { execFile } from 'node:child_process'
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
/** Ignored by git, and where the packages resolve as they do for their users. */
const folder = join(root, 'node_modules', '.doc-examples')

interface Example {
  /** Where it stands: `core/src/language/value.ts:12`. */
  readonly place: string
  readonly file: string
  readonly code: string
}

/** The blocks of TypeScript in the doc comments of a file. */
function examplesOf(name: string, text: string): Example[] {
  const examples: Example[] = []
  let code: string[] | undefined
  let start = 0
  text.split('\n').forEach((line, index) => {
    const content = /^\s*\* ?(.*)$/.exec(line)?.[1]
    if (content === undefined) return
    if (code === undefined && /^```(ts|typescript)\s*$/.test(content)) {
      code = []
      start = index + 1
    } else if (code !== undefined && content.startsWith('```')) {
      const file = `${name.replaceAll(/[^a-z0-9]+/gi, '-')}-${start}.mts`
      examples.push({ place: `${name}:${start}`, file, code: `${code.join('\n')}\nexport {}\n` })
      code = undefined
    } else code?.push(content)
  })
  return examples
}

async function findExamples(): Promise<Example[]> {
  const found: Example[] = []
  for (const name of ['core', 'race', 'search', 'tfjs', 'jax']) {
    const files = await readdir(join(root, 'packages', name, 'src'), { recursive: true, withFileTypes: true })
    for (const entry of files.filter((file) => file.isFile() && file.name.endsWith('.ts'))) {
      const path = join(entry.parentPath, entry.name)
      const place = relative(join(root, 'packages'), path).split(sep).join('/')
      found.push(...examplesOf(place, await readFile(path, 'utf8')))
    }
  }
  return found
}

const examples = await findExamples()

describe('the examples in doc comments', () => {
  const errors = new Map<string, string[]>()
  let output = ''

  beforeAll(async () => {
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    for (const { file, code } of examples) await writeFile(join(folder, file), code)
    const settings = {
      extends: relative(folder, join(root, 'tsconfig.base.json')).split(sep).join('/'),
      compilerOptions: { noEmit: true, noUnusedLocals: false, noUnusedParameters: false, types: ['node'] },
      include: ['*.mts'],
    }
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(settings))
    const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
    output = await promisify(execFile)(process.execPath, [compiler, '-p', folder, '--pretty', 'false'], {
      cwd: folder,
    }).then(
      () => '',
      (error: { stdout: string; stderr: string }) => `${error.stdout}${error.stderr}`,
    )
    for (const line of output.split('\n')) {
      const file = /^([\w-]+\.mts)\(/.exec(line)?.[1]
      if (file) errors.set(file, [...(errors.get(file) ?? []), line])
    }
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  it('are found', () => {
    expect(examples.map(({ place }) => place.split(':')[0])).toEqual(
      expect.arrayContaining(['core/src/compile.ts', 'race/src/race.ts', 'tfjs/src/adapt.ts', 'jax/src/trainer.ts']),
    )
  })

  it('leave nothing wrong outside of them', () => {
    const outside = output.split('\n').filter((line) => line.includes('error TS') && !/^[\w-]+\.mts\(/.test(line))
    expect(outside).toEqual([])
  })

  it.each(examples.map((example) => [example.place, example] as const))('%s is right', (_, { file }) => {
    expect(errors.get(file) ?? []).toEqual([])
  })

  it('are extracted line by line', () => {
    const text = [
      '/**',
      ' * Text',
      ' *',
      ' * ```ts',
      ' * const a = 1',
      ' *',
      ' * use(a)',
      ' * ```',
      ' * ```text',
      ' * no',
      ' * ```',
      ' */',
    ].join('\n')
    expect(examplesOf('x/y.ts', text)).toEqual([
      { place: 'x/y.ts:4', file: 'x-y-ts-4.mts', code: 'const a = 1\n\nuse(a)\nexport {}\n' },
    ])
  })
})
