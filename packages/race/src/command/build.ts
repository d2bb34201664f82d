import { readFileSync, writeFileSync } from 'node:fs'
import { extname } from 'node:path'
import { Command, Option } from 'commander'
import type { Optimizer, Shapes } from 'fallline'
import { build } from 'fallline/build'
import { importModule, modulePath } from '../import-module.ts'
import { UsageError } from '../names.ts'

/** The module of an optimizer, or a file of shapes, could not be used. */
export class BuildFileError extends Error {
  override readonly name = 'BuildFileError'
}

interface BuildSettings {
  readonly shapes: string
  readonly out: string
  readonly layout?: 'outputFirst' | 'outputLast' | 'depthwise'
  readonly telemetry?: boolean
}

/** The command `fallline build`. */
export function buildCommand(): Command {
  return new Command('build')
    .description('make an optimizer ready ahead of time: a module with its kernels that a small runtime starts')
    .argument('<optimizer>', 'a TypeScript or JavaScript module whose default export is an optimizer')
    .requiredOption(
      '--shapes <file>',
      'a JSON file with the shape of every parameter by name: { "dense/kernel": [784, 10] }',
    )
    .requiredOption(
      '--out <file>',
      'the module to write, such as optimizer.js; its types go beside it, in optimizer.d.ts',
    )
    .addOption(
      new Option('--layout <layout>', 'which dimensions are outputs').choices([
        'outputFirst',
        'outputLast',
        'depthwise',
      ]),
    )
    .option('--telemetry', 'let steps report norms')
    .action(async (given: string, { shapes, out, layout, telemetry }: BuildSettings) => {
      if (!['.js', '.mjs'].includes(extname(out))) throw new UsageError(`--out ${out} must end in .js or .mjs`)
      const optimizer = await readOptimizer(given)
      const { code, declaration } = buildFor(given, optimizer, readShapes(shapes), {
        ...(layout ? { layout } : {}),
        ...(telemetry ? { telemetry } : {}),
      })
      const types = out.replace(/js$/, 'd.ts').replace(/\.md\.ts$/, '.d.mts')
      try {
        writeFileSync(out, code)
        writeFileSync(types, declaration)
      } catch (error) {
        throw new BuildFileError(`--out ${out} cannot be written: ${messageOf(error)}`)
      }
      process.stdout.write(`wrote ${out} (${(code.length / 1024).toFixed(1)} KiB) and ${types}\n`)
    })
}

async function readOptimizer(given: string): Promise<unknown> {
  let path: string
  try {
    path = modulePath('optimizer module', given, process.cwd())
  } catch (error) {
    throw new BuildFileError(messageOf(error))
  }
  let module: Record<string, unknown>
  try {
    module = await importModule(path)
  } catch (error) {
    throw new BuildFileError(`optimizer module '${given}' could not be imported: ${messageOf(error)}`)
  }
  if (module.default === undefined) {
    const names = Object.keys(module)
    throw new BuildFileError(
      `optimizer module '${given}' has no default export${names.length > 0 ? ` (it exports ${names.join(', ')})` : ''}; ` +
        'write `export default adamW({ learningRate: 1e-3 })`',
    )
  }
  return module.default
}

function readShapes(path: string): Shapes {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new BuildFileError(`--shapes ${path} cannot be read as JSON: ${messageOf(error)}`)
  }
}

function buildFor(given: string, optimizer: unknown, shapes: Shapes, options: Parameters<typeof build>[2]) {
  try {
    return build(optimizer as Optimizer, shapes, options)
  } catch (error) {
    throw new BuildFileError(`${given}: ${messageOf(error)}`)
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error)
}
