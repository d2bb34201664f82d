import { adamW, clipByGlobalNorm, describe, type Optimizer, type OptimizerFactory } from 'fallline'
import { type Node, nodesOf, type Program, pointsOf, programsOf, traceModel } from 'fallline/internal'
import { type InstructionMix, instructionsOf } from '../instructions.ts'
import { copy } from '../kernels/copy.ts'
import { type Contender, contender, measure, messageOf, processorClock } from '../measure.ts'
import { collectGarbage } from '../memory.ts'
import { type Summary, speedRatio } from '../statistics.ts'
import { falllineContender, type Setting } from '../subjects.ts'

/** One optimizer of the registry beside AdamW and a copy. */
export interface LibraryResult {
  optimizer: string
  kind: string
  parameters: number
  bytesPerParameter: number
  /** Seconds per step. */
  seconds?: Summary
  /** Speed relative to a copy of as many bytes. */
  copy?: Summary
  /** Bytes a second relative to the step of AdamW. */
  adamW?: Summary
  /** The same where all arrays lie in the caches. */
  cached?: Summary
  /** The least share of the bytes a second of AdamW that it should reach. */
  aim?: number
  /** What it does beside moving its bytes, read off its phases. */
  reason: string
  /** What it does for an element, counted in the generated code. */
  instructions: InstructionMix
  error?: string
}

/** So large that no array fits in any cache; matrix products, which memory does not bind, would take minutes. */
const sideOf = (kind: string) => (kind === 'matrix' ? 1024 : 4096)

/** So small that ten arrays fit in three megabytes. */
const cachedSide = 256

/** Rules that find their own step size grow it without end where the gradient never changes. */
const restartAfter = 100

/** Sides at which rules are described. */
const side = sideOf('elementwise')

/** What an elementwise rule should reach of the bytes a second of AdamW, and one with sums. */
const aims = { elementwise: 0.8, reduction: 0.85, global: 0.85, matrix: undefined } as const

/** Sums over rows and columns take passes that only read, of which a processor moves fewer bytes a second. */
const ownAims: Readonly<Record<string, number>> = { adafactor: 0.6, came: 0.6 }

/** What telemetry may add to the step of AdamW. */
const telemetryFactor = 1.3

interface Subject {
  readonly name: string
  readonly optimizer: Optimizer
  readonly telemetry: boolean
}

/** Measures every optimizer in turn, with default settings, beside AdamW and a copy; with AdamW also clipping and telemetry. */
export async function measureLibrary(
  factories: readonly OptimizerFactory[],
  progress: (text: string) => void,
): Promise<LibraryResult[]> {
  const subjects = factories.flatMap((factory): Subject[] => {
    const own = { name: factory.definition.name, optimizer: factory(), telemetry: false }
    if (own.name !== 'adamW') return [own]
    return [
      own,
      { name: 'clipByGlobalNorm(adamW)', optimizer: clipByGlobalNorm(adamW()), telemetry: false },
      { ...own, name: 'adamW, telemetry', telemetry: true },
    ]
  })
  const results: LibraryResult[] = []
  for (const [index, subject] of subjects.entries()) {
    progress(`${subject.name} (${index + 1} of ${subjects.length})`)
    results.push(await measureOne(subject))
  }
  return results
}

async function measureOne(subject: Subject): Promise<LibraryResult> {
  const { name, optimizer, telemetry } = subject
  const { kind } = describe(optimizer, [side, side])
  const shape = [sideOf(kind), sideOf(kind)] as const
  const { bytesPerParameter } = describe(optimizer, shape)
  const aim = telemetry ? 1 / telemetryFactor : (ownAims[name] ?? aims[kind])
  const result: LibraryResult = {
    optimizer: name,
    kind,
    parameters: shape[0] * shape[1],
    bytesPerParameter,
    ...(aim ? { aim } : {}),
    reason: telemetry ? 'three norms and a count' : reasonFor(optimizer),
    instructions: instructionsOf(optimizer, shape, telemetry),
  }
  try {
    const cached = await measureBeside(subject, [cachedSide, cachedSide], 0.3, { restartAfter })
    return { ...result, ...(await measureBeside(subject, shape, 0.8, { clock: processorClock })), cached: cached.adamW }
  } catch (error) {
    return { ...result, error: messageOf(error) }
  }
}

/** Steps of a rule, of AdamW and of a copy, in turn in every round. */
async function measureBeside(
  { optimizer, telemetry }: Subject,
  shape: readonly [number, number],
  seconds: number,
  setting: Pick<Setting, 'restartAfter' | 'clock'>,
) {
  const { bytesPerParameter } = describe(optimizer, shape)
  const contenders: Contender[] = []
  try {
    contenders.push(await falllineContender('own', optimizer, shape, { telemetry, ...setting }))
    contenders.push(await falllineContender('adamW', adamW(), shape, setting))
    contenders.push(
      contender('copy', (await copy(bytesPerParameter * shape[0] * shape[1])).step, undefined, setting.clock),
    )
    const { measurements, failures } = await measure(contenders, { seconds, minimumRounds: 9 })
    const own = measurements.get('own')
    if (!own) throw new Error(failures.get('own') ?? 'no figure')
    const other = (name: string) => speedRatio(own.rounds, measurements.get(name)!.rounds)
    const bytes = bytesPerParameter / describe(adamW, shape).bytesPerParameter
    const relative = other('adamW')
    const [median, low, high] = [relative.median * bytes, relative.low * bytes, relative.high * bytes]
    return { seconds: own.step, copy: other('copy'), adamW: { ...relative, median, low, high } }
  } finally {
    for (const each of contenders) await each.dispose?.()
    collectGarbage()
  }
}

/** Functions that are computed in pairs of float64. */
const functions = ['power', 'exponential', 'logarithm', 'sigmoid', 'tanh', 'softplus', 'cosine']

/** What a rule does that costs more than moving its bytes. */
export function reasonFor(optimizer: Optimizer): string {
  const { traced } = traceModel(optimizer, { weight: [side, side] }, false).parameters[0]!
  const programs = [...programsOf(traced!.variants), ...pointsOf(traced!)]
  const worst = programs.map(countOf).reduce((a, b) => (b.cost > a.cost ? b : a))
  const { kind } = describe(optimizer, [side, side])
  const reasons: string[] = []
  if (kind === 'matrix') reasons.push('matrix products')
  else if (kind !== 'elementwise') reasons.push('sums, several passes')
  if (worst.random > 0) reasons.push('draws random numbers')
  if (worst.functions > 0) reasons.push(`${worst.functions} functions of every element`)
  return reasons.join('; ')
}

/** What one program does to every element. */
function countOf(program: Program) {
  const nodes = [...nodesOf(program.outputs)]
  const count = (holds: (node: Node) => boolean) => nodes.filter((node) => node.space === 'array' && holds(node)).length
  const random = count(({ operation }) => operation === 'random')
  const functionCount = count(({ operation }) => functions.includes(operation))
  return { random, functions: functionCount, cost: 2 * random + functionCount }
}
