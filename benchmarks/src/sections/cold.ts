import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { OptimizerFactory } from 'fallline'
import { build } from 'fallline/build'
import { shuffle } from 'simple-statistics'
import { messageOf } from '../measure.ts'
import { type Summary, summarize } from '../statistics.ts'
import { bundle } from './bundle.ts'

/** Milliseconds until the first step is possible, and of that step, in a process that has just started. */
export interface ColdResult {
  optimizer: string
  /** `compile` of 4 x 4: trace, plan, generate, WebAssembly. */
  small?: Summary
  /** `compile` of 1024 x 1024: the same, and getting the memory. */
  large?: Summary
  /** The first step of 1024 x 1024, in code that the engine made in a hurry. */
  firstStep?: Summary
  error?: string
}

const shapes = { small: ['4', '4'], large: ['1024', '1024'] } as const
const repetitions = 7
/** The optimizers that are also started after they were built ahead. */
const builtNames = ['adamW', 'muon']
const pathTo = (child: string) => fileURLToPath(new URL(`../cold/${child}`, import.meta.url))
const run = promisify(execFile)

/** Measures the cold compilation of every optimizer, and the start of some that were built ahead, each time in a fresh process, in random order. */
export async function measureCold(
  factories: readonly OptimizerFactory[],
  progress: (text: string) => void,
): Promise<ColdResult[]> {
  const folder = await mkdtemp(join(tmpdir(), 'fallline-cold-'))
  try {
    // Files of plain JavaScript: nothing but the product is loaded and translated in a child.
    let files = 0
    const scriptOf = async (child: string, module?: string): Promise<string> => {
      const path = join(folder, `${files++}.mjs`)
      await writeFile(path, await bundle(`import ${JSON.stringify(child)}`, module))
      return path
    }
    const script = await scriptOf(pathTo('child.ts'))
    const commands = new Map<string, Record<keyof typeof shapes, readonly string[]>>()
    for (const { definition } of factories) {
      const { name } = definition
      commands.set(name, { small: [script, name, ...shapes.small], large: [script, name, ...shapes.large] })
    }
    for (const factory of factories.filter(({ definition }) => builtNames.includes(definition.name))) {
      const built = (shape: readonly string[]) =>
        scriptOf(pathTo('built-child.ts'), build(factory(), { weight: shape.map(Number) }).code)
      commands.set(`${factory.definition.name} built ahead`, {
        small: [await built(shapes.small)],
        large: [await built(shapes.large)],
      })
    }
    const names = [...commands.keys()]
    const samples = new Map(names.map((name) => [name, { small: [], large: [], firstStep: [] } as Samples]))
    const errors = new Map<string, string>()
    const rounds = Array.from({ length: repetitions }, () =>
      shuffle(names.flatMap((name) => (['small', 'large'] as const).map((size) => ({ name, size })))),
    )
    for (const [round, jobs] of rounds.entries()) {
      progress(`cold compilation, round ${round + 1} of ${repetitions}`)
      for (const { name, size } of jobs) {
        if (errors.has(name)) continue
        try {
          const { stdout } = await run(process.execPath, commands.get(name)![size], { timeout: 60_000 })
          const { compile, firstStep } = JSON.parse(stdout) as { compile: number; firstStep: number }
          samples.get(name)![size].push(compile)
          if (size === 'large') samples.get(name)!.firstStep.push(firstStep)
        } catch (error) {
          errors.set(name, childMessage(error))
        }
      }
    }
    return names.map((optimizer) => {
      const error = errors.get(optimizer)
      if (error !== undefined) return { optimizer, error }
      const { small, large, firstStep } = samples.get(optimizer)!
      return { optimizer, small: summarize(small), large: summarize(large), firstStep: summarize(firstStep) }
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Samples {
  small: number[]
  large: number[]
  firstStep: number[]
}

/** The line of a child's complaint that names the error. */
function childMessage(error: unknown): string {
  const complaint = (error as { stderr?: string }).stderr ?? ''
  return complaint.split('\n').find((line) => /^\w*Error\b/.test(line)) ?? messageOf(error)
}
