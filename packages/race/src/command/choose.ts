import { join } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import pc from 'picocolors'
import { ChooseInterrupted, choose, chooseDefaults } from '../choose/choose.ts'
import { readLearnt, writtenLearnt } from '../choose/learnt.ts'
import type { ChooseResults } from '../choose/results.ts'
import { chooseFiles } from '../choose/store.ts'
import type { ChooseProgress, StandingLine } from '../choose/study.ts'
import { checkTaskName, contenderList, isTaskFile, optimizerNamed, UsageError } from '../names.ts'
import { formatNumber, formatSetting } from '../report/format.ts'
import type { NonFinite } from '../training/training.ts'
import { directoryOf, tasksHelp, wholeNumber } from './arguments.ts'
import { exitCodes, exitCodesHelp } from './exit.ts'
import { interruptible } from './interruption.ts'
import { left, type ProgressWords, progressDisplay } from './progress.ts'

/** The task of `fallline choose` when none is named. */
const defaultTask = 'digits-mlp'

interface Flags {
  optimizers?: string
  baseline: string
  runs?: number
  minutes?: number
  seeds: number
  seed: number
  steps?: number
  workers?: number
  nonFinite: NonFinite
  out?: string
  fresh?: boolean
  more?: number
  prior?: string
}

/** Where what was learnt is kept unless said otherwise. */
const localPrior = join('.fallline', 'prior.json')

function minutes(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('It must be a number above 0.')
  return value
}

function nonFinite(text: string): NonFinite {
  if (text !== 'stop' && text !== 'skip') throw new InvalidArgumentError("It must be 'stop' or 'skip'.")
  return text
}

/** The command `fallline choose`. `finish` receives the exit code. */
export function chooseCommand(finish: (code: number) => void): Command {
  const { baseline, runs, seeds, seed } = chooseDefaults
  const command = new Command('choose')
    // `--prior` after `export` is that of the export.
    .enablePositionalOptions()
    .description('say which optimizer to use on a task, with which setting, as code to paste')
    .argument('[task]', 'a built-in task, or the path of a task module (.ts or .js)', defaultTask)
    .option('-o, --optimizers <names>', 'contenders, with commas between (default: all optimizers there are)')
    .option('-b, --baseline <name>', 'what the choice is compared with; always takes part', baseline)
    .option('-r, --runs <number>', `budget in full runs, the comparison included (default: ${runs})`, wholeNumber(1))
    .option('-m, --minutes <number>', 'budget in minutes instead', minutes)
    .option(
      '-s, --seeds <number>',
      'fresh runs of the choice and of the baseline for the comparison',
      wholeNumber(1),
      seeds,
    )
    .option('--seed <number>', 'seed of the study', wholeNumber(0), seed)
    .option('--steps <number>', 'gradients of a full run, instead of the steps of the task', wholeNumber(1))
    .option('-w, --workers <number>', 'worker threads (default: as many as the machine has cores)', wholeNumber(0))
    .option(
      '--non-finite <what>',
      'gradients that are not finite: stop the run, or skip the step',
      nonFinite,
      chooseDefaults.nonFinite,
    )
    .option(
      '--out <directory>',
      `where ${chooseFiles.results} and ${chooseFiles.report} go (default: .fallline/<task>)`,
    )
    .option('--fresh', 'start over instead of resuming an interrupted or showing a finished study of the same settings')
    .option('--more <runs>', 'continue the study that is there with so many full runs more', wholeNumber(1))
    .option(
      '--prior <file>',
      `what earlier studies here have learnt, to which this one is added; none: not even what comes with the package (default: ${localPrior}, with --out only what comes with the package)`,
    )
    .addHelpText('after', `\n${tasksHelp}\n\n${exitCodesHelp}`)
    .action(async (task: string, flags: Flags) => finish(await runChoose(task, flags)))
  command
    .command('export')
    .description(
      'print what earlier studies here have learnt, for the --prior of others: names of tasks and optimizers, ranges and scores',
    )
    .option('--prior <file>', 'where it is kept', localPrior)
    .action(({ prior }: { prior: string }) => {
      const learnt = readLearnt(prior)
      if (learnt.tasks.length === 0) throw new UsageError(`nothing has been learnt in ${prior} yet`)
      process.stdout.write(writtenLearnt(learnt))
    })
  return command
}

async function runChoose(task: string, flags: Flags): Promise<number> {
  checkTaskName(task)
  const fromModule = isTaskFile(task)
  const list = flags.optimizers === undefined ? undefined : contenderList(flags.optimizers, fromModule)
  const optimizers = list?.contenders
  const names = optimizers?.map((one) => (typeof one === 'string' ? one : one.name))
  const { baseline } = flags
  // A baseline that is entered already, or that the module of the task exports, is known there.
  const known = names?.some((name) => name.toLowerCase() === baseline.toLowerCase())
  if (!known && !fromModule) optimizerNamed(baseline)
  const out = flags.out ?? (await directoryOf(task))
  // Who says where the results go gets nothing anywhere else.
  const prior = flags.prior ?? (flags.out === undefined ? localPrior : undefined)
  const display = progressDisplay(process.stderr, chooseWords)
  return interruptible(async (signal, interruptedBy) => {
    let ran = false
    try {
      const { seeds, seed, runs, steps, workers, fresh, more } = flags
      const results = await choose({
        task,
        baseline,
        seeds,
        seed,
        nonFinite: flags.nonFinite,
        out,
        fresh: fresh ?? false,
        ...(optimizers === undefined ? {} : { optimizers }),
        ...(runs === undefined ? {} : { runs }),
        ...(flags.minutes === undefined ? {} : { minutes: flags.minutes }),
        ...(steps === undefined ? {} : { steps }),
        ...(workers === undefined ? {} : { workers }),
        ...(more === undefined ? {} : { more }),
        ...(prior === undefined ? {} : { prior }),
        signal,
        onProgress(progress) {
          ran = true
          display.update(progress)
        },
      })
      display.stop()
      process.stdout.write(`${conclusionOf(results)}\n`)
      if (!ran) {
        const date = (results.finishedAt ?? results.startedAt).replace('T', ' ').slice(0, 16)
        process.stdout.write(
          `This study was already finished (${date} UTC); --more <runs> continues it, --fresh runs it again.\n`,
        )
      }
      process.stdout.write(`Results: ${join(out, chooseFiles.results)}\nReport:  ${join(out, chooseFiles.report)}\n`)
      return codeOf(results, list?.expands ? [] : (names ?? []))
    } catch (error) {
      display.stop()
      if (!(error instanceof ChooseInterrupted)) throw error
      const resumes = flags.more === undefined ? 'the same command' : 'the same command without --more'
      const kept =
        error.results.runs.filter(({ state }) => state.step > 0).length + (error.results.fresh?.runs.length ?? 0)
      process.stderr.write(
        `Interrupted: ${kept} runs are kept in ${join(out, chooseFiles.results)}; ${resumes} resumes.\n`,
      )
      return interruptedBy()
    }
  })
}

/** The answer for the terminal: the sentence, what describes it, the code, and who failed. */
function conclusionOf({ answer, excluded, runs, candidates, contenders }: ChooseResults): string {
  const { sentence, remarks, code } = answer!
  const failed = contenders.flatMap(({ name, title }) => {
    const mine = runs.filter(({ candidate }) => candidates[candidate]!.group === name)
    const reasons = mine.flatMap(({ state }) =>
      state.outcome === 'failed' ? [state.message ?? 'no reason given'] : [],
    )
    return reasons.length > 0 ? [`${title} failed: ${reasons[0]}`] : []
  })
  const left = [...excluded.map(({ title, reason }) => `${title}: ${reason}`), ...failed]
  const written = code?.code
    ? [
        pc.dim('The code, for plain TypeScript; for TensorFlow.js and jax-js it is in the report:'),
        '',
        code.code.fallline,
      ]
    : code
      ? [`There is no code to paste: ${code.failure}.`, '']
      : []
  return [
    '',
    pc.bold(sentence),
    ...remarks.map((remark) => `- ${remark}`),
    '',
    ...written,
    ...(left.length > 0 ? [...left.map((line) => `${pc.dim('note')} ${line}`), ''] : []),
  ].join('\n')
}

/** Contenders that were asked for by name must run; of the whole registry some may not fit. */
function codeOf({ answer, excluded, candidates, runs }: ChooseResults, asked: readonly string[]): number {
  if (answer!.outcome === 'nothing finished') return exitCodes.allFailed
  const lost = asked.filter((name) => {
    if (excluded.some((one) => one.name === name)) return true
    const mine = runs.filter(({ candidate }) => candidates[candidate]!.group === name)
    return mine.length > 0 && mine.every(({ state }) => state.outcome === 'failed' || state.outcome === 'diverged')
  })
  return lost.length > 0 ? exitCodes.contenderFailed : exitCodes.success
}

const standingInWords = (standing: readonly StandingLine[], withSetting: boolean) =>
  standing
    .map(
      ({ title, setting, metric }) =>
        `${title}${withSetting ? ` (${formatSetting(setting)})` : ''} ${formatNumber(metric)}`,
    )
    .join(', ')

/** A line per stage and per run on a fresh seed where there is no terminal. */
const chooseWords: ProgressWords<ChooseProgress> = {
  bar({ stage, index, count, standing }) {
    const more = standing.length > 0 ? `ahead: ${standingInWords(standing, false)}` : ''
    return { what: `${stage} ${index}/${count}`, more }
  },
  line({ phase, stage, index, count, standing, stageEnded, fresh, millisecondsLeft }) {
    const time = left(millisecondsLeft)
    const end = time === '' ? '' : ` (${time})`
    if (fresh) {
      const { title, seed, state, validation, test } = fresh
      const result =
        validation === null
          ? `${state.outcome}: ${state.message ?? ''}`
          : `validation ${formatNumber(validation)}, test ${test === null ? 'not finite' : formatNumber(test)}`
      return `fresh run ${index}/${count}: ${title}, seed ${seed}: ${result}${end}`
    }
    if (!stageEnded) return null
    const what =
      phase === 'checking' ? `${count} optimizers checked` : `${stage}: ${count} ${count === 1 ? 'run' : 'runs'}`
    const ahead = standing.length > 0 ? `; ahead: ${standingInWords(standing, true)}` : ''
    return `${what}${ahead}${end}`
  },
}
