/** The kernel of one loop that sums, follows rows, draws random numbers or asks where an element lies. */

import type { Distribution } from '../../graph/node.ts'
import type { Instruction, Loop, LoopReduction, Plan } from '../../plan/plan.ts'
import { asideRegister, isAside, toAside } from './aside.ts'
import type { FunctionBuilder, Local } from './assembler.ts'
import type { EntryLayout } from './entry.ts'
import { countUp, locals, whileLeft } from './library.ts'
import { type Gathering, isSlow, LoopGenerator, type Part, readsAhead, unroll } from './loop.ts'
import { randomFunction, sixteenFunction } from './names.ts'
import { emitNumber } from './numbers.ts'
import { blockElements, blockRows, hasNarrowColumns, putAside, shortestBlock, smallestOfProducts } from './sums.ts'

/**
 * Rows that a loop goes through side by side where numbers belong to columns: each is then fetched once for so many rows, as are
 * sums of columns. The rows lie a part of the slice apart, so that every one of them goes on where the one before it ended.
 */
const rowsAtOnce = 4

/** Shorter rows go one by one: what belongs to their columns stays in the nearest cache. */
const shortestSideBySide = 256

/**
 * Elements that turns of loops without rows read ahead, a page of memory: a processor that is busy between two lines does not come to
 * wait for the next page early enough. Rows side by side lose by it.
 */
const aheadElements = 1024

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
  /** What rows side by side have of their own: sums of a block, and of the row. */
  readonly ofRows: readonly (Pick<Accumulator, 'narrow' | 'wide' | 'single'> & { readonly first: Local })[]
}

/** Whether blocks are summed in float32 first, and again in float64 where that will not do. */
export function isTakenAgain(loop: Loop, reduction: LoopReduction): boolean {
  if (loop.elementwise || reduction.reduction === 'maximum') return false
  return reduction.over !== 'column' || hasNarrowColumns(loop, reduction)
}

/** How many rows a loop takes at once where they are long. */
export function rowsTogether(loop: Loop): number {
  return goesSideBySide(loop) ? rowsAtOnce : 1
}

/** Whether a loop can take several rows at once, and has numbers that belong to columns. */
function goesSideBySide(loop: Loop): boolean {
  const { body, reductions, view, elementwise, staged } = loop
  if (!view || elementwise || staged || putAside(loop).length > 0) return false
  if (body.some(({ operation }) => operation === 'random') || isSlow(loop)) return false
  const broadcasts = body.filter((instruction) => instruction.operation === 'broadcast')
  const ofColumns = broadcasts.filter(({ own }) => own.column)
  if (ofColumns.some(({ own }) => own.row)) return false
  const simple = reductions.every((each) =>
    each.over === 'column'
      ? hasNarrowColumns(loop, each)
      : each.reduction === 'sum' && choiceOf(loop, each) === undefined,
  )
  return simple && (ofColumns.length > 0 || reductions.some(({ over }) => over === 'column'))
}

/** One of the rows that go side by side. */
interface RowAmongOthers {
  readonly index: number
  readonly pointers: ReadonlyMap<number, Local>
  /** The numbers of the row. */
  readonly vectors: ReadonlyMap<number, Local>
  /** What all rows read and add of the columns, by register and by reduction, for each vector of a turn. */
  readonly columns: Map<number, Local[]>
  readonly sums: Map<Accumulator, Local[]>
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

/** The row that a loop is in; in the loop itself also the end of the slice's rows, and the slice. */
export type RowPlace = Readonly<Record<'batch' | 'row' | 'rows' | 'columns', Local>> & {
  readonly rowEnd?: Local
  readonly slice?: Local
}

type Broadcast = Extract<Instruction, { readonly operation: 'broadcast' }>
type Draw = Extract<Instruction, { readonly operation: 'random' }>

/** Writes the function of any loop. */
export class GatheringLoopGenerator extends LoopGenerator {
  private readonly rowPointers = new Map<number, Local>()
  private readonly streams = new Map<number, readonly Local[]>()
  /** The numbers of a turn by the register of the draw. */
  private readonly draws = new Map<number, readonly Local[]>()
  private readonly accumulators: Accumulator[]
  /** The sums that a second turn over a block takes, with the arrays that hold their summands. */
  private readonly swept = new Map<Accumulator, readonly number[]>()
  /** The element behind those that remain, where blocks are summed. */
  private readonly end: Local | undefined
  /** The element that a block begins with. */
  private readonly begin: Local
  /** The row that a loop is in, where it follows rows. */
  private place: RowPlace | undefined
  /** Reductions whose blocks are summed in float32. */
  private readonly sums: readonly Accumulator[]
  private readonly position: Local | undefined
  /** Whether rows go side by side, and which of them is written, with what it has of its own. */
  private readonly sideBySide: boolean
  private current: RowAmongOthers | undefined
  /** Turns read ahead while more elements than these remain behind them. */
  private readonly nearEnd: Local | undefined
  protected readonly index: number
  /** Whether a reduction is computed again for one block, in float64. */
  protected readonly again: boolean

  constructor(plan: Plan, layout: EntryLayout, loop: Loop, index: number, name: string, again = false) {
    const aside = putAside(loop).map((register) => ({ array: toAside(register), register }))
    const columns = loop.reductions.every(({ over }) => over === 'column')
    super(plan, layout, { ...loop, stores: [...loop.stores, ...aside] }, name, again && !columns ? ['f64'] : [])
    this.index = index
    this.again = again
    const steady = !again && !loop.view && !loop.elementwise && !loop.staged
    this.nearEnd = steady && readsAhead(plan) ? this.f.local('i32') : undefined
    const positioned = loop.elementwise || loop.body.some(({ operation }) => operation === 'random')
    this.position = positioned ? this.f.local('i32') : undefined
    this.sideBySide = !again && goesSideBySide(loop)
    this.accumulators = loop.reductions.map((reduction, position) => {
      const column = reduction.over === 'column'
      const choice = column || loop.elementwise ? undefined : choiceOf(loop, reduction)
      const [wide, single] = [this.f.local('v128'), this.f.local('f64')]
      const own = reduction.over === 'row'
      const ofRows = Array.from({ length: this.sideBySide && !column ? rowsAtOnce : 0 }, () => ({
        narrow: this.f.local('v128'),
        first: this.f.local('v128'),
        wide: own ? this.f.local('v128') : wide,
        single: own ? this.f.local('f64') : single,
      }))
      return {
        reduction,
        index: position,
        narrow: this.f.local('v128'),
        wide,
        single,
        pair: [this.f.local('v128'), this.f.local('v128')],
        choice,
        squares: again ? undefined : squaresOf(loop, choice),
        pointer: column ? this.f.local('i32') : undefined,
        narrowColumns: !again && hasNarrowColumns(loop, reduction),
        partial: this.f.local('i32'),
        base: this.f.local('i32'),
        ofRows,
      }
    })
    this.sums = this.accumulators.filter(
      ({ reduction }) => reduction.over !== 'column' && reduction.reduction === 'sum' && !loop.elementwise && !again,
    )
    this.end = this.sums.length > 0 ? this.f.local('i32') : undefined
    this.begin = this.sums.length > 0 ? this.f.local('i32') : this.first
    const summed = this.sums.filter(({ squares }) => !squares)
    const arrays = summed.map((accumulator) => this.arraysAfter(accumulator))
    // Beside roots and quotients, which a processor waits for, sums are in the way.
    if (isSlow(loop) && arrays.every((found) => found !== undefined))
      summed.forEach((accumulator, index) => void this.swept.set(accumulator, arrays[index]!))
    for (const accumulator of this.accumulators) for (const register of this.gathered(accumulator)) this.need(register)
  }

  override generate(): FunctionBuilder {
    this.loadScalars()
    this.startAhead()
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

  protected override loadBefore(instruction: Instruction, register: number): void {
    if (instruction.operation === 'random') this.loadStream(instruction, register)
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

  protected override startPointers(start: Local): void {
    super.startPointers(start)
    if (this.position) this.f.get(start).set(this.position)
  }

  protected override startPointer(array: number, pointer: Local, start: Local): void {
    if (isAside(array)) this.startAside(array)
    else super.startPointer(array, pointer, start)
  }

  /** What is put aside begins anew with every block. */
  private startAside(array: number): void {
    this.word({ kind: 'aside', loop: this.index, register: asideRegister(array) })
      .get(this.chunk)
      .i32(4 * blockElements)
      .op('i32.mul', 'i32.add')
      .set(this.pointers.get(array)!)
  }

  protected override beginAt(from: Local, to: Local): void {
    if (this.end) this.f.get(to).set(this.end)
    else super.beginAt(from, to)
  }

  private nested(): void {
    const { f, index } = this
    const names = ['rows', 'columns', 'perSlice', 'slices', 'slice', 'batch', 'row', 'rowEnd', 'block'] as const
    const local = locals(f, names)
    const narrowColumns = this.accumulators.filter((accumulator) => accumulator.narrowColumns)
    const settle = (behind: readonly (Local | undefined)[]) => {
      for (const accumulator of narrowColumns) this.settleColumns(accumulator, local, behind)
      f.get(local.row).set(local.block)
    }
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
          if (this.sideBySide) this.rowsSideBySide(local, settle)
          f.get(local.row).set(local.block)
          f.get(local.row)
            .get(local.rowEnd)
            .op('i32.lt_u')
            .if(() => {
              f.loop(() => {
                this.row(local)
                this.nextRow(local, local.rowEnd, () => settle([undefined]))
              })
            })
          f.get(local.slice).i32(1).op('i32.add').tee(local.slice).get(this.last).op('i32.lt_u').branchIf(0)
        })
      })
  }

  /** Goes through the rows of a slice that can go side by side, and leaves the first of those that are left. */
  private rowsSideBySide(
    local: RowPlace & { readonly rowEnd: Local; readonly block: Local },
    settle: (behind: readonly (Local | undefined)[]) => void,
  ): void {
    const { f } = this
    const { apart, end, ...others } = locals(f, ['apart', 'end', 'second', 'third', 'fourth'])
    const behind = [others.second, others.third, others.fourth]
    f.get(local.rowEnd).get(local.row).op('i32.sub').i32(2).op('i32.shr_u').tee(apart)
    f.i32(0).op('i32.ne').get(local.columns).i32(shortestSideBySide).op('i32.ge_u', 'i32.and')
    f.if(() => {
      f.get(local.row).set(local.block)
      f.get(local.row).get(apart).op('i32.add').set(end)
      behind.forEach((rows, index) => {
        f.get(apart)
          .i32(index + 1)
          .op('i32.mul')
          .set(rows)
      })
      f.loop(() => {
        this.takeRows(local, behind)
        this.nextRow(local, end, () => settle([undefined, ...behind]))
      })
      f.get(local.row).get(others.fourth).op('i32.add').set(local.row)
    })
  }

  /** Goes on to the next row of the loop around, up to an end; sums of columns are settled behind a block of rows and at the end. */
  private nextRow(local: { readonly row: Local; readonly block: Local }, end: Local, settle: () => void): void {
    const { f } = this
    f.get(local.row).i32(1).op('i32.add').set(local.row)
    if (this.accumulators.some(({ narrowColumns }) => narrowColumns)) {
      f.get(local.row).get(local.block).op('i32.sub').i32(blockRows).op('i32.eq')
      f.get(local.row).get(end).op('i32.eq', 'i32.or').if(settle)
    }
    f.get(local.row).get(end).op('i32.lt_u').branchIf(0)
  }

  /** Goes through four rows side by side: the one that the loop is in, and those that lie so many rows behind it. */
  private takeRows(local: RowPlace, behind: readonly Local[]): void {
    const { f, remaining } = this
    const { start, far } = locals(f, ['start', 'far'])
    this.place = local
    for (const { reduction, ofRows } of this.accumulators) {
      if (reduction.over !== 'row') continue
      for (const { wide, single } of ofRows) f.zeroVector().set(wide).f64(0).set(single)
    }
    const numbers = [undefined, ...behind].map((rows) => this.numbersOfRow(local, rows))
    this.startOfRow(local).set(start)
    f.get(behind[0]!).get(local.columns).op('i32.mul').i32(4).op('i32.mul').set(far)
    f.get(local.columns).set(remaining)
    const turn = () => this.turnOfRows(far, numbers)
    if (this.end) {
      f.get(start).get(local.columns).op('i32.add').set(this.end)
      this.inBlocks(turn, (begin, rest) => this.addBlocksOfRows(begin, rest, local.columns, behind))
    } else {
      this.moveTo(start)
      whileLeft(f, remaining, 4 * unroll, () => {
        turn()
        this.advance(4 * unroll)
      })
    }
    this.finishRows(local, behind[0]!)
  }

  /** What is left of rows that went side by side, one row after the other. */
  private finishRows(local: RowPlace, apart: Local): void {
    const { f, remaining } = this
    const { row, left, count, start, at } = locals(f, ['row', 'left', 'count', 'start', 'at'])
    const place = { ...local, row }
    const sumsOfRows = this.accumulators.filter(({ reduction }) => reduction.over === 'row')
    f.get(remaining).set(left)
    if (sumsOfRows.length === 0) f.get(left)
    else f.i32(1)
    f.if(() => {
      f.get(local.row).set(row).i32(0).set(count)
      this.place = place
      f.loop(() => {
        this.startOfRow(place).set(start)
        f.get(left).set(remaining)
        for (const { wide, single, ofRows } of sumsOfRows) {
          f.get(ofRows[0]!.wide).set(wide).get(ofRows[0]!.single).set(single)
        }
        if (this.end) f.get(start).get(place.columns).op('i32.add').set(this.end)
        else {
          f.get(start).get(place.columns).op('i32.add').get(left).op('i32.sub').set(at)
          this.moveTo(at)
        }
        this.runRest()
        this.storeRow(place)
        for (const { ofRows } of sumsOfRows) {
          for (const [index, { wide, single }] of ofRows.slice(1).entries()) {
            f.get(wide).set(ofRows[index]!.wide).get(single).set(ofRows[index]!.single)
          }
        }
        f.get(row).get(apart).op('i32.add').set(row)
        f.get(count).i32(1).op('i32.add').tee(count).i32(rowsAtOnce).op('i32.lt_u').branchIf(0)
      })
    })
  }

  /** Adds the float32 sums of a block of each of the rows that go side by side. */
  private addBlocksOfRows(begin: Local, rest: Local, columns: Local, behind: readonly Local[]): void {
    const { f } = this
    for (const [index, rows] of [undefined, ...behind].entries()) {
      const own = this.sums.map((accumulator) => ({ ...accumulator, ...accumulator.ofRows[index]! }))
      const checked = own.map((accumulator) => this.check(accumulator, begin, this.end!))
      const skip = () => {
        if (rows) f.get(rows).get(columns).op('i32.mul', 'i32.add')
      }
      own.forEach((accumulator, position) => {
        this.addBlock(accumulator, checked[position]!, () => {
          f.get(begin)
          skip()
          f.get(this.end!).get(rest).op('i32.sub')
          skip()
        })
      })
    }
  }

  /** The numbers that belong to a row so many rows behind the one that the loop is in, by their registers. */
  private numbersOfRow(local: RowPlace, behind: Local | undefined): ReadonlyMap<number, Local> {
    const { f } = this
    const row = behind ? f.local('i32') : local.row
    if (behind) f.get(local.row).get(behind).op('i32.add').set(row)
    const numbers = new Map<number, Local>()
    this.loop.body.forEach((instruction, register) => {
      if (instruction.operation !== 'broadcast' || instruction.own.column) return
      const vector = f.local('v128')
      this.placeOfBroadcast(instruction, { ...local, row })
      f.at('f32.load').op('f32x4.splat').set(vector)
      numbers.set(register, vector)
    })
    return numbers
  }

  /** Sixteen elements of each of the rows that go side by side. */
  private turnOfRows(far: Local, numbers: readonly ReadonlyMap<number, Local>[]): void {
    const { f } = this
    const columns = new Map<number, Local[]>()
    const sums = new Map<Accumulator, Local[]>()
    let pointers: ReadonlyMap<number, Local> = this.pointers
    const rows = numbers.map((vectors, index) => {
      if (index > 0) {
        pointers = new Map(
          [...pointers].map(([array, pointer]) => {
            const next = f.local('i32')
            f.get(pointer).get(far).op('i32.add').set(next)
            return [array, next]
          }),
        )
      }
      return { index, pointers, vectors, columns, sums }
    })
    for (let lane = 0; lane < unroll; lane++) {
      for (const row of rows) {
        this.current = row
        const values: Local[] = []
        for (const part of this.parts) this.vectorPart(part, values, lane, true)
      }
    }
    this.current = undefined
  }

  /** The first chunk reads nothing ahead, as a small tensor, which may lie in the caches, has no other. */
  private startAhead(): void {
    const { f, nearEnd, first } = this
    if (nearEnd) f.i32(aheadElements).i32(-1).get(first).op('select').set(nearEnd)
  }

  /** A turn that reads ahead too. */
  private turnAhead(): void {
    const { f, pointers } = this
    this.turn()
    for (const [array, pointer] of pointers) {
      if (!isAside(array))
        f.get(pointer)
          .at('i32.load', 4 * aheadElements)
          .drop()
    }
  }

  /** Runs turns while more elements remain than a local says. */
  private turnsDownTo(rest: Local, turn: () => void): void {
    const { f, remaining } = this
    const elements = 4 * unroll
    f.loop(() => {
      turn()
      this.advance(elements)
      f.get(remaining).i32(elements).op('i32.sub').tee(remaining).get(rest).op('i32.gt_u').branchIf(0)
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

  /**
   * Adds the float32 sums of a block of rows to the float64 sums of the slice, or computes them again; then starts anew.
   * @param behind how many rows behind the block the others lie that go with it, itself first.
   */
  private settleColumns(
    accumulator: Accumulator,
    local: RowPlace & { readonly block: Local },
    behind: readonly (Local | undefined)[],
  ) {
    const { f } = this
    const { reduction, index, base, partial } = accumulator
    const maximum = reduction.reduction === 'maximum'
    const [at, to, end] = [f.local('i32'), f.local('i32'), f.local('i32')]
    const [notFinite, value] = [f.local('v128'), f.local('v128')]
    const start = () => f.get(partial).set(to).get(base).tee(at)
    const element = (row: Local, rows: Local | undefined) => {
      f.get(local.batch).get(local.rows).op('i32.mul').get(row).op('i32.add')
      if (rows) f.get(rows).op('i32.add')
      f.get(local.columns).op('i32.mul')
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
          for (const rows of behind) {
            f.get(this.entry)
            element(local.block, rows)
            element(local.row, rows)
            f.get(partial).callHelper(againName(f.name, index))
          }
          f.op('else')
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
    this.startOfRow(local).set(start).get(local.columns).set(this.remaining)
    this.beginRow(start, local)
    if (this.end) f.get(start).get(local.columns).op('i32.add').set(this.end)
    else this.moveTo(start)
    this.runElements()
    this.endRow(start, local)
    this.storeRow(local)
  }

  /** Leaves the first element of a row. */
  private startOfRow({ batch, rows, row, columns }: RowPlace): FunctionBuilder {
    return this.f.get(batch).get(rows).op('i32.mul').get(row).op('i32.add').get(columns).op('i32.mul')
  }

  /** Stores the sums and maxima of a row. */
  private storeRow(local: RowPlace): void {
    const { f } = this
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
  private startBroadcast(instruction: Broadcast, register: number, local: RowPlace): void {
    const { f } = this
    this.placeOfBroadcast(instruction, local)
    if (instruction.own.column) {
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

  /** Leaves where the part of a broadcast operand begins that belongs to a row. */
  private placeOfBroadcast({ array, own }: Broadcast, local: RowPlace): void {
    const { f } = this
    this.word({ kind: 'array', array })
    if (!own.batch && !own.row) return
    if (own.batch) {
      f.get(local.batch)
      if (own.row) f.get(local.rows).op('i32.mul')
    }
    if (own.row) f.get(local.row)
    if (own.batch && own.row) f.op('i32.add')
    if (own.column) f.get(local.columns).op('i32.mul')
    f.i32(4).op('i32.mul', 'i32.add')
  }

  protected override runElements(): void {
    if (this.loop.elementwise) {
      this.repeat(1, () => this.singleBody())
      return
    }
    const { f, end, remaining, nearEnd } = this
    if (end) this.runBlocks(end)
    else if (!this.again) {
      if (nearEnd) {
        f.get(remaining)
          .get(nearEnd)
          .op('i32.gt_u')
          .if(() => this.turnsDownTo(nearEnd, () => this.turnAhead()))
      }
      this.repeat(4 * unroll, () => this.turn())
    }
    this.runRest()
  }

  protected override runRest(): void {
    if (this.end) {
      this.f.get(this.end).get(this.remaining).op('i32.sub').set(this.begin)
      this.moveTo(this.begin)
    }
    super.runRest()
  }

  private runBlocks(end: Local): void {
    const { f, sums } = this
    const turn = () => this.turn()
    this.inBlocks(turn, (begin, rest, whole) => {
      if (this.swept.size > 0) this.sweep(begin, rest, whole)
      const checked = sums.map((accumulator) => this.check(accumulator, begin, end))
      sums.forEach((accumulator, position) => {
        this.addBlock(accumulator, checked[position]!, () => f.get(begin).get(end).get(rest).op('i32.sub'))
      })
    })
  }

  /**
   * Runs the turns in blocks, whose float32 sums are added to the float64 sums at their ends. What lives while a function is
   * called is written to the stack wherever it changes: so nothing that changes in a turn does.
   */
  private inBlocks(turn: () => void, add: (begin: Local, rest: Local, whole: Local) => void): void {
    const { f, remaining, sums, begin, end, nearEnd } = this
    const [rest, whole] = [f.local('i32'), f.local('i32')]
    const elements = 4 * unroll
    f.get(remaining)
      .i32(shortestBlock)
      .op('i32.ge_u')
      .if(() => {
        f.loop(() => {
          f.get(remaining).get(remaining).i32(-elements).op('i32.and').tee(whole).i32(blockElements)
          f.get(whole).i32(blockElements).op('i32.lt_u', 'select', 'i32.sub').set(rest)
          f.get(end!).get(remaining).op('i32.sub').set(begin)
          this.moveTo(begin)
          for (const { narrow, ofRows } of sums)
            for (const each of [{ narrow }, ...ofRows]) f.zeroVector().set(each.narrow)
          if (nearEnd) {
            f.get(rest)
              .get(nearEnd)
              .op('i32.gt_u')
              .if(() => {
                this.turnsDownTo(rest, () => this.turnAhead())
                f.op('else')
                this.turnsDownTo(rest, turn)
              })
          } else this.turnsDownTo(rest, turn)
          f.get(rest).set(remaining)
          add(begin, rest, whole)
          f.get(remaining).i32(shortestBlock).op('i32.ge_u').branchIf(0)
        })
      })
  }

  /** Adds the sum of a block, or the sum that its elements have in float64, of which `bounds` leaves the first and the end. */
  private addBlock(
    { index, wide, single }: Pick<Accumulator, 'index' | 'wide' | 'single'>,
    { bad, halves }: ReturnType<GatheringLoopGenerator['check']>,
    bounds: () => void,
  ): void {
    const { f } = this
    f.get(bad).if(() => {
      f.get(single).get(this.entry)
      bounds()
      f.get(this.chunk).callHelper(againName(f.name, index)).op('f64.add').set(single).op('else')
      f.get(wide).get(halves).op('f64x2.add').set(wide)
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

  protected override advance(elements: number): void {
    super.advance(elements)
    for (const pointer of this.rowPointers.values()) this.move(pointer, 4 * elements)
    for (const { pointer, narrowColumns } of this.accumulators) {
      if (pointer) this.move(pointer, (narrowColumns ? 4 : 8) * elements)
    }
    if (this.position) this.move(this.position, elements)
  }

  protected override gather(part: Part, values: readonly Local[], lane: number, ofSixteen: boolean): void {
    for (const index of part.reductions) {
      const accumulator = this.accumulators[index]!
      const registers = ofSixteen ? this.gathered(accumulator) : accumulator.reduction.registers
      if (registers.length === 0) continue
      const inputs = registers.map((register) => values[register]!)
      this.accumulateVector(accumulator, inputs, lane, ofSixteen)
    }
  }

  /** The registers that a turn reads for a reduction: none where a sum of squares will tell. */
  private gathered(accumulator: Accumulator): readonly number[] {
    const { choice, squares, reduction } = accumulator
    return squares || this.swept.has(accumulator) ? [] : choice ? choice.slice(0, 1) : reduction.registers
  }

  protected override drawn(draw: Instruction, register: number, lane: number, ofSixteen: boolean): Local | undefined {
    if (draw.operation !== 'random' || !ofSixteen || this.loop.view) return undefined
    if (lane === 0) this.draws.set(register, this.drawSixteen(draw, register))
    return this.draws.get(register)![lane]
  }

  protected override gatheringVector(instruction: Instruction, register: number, lane: number): void {
    if (instruction.operation === 'broadcast') this.f.get(this.rowPointers.get(register)!).at('v128.load', 16 * lane)
    else if (instruction.operation === 'random') this.drawRandom(instruction, register, 4 * lane)
    else super.gatheringVector(instruction, register, lane)
  }

  protected override pointerTo(array: number): Local {
    return this.current?.pointers.get(array) ?? super.pointerTo(array)
  }

  protected override known(register: number, lane: number): Local | undefined {
    const { current } = this
    return current?.vectors.get(register) ?? super.known(register, lane) ?? current?.columns.get(register)?.[lane]
  }

  protected override vectorValue(register: number, values: readonly Local[], lane: number, ofSixteen: boolean): Local {
    const value = super.vectorValue(register, values, lane, ofSixteen)
    const instruction = this.loop.body[register]!
    if (this.current && instruction.operation === 'broadcast' && instruction.own.column) {
      const vectors = this.current.columns.get(register) ?? []
      vectors[lane] = value
      this.current.columns.set(register, vectors)
    }
    return value
  }

  private accumulateVector(accumulator: Accumulator, inputs: readonly Local[], lane: number, ofSixteen: boolean): void {
    const { f } = this
    const { reduction, wide, pair, choice, pointer, narrowColumns } = accumulator
    const own = this.current && accumulator.ofRows[this.current.index]
    const { narrow } = own ?? accumulator
    const maximum = reduction.reduction === 'maximum'
    const combine = () => this.combine(maximum)
    const value = () => {
      f.get(inputs[0]!)
      if (inputs.length === 2) f.get(inputs[1]!).op('f32x4.mul')
    }
    if (pointer) {
      if (narrowColumns) {
        const column = this.current && this.inColumn(accumulator, value, combine, lane)
        if (this.current && this.current.index < rowsAtOnce - 1) return
        f.get(pointer)
          .get(pointer)
          .at('v128.load', 16 * lane)
        if (column) f.get(column)
        else value()
        combine().at('v128.store', 16 * lane)
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
      if (own) {
        // One vector of each row after the other: what is added up within the turn has to be held for four rows.
        const { first } = own
        if (lane === unroll - 1) f.get(narrow)
        if (lane > 0) f.get(first)
        value()
        if (lane > 0) combine()
        if (lane === unroll - 1) combine().set(narrow)
        else f.set(first)
        return
      }
      const [first, second] = pair
      if (lane === 1) f.get(first)
      if (lane === 3) f.get(narrow).get(first).get(second)
      value()
      if (lane === 1) combine()
      if (lane < 3) f.set(lane === 2 ? second : first)
      else {
        combine()
        combine()
        combine().set(narrow)
      }
    } else if (maximum) {
      f.get(narrow)
      value()
      combine().set(narrow)
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

  /**
   * Adds the two vectors on the stack, or takes the larger number of each lane, or none where one of them is none. The instruction
   * for the latter is eight of a processor, because it also tells 0 from -0.
   */
  private combine(maximum: boolean): FunctionBuilder {
    const { f } = this
    if (!maximum) return f.op('f32x4.add')
    const second = f.local('v128')
    // Of what is not a number the first stays; comparing the second with itself finds it there, and leaves one that is none.
    return f.tee(second).op('f32x4.pmax').get(second).get(second).op('f32x4.ne', 'v128.or')
  }

  /** Adds a row's vector to those of the rows that go side by side with it. */
  private inColumn(accumulator: Accumulator, value: () => void, combine: () => void, lane: number): Local {
    const { f } = this
    const { sums } = this.current!
    const known = sums.get(accumulator) ?? []
    sums.set(accumulator, known)
    const before = known[lane]
    const sum = before ?? f.local('v128')
    known[lane] = sum
    if (before) f.get(before)
    value()
    if (before) combine()
    f.set(sum)
    return sum
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

  protected override gatheringSingle(instruction: Gathering, register: number): void {
    const { f } = this
    if (instruction.operation === 'broadcast') this.singleBroadcast(instruction, register)
    else if (instruction.operation === 'random') {
      this.drawRandom(instruction, register, 0)
      f.extract('f32x4', 0)
    } else if (instruction.operation === 'index') f.get(this.position!).op('f32.convert_i32_u')
    else f.get(this.position!).i32(instruction.period).op('i32.rem_u', 'i32.eqz')
  }

  protected override gatherSingle(values: readonly Local[]): void {
    const { f } = this
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
