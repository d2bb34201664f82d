/** The code generator: turns the loops and scalars of a Plan into kernel functions. */

import type { Dimensions, Distribution, ElementOperation, Node } from '../../graph/graph.ts'
import { type ArrayName, type Instruction, type Loop, normalizeView, type Plan } from '../../program/plan.ts'
import { FunctionBuilder, kernelParameters, type Local, type PlainInstruction } from './assembler.ts'
import { countUp, locals } from './library.ts'
import { single, transcendental } from './mathematics.ts'
import { randomFunction, sixteenFunction } from './random.ts'
import {
  blockElements,
  blockRows,
  hasNarrowColumns,
  isColumnReduction,
  loopAgain,
  putAside,
  shortestBlock,
  smallestOfProducts,
} from './sums.ts'

/**
 * The layout of an entry: the block of 32-bit words that tells a kernel where one tensor's arrays and numbers are and
 * how large its loops run. It depends on the plan alone, so that tensors of different size share kernels.
 */
export class EntryLayout {
  /** Where the host arguments begin (float64 each, in the order of `plan.hostArguments`). */
  readonly hostArguments = 0
  /** Where the scalars begin (float64 each, in the order of `plan.scalars`). */
  readonly scalars = 4
  readonly bytes: number
  private readonly words = new Map<string, number>()

  constructor(plan: Plan) {
    const add = (key: string, count = 1) => {
      if (this.words.has(key)) return
      this.words.set(key, this.next)
      this.next += 4 * count
    }
    for (const loop of plan.loops) {
      for (const { array } of [...loop.body, ...loop.stores]) if (array !== undefined) add(array)
      for (const { node } of loop.reductions) if (node.space === 'array') add(producedArray(plan, node))
    }
    plan.loops.forEach((loop, index) => {
      if (loop.view) add(geometryKey(index), 4)
      loop.reductions.forEach((_, reduction) => {
        add(partialKey(index, reduction), 2)
        if (hasNarrowColumns(loop, loop.reductions[reduction]!)) add(narrowKey(index, reduction))
      })
      for (const register of putAside(loop)) add(asideKey(index, register))
      loop.body.forEach((instruction, position) => {
        if (isForeign(loop, instruction)) add(foreignKey(index, position), 2)
      })
    })
    for (const node of plan.program.nodes) {
      if (node.operation === 'slot' && (node.space === 'tensor' || node.space === 'global'))
        add(numberKey(node.attributes.key!))
      if (node.operation === 'reduce' && node.space === 'global') add(totalKey(node.attributes.key!))
    }
    for (const { target } of plan.scalarOutputs) if (target.kind === 'slot') add(numberKey(target.key))
    this.bytes = this.next
  }

  private next = 8

  offset(key: string): number {
    const offset = this.words.get(key)
    if (offset === undefined) throw new Error(`no word for ${key} in the entry`)
    return offset
  }

  keys(): IterableIterator<[string, number]> {
    return this.words.entries()
  }
}

/** Rows, columns, rows per slice and slices per batch of a loop that follows rows. */
export const geometryKey = (loop: number) => `geometry:${loop}`
/** Where the partial results of a reduction lie, and how many there are. */
export const partialKey = (loop: number, reduction: number) => `partial:${loop}:${reduction}`
/** Where the float32 sums of columns lie. */
export const narrowKey = (loop: number, reduction: number) => `narrow:${loop}:${reduction}`
/** Where each chunk puts the values of a register aside. */
export const asideKey = (loop: number, register: number) => `aside:${loop}:${register}`
/** Rows and columns of a broadcast that does not follow the loop's own. */
export const foreignKey = (loop: number, position: number) => `foreign:${loop}:${position}`
/** A pointer to a number kept as state. */
export const numberKey = (key: string) => `number:${key}`
/** A pointer to a sum over all tensors. */
export const totalKey = (key: string) => `total:${key}`

export function producedArray(plan: Plan, node: Node): ArrayName {
  return plan.scratch.find((array) => array.node === node)!.name
}

export function isForeign(loop: Loop, instruction: Instruction): boolean {
  if (instruction.operation !== 'broadcast') return false
  const [a, b] = [instruction.to!.dimensions, loop.view!.dimensions]
  return a[0] !== b[0] || a[1] !== b[1] || a[2] !== b[2]
}

/** How a broadcast operand repeats within the rows and columns of the loop. */
interface Repeat {
  readonly byBatch: boolean
  readonly byRow: boolean
  readonly byColumn: boolean
}

function repeatOf(instruction: Instruction): Repeat {
  const to = instruction.to!.dimensions
  const from: Dimensions =
    to[2] === 1 ? [1, instruction.from!.dimensions[0], instruction.from!.dimensions[1]] : instruction.from!.dimensions
  return { byBatch: from[0] > 1, byRow: from[1] > 1, byColumn: from[2] > 1 }
}

const vectorOperations: Partial<Record<Instruction['operation'], PlainInstruction>> = {
  add: 'f32x4.add',
  subtract: 'f32x4.sub',
  multiply: 'f32x4.mul',
  divide: 'f32x4.div',
  maximum: 'f32x4.pmax',
  minimum: 'f32x4.pmin',
  absolute: 'f32x4.abs',
  squareRoot: 'f32x4.sqrt',
  floor: 'f32x4.floor',
  equal: 'f32x4.eq',
  less: 'f32x4.lt',
  lessOrEqual: 'f32x4.le',
  and: 'v128.and',
  not: 'v128.not',
}

function scalarOperations(type: 'f32' | 'f64'): Partial<Record<Instruction['operation'], PlainInstruction>> {
  return {
    add: `${type}.add`,
    subtract: `${type}.sub`,
    multiply: `${type}.mul`,
    divide: `${type}.div`,
    absolute: `${type}.abs`,
    squareRoot: `${type}.sqrt`,
    floor: `${type}.floor`,
    equal: `${type}.eq`,
    less: `${type}.lt`,
    lessOrEqual: `${type}.le`,
    and: 'i32.and',
    not: 'i32.eqz',
  }
}

const masks = new Set<Instruction['operation']>(['equal', 'less', 'lessOrEqual', 'and', 'not', 'stride'])

/** Emits an elementwise operation on scalars of one type; the operands are locals. */
function emitScalar(
  f: FunctionBuilder,
  type: 'f32' | 'f64',
  operation: Instruction['operation'],
  inputs: readonly Local[],
): void {
  const [a, b, c] = inputs as [Local, Local, Local]
  const constant = (value: number) => (type === 'f32' ? f.f32(value) : f.f64(value))
  const simple = scalarOperations(type)[operation]
  if (simple) {
    for (const input of inputs) f.get(input)
    f.op(simple)
  } else if (operation === 'maximum') f.get(b).get(a).get(a).get(b).op(`${type}.lt`, 'select')
  else if (operation === 'minimum') f.get(b).get(a).get(b).get(a).op(`${type}.lt`, 'select')
  else if (operation === 'select') f.get(b).get(c).get(a).op('select')
  else if (operation === 'sign') {
    constant(1)
    constant(-1)
    constant(0)
    f.get(a)
    constant(0)
    f.op(`${type}.lt`, 'select')
    constant(0)
    f.get(a).op(`${type}.lt`, 'select')
  } else if (transcendental[operation as ElementOperation]) {
    for (const input of inputs) f.get(input).op(type === 'f32' ? 'f32x4.splat' : 'f64x2.splat')
    f.callHelper(type === 'f32' ? single(operation) : operation).extract(type === 'f32' ? 'f32x4' : 'f64x2', 0)
  } else throw new Error(`no scalar code for ${operation}`)
}

/** Vectors per turn of the main loop. */
const unroll = 4

/** The kernel functions of one plan, by the names the scheduler uses, and the functions that these call. */
export function generateKernels(
  plan: Plan,
  prefix: string,
): { kernels: Map<string, FunctionBuilder>; helpers: FunctionBuilder[] } {
  const layout = new EntryLayout(plan)
  const kernels = new Map<string, FunctionBuilder>()
  const helpers: FunctionBuilder[] = []
  plan.loops.forEach((loop, index) => {
    const name = `${prefix}_loop_${index}`
    kernels.set(loopName(index), new LoopGenerator(plan, layout, loop, index, name).generate())
    loop.reductions.forEach((reduction, position) => {
      if (!isTakenAgain(loop, reduction)) return
      const again = loopAgain(loop, reduction, (register) => asideKey(index, register))
      helpers.push(new LoopGenerator(plan, layout, again, index, againName(name, position), true).generateAgain())
    })
  })
  for (let level = 0; level < plan.levels; level++) {
    const combine = combinations(plan, level)
    const scalars = plan.scalars.filter(
      (step) => step.level === level && step.node.operation !== 'reduce' && step.node.operation !== 'slot',
    )
    const totals = plan.scalars.some(
      (step) => step.level === level && step.node.operation === 'reduce' && step.node.space === 'global',
    )
    if (totals) {
      if (combine.length > 0)
        kernels.set(combineName(level), scalarFunction(plan, layout, `${prefix}_combine_${level}`, combine, []))
      if (scalars.length > 0)
        kernels.set(
          scalarsName(level),
          scalarFunction(
            plan,
            layout,
            `${prefix}_scalars_${level}`,
            [],
            scalars.map((s) => s.node),
          ),
        )
    } else if (combine.length + scalars.length > 0) {
      const nodes = scalars.map((step) => step.node)
      kernels.set(scalarsName(level), scalarFunction(plan, layout, `${prefix}_scalars_${level}`, combine, nodes))
    }
  }
  for (const shared of [false, true]) {
    const outputs = plan.scalarOutputs.filter(({ target }) => target.kind === 'slot' && target.shared === shared)
    if (outputs.length > 0)
      kernels.set(commitName(shared), commitFunction(plan, layout, `${prefix}_${commitName(shared)}`, outputs))
  }
  return { kernels, helpers }
}

/** Sums in float64 a block whose float32 sum will not do. */
const againName = (loop: string, reduction: number) => `${loop}_again_${reduction}`

export const loopName = (index: number) => `loop:${index}`
/** Sums the parts of reductions of a level that holds sums over all tensors. */
export const combineName = (level: number) => `combine:${level}`
export const scalarsName = (level: number) => `scalars:${level}`
/** Moves new scalar state to where it is kept: of the tensor, or shared. */
export const commitName = (shared: boolean) => (shared ? 'commitShared' : 'commit')

interface Combination {
  readonly loop: number
  readonly reduction: number
  readonly node: Node
}

/** The reductions whose loops ran in the level before. */
function combinations(plan: Plan, level: number): Combination[] {
  return plan.loops.flatMap((loop, index) =>
    loop.level !== level - 1
      ? []
      : loop.reductions.flatMap(({ node }, reduction) => {
          const inLoop = node.space === 'array' && !isColumnReduction(node)
          return inLoop ? [] : [{ loop: index, reduction, node }]
        }),
  )
}

/** Emits the float64 value of a host, tensor or global scalar. */
function emitNumber(f: FunctionBuilder, plan: Plan, layout: EntryLayout, node: Node): void {
  const entry = f.parameters[0]!
  const { key } = node.attributes
  if (node.space === 'host') {
    f.get(entry)
      .at('i32.load', layout.hostArguments)
      .at('f64.load', 8 * plan.hostArguments.indexOf(node))
  } else if (node.operation === 'slot') {
    f.get(entry)
      .at('i32.load', layout.offset(numberKey(key!)))
      .at('f64.load')
  } else if (node.operation === 'reduce' && node.space === 'global') {
    f.get(entry)
      .at('i32.load', layout.offset(totalKey(key!)))
      .at('f64.load')
  } else {
    f.get(entry).at('i32.load', layout.scalars).at('f64.load', scalarOffset(plan, node))
    if (node.mask) f.f64(0).op('f64.ne')
  }
}

export function scalarOffset(plan: Plan, node: Node): number {
  return 8 * plan.scalars.findIndex((step) => step.node === node)
}

function scalarFunction(
  plan: Plan,
  layout: EntryLayout,
  name: string,
  combine: readonly Combination[],
  nodes: readonly Node[],
): FunctionBuilder {
  const f = new FunctionBuilder(name, kernelParameters)
  const entry = f.parameters[0]!
  for (const combination of combine) {
    if (combination.node.space === 'array') combineColumns(f, plan, layout, combination)
    else combineNumber(f, plan, layout, combination)
  }
  const locals = new Map<Node, Local>()
  const value = (node: Node): Local => {
    const known = locals.get(node)
    if (known) return known
    const local = f.local(node.mask && node.space !== 'host' ? 'i32' : 'f64')
    emitNumber(f, plan, layout, node)
    f.set(local)
    locals.set(node, local)
    return local
  }
  const condition = (node: Node): Local => {
    const local = value(node)
    if (local.type === 'i32') return local
    const truth = f.local('i32')
    f.get(local).f64(0).op('f64.ne').set(truth)
    return truth
  }
  for (const node of nodes) {
    const logical = node.operation === 'and' || node.operation === 'not'
    const inputs = node.inputs.map((input, index) =>
      logical || (node.operation === 'select' && index === 0) ? condition(input) : value(input),
    )
    const local = f.local(node.mask ? 'i32' : 'f64')
    emitScalar(f, 'f64', node.operation as Instruction['operation'], inputs)
    f.set(local)
    locals.set(node, local)
    f.get(entry).at('i32.load', layout.scalars)
    if (node.mask) f.f64(1).f64(0).get(local).op('select')
    else f.get(local)
    f.at('f64.store', scalarOffset(plan, node))
  }
  return f
}

/** Adds up (or takes the maximum of) the numbers that the chunks of a loop left, in order. */
function combineNumber(
  f: FunctionBuilder,
  plan: Plan,
  layout: EntryLayout,
  { loop, reduction, node }: Combination,
): void {
  const entry = f.parameters[0]!
  const [pointer, end, sum] = [f.local('i32'), f.local('i32'), f.local('f64')]
  const word = layout.offset(partialKey(loop, reduction))
  const maximum = node.attributes.kind === 'maximum'
  f.get(entry).at('i32.load', word).tee(pointer)
  f.get(entry)
    .at('i32.load', word + 4)
    .i32(8)
    .op('i32.mul', 'i32.add')
    .set(end)
  f.f64(maximum ? Number.NEGATIVE_INFINITY : 0).set(sum)
  f.get(pointer)
    .get(end)
    .op('i32.lt_u')
    .if(() => {
      f.loop(() => {
        f.get(sum)
          .get(pointer)
          .at('f64.load')
          .op(maximum ? 'f64.max' : 'f64.add')
          .set(sum)
        f.get(pointer).i32(8).op('i32.add').tee(pointer).get(end).op('i32.lt_u').branchIf(0)
      })
    })
  f.get(entry).at('i32.load', layout.scalars).get(sum).at('f64.store', scalarOffset(plan, node))
}

/** Adds up the partial sums of each column over the slices of its batch. */
function combineColumns(
  f: FunctionBuilder,
  plan: Plan,
  layout: EntryLayout,
  { loop, reduction, node }: Combination,
): void {
  const entry = f.parameters[0]!
  const geometry = layout.offset(geometryKey(loop))
  const word = layout.offset(partialKey(loop, reduction))
  const local = locals(f, ['partial', 'stride', 'ofBatch', 'end', 'result', 'slice', 'behind', 'from', 'to'])
  const maximum = node.attributes.kind === 'maximum'
  f.get(entry)
    .at('i32.load', geometry + 4)
    .i32(8)
    .op('i32.mul')
    .tee(local.stride)
  f.get(entry)
    .at('i32.load', geometry + 12)
    .op('i32.mul')
    .set(local.ofBatch)
  f.get(entry).at('i32.load', word).tee(local.partial)
  f.get(entry)
    .at('i32.load', word + 4)
    .get(local.stride)
    .op('i32.mul', 'i32.add')
    .set(local.end)
  f.get(entry)
    .at('i32.load', layout.offset(producedArray(plan, node)))
    .set(local.result)
  countUp(f, local.partial, local.ofBatch, local.end, () => {
    // Slice by slice, as they lie in memory, to the first of the batch.
    f.get(local.partial).get(local.stride).op('i32.add').tee(local.slice).set(local.from)
    f.get(local.partial).get(local.ofBatch).op('i32.add').set(local.behind)
    countUp(f, local.slice, local.stride, local.behind, () => {
      f.get(local.partial).set(local.to)
      f.get(local.slice).get(local.stride).op('i32.add').set(local.behind)
      countUp(f, local.from, 8, local.behind, () => {
        f.get(local.to).get(local.to).at('f64.load').get(local.from).at('f64.load')
        f.op(maximum ? 'f64.max' : 'f64.add').at('f64.store')
        f.get(local.to).i32(8).op('i32.add').set(local.to)
      })
      f.get(local.partial).get(local.ofBatch).op('i32.add').set(local.behind)
    })
    f.get(local.partial).tee(local.from).get(local.stride).op('i32.add').set(local.behind)
    countUp(f, local.from, 8, local.behind, () => {
      f.get(local.result).get(local.from).at('f64.load').op('f32.demote_f64').at('f32.store')
      f.get(local.result).i32(4).op('i32.add').set(local.result)
    })
  })
}

function commitFunction(
  plan: Plan,
  layout: EntryLayout,
  name: string,
  outputs: Plan['scalarOutputs'],
): FunctionBuilder {
  const f = new FunctionBuilder(name, kernelParameters)
  const values = outputs.map(({ node }) => {
    const local = f.local('f64')
    emitNumber(f, plan, layout, node)
    f.set(local)
    return local
  })
  outputs.forEach(({ target }, index) => {
    if (target.kind !== 'slot') return
    f.get(f.parameters[0]!)
      .at('i32.load', layout.offset(numberKey(target.key)))
      .get(values[index]!)
      .at('f64.store')
  })
  return f
}

/** What one reduction has so far while a loop runs. */
interface Accumulator {
  readonly node: Node
  readonly registers: readonly number[]
  readonly index: number
  readonly kind: 'tensor' | 'row' | 'column'
  /** Four float32 sums of a block, or maxima. */
  readonly narrow: Local
  /** Two float64 sums, and one of single elements. */
  readonly wide: Local
  readonly single: Local
  /** What a turn adds before it is added to `narrow`. */
  readonly pair: readonly [Local, Local]
  /** Where one of two numbers is chosen for each element: registers of the condition and of the numbers. A block counts. */
  readonly choice: readonly number[] | undefined
  /** `column`: where this row adds its elements: to float64 sums, or to float32 sums of a block of rows. */
  readonly pointer: Local | undefined
  readonly narrowColumns: boolean
  /** `column`: the float64 sums of this slice, and where a row begins to add. */
  readonly partial: Local
  readonly base: Local
}

/** Whether blocks are summed in float32 first, and again in float64 where that will not do. */
function isTakenAgain(loop: Loop, reduction: Loop['reductions'][number]): boolean {
  if (loop.elementwise || reduction.node.attributes.kind === 'maximum') return false
  return !isColumnReduction(reduction.node) || hasNarrowColumns(loop, reduction)
}

/** A part of a loop's body. */
interface Part {
  /** Its instructions in order, each with the stores that can be done then. */
  readonly steps: readonly { readonly register: number; readonly stores: Loop['stores'] }[]
  readonly accumulators: readonly Accumulator[]
}

function choiceOf({ body }: Loop, { node, registers }: Loop['reductions'][number]): readonly number[] | undefined {
  const { operation, inputs } = body[registers[0]!]!
  if (node.attributes.kind === 'maximum' || registers.length > 1 || operation !== 'select') return undefined
  return inputs.slice(1).every((input) => body[input]!.operation === 'scalar') ? inputs : undefined
}

/** Whether an array holds values that were put aside. */
const isAside = (array: ArrayName) => array.startsWith('aside:')

/** The largest float32. */
const largestNumber = (2 - 2 ** -23) * 2 ** 127

/** What takes a processor long. */
const slow = new Set<Instruction['operation']>(['divide', 'squareRoot'])

/**
 * Cuts the body of a loop behind its roots and quotients. What needs none of them but is needed with one only later
 * belongs to the later part.
 */
function cut({ body, stores }: Loop, accumulators: readonly Accumulator[]): Part[] {
  const after = (register: number) => (slow.has(body[register]!.operation) ? 1 : 0)
  const earliest: number[] = []
  for (const { inputs } of body) earliest.push(Math.max(0, ...inputs.map((input) => earliest[input]! + after(input))))
  const count = Math.max(0, ...earliest) + 1
  const place = body.map(() => count - 1)
  for (const { register } of stores) place[register] = earliest[register]!
  for (const { registers } of accumulators) for (const register of registers) place[register] = earliest[register]!
  for (let register = body.length - 1; register >= 0; register--) {
    for (const input of body[register]!.inputs) place[input] = Math.min(place[input]!, place[register]! - after(input))
  }
  const order = body.map((_, register) => register).sort((a, b) => place[a]! - place[b]! || a - b)
  const position = new Map(order.map((register, index) => [register, index]))
  // A store waits for its value and for whoever reads what it replaces.
  const ready = ({ array, register }: Loop['stores'][number]) =>
    Math.max(
      position.get(register)!,
      ...body.flatMap((instruction, other) => (instruction.array === array ? [position.get(other)!] : [])),
    )
  return Array.from({ length: count }, (_, part) => ({
    steps: order
      .filter((register) => place[register] === part)
      .map((register) => ({
        register,
        stores: stores.filter((store) => ready(store) === position.get(register)),
      })),
    accumulators: accumulators.filter(
      ({ registers }) => Math.max(...registers.map((register) => place[register]!)) === part,
    ),
  }))
}

/** Writes the function of one loop. */
class LoopGenerator {
  private readonly f: FunctionBuilder
  private readonly entry: Local
  private readonly first: Local
  private readonly last: Local
  private readonly chunk: Local
  private readonly pointers = new Map<ArrayName, Local>()
  private readonly rowPointers = new Map<number, Local>()
  private readonly vectors = new Map<number, Local>()
  private readonly singles = new Map<number, Local>()
  private readonly streams = new Map<Node, readonly Local[]>()
  /** The numbers of a turn by the register of the draw. */
  private readonly drawn = new Map<number, readonly Local[]>()
  private readonly accumulators: Accumulator[]
  private readonly parts: readonly Part[]
  private readonly remaining: Local
  /** The element behind those that remain, where blocks are summed. */
  private readonly end: Local | undefined
  /** The element that a block begins with. */
  private readonly begin: Local
  /** The row that a loop is in, where it follows rows. */
  private place: Record<'batch' | 'row' | 'rows' | 'columns', Local> | undefined
  /** Reductions whose blocks are summed in float32. */
  private readonly sums: readonly Accumulator[]
  private readonly position: Local | undefined
  private readonly plan: Plan
  private readonly layout: EntryLayout
  private readonly loop: Loop
  private readonly index: number
  /** Whether a reduction is computed again for one block, in float64. */
  private readonly again: boolean

  constructor(plan: Plan, layout: EntryLayout, loop: Loop, index: number, name: string, again = false) {
    this.plan = plan
    this.layout = layout
    const aside = putAside(loop).map((register) => ({ array: asideKey(index, register), register }))
    this.loop = { ...loop, stores: [...loop.stores, ...aside] }
    this.index = index
    this.again = again
    const columns = loop.reductions.every(({ node }) => isColumnReduction(node))
    this.f = new FunctionBuilder(name, kernelParameters, again && !columns ? ['f64'] : [])
    const [entry, first, last, chunk] = this.f.parameters as [Local, Local, Local, Local]
    this.entry = entry
    this.first = first
    this.last = last
    this.chunk = chunk
    this.remaining = this.f.local('i32')
    const positioned = loop.elementwise || loop.body.some(({ operation }) => operation === 'random')
    this.position = positioned ? this.f.local('i32') : undefined
    this.accumulators = loop.reductions.map((reduction, position) => {
      const { node, registers } = reduction
      const kind = node.space !== 'array' ? 'tensor' : isColumnReduction(node) ? 'column' : 'row'
      return {
        node,
        registers,
        index: position,
        kind,
        narrow: this.f.local('v128'),
        wide: this.f.local('v128'),
        single: this.f.local('f64'),
        pair: [this.f.local('v128'), this.f.local('v128')],
        choice: kind === 'column' || loop.elementwise ? undefined : choiceOf(loop, reduction),
        pointer: kind === 'column' ? this.f.local('i32') : undefined,
        narrowColumns: !again && hasNarrowColumns(loop, reduction),
        partial: this.f.local('i32'),
        base: this.f.local('i32'),
      }
    })
    this.sums = this.accumulators.filter(
      ({ kind, node }) => kind !== 'column' && node.attributes.kind === 'sum' && !loop.elementwise && !again,
    )
    this.end = this.sums.length > 0 ? this.f.local('i32') : undefined
    this.begin = this.sums.length > 0 ? this.f.local('i32') : this.first
    this.parts = cut(this.loop, this.accumulators)
  }

  generate(): FunctionBuilder {
    this.loadScalars()
    for (const { kind, ...accumulator } of this.accumulators) if (kind === 'tensor') this.reset(accumulator)
    if (this.loop.view) this.nested()
    else this.flat()
    for (const accumulator of this.accumulators) {
      if (accumulator.kind !== 'tensor') continue
      const word = this.layout.offset(partialKey(this.index, accumulator.index))
      this.f.get(this.entry).at('i32.load', word).get(this.chunk).i32(8).op('i32.mul', 'i32.add')
      this.total(accumulator)
      this.f.at('f64.store')
    }
    return this.f
  }

  /**
   * Elements `[first, last)`, which lie in one row, and their sum is the result; or of a column reduction whole rows, which
   * are added to the float64 sums that the last parameter points to.
   */
  generateAgain(): FunctionBuilder {
    const { f } = this
    const [accumulator] = this.accumulators as [Accumulator]
    this.loadScalars()
    this.reset(accumulator)
    if (this.loop.view) this.fromRow(accumulator.kind === 'column' ? accumulator : undefined)
    else this.flat()
    if (accumulator.kind !== 'column') this.total(accumulator)
    return f
  }

  /** Begins where element `first` lies in its row. */
  private fromRow(column: Accumulator | undefined): void {
    const { f } = this
    const names = ['rows', 'columns', 'batch', 'row', 'offset'] as const
    const local = locals(f, names)
    this.word(geometryKey(this.index)).set(local.rows)
    this.word(geometryKey(this.index), 4).tee(local.columns)
    f.get(this.first).get(local.columns).op('i32.div_u').tee(local.row)
    f.op('i32.mul').set(local.offset)
    f.get(this.first).get(local.offset).op('i32.sub').i32(4).op('i32.mul').set(local.offset)
    f.get(local.row).get(local.rows).op('i32.div_u').set(local.batch)
    f.get(local.row).get(local.rows).op('i32.rem_u').set(local.row)
    if (column) {
      f.get(this.chunk).set(column.base)
      countUp(f, this.first, local.columns, this.last, () => {
        this.row(local)
        f.get(local.row).i32(1).op('i32.add').set(local.row)
      })
      return
    }
    this.startPointers(this.first)
    this.startBroadcasts(local)
    for (const pointer of this.rowPointers.values()) f.get(pointer).get(local.offset).op('i32.add').set(pointer)
    f.get(this.last).get(this.first).op('i32.sub').set(this.remaining)
    this.runElements()
  }

  private word(key: string, extra = 0): FunctionBuilder {
    return this.f.get(this.entry).at('i32.load', this.layout.offset(key) + extra)
  }

  private loadScalars(): void {
    const { f } = this
    this.loop.body.forEach(({ operation, node }, register) => {
      if (operation === 'random') this.loadStream(node!)
      if (operation !== 'scalar') return
      if (node!.mask) {
        const truth = f.local('i32')
        emitNumber(f, this.plan, this.layout, node!)
        if (node!.space === 'host') f.f64(0).op('f64.ne')
        f.set(truth)
        this.singles.set(register, truth)
        // A mask of all ones or all zeros in every lane.
        const vector = f.local('v128')
        f.f32(1).f32(0).get(truth).op('select', 'f32x4.splat').f32(0).op('f32x4.splat', 'f32x4.ne').set(vector)
        this.vectors.set(register, vector)
        return
      }
      const single = f.local('f32')
      const vector = f.local('v128')
      emitNumber(f, this.plan, this.layout, node!)
      f.op('f32.demote_f64').tee(single).op('f32x4.splat').set(vector)
      this.singles.set(register, single)
      this.vectors.set(register, vector)
    })
  }

  /** Seed, step and tensor of random numbers as whole numbers. */
  private loadStream(node: Node): void {
    const { f } = this
    this.streams.set(
      node,
      node.inputs.map((input) => {
        const word = f.local('i32')
        emitNumber(f, this.plan, this.layout, input)
        f.op('i32.trunc_sat_f64_u').set(word)
        return word
      }),
    )
  }

  /** Draws for the four places that start `offset` after that of the turn. */
  private drawRandom(node: Node, offset: number): void {
    const { f } = this
    f.get(this.position!)
      .op('i32x4.splat')
      .i32x4([offset, offset + 1, offset + 2, offset + 3])
      .op('i32x4.add')
    this.callRandom(node, randomFunction)
  }

  /** Draws for the sixteen places of a turn at once; the loop over whole chunks starts each turn at a multiple of sixteen. */
  private drawSixteen(node: Node): readonly Local[] {
    const { f } = this
    const numbers = Array.from({ length: unroll }, () => f.local('v128'))
    f.get(this.position!).i32(2).op('i32.shr_u', 'i32x4.splat').i32x4([0, 1, 2, 3]).op('i32x4.add')
    this.callRandom(node, sixteenFunction)
    for (const local of [...numbers].reverse()) f.set(local)
    return numbers
  }

  private callRandom(node: Node, name: (kind: Distribution) => string): void {
    for (const word of this.streams.get(node)!) this.f.get(word)
    this.f.i32(node.attributes.draw!).callHelper(name(node.attributes.kind as Distribution))
  }

  /** Pointers of all arrays that advance with the elements, moved to the element index on the stack. */
  private startPointers(start: Local): void {
    for (const { operation, array } of [
      ...this.loop.body,
      ...this.loop.stores.map((store) => ({ operation: 'load', ...store })),
    ]) {
      if (array === undefined || operation === 'broadcast') continue
      const pointer = this.pointers.get(array) ?? this.f.local('i32')
      this.pointers.set(array, pointer)
      if (isAside(array)) this.startAside(array)
      else this.word(array).get(start).i32(4).op('i32.mul', 'i32.add').set(pointer)
    }
    if (this.position) this.f.get(start).set(this.position)
  }

  /** What is put aside begins anew with every block. */
  private startAside(array: ArrayName): void {
    this.word(array)
      .get(this.chunk)
      .i32(4 * blockElements)
      .op('i32.mul', 'i32.add')
      .set(this.pointers.get(array)!)
  }

  private flat(): void {
    const { f } = this
    if (this.end) f.get(this.last).set(this.end)
    else this.startPointers(this.first)
    f.get(this.last).get(this.first).op('i32.sub').set(this.remaining)
    this.runElements()
  }

  private nested(): void {
    const { f, index } = this
    const names = [
      'rows',
      'columns',
      'perSlice',
      'slices',
      'slice',
      'batch',
      'row',
      'rowEnd',

      'block',
    ] as const
    const local = locals(f, names)
    const narrowColumns = this.accumulators.filter((accumulator) => accumulator.narrowColumns)
    const geometry = ['rows', 'columns', 'perSlice', 'slices'] as const
    geometry.forEach((name, position) => {
      this.word(geometryKey(index), 4 * position).set(local[name])
    })
    f.get(this.first).set(local.slice)
    f.get(local.slice)
      .get(this.last)
      .op('i32.lt_u')
      .if(() => {
        f.loop(() => {
          f.get(local.slice).get(local.slices).op('i32.div_u').set(local.batch)
          f.get(local.slice).get(local.slices).op('i32.rem_u').get(local.perSlice).op('i32.mul').tee(local.row)
          f.get(local.perSlice).op('i32.add').tee(local.rowEnd)
          f.get(local.rows).get(local.rowEnd).get(local.rows).op('i32.lt_u')
          // select takes the first when the condition holds: the end of the slice, or of the batch.
          f.op('select').set(local.rowEnd)
          this.startColumns(local.slice, local.columns)
          f.get(local.row).set(local.block)
          f.get(local.row)
            .get(local.rowEnd)
            .op('i32.lt_u')
            .if(() => {
              f.loop(() => {
                this.row(local)
                f.get(local.row).i32(1).op('i32.add').set(local.row)
                if (narrowColumns.length > 0) {
                  f.get(local.row).get(local.block).op('i32.sub').i32(blockRows).op('i32.eq')
                  f.get(local.row).get(local.rowEnd).op('i32.eq', 'i32.or')
                  f.if(() => {
                    for (const accumulator of narrowColumns) this.settleColumns(accumulator, local)
                    f.get(local.row).set(local.block)
                  })
                }
                f.get(local.row).get(local.rowEnd).op('i32.lt_u').branchIf(0)
              })
            })
          f.get(local.slice).i32(1).op('i32.add').tee(local.slice).get(this.last).op('i32.lt_u').branchIf(0)
        })
      })
  }

  private startColumns(slice: Local, columns: Local): void {
    const { f } = this
    for (const { kind, node, index, narrowColumns, partial, base } of this.accumulators) {
      if (kind !== 'column') continue
      if (narrowColumns) {
        this.word(narrowKey(this.index, index))
          .get(this.chunk)
          .get(columns)
          .i32(3)
          .op('i32.add')
          .i32(-4)
          .op('i32.and', 'i32.mul')
          .i32(4)
          .op('i32.mul', 'i32.add')
          .set(base)
        this.fillNarrow(node, base, columns)
      }
      this.word(partialKey(this.index, index))
        .get(slice)
        .get(columns)
        .op('i32.mul')
        .i32(8)
        .op('i32.mul', 'i32.add')
        .set(partial)
      if (node.attributes.kind === 'maximum') this.fillMaximum(partial, columns)
      else f.get(partial).i32(0).get(columns).i32(8).op('i32.mul').fill()
      if (!narrowColumns) f.get(partial).set(base)
    }
  }

  /** Starts the partial maxima of the columns. */
  private fillMaximum(partial: Local, columns: Local): void {
    const { f } = this
    const [at, end] = [f.local('i32'), f.local('i32')]
    f.get(partial).tee(at).get(columns).i32(8).op('i32.mul', 'i32.add').set(end)
    countUp(f, at, 8, end, () => f.get(at).f64(Number.NEGATIVE_INFINITY).at('f64.store'))
  }

  /** Starts the float32 sums or maxima of the columns, which fill whole vectors. */
  private fillNarrow(node: Node, pointer: Local, columns: Local): void {
    const { f } = this
    const [at, end] = [f.local('i32'), f.local('i32')]
    f.get(pointer).tee(at).get(columns).i32(4).op('i32.mul', 'i32.add').set(end)
    countUp(f, at, 16, end, () => {
      f.get(at)
      this.neutral(node)
      f.at('v128.store')
    })
  }

  /** Adds the float32 sums of a block of rows to the float64 sums of the slice, or computes them again; then starts anew. */
  private settleColumns(
    accumulator: Accumulator,
    local: Record<'batch' | 'row' | 'rows' | 'columns' | 'block', Local>,
  ) {
    const { f } = this
    const { node, index, base, partial } = accumulator
    const maximum = node.attributes.kind === 'maximum'
    const [at, to, end] = [f.local('i32'), f.local('i32'), f.local('i32')]
    const [notFinite, value] = [f.local('v128'), f.local('v128')]
    const start = () => f.get(partial).set(to).get(base).tee(at)
    const element = (row: Local) => {
      f.get(local.batch).get(local.rows).op('i32.mul').get(row).op('i32.add').get(local.columns).op('i32.mul')
    }
    const addition = () => {
      start().get(local.columns).i32(-4).op('i32.and').i32(4).op('i32.mul', 'i32.add').set(end)
      countUp(f, at, 16, end, () => {
        f.get(at).at('v128.load').set(value)
        for (const half of [0, 1]) {
          f.get(to)
            .get(to)
            .at('v128.load', 16 * half)
            .get(value)
          if (half === 1) f.get(value).upperHalf()
          f.op('f64x2.promote_low_f32x4', maximum ? 'f64x2.max' : 'f64x2.add').at('v128.store', 16 * half)
        }
        f.get(to).i32(32).op('i32.add').set(to)
      })
      f.get(base).get(local.columns).i32(4).op('i32.mul', 'i32.add').set(end)
      countUp(f, at, 4, end, () => {
        f.get(to).get(to).at('f64.load').get(at).at('f32.load')
        f.op('f64.promote_f32', maximum ? 'f64.max' : 'f64.add').at('f64.store')
        f.get(to).i32(8).op('i32.add').set(to)
      })
    }
    if (maximum) addition()
    else {
      start().get(local.columns).i32(4).op('i32.mul', 'i32.add').set(end)
      f.zeroVector().set(notFinite)
      // x minus x is 0 for finite x, else not a number, whose bits are not 0.
      countUp(f, at, 16, end, () => {
        f.get(notFinite).get(at).at('v128.load').tee(value).get(value).op('f32x4.sub', 'v128.or').set(notFinite)
      })
      f.get(notFinite)
        .op('v128.any_true')
        .if(() => {
          f.get(this.entry)
          element(local.block)
          element(local.row)
          f.get(partial).callHelper(againName(f.name, index)).op('else')
          addition()
        })
    }
    this.fillNarrow(node, base, local.columns)
  }

  /** Leaves what a sum or a maximum begins with on the stack, in four lanes. */
  private neutral(node: Node): void {
    if (node.attributes.kind === 'maximum') this.f.f32(Number.NEGATIVE_INFINITY).op('f32x4.splat')
    else this.f.zeroVector()
  }

  private row(local: Record<'batch' | 'row' | 'rows' | 'columns', Local>): void {
    const { f } = this
    this.place = local
    for (const accumulator of this.accumulators) if (accumulator.kind === 'row') this.reset(accumulator)
    const start = f.local('i32')
    f.get(local.batch).get(local.rows).op('i32.mul').get(local.row).op('i32.add').get(local.columns).op('i32.mul')
    f.set(start).get(local.columns).set(this.remaining)
    if (this.end) f.get(start).get(local.columns).op('i32.add').set(this.end)
    else this.moveTo(start)
    this.runElements()
    for (const accumulator of this.accumulators) {
      const { kind, node } = accumulator
      if (kind !== 'row') continue
      this.word(producedArray(this.plan, node))
      f.get(local.batch).get(local.rows).op('i32.mul').get(local.row).op('i32.add').i32(4).op('i32.mul', 'i32.add')
      this.total(accumulator)
      f.op('f32.demote_f64').at('f32.store')
    }
  }

  /** Moves all pointers to an element of the row that the loop is in, or of the chunk. */
  private moveTo(element: Local): void {
    const { f, place, remaining } = this
    this.startPointers(element)
    if (!place) return
    this.startBroadcasts(place)
    const offset = f.local('i32')
    f.get(place.columns).get(remaining).op('i32.sub').i32(4).op('i32.mul').set(offset)
    for (const pointer of this.rowPointers.values()) f.get(pointer).get(offset).op('i32.add').set(pointer)
    for (const { pointer, base, narrowColumns } of this.accumulators) {
      if (!pointer) continue
      f.get(base).get(offset)
      if (!narrowColumns) f.i32(2).op('i32.mul')
      f.op('i32.add').set(pointer)
    }
  }

  private startBroadcasts(local: Record<'batch' | 'row' | 'rows' | 'columns', Local>): void {
    this.loop.body.forEach((instruction, register) => {
      if (instruction.operation === 'broadcast' && !isForeign(this.loop, instruction))
        this.startBroadcast(instruction, register, local)
    })
  }

  /** Finds a broadcast operand's place at the start of a row: a pointer that advances, or one number for the row. */
  private startBroadcast(
    instruction: Instruction,
    register: number,
    local: Record<'batch' | 'row' | 'rows' | 'columns', Local>,
  ): void {
    const { f } = this
    const { byBatch, byRow, byColumn } = repeatOf(instruction)
    this.word(instruction.array!)
    if (byBatch || byRow) {
      if (byBatch) {
        f.get(local.batch)
        if (byRow) f.get(local.rows).op('i32.mul')
      }
      if (byRow) f.get(local.row)
      if (byBatch && byRow) f.op('i32.add')
      if (byColumn) f.get(local.columns).op('i32.mul')
      f.i32(4).op('i32.mul', 'i32.add')
    }
    if (byColumn) {
      const pointer = this.rowPointers.get(register) ?? f.local('i32')
      this.rowPointers.set(register, pointer)
      f.set(pointer)
      return
    }
    const single = this.singles.get(register) ?? f.local('f32')
    const vector = this.vectors.get(register) ?? f.local('v128')
    this.singles.set(register, single)
    this.vectors.set(register, vector)
    f.at('f32.load').tee(single).op('f32x4.splat').set(vector)
  }

  /** Runs the body over `remaining` elements: four vectors at a time, then single vectors, then single elements. */
  private runElements(): void {
    const { f, remaining } = this
    const repeat = (elements: number, body: () => void) => {
      f.get(remaining)
        .i32(elements)
        .op('i32.ge_u')
        .if(() => {
          f.loop(() => {
            body()
            this.advance(elements)
            f.get(remaining).i32(elements).op('i32.sub').tee(remaining).i32(elements).op('i32.ge_u').branchIf(0)
          })
        })
    }
    if (!this.loop.elementwise) {
      if (this.end) this.runBlocks(this.end)
      else if (!this.again) repeat(4 * unroll, () => this.turn())
      if (this.end) {
        f.get(this.end).get(remaining).op('i32.sub').set(this.begin)
        this.moveTo(this.begin)
      }
      repeat(4, () => {
        const values: Local[] = []
        for (const part of this.parts) this.vectorPart(part, values, 0, false)
      })
    }
    repeat(1, () => this.singleBody())
  }

  /**
   * Runs the turns in blocks, whose float32 sums are added to the float64 sums at their ends. What lives while a function is
   * called is written to the stack wherever it changes: so nothing that changes in a turn does.
   */
  private runBlocks(end: Local): void {
    const { f, remaining, sums, begin } = this
    const [rest, whole] = [f.local('i32'), f.local('i32')]
    const elements = 4 * unroll
    f.get(remaining)
      .i32(shortestBlock)
      .op('i32.ge_u')
      .if(() => {
        f.loop(() => {
          f.get(remaining).get(remaining).i32(-elements).op('i32.and').tee(whole).i32(blockElements)
          f.get(whole).i32(blockElements).op('i32.lt_u', 'select', 'i32.sub').set(rest)
          f.get(end).get(remaining).op('i32.sub').set(begin)
          this.moveTo(begin)
          for (const { narrow } of sums) f.zeroVector().set(narrow)
          f.loop(() => {
            this.turn()
            this.advance(elements)
            f.get(remaining).i32(elements).op('i32.sub').tee(remaining).get(rest).op('i32.gt_u').branchIf(0)
          })
          f.get(rest).set(remaining)
          const checked = sums.map((accumulator) => this.check(accumulator, begin, end))
          sums.forEach(({ index, wide, single }, position) => {
            const { bad, halves } = checked[position]!
            f.get(bad).if(() => {
              f.get(single).get(this.entry).get(begin).get(end).get(rest).op('i32.sub').get(this.chunk)
              f.callHelper(againName(f.name, index)).op('f64.add').set(single).op('else')
              f.get(wide).get(halves).op('f64x2.add').set(wide)
            })
          })
          f.get(remaining).i32(shortestBlock).op('i32.ge_u').branchIf(0)
        })
      })
  }

  /** Makes four sums of four counts of a condition, a number where it holds and another where it does not. */
  private sumChoices(narrow: Local, [, yes, no]: readonly number[], begin: Local, end: Local): void {
    const { f } = this
    const count = f.local('v128')
    f.get(narrow).op('f32x4.convert_i32x4_u').tee(count).get(this.vectors.get(yes!)!).op('f32x4.mul')
    f.get(end).get(this.remaining).op('i32.sub').get(begin).op('i32.sub').i32(2).op('i32.shr_u', 'f32.convert_i32_u')
    f.op('f32x4.splat').get(count).op('f32x4.sub').get(this.vectors.get(no!)!).op('f32x4.mul', 'f32x4.add').set(narrow)
  }

  /** Whether the float32 sums of a block will not do, and their two sums in float64. */
  private check({ registers, narrow, choice }: Accumulator, begin: Local, end: Local): { bad: Local; halves: Local } {
    const { f } = this
    if (choice) this.sumChoices(narrow, choice, begin, end)
    const [magnitude, halves, bad] = [f.local('v128'), f.local('v128'), f.local('i32')]
    f.get(narrow).op('f32x4.abs').tee(magnitude).f32(largestNumber).op('f32x4.splat', 'f32x4.le')
    if (registers.length === 2) f.f32(smallestOfProducts).op('f32x4.splat').get(magnitude).op('f32x4.le', 'v128.and')
    f.op('v128.not', 'v128.any_true').set(bad)
    f.get(narrow).op('f64x2.promote_low_f32x4').get(narrow).get(narrow).upperHalf()
    f.op('f64x2.promote_low_f32x4', 'f64x2.add').set(halves)
    return { bad, halves }
  }

  private advance(elements: number): void {
    const { f } = this
    for (const pointer of [...this.pointers.values(), ...this.rowPointers.values()]) {
      f.get(pointer)
        .i32(4 * elements)
        .op('i32.add')
        .set(pointer)
    }
    for (const { pointer, narrowColumns } of this.accumulators) {
      if (pointer)
        f.get(pointer)
          .i32((narrowColumns ? 4 : 8) * elements)
          .op('i32.add')
          .set(pointer)
    }
    if (this.position) f.get(this.position).i32(elements).op('i32.add').set(this.position)
  }

  /** Sixteen elements. The parts of a vector come between those of its neighbours, which gives each time to finish. */
  private turn(): void {
    const { parts } = this
    const lanes = Array.from({ length: unroll }, (): Local[] => [])
    for (let time = 0; time < unroll + parts.length - 1; time++) {
      parts.forEach((part, index) => {
        const lane = time - index
        if (lane >= 0 && lane < unroll) this.vectorPart(part, lanes[lane]!, lane, true)
      })
    }
  }

  /** A part of the body for four elements: the `lane`-th vector of a turn of sixteen, or a turn of their own. */
  private vectorPart(part: Part, values: Local[], lane: number, ofSixteen: boolean): void {
    for (const { register, stores } of part.steps) {
      values[register] = this.vectorValue(register, values, lane, ofSixteen)
      for (const store of stores) {
        if (isAside(store.array) && !ofSixteen) continue
        this.f
          .get(this.pointers.get(store.array)!)
          .get(values[store.register]!)
          .at('v128.store', 16 * lane)
      }
    }
    for (const accumulator of part.accumulators)
      this.accumulateVector(
        accumulator,
        (ofSixteen && accumulator.choice ? accumulator.choice.slice(0, 1) : accumulator.registers).map(
          (r) => values[r]!,
        ),
        lane,
        ofSixteen,
      )
  }

  private vectorValue(register: number, values: readonly Local[], lane: number, ofSixteen: boolean): Local {
    const { f } = this
    const { operation, inputs, array, node } = this.loop.body[register]!
    const hoisted = this.vectors.get(register)
    if (hoisted) return hoisted
    if (operation === 'random' && ofSixteen && !this.loop.view) {
      if (lane === 0) this.drawn.set(register, this.drawSixteen(node!))
      return this.drawn.get(register)![lane]!
    }
    const local = f.local('v128')
    if (operation === 'load') f.get(this.pointers.get(array!)!).at('v128.load', 16 * lane)
    else if (operation === 'broadcast') f.get(this.rowPointers.get(register)!).at('v128.load', 16 * lane)
    else if (operation === 'random') this.drawRandom(node!, 4 * lane)
    else
      this.vectorOperation(
        operation,
        inputs.map((input) => values[input]!),
      )
    f.set(local)
    return local
  }

  private vectorOperation(operation: Instruction['operation'], inputs: readonly Local[]): void {
    const { f } = this
    const [a, b, c] = inputs as [Local, Local, Local]
    const simple = vectorOperations[operation]
    if (simple) {
      for (const input of inputs) f.get(input)
      f.op(simple)
    } else if (operation === 'select') f.get(b).get(c).get(a).op('v128.bitselect')
    else if (operation === 'sign') {
      const one = (value: number) => f.f32(value).op('f32x4.splat')
      f.zeroVector().get(a).op('f32x4.lt')
      one(1).op('v128.and').get(a).zeroVector().op('f32x4.lt')
      one(-1).op('v128.and', 'v128.or')
    } else if (transcendental[operation as ElementOperation]) {
      for (const input of inputs) f.get(input)
      f.callHelper(single(operation))
    } else throw new Error(`no vector code for ${operation}`)
  }

  private accumulateVector(accumulator: Accumulator, inputs: readonly Local[], lane: number, ofSixteen: boolean): void {
    const { f } = this
    const { kind, node, narrow, wide, pair, choice, pointer, narrowColumns } = accumulator
    const maximum = node.attributes.kind === 'maximum'
    const combine = maximum ? 'f32x4.max' : 'f32x4.add'
    const value = () => {
      f.get(inputs[0]!)
      if (inputs.length === 2) f.get(inputs[1]!).op('f32x4.mul')
    }
    if (kind === 'column') {
      if (narrowColumns) {
        f.get(pointer!)
          .get(pointer!)
          .at('v128.load', 16 * lane)
        value()
        f.op(combine).at('v128.store', 16 * lane)
        return
      }
      for (const half of [0, 1]) {
        const address = 32 * lane + 16 * half
        f.get(pointer!).get(pointer!).at('v128.load', address)
        this.wideHalf(inputs, half)
        f.op(maximum ? 'f64x2.max' : 'f64x2.add').at('v128.store', address)
      }
    } else if (ofSixteen && choice) {
      // A condition that holds is -1.
      f.get(narrow)
      value()
      f.op('i32x4.sub').set(narrow)
    } else if (ofSixteen) {
      // Pairs of vectors, then pairs of pairs, then the sum so far: few roundings, and few numbers to hold.
      const [first, second] = pair
      if (lane === 1) f.get(first)
      if (lane === 3) f.get(narrow).get(first).get(second)
      value()
      if (lane === 1) f.op(combine)
      if (lane === 3) f.op(combine, combine, combine).set(narrow)
      else f.set(lane === 2 ? second : first)
    } else if (maximum) {
      f.get(narrow)
      value()
      f.op(combine).set(narrow)
    } else {
      f.get(wide)
      for (const half of [0, 1]) {
        this.wideHalf(inputs, half)
        f.op('f64x2.add')
      }
      f.set(wide)
    }
  }

  /** Leaves one half of a vector, or of the product of two, on the stack in float64. */
  private wideHalf(inputs: readonly Local[], half: number): void {
    const { f } = this
    const promote = (input: Local) => {
      f.get(input)
      if (half === 1) f.get(input).upperHalf()
      f.op('f64x2.promote_low_f32x4')
    }
    promote(inputs[0]!)
    if (inputs.length < 2) return
    if (inputs[1] === inputs[0]) {
      const number = f.local('v128')
      f.tee(number).get(number)
    } else promote(inputs[1]!)
    f.op('f64x2.mul')
  }

  private singleBody(): void {
    const { f } = this
    const values: Local[] = []
    this.loop.body.forEach((instruction, register) => {
      const { operation, inputs, array } = instruction
      const hoisted = this.singles.get(register)
      if (hoisted) {
        values.push(hoisted)
        return
      }
      const local = f.local(masks.has(operation) ? 'i32' : 'f32')
      if (operation === 'load') f.get(this.pointers.get(array!)!).at('f32.load')
      else if (operation === 'broadcast') this.singleBroadcast(instruction, register)
      else if (operation === 'random') {
        this.drawRandom(instruction.node!, 0)
        f.extract('f32x4', 0)
      } else if (operation === 'index') f.get(this.position!).op('f32.convert_i32_u')
      else if (operation === 'stride')
        f.get(this.position!).i32(instruction.node!.attributes.period!).op('i32.rem_u', 'i32.eqz')
      else
        emitScalar(
          f,
          'f32',
          operation,
          inputs.map((input) => values[input]!),
        )
      f.set(local)
      values.push(local)
    })
    for (const { array, register } of this.loop.stores) {
      if (!isAside(array)) f.get(this.pointers.get(array)!).get(values[register]!).at('f32.store')
    }
    for (const { node, registers, single, kind, pointer, narrowColumns } of this.accumulators) {
      const [a, b] = registers.map((register) => values[register]!) as [Local, Local | undefined]
      const value = f.local('f64')
      f.get(a).op('f64.promote_f32')
      if (b) f.get(b).op('f64.promote_f32', 'f64.mul')
      f.set(value)
      const maximum = node.attributes.kind === 'maximum'
      const combine = maximum ? 'f64.max' : 'f64.add'
      if (narrowColumns) {
        f.get(pointer!).get(pointer!).at('f32.load').op('f64.promote_f32').get(value)
        f.op(combine, 'f32.demote_f64').at('f32.store')
      } else if (kind === 'column') f.get(pointer!).get(pointer!).at('f64.load').get(value).op(combine).at('f64.store')
      else f.get(single).get(value).op(combine).set(single)
    }
  }

  private singleBroadcast(instruction: Instruction, register: number): void {
    const { f } = this
    if (!isForeign(this.loop, instruction)) {
      f.get(this.rowPointers.get(register)!).at('f32.load')
      return
    }
    // The position of this element in rows and columns that are not the loop's own.
    const { byBatch, byRow, byColumn } = repeatOf(instruction)
    const key = foreignKey(this.index, register)
    const [rows, columns, row] = [f.local('i32'), f.local('i32'), f.local('i32')]
    this.word(key).set(rows)
    this.word(key, 4).set(columns)
    f.get(this.position!).get(columns).op('i32.div_u').set(row)
    this.word(instruction.array!)
    if (byBatch) f.get(row).get(rows).op('i32.div_u')
    else f.i32(0)
    if (byRow) f.get(rows).op('i32.mul').get(row).get(rows).op('i32.rem_u', 'i32.add')
    if (byColumn) f.get(columns).op('i32.mul').get(this.position!).get(columns).op('i32.rem_u', 'i32.add')
    f.i32(4).op('i32.mul', 'i32.add').at('f32.load')
  }

  private reset({ node, narrow, wide, single }: Omit<Accumulator, 'kind'>): void {
    const { f } = this
    this.neutral(node)
    f.set(narrow).zeroVector().set(wide)
    f.f64(node.attributes.kind === 'maximum' ? Number.NEGATIVE_INFINITY : 0).set(single)
  }

  /** Leaves the float64 total of an accumulator on the stack, added in a fixed order. */
  private total({ node, narrow, wide, single }: Accumulator): void {
    const { f } = this
    if (node.attributes.kind === 'maximum') {
      f.get(single)
      for (let lane = 0; lane < 4; lane++) f.get(narrow).extract('f32x4', lane).op('f64.promote_f32', 'f64.max')
      return
    }
    f.get(wide).extract('f64x2', 0).get(wide).extract('f64x2', 1).op('f64.add').get(single).op('f64.add')
  }
}

/** Rows and columns of a node as a loop sees them. */
export function viewOf(node: Node): Dimensions {
  return normalizeView(node.dimensions)
}
