import { type RegretBeside, regretsBeside, speedsBeside, storages } from './search/beside.ts'
import type { ChooseResult } from './sections/choose.ts'
import type { ColdResult } from './sections/cold.ts'
import type { DecayResult } from './sections/decay.ts'
import type { JaxResult } from './sections/jax.ts'
import type { LibraryResult } from './sections/library.ts'
import type { MatrixReport } from './sections/matrices.ts'
import type { PeerReport } from './sections/peers.ts'
import type { QuantizedLoss, QuantizedResult } from './sections/quantized.ts'
import type { SearchReport } from './sections/search.ts'
import type { SizeResult } from './sections/size.ts'
import type { SolverReport } from './sections/solvers.ts'
import type { StepResult } from './sections/steps.ts'
import type { TensorflowResult } from './sections/tensorflow.ts'
import type { WebgpuReport } from './sections/webgpu.ts'
import { overheadsBeside } from './solvers/beside.ts'
import type { Summary } from './statistics.ts'

/** Everything that a run measured. */
export interface Results {
  steps?: StepResult[]
  cold?: ColdResult[]
  sizes?: SizeResult[]
  peers?: PeerReport
  tensorflow?: TensorflowResult[]
  jax?: JaxResult[]
  library?: LibraryResult[]
  choose?: ChooseResult
  decay?: DecayResult[]
  quantized?: QuantizedResult[]
  quantizedLosses?: QuantizedLoss[]
  matrices?: MatrixReport
  webgpu?: WebgpuReport
  search?: SearchReport
  solvers?: SolverReport
}

/** A promise of the product with what was measured. */
export interface Aim {
  title: string
  /** Whether the figure must not be below or not be above the bound. */
  direction: 'at least' | 'at most'
  bound: number
  unit: string
  /** `undefined` when this run did not measure it. */
  measured?: { median: number; low?: number; high?: number }
  met?: boolean
  /** How far from the bound, as a share of it; positive on the good side. */
  margin?: number
  /** Why there is no figure. */
  reason?: string
}

/** Compares a figure with its bound. */
export function judge(
  promise: Pick<Aim, 'title' | 'direction' | 'bound' | 'unit'>,
  measured: Pick<Summary, 'median' | 'low' | 'high'> | { median: number } | undefined,
  reason = 'not measured in this run',
): Aim {
  if (measured === undefined) return { ...promise, reason }
  const distance = (measured.median - promise.bound) / promise.bound
  const margin = promise.direction === 'at least' ? distance : -distance
  return { ...promise, measured, met: margin >= 0, margin }
}

/** The aim in words, for example "missed by 7 %". */
export function verdict({ met, margin, reason }: Aim): string {
  if (met === undefined || margin === undefined) return reason ?? 'not measured in this run'
  const percent = Math.abs(margin) * 100
  const share = percent < 10 ? percent.toFixed(1) : percent.toFixed(0)
  return met ? `met, ${share} % to spare` : `missed by ${share} %`
}

const largeSize = '16 M'

/** The promises about studies beside Optuna, as far as they were measured. */
export function searchAims({ bookkeeping, regrets }: Pick<SearchReport, 'bookkeeping' | 'regrets'>): Aim[] {
  const aims = speedsBeside(bookkeeping)
    .filter(({ sampler, storage }) => sampler === 'random' && storage !== 'memory')
    .map(({ storage, trials, ratio }) =>
      judge(
        {
          title: `ask and tell on ${storage} beside ${storages[storage]} of Optuna, ${trials} trials`,
          direction: 'at least',
          bound: 5,
          unit: 'times its speed',
        },
        { median: ratio },
      ),
    )
  for (const storage of Object.keys(storages)) {
    const rows = bookkeeping.filter((row) => row.sampler === 'random' && row.storage === storage && row.seconds)
    const [first, last] = [rows[0], rows.at(-1)]
    if (!first || !last || first === last) continue
    const growth = last.seconds!.median / first.seconds!.median
    aims.push(
      judge(
        {
          title: `ask and tell on ${storage} with ${last.trials} trials`,
          direction: 'at most',
          bound: 1.5,
          unit: `times that with ${first.trials}`,
        },
        { median: growth },
      ),
    )
  }
  const rows = regretsBeside(regrets)
  if (rows.length > 0) {
    const shareOf = (chosen: (row: RegretBeside) => boolean): Pick<Summary, 'median'> => ({
      median: rows.filter(chosen).length / rows.length,
    })
    aims.push(
      judge(
        { title: 'regret no worse than with Optuna', direction: 'at least', bound: 1, unit: 'of the rows' },
        shareOf(({ share, low }) => share >= low),
      ),
      judge(
        { title: 'regret smaller than with Optuna', direction: 'at least', bound: 0.5, unit: 'of the rows' },
        shareOf(({ share }) => share > 0.5),
      ),
    )
  }
  return aims
}

/** The promises about solvers, as far as they were measured. */
export function solverAims({ rows, size }: Pick<SolverReport, 'rows' | 'size'>): Aim[] {
  const aims = overheadsBeside(rows).map(({ part, method, ratio }) =>
    judge(
      {
        title: `an iteration of ${method} beyond evaluations, ${part}`,
        direction: 'at most',
        bound: 1,
        unit: 'times that of SciPy',
      },
      ratio,
    ),
  )
  for (const { part, method, problem, seconds, library } of rows) {
    if (library !== 'fallline' || !seconds) continue
    if (part === 'fit') {
      const title = 'a fit of 21 parameters'
      aims.push(judge({ title, direction: 'at most', bound: 50, unit: 'ms' }, inMilliseconds(seconds)))
    }
    if (part !== 'large') continue
    const other = rows.find((row) => row.library === 'SciPy' && row.part === part && row.problem === problem)
    if (!other?.seconds) continue
    const title = `${method} in ${size} variables, ${problem}`
    const speed = { median: other.seconds.median / seconds.median }
    aims.push(judge({ title, direction: 'at least', bound: 1, unit: 'times the speed of SciPy' }, speed))
  }
  return aims
}

function inMilliseconds({ median, low, high }: Summary): Pick<Summary, 'median' | 'low' | 'high'> {
  return { median: 1000 * median, low: 1000 * low, high: 1000 * high }
}

/** The promises about speed and size, held against what was measured. */
export function aims({ steps, cold, sizes, peers, tensorflow, library, choose, search, solvers }: Results): Aim[] {
  const adamW = steps?.find(({ optimizer, size }) => optimizer === 'adamW' && size === largeSize)
  const list: Aim[] = [
    judge(
      {
        title: `AdamW beside the hand-written kernel, ${largeSize}`,
        direction: 'at least',
        bound: 0.97,
        unit: 'times its speed',
      },
      adamW?.ratios.handWritten,
    ),
    judge(
      {
        title: `AdamW beside a copy of as many bytes, ${largeSize}`,
        direction: 'at least',
        bound: 1,
        unit: 'times its speed',
      },
      adamW?.ratios.copy,
    ),
  ]
  const rivals = [
    { optimizer: 'adamW', title: 'AdamW', peer: 'torch foreach', bound: 5 },
    { optimizer: 'adamW', title: 'AdamW', peer: 'torch fused', bound: 1 },
    { optimizer: 'adan', title: 'Adan', peer: 'pytorch_optimizer', bound: 5 },
    { optimizer: 'adEMAMix', title: 'AdEMAMix', peer: 'pytorch_optimizer', bound: 5 },
  ]
  for (const { optimizer, title, peer, bound } of rivals) {
    for (const threads of [1, 2]) {
      const result = peers?.results.find(
        (each) =>
          each.optimizer === optimizer && each.size === largeSize && each.peer === peer && each.threads === threads,
      )
      const what = `${title} beside ${peer}, ${largeSize}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`
      const reason = peers ? (result?.error ?? 'not measured in this run') : 'needs --peers'
      list.push(judge({ title: what, direction: 'at least', bound, unit: 'times its speed' }, result?.ratio, reason))
    }
  }
  const compiled = (cold ?? []).flatMap(({ optimizer, small }) => (small ? [{ optimizer, small }] : []))
  const slowest = [...compiled].sort((a, b) => b.small.median - a.small.median)[0]
  list.push(
    judge(
      { title: 'cold compilation of AdamW', direction: 'at most', bound: 12, unit: 'ms' },
      compiled.find(({ optimizer }) => optimizer === 'adamW')?.small,
    ),
    judge(
      {
        title: `cold compilation of the slowest${slowest ? `, ${slowest.optimizer}` : ''}`,
        direction: 'at most',
        bound: 12,
        unit: 'ms',
      },
      slowest?.small,
    ),
    judge(
      { title: 'application with AdamW on wasm, gzip', direction: 'at most', bound: 28, unit: 'kB' },
      sizes?.[0] && { median: sizes[0].gzip / 1000 },
    ),
  )
  for (const { optimizer, kind, aim: bound, adamW: ratio } of library ?? []) {
    if (bound === undefined || (kind === 'elementwise' && !optimizer.endsWith('telemetry'))) continue
    const title = `${optimizer} beside AdamW, ${largeSize}`
    list.push(judge({ title, direction: 'at least', bound, unit: 'times its bytes a second' }, ratio))
  }
  for (const [index, name] of ['adamW', 'muon'].entries()) {
    const started = compiled.find(({ optimizer }) => optimizer === `${name} built ahead`)
    const size = sizes?.[1 + index]
    list.push(
      judge({ title: `start of ${name} built ahead`, direction: 'at most', bound: 3, unit: 'ms' }, started?.small),
      judge(
        { title: `application with ${name} built ahead, gzip`, direction: 'at most', bound: 10, unit: 'kB' },
        size && { median: size.gzip / 1000 },
      ),
    )
  }
  // Only where it was asked for: these are no figures of speed.
  if (choose) {
    const shipped = (runs: number) => choose.shipped.find((each) => each.runs === runs && each.prior === 'other tasks')
    for (const [runs, bound] of [
      [23, 0.6],
      [46, 0.45],
    ] as const) {
      const figures = shipped(runs)
      const title = `regret of choosing with ${runs} full runs`
      const aim = { title, direction: 'at most', bound, unit: 'of the distance of AdamW' } as const
      list.push(judge(aim, figures && { median: figures.regret }))
    }
    const { share } = choose.falseConfirmations
    const aim = { title: 'false confirmations', direction: 'at most', bound: 0.05, unit: 'of the picks' } as const
    list.push(judge(aim, { median: share }))
  }
  // Only where it was asked for: it measures the adapter.
  for (const { backend, ratio, error } of tensorflow ?? []) {
    const bound = { wasm: 8, cpu: 5, 'webgl in a page': 3 }[backend]
    if (bound === undefined) continue
    const title = `AdamW inside TensorFlow.js beside its Adam, ${backend}`
    list.push(judge({ title, direction: 'at least', bound, unit: 'times its speed' }, ratio, error))
  }
  if (search?.peer) list.push(...searchAims(search))
  if (solvers) list.push(...solverAims(solvers))
  return list
}
