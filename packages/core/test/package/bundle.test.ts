import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createContext, Script } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { build, type Metafile } from 'esbuild'
import { adamW, compile, registry } from 'fallline'
import { describe, expect, it } from 'vitest'

const source = fileURLToPath(new URL('../../src/', import.meta.url))
const packageFile = new URL('../../package.json', import.meta.url)

/** An application of a user, bundled for the browser. */
async function bundle(code: string, options: { format?: 'esm' | 'iife'; minify?: boolean } = {}) {
  const result = await build({
    stdin: { contents: code, resolveDir: fileURLToPath(new URL('.', import.meta.url)), loader: 'ts' },
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format: options.format ?? 'esm',
    outdir: 'out',
    splitting: options.format !== 'iife',
    minify: options.minify ?? false,
    conditions: ['@fallline/source'],
    logLevel: 'silent',
  })
  const { outputs } = result.metafile
  const loaded = loadedAtOnce(outputs)
  const texts = result.outputFiles.filter(({ path }) => loaded.some((name) => path.endsWith(name)))
  return {
    text: texts.map(({ text }) => text).join('\n'),
    parts: texts.map(({ path, text }) => ({ name: basename(path), text })),
    imports: loaded.flatMap((name) => outputs[name]!.imports.filter(({ external }) => external)),
    files: loaded.flatMap((name) => filesOf(outputs[name]!)),
  }
}

/** The entry and what it imports; what it only loads when something needs it is not among them. */
function loadedAtOnce(outputs: Metafile['outputs']): string[] {
  const names = Object.keys(outputs)
  const loaded = new Set(names.filter((name) => outputs[name]!.entryPoint === '<stdin>'))
  if (loaded.size === 0) return names
  for (const name of loaded) {
    for (const { path, kind } of outputs[name]!.imports) if (kind === 'import-statement') loaded.add(path)
  }
  return [...loaded]
}

/** The source files that have a part in the output. */
function filesOf(output: Metafile['outputs'][string]): string[] {
  return Object.entries(output.inputs)
    .filter(([, { bytesInOutput }]) => bytesInOutput > 0)
    .map(([path]) => path.split('/src/')[1] ?? path)
}

/** Trains a little and gives the parameters; what `globalThis.finish` is depends on where it runs. */
const training = `
const model = { w: [3, 5], b: [7] }
const options = { backend: wasm({ threads: 4 }) }
compile(adamW({ learningRate: 0.1, weightDecay: 0.1 }), model, options).then((optimizer) => {
  optimizer.parameters.w.fill(0.5)
  for (let step = 1; step <= 3; step++) {
    optimizer.gradients.w.fill(step)
    optimizer.gradients.b.fill(-step)
    optimizer.step()
  }
  const bytes = optimizer.save()
  optimizer.load(bytes)
  finish(JSON.stringify([[...optimizer.parameters.w], [...optimizer.parameters.b], bytes.length]))
})`

/** The same training here, with one thread. */
async function expected(): Promise<string> {
  const optimizer = await compile(adamW({ learningRate: 0.1, weightDecay: 0.1 }), { w: [3, 5], b: [7] })
  optimizer.parameters.w!.fill(0.5)
  for (let step = 1; step <= 3; step++) {
    optimizer.gradients.w!.fill(step)
    optimizer.gradients.b!.fill(-step)
    optimizer.step()
  }
  return JSON.stringify([[...optimizer.parameters.w!], [...optimizer.parameters.b!], optimizer.save().length])
}

describe('an application with one optimizer', () => {
  const app = "import { adamW, compile } from 'fallline'\nconsole.log(adamW(), compile)"

  it('contains no other optimizer, wrapper, schedule or backend', async () => {
    const { files, text } = await bundle(app)
    expect(files).toContain('optimizers/adam-w.ts')
    const others = files.filter((file) => file.startsWith('optimizers/'))
    expect(others).toEqual(['optimizers/adam-w.ts'])
    expect(files.filter((file) => file.startsWith('transforms/'))).toEqual([])
    expect(files.filter((file) => file.startsWith('backends/reference/'))).toEqual([])
    expect(files.filter((file) => file.startsWith('schedules/') && file !== 'schedules/schedule.ts')).toEqual([])
    const unused = [
      'explain.ts',
      'graph/whole-graph.ts',
      'plan/planner.ts',
      'program/trace-chain.ts',
      'program/resolve.ts',
      'routines/table.ts',
      'run/inputs.ts',
      'run/minimize.ts',
      'backends/wasm/gathering-builder.ts',
      'backends/wasm/gathering-entry.ts',
      'backends/wasm/sums.ts',
      'backends/wasm/shared-driver.ts',
    ]
    expect(files.filter((file) => unused.includes(file))).toEqual([])
    for (const { definition } of registry) {
      if (definition.name !== 'adamW') expect(text).not.toContain(definition.paper.title)
    }
  })

  it('imports nothing, from Node least of all', async () => {
    const { imports, text } = await bundle(app)
    expect(imports).toEqual([])
    expect(text).not.toMatch(/(\bfrom|\bimport\(?)\s*["']node:/)
    const all = await bundle("export * from 'fallline'")
    expect(all.imports).toEqual([])
  })

  it('needs nothing else to take a step and to save', async () => {
    const alone = training.replace('threads: 4', 'threads: 1')
    const { parts } = await bundle(
      `import { adamW, compile, wasm } from 'fallline'\nconst finish = console.log\n${alone}`,
    )
    const folder = await mkdtemp(join(tmpdir(), 'fallline-bundle-'))
    try {
      await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
      await Promise.all(parts.map(({ name, text }) => writeFile(join(folder, name), text)))
      const stdout = execFileSync(process.execPath, [join(folder, 'stdin.js')], { encoding: 'utf8' })
      expect(stdout.trim()).toBe(await expected())
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('does not grow unnoticed', async () => {
    const { text } = await bundle(app, { minify: true })
    // The benchmark reports the size beside its aim. Raise this only for a reason.
    expect(gzipSync(text).length).toBeLessThan(40.1 * 1024)
    const running = await bundle(app.replaceAll('compile', 'compileRunning'), { minify: true })
    expect(running.files.filter((file) => file.startsWith('state/') || file === 'run/compiled-optimizer.ts')).toEqual(
      [],
    )
    expect(gzipSync(running.text).length).toBeLessThan(32.6 * 1024)
  })
})

describe('the core', () => {
  it('trains where there is nothing but the language, WebAssembly and text encoding', async () => {
    const { text } = await bundle(`import { adamW, compile, wasm } from 'fallline'\n${training}`, { format: 'iife' })
    const found = await new Promise<string>((resolve, reject) => {
      const context = createContext({ TextEncoder, TextDecoder, finish: resolve, fail: reject })
      new Script(
        'delete globalThis.SharedArrayBuffer; delete globalThis.Atomics; delete globalThis.Float16Array',
      ).runInContext(context)
      new Script(text).runInContext(context)
    })
    expect(found).toBe(await expected())
  })

  it('trains in a process without navigator, Worker, SharedArrayBuffer and Float16Array', async () => {
    const { text } = await bundle(
      `import { adamW, compile, wasm } from 'fallline'\nconst finish = console.log\n${training}`,
      { format: 'iife' },
    )
    const missing = [
      'navigator',
      'Worker',
      'SharedArrayBuffer',
      'Float16Array',
      'Blob',
      'URL',
      'document',
      'crypto',
      'performance',
    ]
    const prelude = missing.map((name) => `delete globalThis.${name}`).join('\n')
    const check = `for (const name of ${JSON.stringify(missing)}) if (name in globalThis) throw new Error(name);\n`
    const stdout = execFileSync(process.execPath, ['--input-type=module'], {
      input: `${prelude}\n${check}${text}`,
      encoding: 'utf8',
    })
    expect(stdout.trim()).toBe(await expected())
  })

  it('imports Node’s modules in the file helper only', async () => {
    const files = await readdir(source, { recursive: true, withFileTypes: true })
    const importing: string[] = []
    for (const entry of files.filter((file) => file.isFile())) {
      const path = join(entry.parentPath, entry.name)
      const text = await readFile(path, 'utf8')
      if (/^\s*(import|export)\b[^\n]*\bfrom\s+['"]node:|\bimport\(\s*['"]node:/m.test(text))
        importing.push(relative(source, path).split(sep).join('/'))
    }
    expect(importing).toEqual(['state/files.ts'])
  })

  it('depends on no package', async () => {
    const content = JSON.parse(await readFile(packageFile, 'utf8'))
    expect(content.dependencies ?? {}).toEqual({})
    expect(content.peerDependencies ?? {}).toEqual({})
    expect(content.sideEffects).toBe(false)
  })
})
