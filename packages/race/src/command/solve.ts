import type { Limits, Result } from '@fallline/solvers'
import { Command } from 'commander'
import pc from 'picocolors'
import { defaultExport, importModule, type ModuleKind } from '../import-module.ts'
import { formatMilliseconds, formatNumber } from '../report/format.ts'
import { seconds } from './arguments.ts'
import { exitCodes } from './exit.ts'

/** The module of a problem could not be used. */
export class ProblemFileError extends Error {
  override readonly name = 'ProblemFileError'
}

const problemModules: ModuleKind = {
  what: 'problem module',
  example: '(limits: Limits) => minimize(objective, start, limits)',
  Failure: ProblemFileError,
}

/** The command `fallline solve`. `finish` receives the exit code. */
export function solveCommand(finish: (code: number) => void): Command {
  return new Command('solve')
    .description('solve the problem of a module, and print the result and how it ended')
    .argument(
      '<module>',
      `a TypeScript or JavaScript module with \`export default ${problemModules.example}\`, or any other solver of @fallline/solvers`,
    )
    .option('--seconds <number>', 'stop after so many seconds with the best point so far', seconds)
    .option('--json', 'print the result as JSON')
    .action(async (module: string, settings: Settings) => finish(await solve(module, settings)))
}

interface Settings {
  readonly seconds?: number
  readonly json?: boolean
}

async function solve(given: string, settings: Settings): Promise<number> {
  const problem = defaultExport(await importModule(problemModules, given, process.cwd()), problemModules, given)
  if (typeof problem !== 'function') {
    throw new ProblemFileError(
      `problem module '${given}': the default export is a ${typeof problem}, not a function; write \`export default ${problemModules.example}\``,
    )
  }
  const line = liveLine(process.stderr)
  const began = performance.now()
  let result: unknown
  try {
    const limits: Limits = {
      callback: ({ value, residual }, iteration) => line.show(iteration, value, residual),
      ...(settings.seconds === undefined ? {} : { seconds: settings.seconds }),
    }
    result = await problem(limits)
  } finally {
    line.clear()
  }
  if (!isResult(result)) {
    throw new ProblemFileError(
      `problem module '${given}': its function gave ${result === null ? 'null' : typeof result}, not the result of a solver with a point and a status`,
    )
  }
  const took = performance.now() - began
  process.stdout.write(settings.json ? `${asJson(result)}\n` : `${inWords(result, took)}\n`)
  return result.status.kind === 'converged' ? exitCodes.success : exitCodes.unsolved
}

function isResult(result: unknown): result is Result {
  if (typeof result !== 'object' || result === null || !('status' in result) || !('point' in result)) return false
  const { status } = result
  return typeof status === 'object' && status !== null && 'kind' in status && typeof status.kind === 'string'
}

/** One line of a terminal that is written over, at most ten times a second; nothing where there is no terminal. */
function liveLine(stream: NodeJS.WriteStream) {
  let last = Number.NEGATIVE_INFINITY
  let shown = false
  return {
    show(iteration: number, value: number, residual: number): void {
      const now = performance.now()
      if (!stream.isTTY || now - last < 100) return
      last = now
      shown = true
      const text = `iteration ${iteration}: value ${formatNumber(value)}, residual ${formatNumber(residual)}`
      stream.write(`\r\u001b[K${pc.dim(text)}`)
    },
    clear(): void {
      if (shown) stream.write('\r\u001b[K')
    },
  }
}

function asJson(result: Result): string {
  return JSON.stringify(
    result,
    (_, value: unknown) => {
      if (value instanceof Float64Array) return [...value]
      // JSON has no infinity.
      return typeof value === 'number' && !Number.isFinite(value) ? String(value) : value
    },
    2,
  )
}

/** How many elements of a point are shown. */
const most = 20

function inWords({ status, point, value, residual, iterations, evaluations }: Result, milliseconds: number): string {
  const how = {
    converged: () => 'test' in status && `converged (${status.test})`,
    limit: () => 'of' in status && `stopped by the limit of ${status.of}`,
    infeasible: () => 'infeasible: no point satisfies the constraints',
    unbounded: () => 'unbounded: there is no smallest value',
    failed: () => 'reason' in status && `failed: ${status.reason}`,
  }[status.kind]()
  const asked = Object.entries(evaluations ?? {})
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${names[name] ?? name}`)
  const elements = Array.from(point, (element) => formatNumber(element, 8))
  const left = elements.length > most ? `, ... (${elements.length} in all)` : ''
  const good = status.kind === 'converged' ? pc.green : pc.yellow
  return [
    `status      ${good(String(how))}`,
    `value       ${formatNumber(value, 10)}`,
    `residual    ${formatNumber(residual)}`,
    `iterations  ${iterations} in ${formatMilliseconds(milliseconds)}`,
    `evaluations ${asked.join(', ') || 'none'}`,
    `point       [${elements.slice(0, most).join(', ')}${left}]`,
  ].join('\n')
}

const names: Readonly<Record<string, string>> = {
  values: 'of the value',
  gradients: 'of the gradient or Jacobian',
  hessianProducts: 'of products with the Hessian',
  hessians: 'of the Hessian',
}
