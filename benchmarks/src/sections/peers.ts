import { fileURLToPath } from 'node:url'
import { describe, type OptimizerFactory } from 'fallline'
import { type Contender, measure, messageOf } from '../measure.ts'
import { collectGarbage } from '../memory.ts'
import { installPythonPeers, type PythonLibrary } from '../peers/install.ts'
import { PeerProcess } from '../peers/process.ts'
import { type Size, sizes } from '../sizes.ts'
import { type Summary, speedRatio } from '../statistics.ts'
import { falllineContender, subject } from '../subjects.ts'
import { effortFor, guessSeconds } from './steps.ts'

/** One peer beside Fallline on one optimizer and size. */
export interface PeerResult {
  optimizer: string
  size: string
  parameters: number
  peer: string
  threads: number
  /** Seconds per step. */
  seconds?: Summary
  /** Seconds per step of Fallline with as many threads, in the same rounds. */
  fallline?: Summary
  /** How many times faster Fallline is. */
  ratio?: Summary
  error?: string
}

/** All peers, with what they are. */
export interface PeerReport {
  versions: Record<string, string>
  /** Peers that are missing altogether, and why. */
  missing: Record<string, string>
  results: PeerResult[]
}

interface PeerSpecification {
  peer: string
  process: PythonLibrary | 'javascript'
  threads: readonly number[]
  optimizers: readonly string[]
  /** Elements that it can take in a sensible time. */
  limit?: number
}

const both = [1, 2]
const torchOptimizers = ['sgd', 'adam', 'adamW']

/** Who is compared with what. Names of optimizers are those of the registry. */
const peers: readonly PeerSpecification[] = [
  { peer: 'torch single', process: 'torch', threads: both, optimizers: torchOptimizers },
  { peer: 'torch foreach', process: 'torch', threads: both, optimizers: torchOptimizers },
  { peer: 'torch fused', process: 'torch', threads: both, optimizers: torchOptimizers },
  { peer: 'torch', process: 'torch', threads: both, optimizers: ['muon'] },
  {
    peer: 'pytorch_optimizer',
    process: 'torch',
    threads: both,
    optimizers: [
      ...['adan', 'adaBelief', 'lion', 'adEMAMix', 'lamb', 'adafactor', 'prodigy', 'scheduleFreeAdamW', 'muon'],
      ...torchOptimizers,
    ],
  },
  {
    peer: 'optax jit',
    process: 'jax',
    threads: both,
    optimizers: [
      ...['adan', 'adaBelief', 'lion', 'adEMAMix', 'lamb', 'adafactor', 'prodigy', 'scheduleFreeAdamW', 'muon'],
      ...torchOptimizers,
    ],
  },
  { peer: 'jax-js', process: 'javascript', threads: [1], optimizers: ['adam', 'adamW'] },
  { peer: 'tfjs wasm', process: 'javascript', threads: [1], optimizers: ['adam'] },
  { peer: 'tfjs cpu', process: 'javascript', threads: [1], optimizers: ['adam'], limit: 1 << 21 },
]

/** Processes of the peers that could be started, by library and number of threads. */
type Processes = Map<string, PeerProcess>

/** Starts one process more. */
type Start = (key: string, label: string, command: string, commandArguments: string[]) => Promise<void>

/**
 * Starts the processes of Python libraries; those that do not start are noted as missing.
 *
 * @param threads for how many threads each, where it cannot change that later
 */
export async function startPython(
  report: Pick<PeerReport, 'versions' | 'missing'>,
  python: string | undefined,
  progress: (text: string) => void,
  threads = both,
): Promise<{ processes: Processes; start: Start }> {
  const processes: Processes = new Map()
  const start: Start = async (key, label, command, commandArguments) => {
    progress(`starting ${label}`)
    try {
      const peer = await PeerProcess.start(label, command, commandArguments)
      processes.set(key, peer)
      Object.assign(report.versions, peer.versions)
    } catch (error) {
      report.missing[label] = messageOf(error)
    }
  }
  const { interpreter, problems } = python
    ? { interpreter: python, problems: {} as Partial<Record<PythonLibrary, string>> }
    : await installPythonPeers(progress)
  const script = fileURLToPath(new URL('../peers/python.py', import.meta.url))
  for (const library of ['torch', 'jax'] as const) {
    if (problems[library] !== undefined) {
      report.missing[library] = problems[library]
      continue
    }
    for (const count of threads) {
      const label = `${library} on ${count} ${count === 1 ? 'thread' : 'threads'}`
      await start(`${library} ${count}`, label, interpreter, [script, library, String(count)])
    }
  }
  return { processes, start }
}

/**
 * Measures other libraries beside Fallline: blocks of steps alternate between their processes and this one.
 *
 * @param python an interpreter that has the peers already; without it they are installed
 */
export async function measurePeers(
  factories: readonly OptimizerFactory[],
  python: string | undefined,
  progress: (text: string) => void,
): Promise<PeerReport> {
  const report: PeerReport = { versions: {}, missing: {}, results: [] }
  const { processes, start } = await startPython(report, python, progress)
  const javascript = fileURLToPath(new URL('../peers/javascript.ts', import.meta.url))
  await start('javascript 1', 'jax-js and TensorFlow.js', process.execPath, [...process.execArgv, javascript])
  try {
    for (const factory of factories) {
      // A peer that is too slow at the small size is not asked at the large one.
      const known = new Map<string, number>()
      for (const size of sizes) {
        progress(`${factory.definition.name} and peers at ${size.title}`)
        try {
          report.results.push(...(await measureOne(factory, size, processes, known)))
        } catch (error) {
          const { name: optimizer } = factory.definition
          const own = { optimizer, size: size.title, parameters: size.parameters, peer: '', threads: 1 }
          report.results.push({ ...own, error: `fallline: ${messageOf(error)}` })
        }
      }
    }
  } finally {
    for (const peer of processes.values()) peer.stop()
  }
  return report
}

async function measureOne(
  factory: OptimizerFactory,
  size: Size,
  processes: Processes,
  known: Map<string, number>,
): Promise<PeerResult[]> {
  const { name } = factory.definition
  const optimizer = subject(factory)
  const { kind } = describe(optimizer)
  const results = new Map<string, PeerResult>()
  const contenders: Contender[] = []
  const keyOf = (peer: string, threads: number) => `${peer} ${threads}`
  const tooSlow = (key: string): string | undefined => {
    const [from, seconds] = [sizes[0]!, known.get(key)]
    if (size === from || seconds === undefined) return undefined
    const guess = guessSeconds(kind, seconds, from, size)
    return effortFor(size, guess) === 'once' ? `not run: a step takes ${key} about ${guess.toFixed(0)} s` : undefined
  }
  const add = async (key: string, making: () => Promise<Contender>): Promise<string | undefined> => {
    const problem = tooSlow(key)
    if (problem !== undefined) return problem
    try {
      contenders.push(await making())
      return undefined
    } catch (error) {
      return messageOf(error)
    }
  }
  try {
    for (const { peer, process: library, threads, optimizers, limit } of peers) {
      for (const count of threads) {
        const running = processes.get(`${library} ${count}`)
        if (!running || !optimizers.includes(name) || (limit ?? Number.POSITIVE_INFINITY) < size.parameters) continue
        const key = keyOf(peer, count)
        const result: PeerResult = {
          optimizer: name,
          size: size.title,
          parameters: size.parameters,
          peer,
          threads: count,
        }
        results.set(key, result)
        const problem =
          tooSlow(keyOf('fallline', 1)) ?? (await add(key, () => running.contender(key, peer, name, size.shape)))
        if (problem !== undefined) result.error = problem
      }
    }
    if (contenders.length === 0) return [...results.values()]
    const problems = new Map<number, string | undefined>()
    for (const threads of both) {
      const key = keyOf('fallline', threads)
      problems.set(threads, await add(key, () => falllineContender(key, optimizer, size.shape, { threads })))
    }
    const { measurements, failures } = await measure(contenders, { seconds: 2 * size.seconds, minimumRounds: 4 })
    for (const [key, { step }] of measurements) known.set(key, step.median)
    for (const [key, result] of results) {
      const failure = failures.get(key)
      if (failure !== undefined) result.error = failure
      const measured = measurements.get(key)
      if (!measured) continue
      result.seconds = measured.step
      const ownKey = keyOf('fallline', result.threads)
      const own = measurements.get(ownKey)
      if (own) {
        result.fallline = own.step
        result.ratio = speedRatio(own.rounds, measured.rounds)
      } else {
        result.error = `fallline: ${problems.get(result.threads) ?? failures.get(ownKey)}`
      }
    }
    return [...results.values()]
  } finally {
    // A process that has ended cannot give anything back.
    for (const each of contenders) await Promise.resolve(each.dispose?.()).catch(() => {})
    contenders.length = 0
    collectGarbage()
  }
}
