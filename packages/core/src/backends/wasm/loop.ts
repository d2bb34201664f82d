/** The kernel of one loop. */

import type { Distribution } from '../../graph/node.ts'
import {
  type Instruction,
  isMask,
  type Loop,
  type LoopReduction,
  type NumberReference,
  type Plan,
} from '../../plan/plan.ts'
import { FunctionBuilder, kernelParameters, type Local } from './assembler.ts'
import { emitScalar, emitVector } from './elements.ts'
import type { EntryLayout, EntryWord } from './entry.ts'
import { countUp, locals, whileLeft } from './library.ts'
import { randomFunction, sixteenFunction } from './names.ts'
import { emitNumber } from './scalars.ts'
import {
  asideRegister,
  blockElements,
  blockRows,
  hasNarrowColumns,
  isAside,
  putAside,
  shortestBlock,
  smallestOfProducts,
  toAside,
} from './sums.ts'

const masks = new Set<Instruction['operation']>(['equal', 'less', 'lessOrEqual', 'and', 'not', 'stride'])

/** Vectors per turn of the main loop. */
const unroll = 4

/** Sums in float64 a block whose float32 sum will not do. */
export const againName = (loop: string, reduction: number) => `${loop}_again_${reduction}`

/** What one reduction has so far while a loop runs. */
interface Accumulator {
  readonly reduction: LoopReduction
  readonly index: number
  /** Four float32 sums of a block, or maxima. */
  readonly narrow: Local
  /** Two float64 sums, and one of single elements. */
  readonly wide: Local
  readonly single: Local
  /** What a turn adds before it is added to `narrow`. */
  readonly pair: readonly [Local, Local]
  /** Where one of two numbers is chosen for each element: registers of the condition and of the numbers. A block counts. */
  readonly choice: readonly number[] | undefined
  /** Where it counts the elements of a size up to a number, and their squares are summed: that sum. */
  readonly squares: LoopReduction | undefined
  /** `column`: where this row adds its elements: to float64 sums, or to float32 sums of a block of rows. */
  readonly pointer: Local | undefined
  readonly narrowColumns: boolean
  /** `column`: the float64 sums of this slice, and where a row begins to add. */
  readonly partial: Local
  readonly base: Local
}

/** Whether blocks are summed in float32 first, and again in float64 where that will not do. */
export function isTakenAgain(loop: Loop, reduction: LoopReduction): boolean {
  if (loop.elementwise || reduction.reduction === 'maximum') return false
  return reduction.over !== 'column' || hasNarrowColumns(loop, reduction)
}

/** A part of a loop's body. */
interface Part {
  /** Its instructions in order, each with the stores that can be done then. */
  readonly steps: readonly { readonly register: number; readonly stores: Loop['stores'] }[]
  readonly accumulators: readonly Accumulator[]
}

function choiceOf({ body }: Loop, { reduction, registers }: LoopReduction): readonly number[] | undefined {
  const { operation, inputs } = body[registers[0]!]!
  if (reduction === 'maximum' || registers.length > 1 || operation !== 'select') return undefined
  return inputs.slice(1).every((input) => body[input]!.operation === 'scalar') ? inputs : undefined
}

/**
 * The sum of the squares of what a reduction counts up to a size: while it is finite, every element is smaller than
 * `largestRoot`, and need not be looked at.
 */
function squaresOf({ body, reductions }: Loop, choice: readonly number[] | undefined): LoopReduction | undefined {
  const condition = choice && body[choice[0]!]!
  const size = condition?.operation === 'lessOrEqual' ? body[condition.inputs[0]!]! : undefined
  if (size?.operation !== 'absolute' || body[condition!.inputs[1]!]!.operation !== 'scalar') return undefined
  return reductions.find(
    ({ reduction, over, registers }) =>
      reduction === 'sum' && over === 'all' && registers.length === 2 && registers.every((x) => x === size.inputs[0]),
  )
}

/** No float32 beyond this has a square that float32 holds. */
const largestRoot = 2 ** 64

/** The largest float32. */
const largestNumber = (2 - 2 ** -23) * 2 ** 127

/** What takes a processor long. */
const slow = new Set<Instruction['operation']>(['divide', 'squareRoot'])

/** A factor beyond this, or as small, is multiplied with in two: float32 holds numbers near its ends badly or not at all. */
const largestFactor = 2 ** 64

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
  for (const { reduction } of accumulators)
    for (const register of reduction.registers) place[register] = earliest[register]!
  for (let register = body.length - 1; register >= 0; register--) {
    for (const input of body[register]!.inputs) place[input] = Math.min(place[input]!, place[register]! - after(input))
  }
  const order = body.map((_, register) => register).sort((a, b) => place[a]! - place[b]! || a - b)
  const position = new Map(order.map((register, index) => [register, index]))
  const readers = new Map<number, number>()
  for (const [register, use] of body.entries()) {
    if ('array' in use) readers.set(use.array, Math.max(readers.get(use.array) ?? 0, position.get(register)!))
  }
  // A store waits for its value and for whoever reads what it replaces.
  const storesAt = new Map<number, Loop['stores'][number][]>()
  for (const store of stores) {
    const ready = Math.max(position.get(store.register)!, readers.get(store.array) ?? 0)
    storesAt.set(ready, [...(storesAt.get(ready) ?? []), store])
  }
  return Array.from({ length: count }, (_, part) => ({
    steps: order
      .filter((register) => place[register] === part)
      .map((register) => ({
        register,
        stores: storesAt.get(position.get(register)!) ?? [],
      })),
    accumulators: accumulators.filter(
      ({ reduction }) => Math.max(...reduction.registers.map((register) => place[register]!)) === part,
    ),
  }))
}

/** The row that a loop is in; in the loop itself also the end of the slice's rows, and the slice. */
export type RowPlace = Readonly<Record<'batch' | 'row' | 'rows' | 'columns', Local>> & {
  readonly rowEnd?: Local
  readonly slice?: Local
}

type Broadcast = Extract<Instruction, { readonly operation: 'broadcast' }>
type Scaling = Extract<Instruction, { readonly operation: 'scale' }>
type Draw = Extract<Instruction, { readonly operation: 'random' }>

/** Writes the function of one loop. */
export class LoopGenerator {
  protected readonly f: FunctionBuilder
  private readonly entry: Local
  protected readonly first: Local
  protected readonly last: Local
  private readonly chunk: Local
  private readonly pointers = new Map<number, Local>()
  private readonly rowPointers = new Map<number, Local>()
  private readonly vectors = new Map<number, Local>()
  private readonly singles = new Map<number, Local>()
  /** The two factors of what is scaled, of which the first is nearly always 1. */
  private readonly factors = new Map<number, readonly { readonly single: Local; readonly vector: Local }[]>()
  private readonly streams = new Map<number, readonly Local[]>()
  /** The numbers of a turn by the register of the draw. */
  private readonly drawn = new Map<number, readonly Local[]>()
  private readonly accumulators: Accumulator[]
  private readonly parts: readonly Part[]
  /** The sums that a second turn over a block takes, with the arrays that hold their summands. */
  private readonly swept = new Map<Accumulator, readonly number[]>()
  /** The registers that a turn computes. */
  private readonly needed = new Set<number>()
  private readonly remaining: Local
  /** The element behind those that remain, where blocks are summed. */
  private readonly end: Local | undefined
  /** The element that a block begins with. */
  private readonly begin: Local
  /** The row that a loop is in, where it follows rows. */
  private place: RowPlace | undefined
  /** Reductions whose blocks are summed in float32. */
  private readonly sums: readonly Accumulator[]
  private readonly position: Local | undefined
  protected readonly plan: Plan
  private readonly layout: EntryLayout
  protected readonly loop: Loop
  protected readonly index: number
  /** Whether a reduction is computed again for one block, in float64. */
  protected readonly again: boolean

  constructor(plan: Plan, layout: EntryLayout, loop: Loop, index: number, name: string, again = false) {
    this.plan = plan
    this.layout = layout
    const aside = putAside(loop).map((register) => ({ array: toAside(register), register }))
    this.loop = { ...loop, stores: [...loop.stores, ...aside] }
    this.index = index
    this.again = again
    const columns = loop.reductions.every(({ over }) => over === 'column')
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
      const column = reduction.over === 'column'
      const choice = column || loop.elementwise ? undefined : choiceOf(loop, reduction)
      return {
        reduction,
        index: position,
        narrow: this.f.local('v128'),
        wide: this.f.local('v128'),
        single: this.f.local('f64'),
        pair: [this.f.local('v128'), this.f.local('v128')],
        choice,
        squares: again ? undefined : squaresOf(loop, choice),
        pointer: column ? this.f.local('i32') : undefined,
        narrowColumns: !again && hasNarrowColumns(loop, reduction),
        partial: this.f.local('i32'),
        base: this.f.local('i32'),
      }
    })
    this.sums = this.accumulators.filter(
      ({ reduction }) => reduction.over !== 'column' && reduction.reduction === 'sum' && !loop.elementwise && !again,
    )
    this.end = this.sums.length > 0 ? this.f.local('i32') : undefined
    this.begin = this.sums.length > 0 ? this.f.local('i32') : this.first
    this.parts = cut(this.loop, this.accumulators)
    const summed = this.sums.filter(({ squares }) => !squares)
    const arrays = summed.map((accumulator) => this.arraysAfter(accumulator))
    // Beside roots and quotients, which a processor waits for, sums are in the way.
    if (loop.body.some(({ operation }) => slow.has(operation)) && arrays.every((found) => found !== undefined))
      summed.forEach((accumulator, index) => void this.swept.set(accumulator, arrays[index]!))
    for (const { register } of this.loop.stores) this.need(register)
    for (const accumulator of this.accumulators) for (const register of this.gathered(accumulator)) this.need(register)
  }

  private need(register: number): void {
    if (this.needed.has(register)) return
    this.needed.add(register)
    for (const input of this.loop.body[register]!.inputs) this.need(input)
  }

  generate(): FunctionBuilder {
    this.loadScalars()
    for (const accumulator of this.accumulators) if (accumulator.reduction.over === 'all') this.reset(accumulator)
    if (this.loop.view) this.nested()
    else this.flat()
    for (const accumulator of this.accumulators) {
      if (accumulator.reduction.over !== 'all') continue
      const word = this.layout.offset({ kind: 'partial', loop: this.index, reduction: accumulator.index })
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
    if (this.loop.view) this.fromRow(accumulator.pointer ? accumulator : undefined)
    else this.flat()
    if (!accumulator.pointer) this.total(accumulator)
    return f
  }

  /** Begins where element `first` lies in its row. */
  private fromRow(column: Accumulator | undefined): void {
    const { f } = this
    const names = ['rows', 'columns', 'batch', 'row', 'offset', 'start'] as const
    const local = locals(f, names)
    this.word({ kind: 'geometry', loop: this.index }).set(local.rows)
    this.word({ kind: 'geometry', loop: this.index }, 4).tee(local.columns)
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
    f.get(this.first).get(local.offset).i32(2).op('i32.shr_u', 'i32.sub').set(local.start)
    this.beginRow(local.start, local)
    this.startPointers(this.first)
    this.startBroadcasts(local)
    for (const pointer of this.rowPointers.values()) f.get(pointer).get(local.offset).op('i32.add').set(pointer)
    f.get(this.last).get(this.first).op('i32.sub').set(this.remaining)
    this.runElements()
  }

  protected word(word: EntryWord, extra = 0): FunctionBuilder {
    return this.f.get(this.entry).at('i32.load', this.layout.offset(word) + extra)
  }

  protected loadScalars(): void {
    const { f } = this
    this.loop.body.forEach((instruction, register) => {
      if (instruction.operation === 'random') this.loadStream(instruction, register)
      if (instruction.operation === 'scale') this.loadFactors(instruction, register)
      if (instruction.operation !== 'scalar') return
      const { value } = instruction
      if (isMask(this.plan, value)) {
        const truth = f.local('i32')
        emitNumber(f, this.plan, this.layout, value)
        if (value.kind === 'argument') f.f64(0).op('f64.ne')
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
      emitNumber(f, this.plan, this.layout, value)
      f.op('f32.demote_f64').tee(single).op('f32x4.splat').set(vector)
      this.singles.set(register, single)
      this.vectors.set(register, vector)
    })
  }

  /** Computes the number that something is scaled with in float64, and cuts it in two factors that float32 holds. */
  private loadFactors({ times, over }: Scaling, register: number): void {
    const { f } = this
    const [number, scale] = [f.local('f64'), f.local('f64')]
    f.f64(1)
    for (const value of times) this.number(value).op('f64.mul')
    for (const value of over) this.number(value).op('f64.div')
    f.set(number)
    const size = () => f.get(number).op('f64.abs')
    f.f64(largestFactor)
      .f64(1 / largestFactor)
      .f64(1)
    size()
      .f64(1 / largestFactor)
      .op('f64.lt', 'select')
    f.f64(largestFactor)
    size().op('f64.lt', 'select').set(scale)
    const factor = (emit: () => void) => {
      const [single, vector] = [f.local('f32'), f.local('v128')]
      emit()
      f.op('f32.demote_f64').tee(single).op('f32x4.splat').set(vector)
      return { single, vector }
    }
    this.factors.set(register, [factor(() => f.get(scale)), factor(() => f.get(number).get(scale).op('f64.div'))])
  }

  protected number(value: NumberReference): FunctionBuilder {
    emitNumber(this.f, this.plan, this.layout, value)
    return this.f
  }

  /** Seed, step and tensor of random numbers as whole numbers. */
  private loadStream({ stream }: Draw, register: number): void {
    const { f } = this
    this.streams.set(
      register,
      stream.map((input) => {
        const word = f.local('i32')
        emitNumber(f, this.plan, this.layout, input)
        f.op('i32.trunc_sat_f64_u').set(word)
        return word
      }),
    )
  }

  /** Draws for the four places that start `offset` after that of the turn. */
  private drawRandom(draw: Draw, register: number, offset: number): void {
    const { f } = this
    f.get(this.position!)
      .op('i32x4.splat')
      .i32x4([offset, offset + 1, offset + 2, offset + 3])
      .op('i32x4.add')
    this.callRandom(draw, register, randomFunction)
  }

  /** Draws for the sixteen places of a turn at once; the loop over whole chunks starts each turn at a multiple of sixteen. */
  private drawSixteen(draw: Draw, register: number): readonly Local[] {
    const { f } = this
    const numbers = Array.from({ length: unroll }, () => f.local('v128'))
    f.get(this.position!).i32(2).op('i32.shr_u', 'i32x4.splat').i32x4([0, 1, 2, 3]).op('i32x4.add')
    this.callRandom(draw, register, sixteenFunction)
    for (const local of [...numbers].reverse()) f.set(local)
    return numbers
  }

  private callRandom({ distribution, draw }: Draw, register: number, name: (of: Distribution) => string): void {
    for (const word of this.streams.get(register)!) this.f.get(word)
    this.f.i32(draw).callHelper(name(distribution))
  }

  /** Pointers of all arrays that advance with the elements, moved to the element index in `start`. */
  private startPointers(start: Local): void {
    for (const use of [...this.loop.body, ...this.loop.stores]) {
      if (!('array' in use) || ('operation' in use && use.operation === 'broadcast')) continue
      const { array } = use
      const pointer = this.pointers.get(array) ?? this.f.local('i32')
      this.pointers.set(array, pointer)
      if (isAside(array)) {
        this.startAside(array)
        continue
      }
      this.placeOf(array, start).i32(4).op('i32.mul', 'i32.add').set(pointer)
    }
    if (this.position) this.f.get(start).set(this.position)
  }

  /** Leaves where an array begins, and how many elements behind that one lies. */
  protected placeOf(array: number, element: Local): FunctionBuilder {
    return this.word({ kind: 'array', array }).get(element)
  }

  /** What is put aside begins anew with every block. */
  private startAside(array: number): void {
    this.word({ kind: 'aside', loop: this.index, register: asideRegister(array) })
      .get(this.chunk)
      .i32(4 * blockElements)
      .op('i32.mul', 'i32.add')
      .set(this.pointers.get(array)!)
  }

  protected flat(): void {
    this.between(this.first, this.last)
  }

  /** Runs the body over the elements from one to another. */
  protected between(from: Local, to: Local): void {
    const { f } = this
    if (this.end) f.get(to).set(this.end)
    else this.startPointers(from)
    f.get(to).get(from).op('i32.sub').set(this.remaining)
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
      this.word({ kind: 'geometry', loop: index }, 4 * position).set(local[name])
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
    for (const { reduction, index, narrowColumns, partial, base } of this.accumulators) {
      if (reduction.over !== 'column') continue
      if (narrowColumns) {
        this.word({ kind: 'narrow', loop: this.index, reduction: index })
          .get(this.chunk)
          .get(columns)
          .i32(3)
          .op('i32.add')
          .i32(-4)
          .op('i32.and', 'i32.mul')
          .i32(4)
          .op('i32.mul', 'i32.add')
          .set(base)
        this.fillNarrow(reduction, base, columns)
      }
      this.word({ kind: 'partial', loop: this.index, reduction: index })
        .get(slice)
        .get(columns)
        .op('i32.mul')
        .i32(8)
        .op('i32.mul', 'i32.add')
        .set(partial)
      if (reduction.reduction === 'maximum') this.fillMaximum(partial, columns)
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
  private fillNarrow(reduction: LoopReduction, pointer: Local, columns: Local): void {
    const { f } = this
    const [at, end] = [f.local('i32'), f.local('i32')]
    f.get(pointer).tee(at).get(columns).i32(4).op('i32.mul', 'i32.add').set(end)
    countUp(f, at, 16, end, () => {
      f.get(at)
      this.neutral(reduction)
      f.at('v128.store')
    })
  }

  /** Adds the float32 sums of a block of rows to the float64 sums of the slice, or computes them again; then starts anew. */
  private settleColumns(accumulator: Accumulator, local: RowPlace & { readonly block: Local }) {
    const { f } = this
    const { reduction, index, base, partial } = accumulator
    const maximum = reduction.reduction === 'maximum'
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
    this.fillNarrow(reduction, base, local.columns)
  }

  /** Leaves what a sum or a maximum begins with on the stack, in four lanes. */
  private neutral({ reduction }: LoopReduction): void {
    if (reduction === 'maximum') this.f.f32(Number.NEGATIVE_INFINITY).op('f32x4.splat')
    else this.f.zeroVector()
  }

  private row(local: RowPlace): void {
    const { f } = this
    this.place = local
    for (const accumulator of this.accumulators) if (accumulator.reduction.over === 'row') this.reset(accumulator)
    const start = f.local('i32')
    f.get(local.batch).get(local.rows).op('i32.mul').get(local.row).op('i32.add').get(local.columns).op('i32.mul')
    f.set(start).get(local.columns).set(this.remaining)
    this.beginRow(start, local)
    if (this.end) f.get(start).get(local.columns).op('i32.add').set(this.end)
    else this.moveTo(start)
    this.runElements()
    this.endRow(start, local)
    for (const accumulator of this.accumulators) {
      const { reduction } = accumulator
      if (reduction.over !== 'row') continue
      this.word({ kind: 'array', array: reduction.array })
      f.get(local.batch).get(local.rows).op('i32.mul').get(local.row).op('i32.add').i32(4).op('i32.mul', 'i32.add')
      this.total(accumulator)
      f.op('f32.demote_f64').at('f32.store')
    }
  }

  protected beginRow(_start: Local, _place: RowPlace): void {}

  protected endRow(_start: Local, _place: RowPlace): void {}

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

  private startBroadcasts(local: RowPlace): void {
    this.loop.body.forEach((instruction, register) => {
      if (instruction.operation === 'broadcast' && !instruction.apart) this.startBroadcast(instruction, register, local)
    })
  }

  /** Finds a broadcast operand's place at the start of a row: a pointer that advances, or one number for the row. */
  private startBroadcast({ array, own }: Broadcast, register: number, local: RowPlace): void {
    const { f } = this
    this.word({ kind: 'array', array })
    if (own.batch || own.row) {
      if (own.batch) {
        f.get(local.batch)
        if (own.row) f.get(local.rows).op('i32.mul')
      }
      if (own.row) f.get(local.row)
      if (own.batch && own.row) f.op('i32.add')
      if (own.column) f.get(local.columns).op('i32.mul')
      f.i32(4).op('i32.mul', 'i32.add')
    }
    if (own.column) {
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
    const repeat = (elements: number, body: () => void) =>
      whileLeft(f, remaining, elements, () => {
        body()
        this.advance(elements)
      })
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
          if (this.swept.size > 0) this.sweep(begin, rest, whole)
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

  /** Goes over a block once more, which lies in the nearest cache, for the sums of what memory holds. */
  private sweep(begin: Local, rest: Local, left: Local): void {
    const { f } = this
    this.startPointers(begin)
    f.get(this.end!).get(begin).op('i32.sub').get(rest).op('i32.sub').set(left)
    f.loop(() => {
      for (let lane = 0; lane < unroll; lane++) {
        const values = new Map<number, Local>()
        for (const [accumulator, arrays] of this.swept) {
          const inputs = arrays.map((array) => {
            const known = values.get(array)
            if (known) return known
            const local = f.local('v128')
            f.get(this.pointers.get(array)!)
              .at('v128.load', 16 * lane)
              .set(local)
            values.set(array, local)
            return local
          })
          this.accumulateVector(accumulator, inputs, lane, true)
        }
      }
      this.advance(4 * unroll)
      f.get(left)
        .i32(4 * unroll)
        .op('i32.sub')
        .tee(left)
        .branchIf(0)
    })
  }

  /** The arrays that hold what a reduction takes, once the loop has stored what it stores. */
  private arraysAfter({ reduction, choice }: Accumulator): readonly number[] | undefined {
    if (choice) return undefined
    const { body, stores } = this.loop
    const arrays = reduction.registers.flatMap((register) => {
      const stored = stores.find((store) => store.register === register)
      if (stored) return [stored.array]
      const instruction = body[register]!
      const kept = instruction.operation === 'load' && !stores.some(({ array }) => array === instruction.array)
      return kept ? [instruction.array] : []
    })
    return arrays.length === reduction.registers.length ? arrays : undefined
  }

  /** Makes four sums of four counts of a condition, a number where it holds and another where it does not. */
  private sumChoices({ narrow, choice, squares }: Accumulator, begin: Local, end: Local): void {
    const { f } = this
    const [, yes, no] = choice!.map((register) => this.vectors.get(register)!)
    const [all, count] = [f.local('v128'), f.local('v128')]
    f.get(end).get(this.remaining).op('i32.sub').get(begin).op('i32.sub').i32(2).op('i32.shr_u', 'f32.convert_i32_u')
    f.op('f32x4.splat').set(all)
    if (squares) f.get(all)
    else f.get(narrow).op('f32x4.convert_i32x4_u')
    f.tee(count).get(yes!).op('f32x4.mul').get(all).get(count).op('f32x4.sub').get(no!).op('f32x4.mul', 'f32x4.add')
    f.set(narrow)
  }

  /** Whether the float32 sums of a block will not do, and their two sums in float64. */
  private check(accumulator: Accumulator, begin: Local, end: Local): { bad: Local; halves: Local } {
    const { f } = this
    const { reduction, narrow, choice, squares } = accumulator
    if (choice) this.sumChoices(accumulator, begin, end)
    const [magnitude, halves, bad] = [f.local('v128'), f.local('v128'), f.local('i32')]
    f.get(narrow).op('f32x4.abs').tee(magnitude).f32(largestNumber).op('f32x4.splat', 'f32x4.le')
    if (reduction.registers.length === 2)
      f.f32(smallestOfProducts).op('f32x4.splat').get(magnitude).op('f32x4.le', 'v128.and')
    if (squares) {
      const sum = this.accumulators.find((other) => other.reduction === squares)!
      f.get(sum.narrow).f32(largestNumber).op('f32x4.splat', 'f32x4.le', 'v128.and')
      f.f32(largestRoot)
        .op('f32x4.splat')
        .get(this.vectors.get(this.sizeLimit(choice![0]!))!)
      f.op('f32x4.le', 'v128.and')
    }
    f.op('v128.not', 'v128.any_true').set(bad)
    f.get(narrow).op('f64x2.promote_low_f32x4').get(narrow).get(narrow).upperHalf()
    f.op('f64x2.promote_low_f32x4', 'f64x2.add').set(halves)
    return { bad, halves }
  }

  /** The register of the number that a condition compares sizes with. */
  private sizeLimit(condition: number): number {
    return this.loop.body[condition]!.inputs[1]!
  }

  private advance(elements: number): void {
    const { f } = this
    const move = (pointer: Local) => {
      f.get(pointer)
        .i32(4 * elements)
        .op('i32.add')
        .set(pointer)
    }
    for (const pointer of [...this.pointers.values(), ...this.rowPointers.values()]) move(pointer)
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
      if (ofSixteen && !this.needed.has(register)) continue
      values[register] = this.vectorValue(register, values, lane, ofSixteen)
      for (const store of stores) {
        if (isAside(store.array) && !ofSixteen) continue
        this.f
          .get(this.pointers.get(store.array)!)
          .get(values[store.register]!)
          .at('v128.store', 16 * lane)
      }
    }
    for (const accumulator of part.accumulators) {
      const inputs = ofSixteen ? this.gathered(accumulator) : accumulator.reduction.registers
      if (inputs.length > 0)
        this.accumulateVector(
          accumulator,
          inputs.map((register) => values[register]!),
          lane,
          ofSixteen,
        )
    }
  }

  /** The registers that a turn reads for a reduction: none where a sum of squares will tell. */
  private gathered(accumulator: Accumulator): readonly number[] {
    const { choice, squares, reduction } = accumulator
    return squares || this.swept.has(accumulator) ? [] : choice ? choice.slice(0, 1) : reduction.registers
  }

  private vectorValue(register: number, values: readonly Local[], lane: number, ofSixteen: boolean): Local {
    const { f } = this
    const instruction = this.loop.body[register]!
    const { operation } = instruction
    const hoisted = this.vectors.get(register)
    if (hoisted) return hoisted
    if (operation === 'random' && ofSixteen && !this.loop.view) {
      if (lane === 0) this.drawn.set(register, this.drawSixteen(instruction, register))
      return this.drawn.get(register)![lane]!
    }
    const local = f.local('v128')
    if (operation === 'load' || operation === 'broadcast') {
      const { array } = instruction
      f.get(operation === 'load' ? this.pointers.get(array)! : this.rowPointers.get(register)!).at(
        'v128.load',
        16 * lane,
      )
    } else if (operation === 'random') this.drawRandom(instruction, register, 4 * lane)
    else if (operation === 'scalar' || operation === 'stride' || operation === 'index') {
      throw new Error(`${operation} is not computed for each vector`)
    } else if (operation === 'scale') {
      f.get(values[instruction.inputs[0]]!)
      for (const { vector } of this.factors.get(register)!) f.get(vector).op('f32x4.mul')
    } else {
      emitVector(
        f,
        operation,
        instruction.inputs.map((input) => values[input]!),
      )
    }
    f.set(local)
    return local
  }

  private accumulateVector(accumulator: Accumulator, inputs: readonly Local[], lane: number, ofSixteen: boolean): void {
    const { f } = this
    const { reduction, narrow, wide, pair, choice, pointer, narrowColumns } = accumulator
    const maximum = reduction.reduction === 'maximum'
    const combine = maximum ? 'f32x4.max' : 'f32x4.add'
    const value = () => {
      f.get(inputs[0]!)
      if (inputs.length === 2) f.get(inputs[1]!).op('f32x4.mul')
    }
    if (pointer) {
      if (narrowColumns) {
        f.get(pointer)
          .get(pointer)
          .at('v128.load', 16 * lane)
        value()
        f.op(combine).at('v128.store', 16 * lane)
        return
      }
      for (const half of [0, 1]) {
        const address = 32 * lane + 16 * half
        f.get(pointer).get(pointer).at('v128.load', address)
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
      const add = () => {
        f.get(wide)
        for (const half of [0, 1]) {
          this.wideHalf(inputs, half)
          f.op('f64x2.add')
        }
        f.set(wide)
      }
      // A block that is taken again for its small squares is one of zeros nearly always, as of what had no gradient.
      if (this.again && inputs[0] === inputs[1]) f.get(inputs[0]!).zeroVector().op('f32x4.ne', 'v128.any_true').if(add)
      else add()
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
      const { operation } = instruction
      const hoisted = this.singles.get(register)
      if (hoisted) {
        values.push(hoisted)
        return
      }
      const local = f.local(masks.has(operation) ? 'i32' : 'f32')
      if (operation === 'load') {
        f.get(this.pointers.get(instruction.array)!).at('f32.load')
      } else if (operation === 'broadcast') this.singleBroadcast(instruction, register)
      else if (operation === 'random') {
        this.drawRandom(instruction, register, 0)
        f.extract('f32x4', 0)
      } else if (operation === 'index') f.get(this.position!).op('f32.convert_i32_u')
      else if (operation === 'stride') f.get(this.position!).i32(instruction.period).op('i32.rem_u', 'i32.eqz')
      else if (operation === 'scalar') throw new Error('a number is loaded once, before the loop')
      else if (operation === 'scale') {
        f.get(values[instruction.inputs[0]]!)
        for (const { single } of this.factors.get(register)!) f.get(single).op('f32.mul')
      } else
        emitScalar(
          f,
          'f32',
          operation,
          instruction.inputs.map((input) => values[input]!),
        )
      f.set(local)
      values.push(local)
    })
    for (const { array, register } of this.loop.stores) {
      if (isAside(array)) continue
      f.get(this.pointers.get(array)!).get(values[register]!).at('f32.store')
    }
    for (const { reduction, single, pointer, narrowColumns } of this.accumulators) {
      const [a, b] = reduction.registers.map((register) => values[register]!) as [Local, Local | undefined]
      const value = f.local('f64')
      f.get(a).op('f64.promote_f32')
      if (b) f.get(b).op('f64.promote_f32', 'f64.mul')
      f.set(value)
      const maximum = reduction.reduction === 'maximum'
      const combine = maximum ? 'f64.max' : 'f64.add'
      if (narrowColumns) {
        f.get(pointer!).get(pointer!).at('f32.load').op('f64.promote_f32').get(value)
        f.op(combine, 'f32.demote_f64').at('f32.store')
      } else if (pointer) f.get(pointer).get(pointer).at('f64.load').get(value).op(combine).at('f64.store')
      else f.get(single).get(value).op(combine).set(single)
    }
  }

  private singleBroadcast({ array, own, apart }: Broadcast, register: number): void {
    const { f } = this
    if (!apart) {
      f.get(this.rowPointers.get(register)!).at('f32.load')
      return
    }
    // The position of this element in rows and columns that are not the loop's own.
    const key = { kind: 'apart', loop: this.index, position: register } as const
    const [rows, columns, row] = [f.local('i32'), f.local('i32'), f.local('i32')]
    this.word(key).set(rows)
    this.word(key, 4).set(columns)
    f.get(this.position!).get(columns).op('i32.div_u').set(row)
    this.word({ kind: 'array', array })
    if (own.batch) f.get(row).get(rows).op('i32.div_u')
    else f.i32(0)
    if (own.row) f.get(rows).op('i32.mul').get(row).get(rows).op('i32.rem_u', 'i32.add')
    if (own.column) f.get(columns).op('i32.mul').get(this.position!).get(columns).op('i32.rem_u', 'i32.add')
    f.i32(4).op('i32.mul', 'i32.add').at('f32.load')
  }

  private reset({ reduction, narrow, wide, single }: Accumulator): void {
    const { f } = this
    this.neutral(reduction)
    f.set(narrow).zeroVector().set(wide)
    f.f64(reduction.reduction === 'maximum' ? Number.NEGATIVE_INFINITY : 0).set(single)
  }

  /** Leaves the float64 total of an accumulator on the stack, added in a fixed order. */
  private total({ reduction, narrow, wide, single }: Accumulator): void {
    const { f } = this
    if (reduction.reduction === 'maximum') {
      f.get(single)
      for (let lane = 0; lane < 4; lane++) f.get(narrow).extract('f32x4', lane).op('f64.promote_f32', 'f64.max')
      return
    }
    f.get(wide).extract('f64x2', 0).get(wide).extract('f64x2', 1).op('f64.add').get(single).op('f64.add')
  }
}
