import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { promisify } from 'node:util'
import { build, type Plugin } from 'esbuild'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { blocksOf, pages, root } from './support/pages.ts'
import { everything, meets } from './support/sample.ts'

interface Example {
  /** Where it stands: `README.md, 1`, or `core/src/language/value.ts:12`. */
  readonly place: string
  readonly file: string
  readonly code: string
}

const shown = pages.flatMap((page) =>
  blocksOf(page, 'ts').map((code, index) => ({
    place: `${page}, ${index + 1}`,
    page,
    file: `${page.replaceAll(/\W/g, '_')}_${index + 1}.mts`,
    code,
  })),
)

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

async function findCommented(): Promise<Example[]> {
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

const commented = await findCommented()

/** Leaves alone what examples import that readers make themselves; files of the library may have the same names. */
const besideExamples = (folder: string): Plugin => ({
  name: 'beside examples',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(trained\.js|novo-grad\.ts)$/ }, ({ path, resolveDir }) =>
      resolveDir === folder ? { path, external: true } : undefined,
    )
  },
})

/** Made one file each, beside the libraries that they stand in, they start at once. Races start workers from files of their own. */
const bundled = shown.filter(({ code }) => !code.includes("from '@fallline/race'"))

/** Inside node_modules, so that git, the formatter and other tests do not see it and package names are found from it. */
let folder = ''
/** All examples, and those that must compile where indices may be missing, as `tsc --init` has it. */
let [program, strict]: ts.Program[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(root, 'node_modules', '.documentation-'))
  for (const { file, code } of [...shown, ...commented]) await writeFile(join(folder, file), code)
  await writeFile(join(folder, 'misspelled.mts'), "import { adan } from 'fallline'\nadan({ lerningRate: 1 })\n")
  await build({
    entryPoints: bundled.map(({ file }) => join(folder, file)),
    outdir: join(folder, 'bundled'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    conditions: ['@fallline/source'],
    external: ['@electric-sql/*', '@jax-js/*', '@tensorflow/*', 'highs', 'pg'],
    plugins: [besideExamples(folder)],
    logLevel: 'silent',
  })
  const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), (path) => readFileSync(path, 'utf8'))
  const relaxed = { noUnusedLocals: false, noUnusedParameters: false, noEmit: true, types: ['node'] }
  const { options } = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, ...relaxed }, root)
  const host = ts.createCompilerHost(options)
  const parse = host.getSourceFile
  const parsed = new Map<string, ts.SourceFile | undefined>()
  host.getSourceFile = (name, ...settings) => {
    if (!parsed.has(name)) parsed.set(name, parse(name, ...settings))
    return parsed.get(name)
  }
  const programOf = (files: readonly string[], own: ts.CompilerOptions) =>
    ts.createProgram(
      files.map((file) => join(folder, file)),
      { ...options, ...own },
      host,
    )
  program = programOf([...shown.map(({ file }) => file), 'misspelled.mts'], { noUncheckedIndexedAccess: false })
  strict = programOf([shown[0]!.file, ...commented.map(({ file }) => file)], { noUncheckedIndexedAccess: true })
})

afterAll(() => rm(folder, { recursive: true, force: true }))

function typeErrors(file: string, within = program!): string[] {
  const source = within.getSourceFile(join(folder, file))!
  const found = [...within.getSyntacticDiagnostics(source), ...within.getSemanticDiagnostics(source)]
  return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

describe('the examples of the documentation', () => {
  it('are there', () => {
    const counts = Object.fromEntries(pages.map((page) => [page, shown.filter((e) => e.page === page).length]))
    expect(counts['README.md']).toBeGreaterThanOrEqual(2)
    expect(counts['docs/adding-an-optimizer.md']).toBeGreaterThanOrEqual(1)
    expect(counts['packages/core/README.md']).toBeGreaterThanOrEqual(1)
    expect(counts['packages/race/README.md']).toBeGreaterThanOrEqual(1)
  })

  it('begin with one of at most 20 lines', () => {
    expect(shown[0]!.code.trimEnd().split('\n').length).toBeLessThanOrEqual(20)
  })

  it('begin with one that compiles where indices may be missing, as tsc --init has it', () => {
    expect(typeErrors(shown[0]!.file, strict)).toEqual([])
  })

  it('would not compile with a misspelled hyperparameter', () => {
    expect(typeErrors('misspelled.mts').join('\n')).toContain('lerningRate')
  })

  // Every day the first of a page and a third of the others.
  const tried = shown.filter(({ place }) => place.endsWith(', 1') || meets('examples', place, everything, 1 / 3))
  it.each(tried.map((example) => [example.place, example] as const))('%s is right', async (_, { page, file, code }) => {
    expect(typeErrors(file)).toEqual([])
    const oneFile = join(folder, 'bundled', file.replace('.mts', '.mjs'))
    const node = existsSync(oneFile)
      ? [oneFile]
      : ['--import', 'tsx', '--conditions=@fallline/source', join(folder, file)]
    const { stdout } = await promisify(execFile)(process.execPath, node, { cwd: root })
    const claimed = [...code.matchAll(/^ *console\.log\(.*\) \/\/ (.*)$/gm)].map((match) => match[1]!)
    const printed = stdout.trimEnd().split('\n')
    expect(printed.slice(0, claimed.length)).toEqual(claimed)
    const unclaimed = printed.slice(claimed.length).join('\n').trim()
    if (unclaimed !== '') expect(blocksOf(page, 'text output').map((block) => block.trim())).toContain(unclaimed)
  })
})

describe('the examples in doc comments', () => {
  it('are found', () => {
    expect(commented.map(({ place }) => place.split(':')[0])).toEqual(
      expect.arrayContaining(['core/src/compile.ts', 'race/src/race.ts', 'tfjs/src/adapt.ts', 'jax/src/trainer.ts']),
    )
  })

  it('leave nothing wrong outside of them', () => {
    expect([...strict!.getOptionsDiagnostics(), ...strict!.getGlobalDiagnostics()]).toEqual([])
  })

  it.each(commented.map((example) => [example.place, example] as const))('%s is right', (_, { file }) => {
    expect(typeErrors(file, strict)).toEqual([])
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
