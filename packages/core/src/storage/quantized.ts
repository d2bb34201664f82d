import { stagedKernels } from '../backends/wasm/staged-kernels.ts'
import type { Graph } from '../graph/graph.ts'
import { type Dimensions, type Node, sameDimensions, sizeOf } from '../graph/node.ts'
import { hashName } from '../graph/philox.ts'
import {
  defineTransform,
  type Optimizer,
  type OptionSpecification,
  type TransformDefinition,
} from '../language/definition.ts'
import type { ParameterShape } from '../language/slots.ts'
import { isParameterSlot, type Output, parameterSlot, type SlotStorage } from '../program/program.ts'
import { isNamed } from '../program/resolve.ts'
import { type Keeping, matrixDimensions, programsOfStep } from '../program/trace.ts'
import { provideStorages } from './provide-storages.ts'
import { nonNegative } from './ranges.ts'
import { type StorageName, storageOf } from './storage.ts'

/** How `quantized` keeps state. */
export interface QuantizedSettings {
  /** Bits of an element, 8 or 4. Default 8. */
  readonly bits?: 8 | 4
  /**
   * `blocks` (default): codes of 8 or 4 bits that share a scale. `bf16`: bfloat16, rounded by chance so that the mean is right.
   * `bf16+byte`: bfloat16 and a byte of what that leaves over, 24 bits. `float32`: as it is.
   */
  readonly storage?: 'blocks' | 'bf16' | 'bf16+byte' | 'float32'
  /** How parameters themselves are kept: `float32` (default), or one of the other two. */
  readonly parameters?: 'float32' | 'bf16' | 'bf16+byte'
  /** Arrays of fewer elements stay in float32. Default 4096. */
  readonly minimumSize?: number
  /** The parameters that stay in float32, with their state: an expression, or a name with `*` for anything. Default none. */
  readonly float32?: RegExp | string
  /** What the random numbers of `bf16` follow, a whole number from 0. Default 0. */
  readonly seed?: number
}

/** The storage for a slot that is never below 0, and for any other. */
function storagesFor({ bits, storage }: OptionSpecification): readonly [above: StorageName, other: StorageName] {
  if (storage === 'bf16') return ['bfloat16', 'bfloat16']
  if (storage === 'bf16+byte') return ['bfloat16AndByte', 'bfloat16AndByte']
  return bits === 8 ? ['unsignedDynamic8', 'dynamic8'] : ['unsignedLinear4', 'dynamic4']
}

/** An option is text, that of an expression too. */
function patternOf(text: string): RegExp | string {
  const expression = /^\/(.*)\/([a-z]*)$/s.exec(text)
  return expression ? new RegExp(expression[1]!, expression[2]) : text
}

function isExempt({ float32 }: OptionSpecification, { name }: ParameterShape): boolean {
  return isNamed(patternOf(float32 as string), name)
}

/** What chance rounds a storage by, where it does. */
function roundingOf(storage: StorageName, { seed }: OptionSpecification, owner: string, key: string) {
  return storageOf(storage).random ? { rounding: { seed: seed as number, stream: hashName(`${owner}/${key}`) } } : {}
}

/** The slot that a parameter is kept in, if one wrapper has it kept otherwise than in float32. */
function parameterKeptBy(options: OptionSpecification, shape: ParameterShape, stream: string): SlotStorage[] {
  if (shape.size < (options.minimumSize as number) || isExempt(options, shape)) return []
  const [, storage] = storagesFor({ ...options, storage: options.parameters! })
  const dimensions = matrixDimensions(shape.shape)
  const where = {
    key: parameterSlot,
    name: parameterSlot,
    space: 'array',
    shared: false,
    dimensions,
    start: 0,
  } as const
  return [{ ...where, storage, ...roundingOf(storage, options, stream, parameterSlot) }]
}

/** The slots of what one wrapper wraps, of which those in `never` are never below 0. */
function keptBy(
  options: OptionSpecification,
  shape: ParameterShape,
  slots: readonly SlotStorage[],
  never: ReadonlySet<string>,
  stream: string,
): readonly SlotStorage[] {
  const [above, other] = storagesFor(options)
  if (options.storage === 'float32' || isExempt(options, shape)) return slots
  return slots.flatMap((slot): SlotStorage[] => {
    const { key, space, start, exact, dimensions, storage: own } = slot
    const { matrix } = shape
    const whole = sameDimensions(dimensions, matrixDimensions(shape.shape))
    const fits = space === 'array' && whole && typeof start === 'number' && !exact && own === 'float32'
    if (!fits || sizeOf(dimensions) < (options.minimumSize as number)) return [slot]
    const storage = never.has(key) ? above : other
    if (storage === 'unsignedLinear4' && matrix[1] > 1 && matrix[2] > 1) return shared(slot, matrix)
    return [{ ...slot, storage, ...roundingOf(storage, options, stream, key) }]
  })
}

const keeping: Keeping = {
  slots(elements, shape, { streams, hyper }, traced) {
    const programs = [...programsOfStep(traced), ...(traced.average ? [traced.average] : [])]
    const never = nonNegative(traced.slots, programs, hyper)
    // The innermost wrapper comes last and has its way.
    return elements.reduce((slots, { path, optimizer }) => {
      const { options } = optimizer
      if ((optimizer.definition as TransformDefinition).keeping !== keeping) return slots
      const inside = ({ key }: SlotStorage) => key.startsWith(`${path}/`)
      const stream = streams.get(shape.name) ?? shape.name
      const own = keptBy(options, shape, traced.slots.filter(inside), never, stream)
      const others = slots.filter((slot) => !inside(slot))
      if (options.parameters === 'float32') return [...others, ...own]
      const state = others.filter((slot) => !isParameterSlot(slot))
      return [...state, ...own, ...parameterKeptBy(options, shape, stream)]
    }, traced.slots)
  },

  read(graph, slot) {
    const shares = graph.slot(slot.key, 'array', slot.dimensions, true, slot.storage)
    const { rows, columns, matrix } = slot.sharesOf!
    const limit = smaller(
      graph,
      graph.slot(rows, 'array', [matrix[0], matrix[1], 1], true),
      graph.slot(columns, 'array', [matrix[0], 1, matrix[2]], true),
    )
    return graph.view(graph.element('multiply', [graph.view(shares, matrix), limit]), slot.dimensions)
  },

  write(graph, slots, outputs) {
    return outputs.flatMap((output) => {
      const { target } = output
      const slot = target.kind === 'slot' ? slots.find(({ key }) => key === target.key) : undefined
      const { storage = 'float32', rounding, sharesOf } = slot ?? {}
      if (storage === 'float32') return [output]
      if (sharesOf) return sharesWritten(graph, slot!, output)
      if (!rounding) return [{ ...output, storage }]
      const stream = [graph.constant(rounding.seed), graph.count('', false), graph.constant(rounding.stream)] as const
      return [{ ...output, storage, stream }]
    })
  },
}

function smaller(graph: Graph, a: Node, b: Node): Node {
  return graph.element('minimum', [a, b])
}

/** A slot that is kept as shares, with the largest numbers of its rows and of its columns, all of which have the same start. */
function shared(slot: SlotStorage, matrix: Dimensions): SlotStorage[] {
  const scale = (name: 'rows' | 'columns', dimensions: Dimensions): SlotStorage => ({
    ...slot,
    key: `${slot.key}.${name}`,
    name: `${slot.name}.${name}`,
    dimensions,
    scales: slot.key,
  })
  const rows = scale('rows', [matrix[0], matrix[1], 1])
  const columns = scale('columns', [matrix[0], 1, matrix[2]])
  const sharesOf = { rows: rows.key, columns: columns.key, matrix }
  // All shares are 1 at the start.
  return [{ ...slot, start: 1, storage: 'sixteenths', sharesOf }, rows, columns]
}

/** What is stored of a new value that is kept as shares. */
function sharesWritten(graph: Graph, { key, storage, sharesOf }: SlotStorage, { node }: Output): Output[] {
  const target = (to: string) => ({ kind: 'slot', key: to, shared: false }) as const
  const { rows, columns, matrix } = sharesOf!
  // One number for all elements is the largest of each row and column.
  if (node.space !== 'array') {
    return [
      { target: target(key), node: graph.constant(1), storage },
      { target: target(rows), node },
      { target: target(columns), node },
    ]
  }
  const value = graph.view(node, matrix)
  const ofRows = graph.reduce('maximum', value, 'columns')
  const ofColumns = graph.reduce('maximum', value, 'rows')
  const share = graph.element('divide', [value, smaller(graph, ofRows, ofColumns)])
  return [
    { target: target(key), node: graph.view(share, node.dimensions), storage },
    { target: target(rows), node: ofRows },
    { target: target(columns), node: ofColumns },
  ]
}

const wrapper = defineTransform({
  name: 'quantized',
  title: 'Quantized state',
  paper: {
    title: '8-bit Optimizers via Block-wise Quantization',
    authors: 'Dettmers, Lewis, Shleifer, Zettlemoyer',
    year: 2022,
    arxiv: '2110.02861',
  },
  hyper: {},
  options: {
    bits: 8,
    storage: 'blocks' as 'blocks' | 'bf16' | 'bf16+byte' | 'float32',
    parameters: 'float32' as 'float32' | 'bf16' | 'bf16+byte',
    minimumSize: 4096,
    float32: '',
    seed: 0,
  },
  choices: { storage: ['blocks', 'bf16', 'bf16+byte', 'float32'], parameters: ['float32', 'bf16', 'bf16+byte'] },
  limits: { bits: [4, 8], minimumSize: [0], seed: [0, 2 ** 32 - 1] },
  keeping,
})

/**
 * Keeps the state of any optimizer in 8 or 4 bits, or in bfloat16. A step reads it, computes in float32 and writes it back, in one
 * pass; what a block of elements has as its largest magnitude is found before the block is written.
 *
 * - `bits: 8`: blocks of 256 elements with a float32 scale, and codes of the published dynamic maps, the signed one or, for state that
 *   is never below 0, the unsigned one (Dettmers and others 2022). A number above 0 never becomes 0 there, but the smallest number
 *   above 0 of its block: a divisor that vanished beside an average that did not would make a step explode.
 * - `bits: 4`: blocks of 128, for signed state the dynamic map of 4 bits. State that is never below 0 is kept in sixteenths, without
 *   0: those of matrices of the smaller of their row's and their column's largest number (rank-1 normalization), which takes a second
 *   pass because columns are known only when all rows are; others of their block's (Li, Chen, Zhu 2023, arXiv 2309.01507).
 * - `storage: 'bf16'`: the upper half of a float32, rounded up or down by chance so that the mean is right, with random numbers of
 *   seed, step, tensor and place: the same on every backend and with any number of threads.
 * - `storage: 'bf16+byte'`: bfloat16, rounded to the nearest, and a byte of what is left over: 24 bits.
 * - `parameters: 'bf16'` or `'bf16+byte'`: the same for the parameters themselves, in the same pass. There is no float32 view of such a
 *   parameter: `writeParameters` gives it values, rounded to the nearest, `readParameters` and `evaluationParameters` read it. Rules that
 *   move parameters to points of evaluations and back cannot.
 *
 * Which state is never below 0 is found from the rule. In float32 stay arrays that are not shaped like the parameter, as factors and bases of
 * preconditioners, or have fewer than `minimumSize` elements, those of parameters that
 * `float32` names (embeddings lose by it), numbers, and copies of the parameter, such as slow weights and averages of it. What is not
 * a number is kept as 0, and what is infinite as the largest number.
 *
 * ```ts
 * import { adamW, compile, quantized } from 'fallline'
 *
 * const optimizer = await compile(quantized(adamW(), { bits: 8, float32: /embedding/ }), { weights: [64, 64] })
 * console.log(optimizer.state('weights').m) // read into float32: a copy
 * ```
 *
 * Deviations from the authors' codes: no random rounding, and no change of a code to keep the sign of what became 0. Convolution
 * kernels are seen as matrices of their outputs.
 *
 * @throws Error for a setting that is unknown or out of range.
 */
export function quantized<H extends string>(optimizer: Optimizer<H>, settings: QuantizedSettings = {}): Optimizer<H> {
  const { bits = 8, storage = 'blocks', float32 = '' } = settings
  if (bits !== 8 && bits !== 4) throw new Error(`Quantized state: bits must be 8 or 4, not ${String(bits)}`)
  if (bits === 4 && storage !== 'blocks')
    throw new Error(`Quantized state: bits: 4 needs storage 'blocks', not '${storage}'`)
  provideStorages(stagedKernels)
  return wrapper(optimizer, { ...settings, float32: String(float32) } as Parameters<typeof wrapper>[1])
}

quantized.definition = wrapper.definition
