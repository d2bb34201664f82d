import { join, parse } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import pc from 'picocolors'
import { RaceInterrupted, race, raceDefaults, TaskLoadError } from '../race.ts'
import type { RaceResults } from '../results.ts'
import { fileNames, StorageError } from '../store.ts'
import { builtinTasks } from '../task.ts'
import { exitCodes, exitCodesHelp, UsageError } from './exit.ts'
import { checkTaskName, contendersOf, isTaskFile } from './names.ts'
import { progressDisplay } from './progress.ts'
import { summaryOf } from './summary.ts'

/** What `fallline race` runs when nothing is said: done in less than two minutes on two cores. */
export const quickRace = { task: 'digits-mlp', optimizers: 'sgd,adamW,adan,lion' } as const

interface Flags {
  optimizers: string
  trials: number
  seeds: number
  targets?: number[]
  out?: string
  seed: number
  steps?: number
  fresh?: boolean
}

function wholeNumber(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} on.`)
    }
    return value
  }
}

function numbers(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (!values.every(Number.isFinite))
    throw new InvalidArgumentError('It must be numbers with commas between, such as 0.3,0.2,0.1.')
  return values
}

/** The command `fallline race`. `finish` receives the exit code. */
export function raceCommand(finish: (code: number) => void): Command {
  const tasks = builtinTasks.map(({ name, description }) => `  ${name.padEnd(22)} ${description}`)
  return new Command('race')
    .description('race optimizers on a task, with equal tuning for all, and say who wins or that nobody does')
    .argument('[task]', 'a built-in task, or the path of a task module (.ts or .js)', quickRace.task)
    .option('-o, --optimizers <names>', 'contenders, with commas between', quickRace.optimizers)
    .option('-t, --trials <number>', 'tuning trials per contender', wholeNumber(1), raceDefaults.trials)
    .option(
      '-s, --seeds <number>',
      'fresh runs of every selected setting; 3 or more to claim a difference',
      wholeNumber(1),
      raceDefaults.seeds,
    )
    .option(
      '--targets <numbers>',
      'targets of the validation metric, easiest first, instead of those of the task',
      numbers,
    )
    .option('--steps <number>', 'steps per run, instead of those of the task', wholeNumber(1))
    .option('--seed <number>', 'seed of the study', wholeNumber(0), raceDefaults.seed)
    .option('--out <directory>', `where ${fileNames.results} and ${fileNames.report} go (default: .fallline/<task>)`)
    .option('--fresh', 'start over instead of resuming an interrupted or showing a finished race of the same settings')
    .addHelpText('after', `\nBuilt-in tasks:\n${tasks.join('\n')}\n\n${exitCodesHelp}`)
    .action(async (task: string, flags: Flags) => finish(await runRace(task, flags)))
}

async function runRace(task: string, flags: Flags): Promise<number> {
  checkTaskName(task)
  const optimizers = contendersOf(flags.optimizers)
  const out = flags.out ?? join('.fallline', isTaskFile(task) ? parse(task).name : task.toLowerCase())
  const controller = new AbortController()
  let code: number = exitCodes.success
  const interrupt = (reason: number) => () => {
    // A second signal means: at once. Everything finished is on disk already.
    if (controller.signal.aborted) process.exit(reason)
    code = reason
    controller.abort()
  }
  const onInterrupt = interrupt(exitCodes.interrupted)
  const onTerminate = interrupt(exitCodes.terminated)
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  const display = progressDisplay(process.stderr)
  const earlier = { runs: false }
  try {
    const { trials, seeds, seed, steps, targets, fresh } = flags
    const results = await race({
      task,
      optimizers,
      trials,
      seeds,
      seed,
      ...(steps === undefined ? {} : { steps }),
      ...(targets === undefined ? {} : { targets }),
      fresh: fresh ?? false,
      out,
      signal: controller.signal,
      onProgress(progress) {
        earlier.runs = true
        display.update(progress)
      },
    })
    display.stop()
    process.stdout.write(`${summaryOf(results, process.stdout.columns)}\n\n`)
    if (!earlier.runs) {
      const date = (results.finishedAt ?? results.startedAt).replace('T', ' ').slice(0, 16)
      process.stdout.write(`This race was already finished (${date} UTC); --fresh runs it again.\n`)
    }
    process.stdout.write(`Results: ${join(out, fileNames.results)}\nReport:  ${join(out, fileNames.report)}\n`)
    return codeOf(results)
  } catch (error) {
    display.stop()
    if (!(error instanceof RaceInterrupted)) throw error
    const { runs, contenders, protocol } = error.results
    const all = contenders.length * (protocol.trials * protocol.tuningSeeds.length + protocol.reportSeeds.length)
    process.stderr.write(
      `Interrupted: ${runs.length} of ${all} runs are kept in ${join(out, fileNames.results)}; the same command resumes the race.\n`,
    )
    return code
  } finally {
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
  }
}

function codeOf({ analysis, contenders }: RaceResults): number {
  const failures = contenders.filter(({ name }) => analysis!.summaries[name]!.failure !== null).length
  if (failures === contenders.length) return exitCodes.allFailed
  return failures > 0 ? exitCodes.contenderFailed : exitCodes.success
}

/** The exit code of an error that ended the command, and what to print about it. */
export function describeError(error: unknown): { code: number; text: string } {
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof TaskLoadError || error instanceof StorageError) return { code: exitCodes.file, text: message }
  if (error instanceof UsageError || error instanceof RangeError) return { code: exitCodes.usage, text: message }
  const stack = error instanceof Error ? error.stack : undefined
  return { code: exitCodes.internal, text: `unexpected error, please report it: ${stack ?? pc.red(message)}` }
}
