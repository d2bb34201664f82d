import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { loadTask, loadTaskModule } from '../../src/load-task.ts'
import { builtinTasks } from '../../src/tasks/index.ts'
import { initial, zeros } from './arrays.ts'

const directory = mkdtempSync(join(tmpdir(), 'fallline-tasks-'))
afterAll(() => rmSync(directory, { recursive: true }))

function file(name: string, content: string): string {
  const path = join(directory, name)
  writeFileSync(path, content)
  return path
}

const body = `
  title: 'A parabola', description: 'The square of one number.', parameters: { x: [1] },
  initialize(parameters, seed) { parameters.x[0] = seed },
  gradient(parameters, gradients) { gradients.x[0] = 2 * parameters.x[0]; return parameters.x[0] ** 2 },
  metric: (parameters) => parameters.x[0] ** 2,
  metricName: 'loss', direction: 'minimize', targets: [1], budget: { steps: 10, evaluateEvery: 5 },
`

const typed = body.replaceAll('parameters.x[0]', 'parameters.x![0]!').replaceAll('gradients.x[0]', 'gradients.x![0]')

describe('loadTask', () => {
  it('finds built-in tasks whatever the case', async () => {
    expect((await loadTask('digits-softmax')).name).toBe('digits-softmax')
    expect((await loadTask('Digits-MLP')).name).toBe('digits-mlp')
  })

  it('names the built-in tasks when a name is unknown', async () => {
    const error = await loadTask('mnist').catch((reason: Error) => reason.message)
    expect(error).toContain("unknown task 'mnist'")
    for (const { name } of builtinTasks) expect(error).toContain(name)
  })

  it('loads a TypeScript module, by absolute path, relative path and URL', async () => {
    file('helper.ts', `export enum Size { one = 1 }\nexport const name: string = 'typed'`)
    const path = file(
      'typed.ts',
      `import { defineTask, type Task } from '@fallline/race'
       import { name, Size } from './helper.ts'
       const task: Task = defineTask({ name: name satisfies string, ${typed} })
       if (task.parameters.x![0] !== Size.one) throw new Error('enums do not work')
       export default task`,
    )
    const task = await loadTask(path)
    const parameters = initial(task, 3)
    const gradients = zeros(task)
    expect(await task.gradient(parameters, gradients, { seed: 1, step: 1 })).toBe(9)
    expect([...gradients.x!]).toEqual([6])
    expect((await loadTask('./typed.ts', directory)).name).toBe('typed')
    expect((await loadTask('typed.ts', directory)).name).toBe('typed')
    expect((await loadTask(pathToFileURL(path).href)).name).toBe('typed')
  })

  it.each(['module.js', 'module.mjs', 'module.mts'])('loads %s', async (name) => {
    const path = file(
      name,
      `import { defineTask } from '@fallline/race'\nexport default defineTask({ name: 'plain', ${body} })`,
    )
    expect((await loadTask(path)).name).toBe('plain')
  })

  it('loads CommonJS modules, with the task as all or as the default of their exports', async () => {
    const whole = file('whole.cjs', `module.exports = { name: 'whole', ${body} }`)
    const part = file('part.cjs', `exports.default = { name: 'part', ${body} }`)
    const flagged = file('flagged.cjs', `exports.__esModule = true; exports.default = { name: 'flagged', ${body} }`)
    expect((await loadTask(whole)).name).toBe('whole')
    expect((await loadTask(part)).name).toBe('part')
    expect((await loadTask(flagged)).name).toBe('flagged')
  })

  it('calls a default-exported function, also an asynchronous one', async () => {
    const path = file('factory.ts', `export default async () => ({ name: 'made', ${typed} })`)
    expect((await loadTask(path)).name).toBe('made')
  })

  it('gives modules the jax-js and the fallline that the race runs with', async () => {
    const path = file(
      'jax.ts',
      `import { numpy } from '@jax-js/jax'
       import { adamW } from 'fallline'
       import { defineJaxTask } from '@fallline/race'
       if (adamW.definition.name !== 'adamW') throw new Error('another core')
       const points = { x: { values: new Float32Array([1, 2]), shape: [2] } }
       export default defineJaxTask({
         name: 'jax', title: 'Jax', description: 'A parabola by jax-js.', parameters: { a: [] },
         initialize(parameters) { parameters.a![0] = 3 },
         loss: ({ a }, { x }) => numpy.mean(numpy.square(x.mul(a))),
         batch: () => points, evaluation: () => [points],
         metricName: 'loss', direction: 'minimize', targets: [1], budget: { steps: 10, evaluateEvery: 5 },
       })`,
    )
    const task = await loadTask(path)
    const gradients = zeros(task)
    expect(await task.gradient(initial(task, 1), gradients, { seed: 1, step: 1 })).toBeCloseTo(22.5, 5)
    expect(gradients.a![0]).toBeCloseTo(15, 5)
  })

  it.each<[string, string | undefined, string | undefined, string]>([
    ['a missing file', 'missing.ts', undefined, 'is not a file'],
    ['a wrong extension', 'task.json', '{}', 'must end in one of .ts, .mts'],
    ['a missing default export', 'named.ts', 'export const task = 1', 'has no default export (it exports task)'],
    ['an empty module', 'empty.ts', 'export {}', 'has no default export;'],
    ['a syntax error', 'syntax.ts', 'export default {', 'could not be imported: ParseError'],
    ['an error at import', 'throws.ts', `throw new TypeError('no data today')`, 'could not be imported: no data today'],
    [
      'an unknown import',
      'import.ts',
      `import x from 'no-such-package-here'\nexport default x`,
      'no-such-package-here',
    ],
    [
      'a failing function',
      'fails.ts',
      `export default () => { throw new Error('too late') }`,
      'default-exported function of task module',
    ],
    [
      'a wrong shape',
      'shape.ts',
      `export default { name: 'half' }`,
      "is not a task: field 'title' of task 'half' is missing",
    ],
    ['no object', 'number.ts', 'export default 3', 'is not a task: a task must be an object'],
  ])('explains %s', async (_, name, content, message) => {
    const path = content === undefined ? join(directory, name!) : file(name!, content)
    const error = await loadTask(path).then(
      () => 'loaded',
      (reason: Error) => reason.message,
    )
    expect(error).toContain(message)
    expect(error).toContain(name)
  })

  it('gives the contenders and ranges that a module exports beside its task', async () => {
    const exported = (name: string, rest: string) => file(name, `${rest}\nexport default { name: 'rich', ${typed} }`)
    const path = exported(
      'rich.ts',
      `import { adamW, logUniform } from 'fallline'
       export const contenders = [{ name: 'mine', optimizer: adamW }]
       export const ranges = { lion: { learningRate: logUniform(1e-4, 1e-2) } }`,
    )
    const { task, contenders, ranges } = await loadTaskModule(path)
    expect(task.name).toBe('rich')
    expect(contenders).toMatchObject([{ name: 'mine', optimizer: expect.any(Function) }])
    expect(ranges).toEqual({ lion: { learningRate: { scale: 'log', minimum: 1e-4, maximum: 1e-2 } } })
    const common = file(
      'rich.cjs',
      `exports.default = { name: 'common', ${body} }
       exports.contenders = [{ name: 'other' }]`,
    )
    expect((await loadTaskModule(common)).contenders).toEqual([{ name: 'other' }])
    expect(await loadTaskModule('digits-softmax')).toMatchObject({ contenders: [], ranges: {} })
    await expect(loadTaskModule(exported('odd.ts', 'export const contenders = 3'))).rejects.toThrow(
      /the export 'contenders' of task module '.*odd\.ts' must be an array of contenders/,
    )
    await expect(loadTaskModule(exported('flat.ts', `export const ranges = 'wide'`))).rejects.toThrow(
      /the export 'ranges' of task module '.*flat\.ts' must be an object, \{ adamW:/,
    )
  })

  it('explains a directory, and keeps the original error as the cause', async () => {
    mkdirSync(join(directory, 'folder.ts'))
    await expect(loadTask('./folder.ts', directory)).rejects.toThrow("task module './folder.ts' is not a file")
    const path = file('cause.ts', `throw new RangeError('original')`)
    const error = (await loadTask(path).catch((reason: unknown) => reason)) as Error
    expect((error.cause as Error).name).toBe('RangeError')
  })
})
