import { readFileSync, writeFileSync } from 'node:fs'
import { extname } from 'node:path'
import { Command, Option } from 'commander'
import type { Optimizer, Shapes } from 'fallline'
import { build } from 'fallline/build'
import { defaultExport, importModule, type ModuleKind, messageOf } from '../import-module.ts'
import { UsageError } from '../names.ts'

/** The module of an optimizer, or a file of shapes, could not be used. */
export class BuildFileError extends Error {
  override readonly name = 'BuildFileError'
}

const optimizerModules: ModuleKind = {
  what: 'optimizer module',
  example: 'adamW({ learningRate: 1e-3 })',
  Failure: BuildFileError,
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
      const optimizer = defaultExport(
        await importModule(optimizerModules, given, process.cwd()),
        optimizerModules,
        given,
      )
      const { code, declaration } = buildFor(given, optimizer, readShapes(shapes), {
        ...(layout ? { layout } : {}),
        ...(telemetry ? { telemetry } : {}),
      })
      const types = out.replace(/(m?)js$/, 'd.$1ts')
      try {
        writeFileSync(out, code)
        writeFileSync(types, declaration)
      } catch (error) {
        throw new BuildFileError(`--out ${out} cannot be written: ${messageOf(error)}`)
      }
      process.stdout.write(`wrote ${out} (${(code.length / 1024).toFixed(1)} KiB) and ${types}\n`)
    })
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
