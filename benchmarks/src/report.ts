import Table from 'cli-table3'
import colors from 'picocolors'
import type { PolicyFigures } from '../../packages/race/recording/figures.ts'
import { type Aim, aims, type Results, searchAims, solverAims, verdict } from './aims.ts'
import { inWords } from './instructions.ts'
import { regretsBeside, speedsBeside } from './search/beside.ts'
import { replays } from './search/replay.ts'
import type { ChooseResult } from './sections/choose.ts'
import type { ColdResult } from './sections/cold.ts'
import type { DecayResult } from './sections/decay.ts'
import type { JaxResult } from './sections/jax.ts'
import type { LibraryResult } from './sections/library.ts'
import type { MatrixReport } from './sections/matrices.ts'
import type { PeerReport, PeerResult } from './sections/peers.ts'
import type { QuantizedLoss, QuantizedResult } from './sections/quantized.ts'
import type { SearchReport } from './sections/search.ts'
import type { SizeResult } from './sections/size.ts'
import type { SolverReport } from './sections/solvers.ts'
import type { RatioName, StepResult } from './sections/steps.ts'
import type { TensorflowResult } from './sections/tensorflow.ts'
import type { WebgpuReport } from './sections/webgpu.ts'
import { totals } from './solvers/beside.ts'
import { relativeSpread, type Summary } from './statistics.ts'

const plain = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' ',
}

/** A table without lines; the columns named in `texts` are aligned left, all others right. */
function table(head: readonly string[], rows: readonly (readonly string[])[], texts: readonly number[]): string {
  const made = new Table({
    head: head.map((text) => colors.dim(text)),
    colAligns: head.map((_, index) => (texts.includes(index) ? 'left' : 'right')),
    chars: plain,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 1 },
  })
  for (const row of rows) made.push([...row])
  return made
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

const heading = (text: string): string => `\n${colors.bold(text)}\n`
const missing = '-'

/** Three digits that count, two for what is small. */
function number(value: number | undefined): string {
  if (value === undefined) return missing
  if (value >= 100) return value.toFixed(0)
  if (value > 0 && value < 0.1) return value.toPrecision(2)
  return value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function percent(value: number): string {
  return `${value >= 0.1 ? (value * 100).toFixed(0) : (value * 100).toFixed(1)}%`
}

/** How much longer a step takes because of an option. */
function cost(ratio: Summary | undefined): string {
  if (!ratio) return missing
  const more = 1 / ratio.median - 1
  return `${more >= 0 ? '+' : '-'}${Math.abs(more * 100).toFixed(0)}%`
}

const millions = (parameters: number, seconds: number): number => parameters / seconds / 1e6

/** The table of optimizer steps at one size. */
export function stepTable(results: readonly StepResult[]): string {
  const rows = results.map((result) => {
    const own = result.seconds.fallline
    const ratio = (name: RatioName) => number(result.ratios[name]?.median)
    const label = result.note ? `${result.optimizer} *` : result.optimizer
    const bytes = number(result.bytesPerParameter)
    if (!own) return [label, bytes, missing, missing, missing, missing, missing, missing, missing, missing, missing]
    return [
      label,
      bytes,
      number(millions(result.parameters, own.median)),
      own.count > 1 ? percent(relativeSpread(own)) : missing,
      number((result.parameters * result.bytesPerParameter) / own.median / 1e9),
      ratio('copy'),
      ratio('unfused'),
      ratio('handWritten'),
      cost(result.ratios.throw),
      cost(result.ratios.telemetry),
      ratio('twoThreads'),
    ]
  })
  const head = ['', 'B/par', 'Mpar/s', '+-', 'GB/s', '/copy', '/unfused', '/hand', 'check', 'telem', '2 thr']
  const notes = results.flatMap(({ optimizer, note, failures }) => [
    ...(note ? [`* ${optimizer}: ${note}`] : []),
    ...Object.entries(failures).map(([what, why]) => colors.red(`${optimizer}, ${what}: ${why}`)),
  ])
  return [table(head, rows, [0]), ...notes].join('\n')
}

function stepSection(results: readonly StepResult[]): string {
  const titles = [...new Set(results.map(({ size }) => size))]
  const tables = titles.map((title) => {
    const shown = results.filter(({ size }) => size === title)
    return heading(`Step at ${title} parameters, one tensor, one thread`) + stepTable(shown)
  })
  const legend = [
    'B/par: bytes that a parameter moves by the plan. Mpar/s: million parameters a second, median; +-: half the distance of its quartiles.',
    '/copy, /unfused, /hand: speed relative to a copy of as many bytes, to one pass per operation, and to AdamW written by hand.',
    'check, telem: what the default check of the gradients and the telemetry add to the step. 2 thr: speed with two threads over one.',
  ]
  return `${tables.join('\n')}\n${legend.map((line) => colors.dim(line)).join('\n')}`
}

function coldSection(results: readonly ColdResult[]): string {
  const cell = (summary: Summary | undefined) => number(summary?.median)
  const rows = results.map(({ optimizer, small, large, firstStep, error }) => [
    optimizer,
    cell(small),
    small ? percent(relativeSpread(small)) : missing,
    cell(large),
    cell(firstStep),
    error ? colors.red(error) : '',
  ])
  const head = ['', '4x4', '+-', '1024x1024', 'first step', '']
  return `${heading('Cold compilation in a fresh process, ms')}${table(head, rows, [0, 5])}
${colors.dim('4x4: trace, plan, generate and compile. 1024x1024: the same and its memory; first step: of that size, by code made in a hurry.')}`
}

function decaySection(results: readonly DecayResult[]): string {
  const rows = results.map(({ optimizer, parameters, atRest, worst }) => [
    optimizer,
    String(parameters),
    number(atRest.median),
    number(worst),
  ])
  const legend = colors.dim(
    'Times the step with gradients: once the moments are at rest, and the slowest 32 steps on the way there',
  )
  return `${heading('Steps when gradients have ended')}${table(['', 'parameters', 'at rest', 'slowest'], rows, [0])}\n${legend}`
}

function quantizedSection(results: readonly QuantizedResult[]): string {
  const share = (bytes: number) => `${(100 * bytes).toFixed(1)} %`
  const rows = results.map(({ way, parameters, memory, parameterMemory, speed }) => [
    way,
    String(parameters),
    share(memory),
    share(parameterMemory),
    number(speed.median),
    `${number(speed.low)} to ${number(speed.high)}`,
  ])
  const legend = colors.dim(
    'Beside float32: bytes of state and of parameters in memory, and parameters a second with the quartiles of all rounds',
  )
  const columns = ['', 'parameters', 'state', 'own', 'speed', 'quartiles']
  return `${heading('AdamW with its state or parameters in fewer bits')}${table(columns, rows, [0])}\n${legend}`
}

function quantizedLossSection(results: readonly QuantizedLoss[]): string {
  const loss = (value: number) => value.toFixed(4)
  const signed = (value: number) => `${value < 0 ? '-' : '+'}${loss(Math.abs(value))}`
  const rows = results.map(({ task, optimizer, way, float32, spread, difference, low, high }) => [
    task,
    optimizer,
    way,
    loss(float32),
    loss(spread),
    signed(difference),
    `${signed(low)} to ${signed(high)}`,
  ])
  const legend = colors.dim(
    `Final validation losses of ${results[0]?.seeds} seeds: mean and standard deviation in float32, mean difference to it on the same ` +
      'seeds, and its 95 % interval',
  )
  const columns = ['task', 'optimizer', 'state', 'float32', 'spread', 'difference', 'interval']
  return `${heading('Losses with state in fewer bits')}${table(columns, rows, [0, 1, 2])}\n${legend}`
}

/** Steps on a graphics processor as a table. */
export function webgpuSection({ adapter, results, missing: absent }: WebgpuReport): string {
  const title = heading(`Steps on WebGPU: ${adapter}`)
  if (absent !== undefined) return `${title}${colors.red(absent)}`
  const rows = results.map((result) => {
    const { optimizer, parameters, bytesPerParameter, seconds, share, dispatches, submits, error } = result
    const gigabytes = seconds && (bytesPerParameter! * parameters) / seconds.median / 1e9
    return [
      optimizer,
      String(parameters),
      bytesPerParameter === undefined ? missing : number(bytesPerParameter),
      seconds ? number(1000 * seconds.median) : missing,
      gigabytes ? number(gigabytes) : missing,
      share ? number(share.median) : missing,
      String(dispatches ?? missing),
      String(submits ?? missing),
      colors.red(error ?? ''),
    ]
  })
  const legend = colors.dim(
    'Milliseconds a step; gigabytes a second by the bytes of the plan; /copy: beside a copy between two buffers in the same rounds. ' +
      'Dispatches and submissions a step',
  )
  const columns = ['', 'parameters', 'B/par', 'ms', 'GB/s', '/copy', 'dispatches', 'submits', '']
  return `${title}${table(columns, rows, [0, 8])}\n${legend}`
}

function matrixSection({ peak, fused, products, results, versions, missing: absent }: MatrixReport): string {
  const milliseconds = (seconds: number) => number(1000 * seconds)
  const names = [...new Set(results.flatMap(({ peers }) => Object.keys(peers)))]
  const rows = results.map(({ optimizer, shape, average, median, worst, share, peers, errors }) => [
    optimizer,
    shape,
    ...[average, median, worst].map(milliseconds),
    number(worst / median),
    share === undefined ? missing : percent(share),
    ...names.map((name) => (peers[name] ? number(peers[name].median) : missing)),
    colors.red(errors.join('; ')),
  ])
  const head = ['', 'matrix', 'average', 'median', 'worst', '/median', '/peak', ...names.map((name) => `/${name}`), '']
  const legend = [
    `Milliseconds a step on one thread; factorizations every 10 steps. /peak: multiply-adds a second of ${number(peak / 1e9)} thousand million, ${fused ? 'with' : 'without'} relaxed_madd`,
    ...Object.entries(versions).map(([library, version]) => `${library} ${version}`),
    ...Object.entries(absent).map(([library, why]) => `${library} is missing: ${why}`),
  ]
  const lines = legend.map((line) => colors.dim(line)).join('\n')
  const ofProducts = products.map(({ side, product, gram, odd, twoThreads }) => [
    String(side),
    ...[product, gram, odd.median].map(percent),
    number(twoThreads.median),
  ])
  const first =
    products.length > 0
      ? `${heading('Products')}${table(['side', '/peak', 'gram /peak', 'one less', '2 thr'], ofProducts, [])}\n`
      : ''
  return `${first}${heading('Matrices')}${table(head, rows, [0, 1, head.length - 1])}\n${lines}`
}

function sizeSection(results: readonly SizeResult[]): string {
  const rows = results.map(({ title, minified, gzip, brotli }) => [
    title,
    ...[minified, gzip, brotli].map((bytes) => String(bytes)),
  ])
  const parts = Object.entries(results[0]?.sources ?? {}).slice(0, 6)
  const list = parts.map(([file, bytes]) => `${file.replace(/^.*\/src\//, '')} ${(bytes / 1000).toFixed(1)} kB`)
  const largest = colors.dim(`Largest parts of the first, minified: ${list.join(', ')}`)
  return `${heading('Application, bytes')}${table(['', 'minified', 'gzip', 'brotli'], rows, [0])}\n${largest}`
}

function peerRow(result: PeerResult): string[] {
  const { optimizer, peer, threads, parameters, seconds, fallline, ratio, error } = result
  const speed = (summary: Summary | undefined) => (summary ? number(millions(parameters, summary.median)) : missing)
  return [
    optimizer,
    peer,
    String(threads),
    speed(seconds),
    seconds ? percent(relativeSpread(seconds)) : missing,
    speed(fallline),
    ratio ? `${number(ratio.median)}x` : missing,
    ratio ? colors.dim(`${number(ratio.low)}-${number(ratio.high)}`) : '',
    error ? colors.red(error) : '',
  ]
}

function peerSection({ versions, missing: absent, results }: PeerReport): string {
  const list = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  const titles = [...new Set(results.map(({ size }) => size))]
  const head = ['', 'peer', 'threads', 'Mpar/s', '+-', 'Fallline', 'faster', 'quartiles', '']
  const tables = titles.map((title) => {
    const rows = results.filter(({ size }) => size === title).map(peerRow)
    return heading(`Beside others at ${title} parameters`) + table(head, rows, [0, 1, 7, 8])
  })
  const complaints = Object.entries(absent).map(([name, reason]) => colors.red(`${name}: ${reason}`))
  const notes = [
    list.join(', '),
    'jax-js: Adam written in its operations and jitted, its port of optax is not published. faster: Fallline over the peer, as many threads.',
  ]
  return [...tables, ...complaints, ...notes.map((line) => colors.dim(line))].join('\n')
}

/** Every optimizer of the registry. */
export function librarySection(results: readonly LibraryResult[]): string {
  const rows = results.map((result) => {
    const { optimizer, kind, parameters, bytesPerParameter, seconds, copy, adamW, cached, error } = result
    const gigabytes = seconds && (parameters * bytesPerParameter) / seconds.median / 1e9
    return [
      optimizer,
      kind,
      number(bytesPerParameter),
      number(seconds && millions(parameters, seconds.median)),
      number(gigabytes),
      number(copy?.median),
      number(adamW?.median),
      number(result.aim),
      number(cached?.median),
      error ? colors.red(error) : remarkOn(result),
    ]
  })
  const head = ['', 'kind', 'B/par', 'Mpar/s', 'GB/s', '/copy', '/AdamW', 'aim', 'cached', 'what else it does']
  const adamW = results.find(({ optimizer }) => optimizer === 'adamW')
  const legend = [
    `At ${number(Math.max(...results.map(({ parameters }) => parameters)) / 1e6)} M parameters, matrix rules at 1 M; cached: /AdamW at 65536. /copy: speed relative to a copy of as many bytes. /AdamW: bytes a second relative to AdamW; those below their aim are marked.`,
    ...(adamW ? [`Operations for each element in the generated loops, of AdamW: ${inWords(adamW.instructions)}.`] : []),
  ]
  return `${heading('Every optimizer')}${table(head, rows, [0, 1, 9])}\n${legend.map((line) => colors.dim(line)).join('\n')}`
}

/** What a rule does beside moving its bytes, and where it misses its aim, how many operations that takes for each element. */
function remarkOn({ reason, instructions, adamW, aim }: LibraryResult): string {
  if (aim === undefined || adamW === undefined || adamW.median >= aim) return colors.dim(reason)
  return colors.yellow([...(reason ? [reason] : []), inWords(instructions)].join('; '))
}

/** Whole training steps in jax-js. */
export function jaxSection(results: readonly JaxResult[]): string {
  const rows = results.map(({ model, device, optimizer, way, seconds, ratio, kernels, error }) => [
    model,
    device,
    optimizer,
    way,
    number(seconds && seconds.median * 1000),
    seconds ? percent(relativeSpread(seconds)) : missing,
    ratio ? `${number(ratio.median)}x` : missing,
    ratio ? colors.dim(`${number(ratio.low)}-${number(ratio.high)}`) : '',
    kernels === undefined ? missing : String(kernels),
    error ? colors.red(error) : '',
  ])
  const head = ['model, batch 64', 'device', 'optimizer', 'way', 'ms', '+-', 'speed', 'quartiles', 'kernels', '']
  const legend =
    'A whole training step in jax-js. speed: over the first of the group. kernels: for the update alone, on wasm those of jax-js.'
  return `${heading('Training steps in jax-js')}${table(head, rows, [0, 1, 2, 3, 7, 9])}\n${colors.dim(legend)}`
}

function tensorflowSection(results: readonly TensorflowResult[]): string {
  const milliseconds = (summary: Summary | undefined) => number(summary && summary.median * 1000)
  const rows = results.map(({ backend, execution, ours, theirs, ratio, error }) => [
    backend,
    execution ?? missing,
    milliseconds(ours),
    milliseconds(theirs),
    ratio ? `${number(ratio.median)}x` : missing,
    ratio ? colors.dim(`${number(ratio.low)}-${number(ratio.high)}`) : '',
    error ? colors.red(error) : '',
  ])
  const head = ['', 'by', 'AdamW, ms', 'its Adam, ms', 'faster', 'quartiles', '']
  const note =
    'The update alone, inside tf.tidy as fit calls it. In a page a round ends when the device has done its work.'
  const title = 'Inside TensorFlow.js, 101,770 parameters in four variables'
  return `${heading(title)}${table(head, rows, [0, 1, 5, 6])}\n${colors.dim(note)}`
}

/** Policies that choose an optimizer, replayed on the recorded table. */
export function chooseSection({
  tasks,
  configurations,
  repetitions,
  references,
  shipped,
  ...rest
}: ChooseResult): string {
  const row = ({ policy, prior, runs, cost, regret, standardError, better, tasks: each }: PolicyFigures) => [
    policy,
    prior,
    String(runs),
    number(cost),
    regret.toFixed(3),
    standardError.toFixed(3),
    `${(better * 100).toFixed(1)}%`,
    ...each.map((one) => one.regret.toFixed(2)),
  ]
  const names = tasks.map(({ name, complete }) => (complete ? name : `${name} *`))
  const head = ['', 'prior', 'runs', 'cost', 'regret', '+-', 'better', ...names]
  const { level, confirmed, tested, share: found, low, high } = rest.falseConfirmations
  const barely = Math.max(...[...references, ...shipped].map(({ barelyJudged }) => barelyJudged))
  const legend = [
    `${configurations} configurations a task, ${repetitions} repetitions. cost: full runs' worth of gradients. regret: 0 the best of all, 1 the best of eight settings of AdamW, on seeds that the policy has not seen; +-: standard error over repetitions.`,
    'better: share of the configurations that are better than the pick. prior: none, of the other tasks, of tasks on other data, that of the other tasks reversed, or what choosing once on each of these has learnt.',
    `At most ${percent(barely)} of the picks of a row were judged by fewer than three unseen seeds.`,
    ...(tasks.some(({ complete }) => !complete)
      ? ['* not all seeds of the better configurations have been recorded.']
      : []),
  ]
  const question = `Of ${tested} picks among optimizers that are all alike, ${confirmed} were confirmed at ${level * 100} %: ${percent(found)} (95 % interval ${percent(low)} to ${percent(high)}).`
  const rows = [...references, ...shipped].map(row)
  const recorded = tasks.map(({ name, best, baseline, runs }) => [
    name,
    number(baseline.mean),
    `${number(best.mean)}, ${best.optimizer}`,
    String(runs),
  ])
  return `${heading('Choosing an optimizer, replayed on recorded runs')}${table(head, rows, [0, 1])}
${legend.map((line) => colors.dim(line)).join('\n')}
${question}
${heading('What was recorded: mean metric at the end')}${table(['', 'best of AdamW', 'best of all', 'runs'], recorded, [0])}`
}

/** Samplers of `@fallline/search`, and Optuna's where it was asked for. */
export function searchSection({ bookkeeping, regrets, replayed, seeds, peer, missing: lacking }: SearchReport): string {
  const counts = [...new Set(bookkeeping.map(({ trials }) => trials))].sort((a, b) => a - b)
  const askers = [...new Set(bookkeeping.map(({ sampler, storage }) => `${sampler}, ${storage}`))]
  const rowOf = (asker: string, count: number) =>
    bookkeeping.find((each) => `${each.sampler}, ${each.storage}` === asker && each.trials === count)
  const asking = askers.map((asker) => [
    asker,
    ...counts.map((count) => {
      const seconds = rowOf(asker, count)?.seconds
      return seconds
        ? `${number(seconds.median * 1000)} ${colors.dim(`${number(seconds.low * 1000)}-${number(seconds.high * 1000)}`)}`
        : missing
    }),
  ])
  const reasons = askers.flatMap((asker) => {
    const reason = counts.map((count) => rowOf(asker, count)?.error).find((error) => error !== undefined)
    return reason === undefined ? [] : [`${asker}: ${reason}`]
  })
  const speeds = speedsBeside(bookkeeping)
  const pairs = [...new Set(speeds.map(({ sampler, storage, peer: other }) => `${sampler}, ${storage} / ${other}`))]
  const faster = pairs.map((pair) => [
    pair,
    ...counts.map((count) =>
      number(
        speeds.find((each) => `${each.sampler}, ${each.storage} / ${each.peer}` === pair && each.trials === count)
          ?.ratio,
      ),
    ),
  ])
  const columns = [...new Set(regrets.map(({ problem, after }) => `${problem}, ${after}`))]
  const found = [...new Set(regrets.map(({ sampler }) => sampler))].map((sampler) => [
    sampler,
    ...columns.map((column) => {
      const row = regrets.find((each) => each.sampler === sampler && `${each.problem}, ${each.after}` === column)
      return row
        ? `${number(row.regret.median)} ${colors.dim(`${number(row.regret.low)}-${number(row.regret.high)}`)}`
        : missing
    }),
  ])
  const tasks = [...new Set(replayed.map(({ task }) => task))]
  const searched = [...new Set(replayed.map(({ sampler }) => sampler))].map((sampler) => {
    const better = tasks.map((task) => replayed.find((each) => each.sampler === sampler && each.task === task)!.better)
    const mean = better.reduce((sum, share) => sum + share, 0) / better.length
    return [sampler, ...[...better, mean].map((share) => `${(100 * share).toFixed(2)}%`)]
  })
  const { workers, runs, seeds: repeated } = replays
  const shares = regretsBeside(regrets)
  const rivals = [...new Set(shares.map(({ sampler, peer: other }) => `${sampler} / ${other}`))]
  const smaller = rivals.map((rival) => [
    rival,
    ...columns.map((column) => {
      const row = shares.find(
        (each) => `${each.sampler} / ${each.peer}` === rival && `${each.problem}, ${each.after}` === column,
      )
      if (!row) return missing
      const text = row.share.toFixed(2)
      return row.share < row.low ? colors.yellow(`${text} worse`) : row.share > row.high ? colors.green(text) : text
    }),
  ])
  const alike = shares[0] && `two that are alike: ${shares[0].low.toFixed(2)}-${shares[0].high.toFixed(2)} in 95 of 100`
  const notes = [
    ...(peer ? [peer.version ? `Optuna ${peer.version}` : `Optuna: ${peer.error}`] : []),
    ...reasons,
    ...lacking,
  ]
  const sections = [
    asking.length > 0 &&
      `${heading('Asking and telling, ms, by trials that a study has, median and quartiles')}${table(['', ...counts.map(String)], asking, [0])}`,
    faster.length > 0 &&
      `${heading('Asking and telling, times as fast as Optuna')}${table(['', ...counts.map(String)], faster, [0])}`,
    found.length > 0 &&
      `${heading(`Regret after so many trials, median and quartiles of ${seeds} seeds`)}${table(['', ...columns], found, [0])}`,
    smaller.length > 0 &&
      `${heading(`Share of pairs of seeds with the smaller regret; ${alike}`)}${table(['', ...columns], smaller, [0])}`,
    searched.length > 0 &&
      `${heading(`Recorded tasks, replayed: configurations better than the best found, ${workers} workers for the time of ${runs} runs, mean of ${repeated} seeds`)}${table(['', ...tasks, 'mean'], searched, [0])}`,
    ...notes.map((note) => colors.dim(note)),
  ]
  return sections.filter((section) => section !== false).join('\n')
}

/** Solvers of `@fallline/solvers` beside others: sums over the problems of each part. */
export function solverSection({ rows, size, peer }: SolverReport): string {
  const all = totals(rows)
  const titles: Readonly<Record<string, string>> = {
    minimize: 'minimize, on problems of Moré, Garbow and Hillstrom',
    leastSquares: 'leastSquares, on these and the data sets of NIST',
    root: 'root, on those of them that have one',
    large: `minimize in ${size} variables`,
    fit: 'leastSquares, the 21 weights of a memory model',
  }
  const head = ['', '', 'solved', 'iterations', 'values', 'gradients', 'ms', 'us beyond', 'quartiles']
  const tables = Object.entries(titles).flatMap(([part, title]) => {
    const shown = all.filter((each) => each.part === part)
    if (shown.length === 0) return []
    const methods = [...new Set(shown.map(({ method }) => method))]
    const lines = methods.flatMap((method) =>
      shown
        .filter((each) => each.method === method)
        .map(({ library, solved, problems, iterations, values, gradients, seconds, overhead }) => [
          method,
          library,
          `${solved} of ${problems}`,
          iterations === undefined ? missing : String(iterations),
          String(values),
          String(gradients),
          number(1000 * seconds),
          number(overhead && 1e6 * overhead.median),
          overhead ? colors.dim(`${number(1e6 * overhead.low)}-${number(1e6 * overhead.high)}`) : '',
        ]),
    )
    return [`${heading(title)}${table(head, lines, [0, 1, 8])}`]
  })
  const failures = rows.flatMap(({ library, method, problem, error }) =>
    error === undefined ? [] : [colors.red(`${library}, ${method} on ${problem}: ${error}`)],
  )
  const notes = [
    'Sums over the problems. solved: as low as the best of all, up to a thousandth. us beyond: microseconds of an iteration that no evaluation took, median over the problems.',
    ...(peer ? [peer.version ? `SciPy ${peer.version}` : `SciPy: ${peer.error}`] : []),
  ]
  return [...tables, ...failures, ...notes.map((note) => colors.dim(note))].join('\n')
}

function aimSection(promises: readonly Aim[]): string {
  const rows = promises.map((aim) => {
    const { title, direction, bound, unit, measured, met } = aim
    const range = measured?.low !== undefined && measured.high !== undefined
    const outcome = verdict(aim)
    return [
      title,
      `${direction} ${Number(bound.toFixed(2))} ${unit}`,
      number(measured?.median),
      range ? colors.dim(`${number(measured.low)}-${number(measured.high)}`) : '',
      met === undefined ? colors.dim(outcome) : met ? colors.green(outcome) : colors.yellow(outcome),
    ]
  })
  return heading('Aims') + table(['', 'aim', 'measured', 'quartiles', ''], rows, [0, 1, 3, 4])
}

/** The whole report as text. */
export function report(results: Results): string {
  const { steps, cold, sizes, peers, jax, tensorflow, library, choose, decay, matrices, quantized, quantizedLosses } =
    results
  const { search, solvers, webgpu } = results
  const sections = [
    steps && steps.length > 0 && stepSection(steps),
    library && library.length > 0 && librarySection(library),
    cold && cold.length > 0 && coldSection(cold),
    sizes && sizeSection(sizes),
    decay && decaySection(decay),
    quantized && quantizedSection(quantized),
    quantizedLosses && quantizedLossSection(quantizedLosses),
    matrices && matrixSection(matrices),
    choose && chooseSection(choose),
    peers && peerSection(peers),
    jax && jaxSection(jax),
    tensorflow && tensorflowSection(tensorflow),
    webgpu && webgpuSection(webgpu),
    search && searchSection(search),
    solvers && solverSection(solvers),
    (steps ?? cold ?? sizes ?? peers ?? library ?? choose)
      ? aimSection(aims(results))
      : (search?.peer || solvers) &&
        aimSection([...(search?.peer ? searchAims(search) : []), ...(solvers ? solverAims(solvers) : [])]),
  ]
  return sections.filter((section) => typeof section === 'string').join('\n')
}
