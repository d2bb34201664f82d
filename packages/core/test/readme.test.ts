import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build, type Plugin } from 'esbuild'
import { adamW, describe as describeOptimizer, type Optimizer } from 'fallline'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as schedules from '../src/schedules/index.ts'
import * as transforms from '../src/transforms/index.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const pages = [
  'README.md',
  'benchmarks/README.md',
  'packages/core/README.md',
  'packages/jax/README.md',
  'packages/tfjs/README.md',
  'packages/race/README.md',
  'packages/search/README.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

const read = (page: string) => readFileSync(join(root, page), 'utf8')

/** The fenced blocks of a language. */
function blocksOf(page: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms')
  return [...read(page).matchAll(pattern)].map((match) => match[1]!)
}

/** The page without its fenced blocks. */
const proseOf = (page: string) => read(page).replace(/^```.*?^```$/gms, '')

/** The rows of the table, or the paragraph, under `<!-- name -->`. */
function under(name: string): string[] {
  const after = read('README.md').split(`<!-- ${name} -->\n\n`)[1]!
  return after.slice(0, after.indexOf('\n\n')).split('\n')
}

const short = (value: number) => String(Number(value.toPrecision(4)))

interface Example {
  readonly title: string
  readonly page: string
  readonly file: string
  readonly code: string
}

/** Leaves alone what examples import that readers make themselves; files of the library may have the same names. */
const besideExamples = (folder: string): Plugin => ({
  name: 'beside examples',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(trained\.js|novo-grad\.ts)$/ }, ({ path, resolveDir }) =>
      resolveDir === folder ? { path, external: true } : undefined,
    )
  },
})

describe('the examples of the documentation', () => {
  const examples: Example[] = pages.flatMap((page) =>
    blocksOf(page, 'ts').map((code, index) => ({
      title: `${page}, ${index + 1}`,
      page,
      file: `${page.replaceAll(/\W/g, '_')}_${index + 1}.mts`,
      code,
    })),
  )
  /** Made one file each, beside the libraries that they stand in, they start at once. Races start workers from files of their own. */
  const bundled = examples.filter(({ code }) => !code.includes("from '@fallline/race'"))
  let folder = ''
  let program: ts.Program

  beforeAll(async () => {
    // Inside node_modules, so that git, the formatter and other tests do not see it and package names are found from it.
    folder = await mkdtemp(join(root, 'node_modules', '.documentation-'))
    for (const { file, code } of examples) await writeFile(join(folder, file), code)
    await writeFile(join(folder, 'misspelled.mts'), "import { adan } from 'fallline'\nadan({ lerningRate: 1 })\n")
    await build({
      entryPoints: bundled.map(({ file }) => join(folder, file)),
      outdir: join(folder, 'bundled'),
      outExtension: { '.js': '.mjs' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      conditions: ['@fallline/source'],
      external: ['@jax-js/*', '@tensorflow/*'],
      plugins: [besideExamples(folder)],
      logLevel: 'silent',
    })
    const { config } = ts.readConfigFile(join(root, 'tsconfig.base.json'), (path) => readFileSync(path, 'utf8'))
    const relaxed = { noUncheckedIndexedAccess: false, noUnusedLocals: false, noEmit: true, types: ['node'] }
    const options = ts.convertCompilerOptionsFromJson({ ...config.compilerOptions, ...relaxed }, root).options
    const files = [...examples.map(({ file }) => file), 'misspelled.mts']
    program = ts.createProgram(
      files.map((file) => join(folder, file)),
      options,
    )
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  function typeErrors(file: string): string[] {
    const source = program.getSourceFile(join(folder, file))!
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    return found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  }

  it('are there', () => {
    const counts = Object.fromEntries(pages.map((page) => [page, examples.filter((e) => e.page === page).length]))
    expect(counts['README.md']).toBeGreaterThanOrEqual(2)
    expect(counts['docs/adding-an-optimizer.md']).toBeGreaterThanOrEqual(1)
    expect(counts['packages/core/README.md']).toBeGreaterThanOrEqual(1)
    expect(counts['packages/race/README.md']).toBeGreaterThanOrEqual(1)
  })

  it('begin with one of at most 20 lines', () => {
    expect(examples[0]!.code.trimEnd().split('\n').length).toBeLessThanOrEqual(20)
  })

  it('begin with one that compiles where indices may be missing, as tsc --init has it', () => {
    const options = { ...program.getCompilerOptions(), noUncheckedIndexedAccess: true }
    const strict = ts.createProgram([join(folder, examples[0]!.file)], options)
    const source = strict.getSourceFile(join(folder, examples[0]!.file))!
    expect(strict.getSemanticDiagnostics(source).map(({ messageText }) => messageText)).toEqual([])
  })

  it('would not compile with a misspelled hyperparameter', () => {
    expect(typeErrors('misspelled.mts').join('\n')).toContain('lerningRate')
  })

  it.each(examples.map((example) => [example.title, example] as const))(
    '%s is right',
    async (_, { page, file, code }) => {
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
    },
  )
})

describe('the tables of the README', () => {
  it('list the transforms, with what they cost around AdamW', () => {
    const sorted = Object.entries(transforms).sort(([a], [b]) => (a < b ? -1 : 1))
    const rows = sorted.map(([name, transform]) => {
      const wrapped = (transform as (inner: Optimizer) => Optimizer)(adamW())
      const { stateBytesPerParameter, bytesPerParameter } = describeOptimizer(wrapped)
      const bytes = `${short(stateBytesPerParameter)} | ${short(bytesPerParameter)}`
      return `| \`${name}\` | ${transform.definition.title} | ${bytes} |`
    })
    expect(under('transforms').slice(2)).toEqual(rows)
  })

  it('list the schedules', () => {
    const helpers = ['evaluateSchedule', 'isSchedule']
    const listed = [
      ...under('schedules')
        .join(' ')
        .matchAll(/`(\w+)`/g),
    ].map((match) => match[1]!)
    expect(listed.sort()).toEqual(
      Object.keys(schedules)
        .filter((name) => !helpers.includes(name))
        .sort(),
    )
  })
})

describe('the picture of the flow', () => {
  it('has the bytes of the plan of AdamW', () => {
    const { readBytesPerParameter, writtenBytesPerParameter, bytesPerParameter } = describeOptimizer(adamW)
    const picture = read('docs/flow.svg')
    expect(picture).toContain(`${readBytesPerParameter} read + ${writtenBytesPerParameter} written`)
    expect(picture).toContain(`= ${bytesPerParameter} bytes per parameter`)
  })
})

describe.each(pages)('%s', (page) => {
  it('links to files and headings that exist', () => {
    const links = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!)
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false
      const [path, heading] = link.split('#') as [string, string | undefined]
      const target = path === '' ? page : join(dirname(page), path)
      if (!existsSync(join(root, target))) return true
      if (heading === undefined) return false
      const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map((match) =>
        match[1]!
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      )
      return !headings.includes(heading)
    })
    expect(broken).toEqual([])
  })

  it('names files that exist', () => {
    const example = 'packages/core/src/optimizers/novo-grad.ts'
    const names = [...proseOf(page).matchAll(/`([\w@][\w@./-]*)`/g)].map((match) => match[1]!)
    const files = names.filter((name) => (name.endsWith('.ts') && name.includes('/')) || name.startsWith('packages/'))
    const folders = [root, join(root, 'packages/core/src'), join(root, dirname(page))]
    const missing = files.filter((name) => name !== example && !folders.some((base) => existsSync(join(base, name))))
    expect(missing).toEqual([])
  })

  it('names commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = [...read(page).matchAll(/npm run ([\w:]+)/g)].map((match) => match[1]!)
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })
})
