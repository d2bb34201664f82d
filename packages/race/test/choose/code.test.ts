import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Contender, codeFor } from '@fallline/race'
import {
  adamW,
  cautious,
  compile,
  groups,
  type HyperValue,
  type LayoutChoice,
  lookahead,
  muon,
  registry,
} from 'fallline'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CodeTarget, codesFor, codeTargets } from '../../src/choose/code.ts'
import { contenderNamed } from '../../src/names.ts'
import { enter } from '../../src/training/contenders.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const shapes = { kernel: [3, 4], bias: [4] }

interface Chosen {
  title: string
  contender: string | Contender
  setting: Record<string, number>
  /** Of the task that it was found on. */
  layout?: LayoutChoice
}

const chosen: Chosen[] = [
  { title: 'a plain one', contender: 'adan', setting: { learningRate: 0.0123, weightDecay: 0.02 } },
  { title: 'a constant rate', contender: 'scheduleFreeAdamW', setting: { learningRate: 0.01 } },
  { title: 'one with a fallback', contender: 'muon', setting: { learningRate: 0.02, momentum: 0.9 } },
  { title: 'wrappers', contender: contenderNamed('cautious(lookahead(adamW))'), setting: { learningRate: 0.003 } },
  {
    title: 'options and settings of wrappers',
    contender: {
      name: 'mine',
      optimizer: (hyper: Record<string, HyperValue>) =>
        cautious(lookahead(adamW({ ...hyper, amsgrad: true }), { period: 7 })),
      search: { learningRate: { scale: 'log', minimum: 1e-4, maximum: 1 } },
    },
    setting: { learningRate: 0.004, beta2: 0.95 },
  },
  {
    title: 'groups',
    contender: {
      name: 'grouped',
      optimizer: (hyper: Record<string, HyperValue>) =>
        groups(adamW(hyper), [
          { match: /bias/, hyper: { weightDecay: 0 } },
          { name: 'matrices', match: 'kernel', optimizer: muon({ learningRate: 0.02 }) },
        ]),
      search: { learningRate: { scale: 'log', minimum: 1e-4, maximum: 1 } },
    },
    setting: { learningRate: 0.005 },
  },
  { title: 'outputs last', contender: 'muon', setting: { learningRate: 0.02 }, layout: 'outputLast' },
  {
    title: 'a layout for each',
    contender: 'nero',
    setting: { learningRate: 0.02 },
    layout: (name) => (name === 'kernel' ? 'outputLast' : 'outputFirst'),
  },
]

const taskOf = ({ layout }: Chosen) => ({ parameters: shapes, ...(layout && { layout }) })

/** What a program that the code is pasted into has around it, and what shows that it works. */
const around: Record<CodeTarget, { before: string; after: string }> = {
  fallline: {
    before: `const shapes = ${JSON.stringify(shapes)}\n`,
    after: `
for (const values of Object.values(optimizer.parameters)) values.set(values.map((_, i) => Math.sin(i + 1)))
for (let step = 1; step <= 40; step++) {
  for (const [name, values] of Object.entries(optimizer.parameters)) optimizer.gradients[name as 'bias']!.set(values)
  optimizer.step()
}
console.log(JSON.stringify(Object.values(optimizer.parameters).map((values) => [...values])))
`,
  },
  tfjs: {
    before: `import * as tf from '@tensorflow/tfjs-core'
import * as layers from '@tensorflow/tfjs-layers'
import '@tensorflow/tfjs-backend-cpu'
await tf.setBackend('cpu')
const dense = layers.layers.dense({ units: 2, inputShape: [3], name: 'kernel' })
const model = layers.sequential({ layers: [dense] })
const loss = 'meanSquaredError'
`,
    after: `
const history = await model.fit(tf.ones([8, 3]), tf.ones([8, 2]), { epochs: 2, verbose: 0 })
console.log(JSON.stringify(history.history.loss!.length))
`,
  },
  jax: {
    before: `import { init, numpy as np } from '@jax-js/jax'
await init('wasm')
const loss = ({ kernel, bias }: { kernel: np.Array; bias: np.Array }, x: np.Array) => np.mean(np.square(np.dot(x, kernel).add(bias)))
const parameters = { kernel: np.ones([3, 4]), bias: np.ones([4]) }
`,
    after: `
const first = (await trainer.step(np.ones([2, 3]))).item()
console.log(JSON.stringify(Number.isFinite(first)))
`,
  },
}

const steps = 40
// TensorFlow.js names variables by layer, which the groups above do not match.
const cases = chosen.flatMap((one, number) =>
  (Object.keys(codeTargets) as CodeTarget[])
    .filter((target) => target !== 'tfjs' || one.title !== 'groups')
    .map((target) => ({ ...one, target, file: `${target}_${number}.mts` })),
)

describe('the code of a choice', () => {
  let folder = ''
  let program: ts.Program
  let printed: Record<string, string> = {}

  beforeAll(async () => {
    // Inside node_modules, so that git, the formatter and other tests do not see it and package names are found from it.
    folder = await mkdtemp(join(root, 'node_modules', '.choice-'))
    for (const { target, file, ...one } of cases) {
      const code = codeFor(one.contender, one.setting, steps, target, taskOf(one))
      const [head, ...body] = code.split('\n\n')
      const { before, after } = around[target]
      await writeFile(join(folder, file), `${head}\n${before}\n${body.join('\n\n')}${after}`)
    }
    const text = await readFile(join(root, 'tsconfig.base.json'), 'utf8')
    const relaxed = { noUnusedLocals: false, noEmit: true, types: ['node'] }
    const { compilerOptions } = JSON.parse(text) as { compilerOptions: object }
    const { options } = ts.convertCompilerOptionsFromJson({ ...compilerOptions, ...relaxed }, root)
    program = ts.createProgram(
      cases.map(({ file }) => join(folder, file)),
      options,
    )
    // One process for all files of a target: starting one takes longer than what it does.
    const run = async (target: CodeTarget) => {
      const files = cases.filter((one) => one.target === target).map(({ file }) => file)
      const runner = join(folder, `${target}.mts`)
      await writeFile(runner, `${files.map((file) => `await import('./${file}')\n`).join('')}process.exit(0)\n`)
      const node = ['--import', 'tsx', '--conditions=@fallline/source', runner]
      const { stdout } = await promisify(execFile)(process.execPath, node, { cwd: root })
      const lines = stdout.split('\n').filter((line) => /^[[\d]|^true$/.test(line))
      return files.map((file, index) => [file, lines[index]!] as const)
    }
    printed = Object.fromEntries((await Promise.all((Object.keys(codeTargets) as CodeTarget[]).map(run))).flat())
  })

  afterAll(() => rm(folder, { recursive: true, force: true }))

  it.each(cases)('type-checks and runs: $title, $target', async ({ target, file, ...one }) => {
    const source = program.getSourceFile(join(folder, file))!
    const found = [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]
    expect(found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))).toEqual([])
    const result = JSON.parse(printed[file]!) as unknown
    if (target === 'tfjs') expect(result).toBe(2)
    else if (target === 'jax') expect(result).toBe(true)
    else expect(result).toEqual(await trajectory(one))
  })

  /** Where the run of the study ends. */
  async function trajectory({ contender, setting, layout = 'outputFirst' }: Chosen) {
    const optimizer = await compile(enter([contender])[0]!.create(setting, steps), shapes, { layout })
    const parameters = optimizer.parameters as Record<string, Float32Array>
    const gradients = optimizer.gradients as Record<string, Float32Array>
    for (const values of Object.values(parameters)) values.set(values.map((_, i) => Math.sin(i + 1)))
    for (let step = 1; step <= steps; step++) {
      for (const [name, values] of Object.entries(parameters)) gradients[name]!.set(values)
      optimizer.step()
    }
    const end = Object.values(parameters).map((values) => [...values])
    optimizer.dispose()
    return end
  }

  it('is what a person would write', () => {
    expect(codeFor('adan', { learningRate: 0.01, weightDecay: 0.02 }, 600, 'fallline')).toBe(
      `import { adan, compile, warmupCosine } from 'fallline'

const learningRate = warmupCosine({ peak: 0.01, warmup: 30, steps: 600 })
const rule = adan({ learningRate, weightDecay: 0.02 })
// shapes: the shape of every parameter by name
const optimizer = await compile(rule, shapes)
// every step: write optimizer.gradients, then optimizer.step()
`,
    )
    expect(codeFor(contenderNamed('cautious(lion)'), { learningRate: 0.001 }, 100, 'tfjs')).toBe(
      `import { cautious, lion, warmupCosine } from '@fallline/tfjs'

const learningRate = warmupCosine({ peak: 0.001, warmup: 5, steps: 100 })
const optimizer = cautious(lion({ learningRate }))
model.compile({ optimizer, loss })
`,
    )
  })

  it('says which dimensions are outputs where the task does', () => {
    const parameters = {
      'embedding/words': [50, 8],
      'embedding/places': [6, 8],
      bias: [8],
      a: [8, 8],
      b: [8, 8],
      c: [8, 9],
    }
    const lineOf = (target: CodeTarget, layout: LayoutChoice | undefined) =>
      codeFor('muon', { learningRate: 0.02 }, 100, target, { parameters, ...(layout && { layout }) })
        .split('\n')
        .find((line) => /compile\(|createTrainer\(|toTensorFlow/.test(line))
    expect(lineOf('fallline', undefined)).toBe('const optimizer = await compile(rule, shapes)')
    expect(lineOf('fallline', 'outputLast')).toBe(
      "const optimizer = await compile(rule, shapes, { layout: 'outputLast' })",
    )
    const byName: LayoutChoice = (name) => (name.startsWith('embedding/') ? 'outputFirst' : 'outputLast')
    const written = "(name) => (['embedding/words', 'embedding/places'].includes(name) ? 'outputFirst' : 'outputLast')"
    expect(lineOf('fallline', byName)).toBe(`const optimizer = await compile(rule, shapes, { layout: ${written} })`)
    expect(lineOf('fallline', () => 'outputLast')).toBe(lineOf('fallline', 'outputLast'))
    const trainer = 'const trainer = await createTrainer(loss, optimizer, parameters'
    expect(lineOf('jax', 'outputLast')).toBe(`${trainer})`)
    expect(lineOf('jax', byName)).toBe(`${trainer}, { layout: ${written} })`)
    for (const layout of [undefined, 'outputLast', byName] as const)
      expect(
        codeFor('muon', { learningRate: 0.02 }, 100, 'tfjs', { parameters, ...(layout && { layout }) }),
      ).not.toContain('layout')
  })

  it('says how to step with methods that evaluate the model themselves', () => {
    expect(codeFor(contenderNamed('sharpnessAware(sgd)'), { learningRate: 0.1 }, 100, 'fallline')).toContain(
      '// every step: await optimizer.minimize(evaluate)',
    )
  })

  it.each(registry.map(({ definition }) => definition.name))(
    'can be written for %s, and every export exists',
    (name) => {
      const { search } = enter([name])[0]!
      const setting = Object.fromEntries(
        Object.entries(search).map(([key, range]) => [
          key,
          range.scale === 'choice' ? range.values[0]! : range.maximum,
        ]),
      )
      const { code, failure } = codesFor(name, setting, 100)
      expect(failure).toBeNull()
      expect(code!.fallline).toContain(`${name}(`)
      for (const text of Object.values(code!)) expect(text).not.toMatch(/undefined|NaN|\[object|own\.ts/)
    },
  )

  it('is refused, with the reason, where a schedule is a function', () => {
    const own: Contender = {
      name: 'own',
      optimizer: () => adamW({ learningRate: (step) => 1 / step }),
      search: { learningRate: { scale: 'log', minimum: 1e-4, maximum: 1 } },
    }
    expect(codesFor(own, { learningRate: 0.1 }, 10)).toEqual({
      code: null,
      failure: 'AdamW: learningRate is a function of the step, which cannot be written as code; use a schedule',
    })
  })
})
