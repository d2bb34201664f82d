import { adamW, describe, type OptimizerFactory } from 'fallline'
import { type Node, nodesOf, type Program, pointsOf, programsOf, traceModel } from 'fallline/internal'
import { copy } from '../kernels/copy.ts'
import { type Contender, contender, measure, messageOf } from '../measure.ts'
import { collectGarbage } from '../memory.ts'
import { type Summary, speedRatio } from '../statistics.ts'
import { falllineContender } from '../subjects.ts'

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
  /** Why it moves fewer bytes a second than AdamW, read off its phases. */
  reason: string
  error?: string
}

/** So large that no array fits in any cache; matrix products, which memory does not bind, would take minutes. */
const sideOf = (kind: string) => (kind === 'matrix' ? 1024 : 4096)

/** So small that ten arrays fit in three megabytes. */
const cachedSide = 256

/** Sides at which rules are described. */
const side = sideOf('elementwise')

/** Elementwise rules that reach less than this share of the bytes a second of AdamW should have a reason. */
export const share = 0.8

/** Measures every optimizer in turn, with default settings, beside AdamW and a copy. */
export async function measureLibrary(
  factories: readonly OptimizerFactory[],
  progress: (text: string) => void,
): Promise<LibraryResult[]> {
  const results: LibraryResult[] = []
  for (const [index, factory] of factories.entries()) {
    progress(`${factory.definition.name} (${index + 1} of ${factories.length})`)
    results.push(await measureOne(factory))
  }
  return results
}

async function measureOne(factory: OptimizerFactory): Promise<LibraryResult> {
  const { kind } = describe(factory, [side, side])
  const shape = [sideOf(kind), sideOf(kind)] as const
  const { bytesPerParameter } = describe(factory, shape)
  const common = { optimizer: factory.definition.name, kind, parameters: shape[0] * shape[1], bytesPerParameter }
  const result: LibraryResult = { ...common, reason: reasonFor(factory) }
  try {
    const cached = await measureBeside(factory, [cachedSide, cachedSide], 0.3)
    return { ...result, ...(await measureBeside(factory, shape, 0.8)), cached: cached.adamW }
  } catch (error) {
    return { ...result, error: messageOf(error) }
  }
}

/** Steps of a rule, of AdamW and of a copy, in turn in every round. */
async function measureBeside(factory: OptimizerFactory, shape: readonly [number, number], seconds: number) {
  const { bytesPerParameter } = describe(factory, shape)
  const contenders: Contender[] = []
  try {
    contenders.push(await falllineContender('own', factory(), shape))
    contenders.push(await falllineContender('adamW', adamW(), shape))
    contenders.push(contender('copy', (await copy(bytesPerParameter * shape[0] * shape[1])).step))
    const { measurements, failures } = await measure(contenders, { seconds })
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

const leafOperations = ['parameter', 'gradient', 'input', 'slot']

/** What a rule does that costs more than moving its bytes. */
export function reasonFor(factory: OptimizerFactory): string {
  const worst = worstOf(factory)
  const { kind } = describe(factory, [side, side])
  const reasons: string[] = []
  if (kind === 'matrix') reasons.push('matrix products')
  else if (kind !== 'elementwise') reasons.push('sums, several passes')
  if (worst.random > 0) reasons.push('draws random numbers')
  if (worst.functions > 0) reasons.push(`${worst.functions} functions of every element`)
  // Where AdamW is bound by its root and its division, one more operation for the same bytes takes as much longer.
  if (workOf(factory, worst) > 1.1 * workOf(adamW, worstOf(adamW)))
    reasons.push(`${worst.operations} operations an element, ${worst.roots} of them roots and divisions`)
  return reasons.join('; ')
}

/** The program that does most to every element. */
function worstOf(factory: OptimizerFactory) {
  const { traced } = traceModel(factory(), { weight: [side, side] }, false).parameters[0]!
  const programs = [...programsOf(traced!.variants), ...pointsOf(traced!)]
  return programs.map(countOf).reduce((a, b) => (b.cost > a.cost ? b : a))
}

/** Operations for each byte that is moved; a root or a division takes about as long as five others. */
function workOf(factory: OptimizerFactory, { operations, roots }: ReturnType<typeof countOf>): number {
  return (operations + 4 * roots) / describe(factory, [side, side]).bytesPerParameter
}

/** What one program does to every element. */
function countOf(program: Program) {
  const nodes = [...nodesOf(program.outputs)]
  const count = (holds: (node: Node) => boolean) => nodes.filter((node) => node.space === 'array' && holds(node)).length
  const leaves = count(({ operation }) => leafOperations.includes(operation))
  const counts = {
    random: count(({ operation }) => operation === 'random'),
    functions: count(({ operation }) => functions.includes(operation)),
    operations: count(({ operation }) => !leafOperations.includes(operation)),
    roots: count(({ operation }) => operation === 'squareRoot' || operation === 'divide'),
    arrays: leaves + program.outputs.filter(({ node }) => node.space === 'array').length,
  }
  return { ...counts, cost: 40 * counts.random + 20 * counts.functions + 4 * counts.roots + counts.arrays }
}
