import { muon, type Optimizer, shampoo, soap } from 'fallline'
import {
  canonicalize,
  dimensionsOf,
  multipliesAndAdds,
  planTogether,
  programsOfStep,
  routineOf,
  traceModel,
} from 'fallline/internal'
import { peakMultiplyAdds } from '../kernels/peak.ts'
import { type Contender, measure, messageOf } from '../measure.ts'
import { collectGarbage } from '../memory.ts'
import { type Summary, speedRatio, summarize } from '../statistics.ts'
import { falllineContender } from '../subjects.ts'
import { type PeerReport, startProcesses } from './peers.ts'

/** The steps of one optimizer on one matrix, on one thread. */
export interface MatrixResult {
  optimizer: string
  shape: string
  /** Seconds of the steps of whole periods. */
  average: number
  median: number
  worst: number
  /** Multiply-adds a second in matrix functions as a share of the measured peak; for those that do the same at every step. */
  share?: number
  /** How many times as fast as each peer, in the same rounds. */
  peers: Record<string, Summary>
  errors: string[]
}

export interface MatrixReport {
  /** Multiply-adds a second that one thread can do. */
  peak: number
  /** Whether the engine multiplies and adds at once (`relaxed_madd`). */
  fused: boolean
  results: MatrixResult[]
  versions: PeerReport['versions']
  missing: PeerReport['missing']
}

/** Steps between refreshes of what is factored. */
const period = 10

const ofShampoo = { beta: 0.95, epsilon: 1e-6, statisticsPeriod: 1, preconditionerPeriod: period }

const subjects: Readonly<Record<string, Optimizer>> = {
  muon: muon(),
  shampoo: shampoo(ofShampoo),
  'shampoo, spread': shampoo({ ...ofShampoo, spreads: true }),
  soap: soap({ basisPeriod: period }),
  'soap, spread': soap({ basisPeriod: period, spreads: true }),
}

const shapes: readonly (readonly [number, number])[] = [
  [512, 512],
  [1024, 1024],
  [1024, 4096],
]

/** What stands beside: PyTorch's Muon multiplies in bfloat16, optax's in float32. */
const others: Readonly<Record<string, readonly (readonly [peer: string, process: string])[]>> = {
  muon: [
    ['optax jit', 'jax 1'],
    ['torch', 'torch 1'],
  ],
}

/**
 * Measures optimizers whose steps multiply and factor matrices.
 *
 * @param peers whether other libraries run beside, and in which interpreter
 * @param side measure squares of this side alone
 */
export async function measureMatrices(
  peers: { python: string | undefined } | undefined,
  progress: (text: string) => void,
  side?: number,
): Promise<MatrixReport> {
  const known: PeerReport = { versions: {}, missing: {}, results: [] }
  const processes = peers ? await startProcesses(known, peers.python, progress) : new Map<string, never>()
  const { versions, missing } = known
  const peak = await peakMultiplyAdds()
  const report: MatrixReport = { peak, fused: multipliesAndAdds(), results: [], versions, missing }
  const measured = side === undefined ? shapes : [[side, side] as const]
  try {
    for (const [optimizer, rule] of Object.entries(subjects)) {
      // Factorizations of thousands of rows take minutes.
      for (const shape of measured.filter(([, columns]) => optimizer === 'muon' || columns <= 1024)) {
        progress(`${optimizer} at ${shape.join(' x ')}`)
        const result: MatrixResult = {
          ...{ optimizer, shape: shape.join(' x '), average: 0, median: 0, worst: 0, peers: {}, errors: [] },
          ...(await stepsOf(rule, shape)),
        }
        const work = optimizer === 'muon' ? multiplyAddsOf(rule, shape) : undefined
        if (work !== undefined) result.share = work / result.median / report.peak
        report.results.push(result)
        for (const [peer, process] of others[optimizer] ?? []) {
          const running = processes.get(process)
          if (!running) continue
          try {
            const make = () => running.contender(peer, peer, optimizer, shape)
            result.peers[peer] = await beside(rule, shape, make)
          } catch (error) {
            result.errors.push(`${peer}: ${messageOf(error)}`)
          }
        }
      }
    }
  } finally {
    for (const peer of processes.values()) peer.stop()
  }
  return report
}

/** Whole periods, the first of which is not counted. */
async function stepsOf(rule: Optimizer, shape: readonly number[]) {
  const own = await falllineContender('fallline', rule, shape)
  try {
    const steps = rule === subjects.muon ? 6 : 2 * period
    await own.run(rule === subjects.muon ? 2 : period + 1)
    const seconds = await own.run(steps)
    const average = seconds.reduce((sum, each) => sum + each, 0) / seconds.length
    return { average, median: summarize(seconds).median, worst: Math.max(...seconds) }
  } finally {
    await own.dispose?.()
    collectGarbage()
  }
}

async function beside(rule: Optimizer, shape: readonly number[], other: () => Promise<Contender>): Promise<Summary> {
  const own = await falllineContender('fallline', rule, shape)
  const peer = await other()
  try {
    const { measurements, failures } = await measure([own, peer], { seconds: 4, minimumRounds: 5 })
    const failure = failures.get(peer.name) ?? failures.get('fallline')
    if (failure !== undefined) throw new Error(failure)
    return speedRatio(measurements.get('fallline')!.rounds, measurements.get(peer.name)!.rounds)
  } finally {
    await own.dispose?.()
    await peer.dispose?.()
    collectGarbage()
  }
}

/** Multiply-adds of the matrix functions of one step, as the plan says. */
function multiplyAddsOf(rule: Optimizer, shape: readonly number[]): number {
  const { traced } = traceModel(rule, { weight: shape }, false).parameters[0]!
  const programs = programsOfStep(traced!).map(canonicalize)
  const plans = planTogether(programs)
  const operations = plans.flatMap((plan, index) =>
    plan.routines.map(({ routine, operands, results }) => {
      const { sizes } = programs[index]!
      const asked = dimensionsOf(plan.arrays[results[0]!]!.extent, sizes)
      return routineOf(routine).operations(
        operands.map(({ extent }) => dimensionsOf(extent, sizes)),
        asked,
      )
    }),
  )
  return operations.reduce((sum, each) => sum + each, 0) / 2
}
