import { join } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import pc from 'picocolors'
import { TaskLoadError } from '../load-task.ts'
import { checkTaskName, contenderList, isTaskFile, rangesOf, UsageError } from '../names.ts'
import { helpRace, RaceInterrupted, type RaceOptions, type RaceProgress, race, raceDefaults } from '../race.ts'
import { formatDuration, formatNumber, formatSetting } from '../report/format.ts'
import type { Claim, RaceResults } from '../results.ts'
import { fileNames, StorageError } from '../store.ts'
import { BrokenTaskError } from '../training/check-task.ts'
import type { NonFinite } from '../training/training.ts'
import { directoryOf, patienceOption, tasksHelp, wholeNumber } from './arguments.ts'
import { BuildFileError } from './build.ts'
import { exitCodes, exitCodesHelp } from './exit.ts'
import { interruptible } from './interruption.ts'
import { left, type ProgressWords, progressDisplay } from './progress.ts'
import { type HelpFlags, helping, helpingWith, sharing } from './sharing.ts'
import { ProblemFileError } from './solve.ts'
import { summaryOf } from './summary.ts'

/** What `fallline race` runs when nothing is said: done in about a minute on two cores. */
export const quickRace = { task: 'digits-mlp', optimizers: 'sgd,adamW,adan,lion' } as const

interface Flags {
  optimizers: string
  claim: Claim
  studies?: number
  trials?: number
  seeds?: number
  horizons: 'full' | 'matched'
  nonFinite: NonFinite
  range: string[]
  targets?: number[]
  out?: string
  seed: number
  steps?: number
  fresh?: boolean
  study?: string
  patience: number
}

/** Name of the attribute of a study that says which race it is. */
const raceAttribute = 'race'

function numbers(text: string): number[] {
  const values = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (!values.every(Number.isFinite))
    throw new InvalidArgumentError('It must be numbers with commas between, such as 0.3,0.2,0.1.')
  return values
}

/** The command `fallline race`. `finish` receives the exit code. */
export function raceCommand(finish: (code: number) => void): Command {
  const { optimizers, settings } = raceDefaults
  const command = new Command('race')
    // `--study` after `worker` is that of the worker.
    .enablePositionalOptions()
    .description('race optimizers on a task, with equal tuning for all, and say who is ahead or that nobody is')
    .argument('[task]', 'a built-in task, or the path of a task module (.ts or .js)', quickRace.task)
    .option(
      '-o, --optimizers <names>',
      'contenders, with commas between: names, wrappers such as "cautious(adamW)", families such as sign, all, or names that the task module exports',
      quickRace.optimizers,
    )
    .addOption(
      new Option('-c, --claim <what>', 'what the verdict is about: optimizers, tuned anew in every study, or settings')
        .choices(['optimizers', 'settings'])
        .default('optimizers'),
    )
    .option(
      '--studies <number>',
      `independent studies per contender; 3 or more to claim a difference (default: ${optimizers.studies}, ${settings.studies} for settings)`,
      wholeNumber(1),
    )
    .option(
      '-t, --trials <number>',
      `tuning trials in every study (default: ${optimizers.trials}, ${settings.trials} for settings)`,
      wholeNumber(1),
    )
    .option(
      '-s, --seeds <number>',
      `fresh runs in every study (default: ${optimizers.seeds}, ${settings.seeds} for settings, where 3 or more are needed to claim a difference)`,
      wholeNumber(1),
    )
    .option(
      '-r, --range <range>',
      'a range to tune over, such as adamW.learningRate=1e-5..1e-2 or adamW.weightDecay=0|0.1; again for more',
      (text: string, before: string[]) => [...before, text],
      [],
    )
    .addOption(
      new Option('--horizons <how>', 'where schedules of fresh runs end: at the full budget, or matched to each target')
        .choices(['full', 'matched'])
        .default('full'),
    )
    .addOption(
      new Option('--non-finite <how>', 'a number that is not finite stops the run, or its step is skipped and counted')
        .choices(['stop', 'skip'])
        .default('stop'),
    )
    .option(
      '--targets <numbers>',
      'targets of the validation metric, easiest first, instead of those of the task',
      numbers,
    )
    .option('--steps <number>', 'gradients per run, instead of those of the task', wholeNumber(1))
    .option('--seed <number>', 'seed of the study', wholeNumber(0), raceDefaults.seed)
    .option('--out <directory>', `where ${fileNames.results} and ${fileNames.report} go (default: .fallline/<task>)`)
    .option('--fresh', 'start over instead of continuing what the directory holds')
    .option(
      '--study <place>',
      'keep the runs in a folder of studies, or at the URL of a PostgreSQL server, where race worker can help',
    )
    .addOption(patienceOption())
    .addHelpText(
      'after',
      `
${tasksHelp}

Results are kept after every run: the same command resumes an interrupted race, and more studies, seeds or contenders continue a
finished one.

${exitCodesHelp}`,
    )
    .action(async (task: string, flags: Flags) => finish(await runRace(task, flags)))
  helping(command, 'a race').action(async (flags: HelpFlags) => finish(await helpWithRace(flags)))
  return command
}

/** What of the flags says which race it is. */
type SaidFlags = Omit<Flags, 'out' | 'fresh' | 'study' | 'patience'>

/** The options of a race as the command line says them. */
function optionsOf(task: string, flags: SaidFlags) {
  checkTaskName(task)
  const { contenders: optimizers, expands } = contenderList(flags.optimizers, isTaskFile(task))
  const { claim, studies, trials, seeds, horizons, nonFinite, seed, steps, targets } = flags
  return {
    task,
    optimizers,
    claim,
    ...(studies === undefined ? {} : { studies }),
    ...(trials === undefined ? {} : { trials }),
    ...(seeds === undefined ? {} : { seeds }),
    horizons,
    nonFinite,
    ranges: rangesOf(flags.range),
    leaveOut: expands,
    seed,
    ...(steps === undefined ? {} : { steps }),
    ...(targets === undefined ? {} : { targets }),
  }
}

async function runRace(task: string, flags: Flags): Promise<number> {
  const { out: given, fresh = false, study: place, patience, ...said } = flags
  const options = optionsOf(task, said)
  const out = given ?? (await directoryOf(task))
  if (place === undefined) return raceHere(options, { out, fresh })
  return sharing({ study: place, patience }, 'race', raceAttribute, { task, flags: said }, (shared) =>
    raceHere(options, { out, fresh, ...shared }),
  )
}

async function raceHere(
  options: ReturnType<typeof optionsOf>,
  kept: Pick<RaceOptions, 'fresh' | 'storage' | 'patience' | 'onStudy'> & { out: string },
): Promise<number> {
  const { out } = kept
  const display = progressDisplay(process.stderr, raceWords())
  return interruptible(async (signal, interruptedBy) => {
    let ran = false
    try {
      const results = await race({
        ...options,
        ...kept,
        signal,
        onProgress(progress) {
          ran = true
          display.update(progress)
        },
      })
      display.stop()
      process.stdout.write(`${summaryOf(results, process.stdout.columns)}\n\n`)
      if (!ran) {
        const date = (results.finishedAt ?? results.startedAt).replace('T', ' ').slice(0, 16)
        process.stdout.write(`This race was already finished (${date} UTC); --fresh runs it again.\n`)
      }
      process.stdout.write(`Results: ${join(out, fileNames.results)}\nReport:  ${join(out, fileNames.report)}\n`)
      return codeOf(results)
    } catch (error) {
      display.stop()
      if (!(error instanceof RaceInterrupted)) throw error
      process.stderr.write(
        `Interrupted: ${error.results.runs.length} of ${error.planned} runs are kept in ${join(out, fileNames.results)}; the same command resumes the race.\n`,
      )
      return interruptedBy()
    }
  })
}

/** Helps with a race that others run; gives the exit code. */
function helpWithRace(flags: HelpFlags): Promise<number> {
  const display = progressDisplay(process.stderr, raceWords())
  return helpingWith<SaidFlags>(flags, raceAttribute, 'race', ({ task, flags: said }, shared) =>
    helpRace({
      ...optionsOf(task, said),
      ...shared,
      onProgress: (progress) => display.update(progress),
    }).finally(() => display.stop()),
  )
}

const phases = {
  tuning: 'tuning',
  final: 'rerun of the best',
  report: 'fresh run',
  cost: 'cost of a step, block',
} as const

/** A line per finished run where there is no terminal. */
function raceWords(): ProgressWords<RaceProgress> {
  let costSaid = false
  return {
    bar({ phase, title, study, studies, index, count, step, steps }) {
      const where = phase === 'cost' || studies === 1 ? '' : `, study ${study}/${studies}`
      const who = phase === 'cost' ? '' : `: ${title}, step ${step}/${steps}`
      return { what: `${phases[phase]} ${index}/${count}${where}${who}` }
    },
    line({ phase, title, study, studies, index, count, finished, millisecondsLeft }) {
      if (phase === 'cost') {
        if (costSaid) return null
        costSaid = true
        return 'measuring the cost of a step'
      }
      if (finished === undefined) return null
      const result =
        finished.validation === null
          ? `${finished.outcome}: ${finished.message ?? ''}`
          : `validation ${formatNumber(finished.validation)}`
      const time = [formatDuration(finished.milliseconds), left(millisecondsLeft)]
        .filter((part) => part !== '')
        .join(', ')
      return `${phases[phase]} ${index}/${count}${studies === 1 ? '' : `, study ${study}`}: ${title}, ${formatSetting(finished.setting)}: ${result} (${time})`
    },
  }
}

function codeOf({ analysis, contenders }: RaceResults): number {
  const failures = contenders.filter(({ name }) => analysis!.summaries[name]!.failure !== null).length
  if (failures === contenders.length) return exitCodes.allFailed
  return failures > 0 ? exitCodes.contenderFailed : exitCodes.success
}

/** The stack of what a task threw, without what this program adds. */
function causeOf(error: Error): string {
  const cause = error.cause
  return cause instanceof Error && cause.stack ? `\n${pc.dim(cause.stack)}` : ''
}

/** The exit code of an error that ended the command, and what to print about it. */
export function describeError(error: unknown): { code: number; text: string } {
  const message = error instanceof Error ? error.message : String(error)
  if (
    error instanceof TaskLoadError ||
    error instanceof StorageError ||
    error instanceof BuildFileError ||
    error instanceof ProblemFileError
  )
    return { code: exitCodes.file, text: message }
  if (error instanceof BrokenTaskError) return { code: exitCodes.file, text: `${message}${causeOf(error)}` }
  if (error instanceof UsageError || error instanceof RangeError || error instanceof TypeError)
    return { code: exitCodes.usage, text: message }
  const stack = error instanceof Error ? error.stack : undefined
  return { code: exitCodes.internal, text: `unexpected error, please report it: ${stack ?? pc.red(message)}` }
}
