import { fileURLToPath } from 'node:url'
import { createContext, Script } from 'node:vm'
import { gzipSync } from 'node:zlib'
import { build as bundle } from 'esbuild'
import {
  adamW,
  compile,
  cosine,
  groups,
  muon,
  type Optimizer,
  quantized,
  relativeRate,
  type Shapes,
  warmup,
  wasm,
} from 'fallline'
import { build } from 'fallline/build'
import { describe, expect, it } from 'vitest'

/** An application that uses what `build` wrote, for the browser. */
async function application(optimizer: Optimizer, shapes: Shapes, code: string, format: 'esm' | 'iife' = 'esm') {
  const resolveDir = fileURLToPath(new URL('.', import.meta.url))
  const built = build(optimizer, shapes)
  const result = await bundle({
    stdin: { contents: `${built.code.replace('export const create', 'const create')}\n${code}`, resolveDir },
    bundle: true,
    write: false,
    metafile: true,
    platform: 'browser',
    format,
    minify: true,
    conditions: ['@fallline/source'],
    logLevel: 'silent',
  })
  const [output] = Object.values(result.metafile.outputs)
  const used = Object.entries(output!.inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0)
  return { text: result.outputFiles[0]!.text, files: used.map(([path]) => path.split('/src/')[1] ?? path) }
}

const shapes = { 'dense/kernel': [5, 3], 'dense/bias': [3], head: [3, 2] } as const
const rates = () => ({
  learningRate: warmup({ steps: 2 }, cosine({ from: 0.1, to: 0, steps: 8 })),
  fallback: adamW({ learningRate: relativeRate(0.5), weightDecay: 0.01 }),
})
const optimizer = () => groups(muon(rates()), [{ name: 'head', match: 'head', hyper: { learningRate: 0.05 } }])

describe('an application with an optimizer that was built ahead', () => {
  const idle = 'create().then((optimizer) => optimizer.step())'

  it('holds neither planner nor generator, nor what it does not use', async () => {
    const { files } = await application(adamW(), { w: [3, 5] }, idle)
    expect(files).toContain('ahead/start.ts')
    expect(files.filter((file) => /staged|codecs/.test(file))).toEqual([])
    for (const absent of ['plan/planner.ts', 'graph/graph.ts', 'language/value.ts', 'optimizers/adam-w.ts']) {
      expect(files).not.toContain(absent)
    }
    const generator = ['assembler', 'elements', 'kernels', 'loop', 'mathematics', 'random', 'scalars', 'threads']
    expect(files.filter((file) => generator.some((name) => file === `backends/wasm/${name}.ts`))).toEqual([])
    expect(files.filter((file) => file.startsWith('state/') || file === 'run/minimize.ts')).toEqual([])
  })

  it('holds what reads and writes state in fewer bits, and not what generates that', async () => {
    const { files } = await application(quantized(adamW()), { w: [64, 64] }, idle)
    for (const present of ['storage/codecs.ts', 'backends/wasm/staged-memory.ts']) expect(files).toContain(present)
    const generator = ['assembler', 'kernels', 'loop', 'staged', 'staged-loop', 'staged-kernels']
    expect(files.filter((file) => generator.some((name) => file === `backends/wasm/${name}.ts`))).toEqual([])
    expect(files).not.toContain('storage/quantized.ts')
  })

  it('does not grow unnoticed', async () => {
    const sizeOf = async (own: Optimizer) =>
      gzipSync((await application(own, { w: [64, 32], b: [32] }, idle)).text).length
    expect(await sizeOf(adamW())).toBeLessThan(12.9 * 1024)
    expect(await sizeOf(muon())).toBeLessThan(17.5 * 1024)
  })

  it.each([
    ['float32', (own: Optimizer) => own],
    ['8 bits', (own: Optimizer) => quantized(own, { minimumSize: 0 })],
  ] as const)(
    'trains where there is nothing but the language, WebAssembly and text encoding, in %s',
    async (_, kept) => {
      const code = `
import { load, save } from 'fallline/runtime'
create().then((optimizer) => {
  const gradient = (step, name, index) => Math.fround(Math.sin(step + index + name.length))
  const train = (from, to) => {
    for (let step = from; step <= to; step++) {
      for (const name of optimizer.names) optimizer.gradients[name].forEach((_, i, g) => { g[i] = gradient(step, name, i) })
      optimizer.step()
    }
  }
  for (const name of optimizer.names) optimizer.parameters[name].fill(0.5)
  train(1, 3)
  const bytes = save(optimizer)
  optimizer.set({ learningRate: 0.01 }, { group: 'head' })
  train(4, 5)
  load(optimizer, bytes)
  train(4, 6)
  finish(JSON.stringify([optimizer.hyper, optimizer.hyperOf('head'), optimizer.parameters].map((all) =>
    Object.entries(all).map(([name, value]) => [name, value.length ? [...value] : value]))))
}, fail)`
      const { text } = await application(kept(optimizer()), shapes, code, 'iife')
      const found = await new Promise<string>((resolve, reject) => {
        const context = createContext({ TextEncoder, TextDecoder, finish: resolve, fail: reject })
        new Script('delete globalThis.SharedArrayBuffer; delete globalThis.Atomics').runInContext(context)
        new Script(text).runInContext(context)
      })

      const compiled = await compile(kept(optimizer()), shapes, { backend: wasm({ fusedMultiplyAdd: false }) })
      const train = (from: number, to: number) => {
        for (let step = from; step <= to; step++) {
          for (const name of compiled.names) {
            const gradient = compiled.gradients[name]
            gradient.forEach((_, i) => {
              gradient[i] = Math.sin(step + i + name.length)
            })
          }
          compiled.step()
        }
      }
      for (const name of compiled.names) compiled.parameters[name].fill(0.5)
      train(1, 3)
      const bytes = compiled.save()
      compiled.set({ learningRate: 0.01 }, { group: 'head' })
      train(4, 5)
      compiled.load(bytes)
      train(4, 6)
      const all = [compiled.hyper, compiled.hyperOf('head'), compiled.parameters]
      const listed = all.map((one: object) =>
        Object.entries(one).map(([name, value]) => [name, value.length ? [...value] : value]),
      )
      expect(JSON.parse(found)).toEqual(JSON.parse(JSON.stringify(listed)))
    },
  )
})

describe('build', () => {
  it('writes little for every further tensor of a shape', () => {
    const sizeOf = (layers: number) => {
      const names = Array.from({ length: layers }, (_, layer) => [
        `layer ${layer} kernel`,
        `layer ${layer} bias`,
      ]).flat()
      const shapes = Object.fromEntries(names.map((name) => [name, name.endsWith('bias') ? [32] : [48, 32]]))
      return gzipSync(build(adamW(), shapes).code).length
    }
    expect((sizeOf(30) - sizeOf(2)) / 56).toBeLessThan(40)
  })

  it('types names and hyperparameters', () => {
    const { declaration } = build(adamW(), { 'dense/kernel': [2, 3], bias: [3] })
    expect(declaration).toContain('export type Name = "dense/kernel" | "bias"\n')
    expect(declaration).toContain('"learningRate" | "beta1" | "beta2" | "epsilon" | "weightDecay"')
  })

  it('refuses a schedule of your own, which cannot be written down', () => {
    const own = adamW({ learningRate: (step) => 1 / step })
    expect(() => build(own, { w: [2] })).toThrow(
      'build: AdamW: learningRate is a schedule of your own, which cannot be written down; build with a number and set the schedule',
    )
  })

  it('refuses what compile refuses', () => {
    expect(() => build({} as Optimizer, { w: [2] })).toThrow('build: the first argument')
    expect(() => build(adamW(), null as never)).toThrow('build: the second argument must give the shape')
    expect(() => build(adamW(), { w: [-1] })).toThrow("the shape of parameter 'w'")
    expect(() => build(adamW(), { w: [1] }, { threads: 2 } as never)).toThrow("build: unknown option 'threads'")
  })
})

describe('start', () => {
  it('refuses what another version wrote', async () => {
    const { start } = await import('fallline/runtime')
    await expect(start({ version: 0 } as never)).rejects.toThrow(
      'start: this optimizer was built in form 0, and this release runs form 4; build it again',
    )
  })
})
