import {
  defineOptimizer,
  logUniform,
  muon,
  nonNegative,
  type Optimizer,
  psgdKron,
  shampoo,
  soap,
  type Value,
} from 'fallline'
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
import { type Contender, measure, messageOf, processorClock } from '../measure.ts'
import { collectGarbage } from '../memory.ts'
import { type Summary, speedRatio, summarize } from '../statistics.ts'
import { falllineContender } from '../subjects.ts'
import { type PeerReport, startPython } from './peers.ts'

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

/** Products of square matrices. */
export interface ProductResult {
  side: number
  /** Multiply-adds a second of products, and of matrices times their transposes, as shares of the measured peak. */
  product: number
  gram: number
  /** Multiply-adds a second where the side is one less, as a share of those of this side. */
  odd: Summary
  /** How many times as fast two threads are as one. */
  twoThreads: Summary
}

export interface MatrixReport {
  /** Multiply-adds a second that one thread can do. */
  peak: number
  /** Whether the engine multiplies and adds at once (`relaxed_madd`). */
  fused: boolean
  products: ProductResult[]
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
  psgdKron: psgdKron(),
}

const shapes: readonly (readonly [number, number])[] = [
  [512, 512],
  [1024, 1024],
  [1024, 4096],
]

/**
 * What stands beside. PyTorch's Muon multiplies in bfloat16 and, where it is told to, in float32, as optax's does; the others are those of
 * pytorch_optimizer, which optax lacks.
 */
const others: Readonly<Record<string, readonly (readonly [peer: string, process: string])[]>> = {
  muon: [
    ['optax jit', 'jax 1'],
    ['torch float32', 'torch 1'],
    ['torch', 'torch 1'],
  ],
  shampoo: [['pytorch_optimizer', 'torch 1']],
  soap: [['pytorch_optimizer', 'torch 1']],
  psgdKron: [['pytorch_optimizer', 'torch 1']],
}

/** Those whose steps all do the same. */
const isEven = (optimizer: string) => optimizer === 'muon' || optimizer === 'psgdKron'

/** So many products in a step, beside which a pass over the elements is little. */
const productsOfStep = 4

const stepping = (name: string, multiply: (product: Value, g: Value) => Value) =>
  defineOptimizer({
    ...{ name, title: name, paper: { title: name, authors: '', year: 2026 } },
    hyper: { learningRate: nonNegative(0.01) },
    state: {},
    search: { learningRate: logUniform(1e-3, 1) },
    decay: 'decoupled',
    rule: ({ g }) => {
      let product: Value = g
      for (let count = 0; count < productsOfStep; count++) product = multiply(product, g)
      return { direction: product, state: {} }
    },
  })()

const products = stepping('products', (product, g) => product.matmul(g))
const grams = stepping('grams', (x) => x.matmul(x.transposed()))

/**
 * Measures optimizers whose steps multiply and factor matrices, by what the processor works for them; two threads by the clock on the wall.
 *
 * @param peers whether other libraries run beside, and in which interpreter
 * @param only the optimizers to measure, if not all, and products where it is absent
 * @param side measure squares of this side alone
 */
export async function measureMatrices(
  peers: { python: string | undefined } | undefined,
  progress: (text: string) => void,
  only?: readonly string[],
  side?: number,
): Promise<MatrixReport> {
  const versions: Record<string, string> = {}
  const missing: Record<string, string> = {}
  const started = peers && (await startPython({ versions, missing }, peers.python, progress, [1]))
  const processes = started?.processes ?? new Map<string, never>()
  const peak = await peakMultiplyAdds()
  const report: MatrixReport = { peak, fused: multipliesAndAdds(), products: [], results: [], versions, missing }
  const measured = side === undefined ? shapes : [[side, side] as const]
  const chosen = Object.entries(subjects).filter(([name]) => !only || only.includes(name.split(',')[0]!))
  try {
    for (const length of only ? [] : side === undefined ? [512, 1024] : [side]) {
      progress(`products at ${length}`)
      report.products.push(await productsOf(length, peak))
    }
    for (const [optimizer, rule] of chosen) {
      // Factorizations of thousands of rows take minutes.
      for (const shape of measured.filter(([, columns]) => isEven(optimizer) || columns <= 1024)) {
        progress(`${optimizer} at ${shape.join(' x ')}`)
        const result: MatrixResult = {
          ...{ optimizer, shape: shape.join(' x '), average: 0, median: 0, worst: 0, peers: {}, errors: [] },
          ...(await stepsOf(rule, shape, isEven(optimizer))),
        }
        const work = isEven(optimizer) ? multiplyAddsOf(rule, shape) : undefined
        if (work !== undefined) result.share = work / result.median / report.peak
        report.results.push(result)
        for (const [peer, process] of others[optimizer] ?? []) {
          const running = processes.get(process)
          if (!running) continue
          try {
            const make = () => running.contender(peer, peer, optimizer, shape, 'processor')
            result.peers[peer] = await beside(rule, shape, make, isEven(optimizer) ? 1 : period)
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

async function productsOf(side: number, peak: number): Promise<ProductResult> {
  const one = { clock: processorClock }
  const contenders = [
    await falllineContender('product', products, [side, side], one),
    await falllineContender('odd', products, [side - 1, side - 1], one),
    await falllineContender('gram', grams, [side, side], one),
    await falllineContender('one thread', products, [side, side]),
    await falllineContender('two threads', products, [side, side], { threads: 2 }),
  ]
  try {
    const { measurements, failures } = await measure(contenders, { seconds: 12, minimumRounds: 7 })
    for (const [name, reason] of failures) throw new Error(`${name}: ${reason}`)
    const rounds = (name: string, work: number) => measurements.get(name)!.rounds.map((seconds) => seconds / work)
    const ofProduct = productsOfStep * side ** 3
    const product = rounds('product', ofProduct)
    const share = (perMultiplyAdd: readonly number[]) => 1 / summarize(perMultiplyAdd).median / peak
    return {
      side,
      product: share(product),
      gram: share(rounds('gram', (productsOfStep * side ** 2 * (side + 1)) / 2)),
      odd: speedRatio(rounds('odd', productsOfStep * (side - 1) ** 3), product),
      twoThreads: speedRatio(rounds('two threads', ofProduct), rounds('one thread', ofProduct)),
    }
  } finally {
    for (const each of contenders) await each.dispose?.()
    collectGarbage()
  }
}

/** Whole periods, the first of which is not counted. */
async function stepsOf(rule: Optimizer, shape: readonly number[], even: boolean) {
  const own = await falllineContender('fallline', rule, shape, { clock: processorClock })
  try {
    const steps = even ? 6 : 2 * period
    await own.run(even ? 2 : period + 1)
    const seconds = await own.run(steps)
    const average = seconds.reduce((sum, each) => sum + each, 0) / seconds.length
    return { average, median: summarize(seconds).median, worst: Math.max(...seconds) }
  } finally {
    await own.dispose?.()
    collectGarbage()
  }
}

/** Takes whole periods and tells what their steps took on the average. */
function inPeriods(own: Contender, steps: number): Contender {
  const run = async (count: number) => {
    const averages: number[] = []
    while (averages.length < count) {
      const seconds = await own.run(steps)
      averages.push(seconds.reduce((sum, each) => sum + each, 0) / steps)
    }
    return averages
  }
  return steps === 1 ? own : { ...own, run }
}

async function beside(
  rule: Optimizer,
  shape: readonly number[],
  other: () => Promise<Contender>,
  steps: number,
): Promise<Summary> {
  const [own, peer] = [await falllineContender('fallline', rule, shape, { clock: processorClock }), await other()].map(
    (each) => inPeriods(each, steps),
  ) as [Contender, Contender]
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
