/** Lays out what plans need that do more than pass over arrays: reductions, rows, matrix functions, scratch, numbers of their own. */

import { type Dimensions, sizeOf } from '../../graph/node.ts'
import { placeScratch, type ScratchNeed, type ScratchPlace } from '../../plan/place-scratch.ts'
import { dimensionsOf, elementsOf, type Plan, type RoutineCall, type Sizes, type Stage } from '../../plan/plan.ts'
import { sharedKeys } from '../../plan/schedule.ts'
import type { Program } from '../../program/program.ts'
import type { RoutineName } from '../../routines/table.ts'
import { workspaces } from '../../routines/workspaces.ts'
import { bytesOf, provided } from '../../storage/provided.ts'
import { type BuilderSettings, InstanceBuilder, type Placed } from './builder.ts'
import type { EntryLayout, EntryWord } from './entry.ts'
import { GatheringEntryLayout } from './gathering-entry.ts'
import {
  chunkElements,
  type Items,
  itemCount,
  oneItem,
  type Prepared,
  type PreparedStage,
  type TensorMemory,
} from './prepared.ts'
import { blockDepth, packingBytes } from './routines/tiles.ts'
import { blockElements, hasNarrowColumns, putAside } from './sums.ts'

/**
 * Rows of a slice of long rows where every slice has sums of its own of all columns, or its rows go side by side: so many,
 * unless the slices would be too few to share among threads.
 */
const columnRows = 64
const columnSlices = 16
const stagedSlices = 8

/** Rows of a matrix product per item of work, when several threads share it; and rows that are too few to share. */
const leastRows = 32
const mostRows = 128
const fewRows = 64

/** Columns of a part of a product of few rows. */
const partColumns = 64

/** Blocks of the inner dimension that are enough to share, and how small a result must be to have one for each of them. */
const manyBlocks = 8
const smallResult = 128 * 128

/** Elements of such results that are added up per item. */
const addedElements = 1024

/** How the work of a product is cut for several threads. However it is cut, the sums are the same. */
function cutOfProduct(
  [batch, rows, inner]: Dimensions,
  columns: number,
  symmetric: boolean,
): { readonly kind: 'rows' | 'columns'; readonly size: number } | { readonly kind: 'inner' } {
  if (batch === 1 && rows * columns <= smallResult && inner >= manyBlocks * blockDepth) return { kind: 'inner' }
  if (batch * rows <= fewRows && !symmetric && columns > partColumns) return { kind: 'columns', size: partColumns }
  // Every item packs the right factor for itself, so there are not many.
  const eighth = 2 * Math.ceil((batch * rows) / 16)
  return { kind: 'rows', size: Math.min(mostRows, Math.max(leastRows, eighth)) }
}

interface RoutineOperand {
  readonly address: number
  readonly dimensions: Dimensions
}

/** Cuts a call of a matrix function into items for its kernel. */
type RoutineWork = (operands: readonly RoutineOperand[], results: readonly RoutineOperand[], kernel: number) => Items[]

/** An address, and how many bytes there are. */
type Room = ScratchPlace & { readonly address: number }

/** Places for scratch, which grow as it is placed: for what waits for a total over all tensors, and for the rest. */
interface Scratch {
  readonly lasting: Room[]
  readonly passing: Room[]
}

/** Lays out the memory of an instance and fills in its entries, for all plans. */
export class GatheringBuilder extends InstanceBuilder {
  private readonly workspaceUsers: number[] = []
  private workspaceBytes = 0
  /** The levels that begin with totals over all tensors. */
  private readonly levelsOfTotals: readonly number[]
  private readonly threads: number
  /** Where scratch of the tensor lies that is being prepared. */
  private scratch: Scratch = { lasting: [], passing: [] }

  constructor(settings: BuilderSettings) {
    super(settings)
    const stages = settings.kernels.plans.flatMap((plan) => plan.stages)
    this.levelsOfTotals = stages.flatMap((stage) => (stage.kind === 'totals' ? [stage.level] : []))
    this.threads = settings.threading?.count ?? 1
  }

  /**
   * Programs of one tensor never run at the same time, so they can use the same scratch memory. One thread works on a tensor after the
   * other, until it needs a total over all of them: so they can too, but for what lasts beyond a total.
   */
  protected override prepareTensors(memories: readonly TensorMemory[]): Map<Program, Prepared>[] {
    const prepared: Map<Program, Prepared>[] = []
    const common: Room[] = []
    // The largest come first, and leave room enough for all others.
    const order = [...this.tensors.entries()].sort(([, a], [, b]) => b.size - a.size)
    for (const [index] of order) {
      const own: Room[] = []
      this.scratch = { lasting: own, passing: this.threading ? own : common }
      prepared[index] = this.prepareTensor(index, memories[index]!)
    }
    return prepared
  }

  protected override entryLayout(plan: Plan): EntryLayout {
    return new GatheringEntryLayout(plan)
  }

  protected override fillWord(word: EntryWord, address: number, placed: Placed): void {
    const { plan, sizes, memory, addresses } = placed
    if (word.kind === 'number') {
      this.words.push({ address, value: memory.numbers.get(word.key) ?? this.shared.get(word.key)! })
    } else if (word.kind === 'total') this.words.push({ address, value: this.total(word.key) })
    else if (word.kind === 'staged') {
      this.staged ??= provided().memory(this.layout, this.words)
      this.staged.place(word, address, plan, sizes, addresses)
    } else super.fillWord(word, address, placed)
  }

  protected override prepareStages(placed: Placed): PreparedStage[] {
    const { plan, memory, table, entry, hostArguments, scalars } = placed
    const loopItems = plan.loops.map((_, loop) => this.loopItems(placed, loop))
    const routineItems = plan.routines.map((call) => {
      const items = this.routineItems(placed, call)
      // A Gram matrix is the product of its operand with itself, so that its entry has it twice.
      const operands = call.routine === 'gram' ? [...call.operands, ...call.operands] : call.operands
      for (const [index, { array }] of operands.entries())
        this.notePointer(plan, memory, array, items[0]!.entry + 4 * index)
      return items
    })
    return plan.stages.map((stage, index) => {
      const kernel = table.stages.get(index)
      if (kernel !== undefined) return { ...orderOf(stage, plan), items: [oneItem(kernel, entry)] }
      if (stage.kind === 'loops') return { ...orderOf(stage, plan), items: stage.loops.map((loop) => loopItems[loop]!) }
      if (stage.kind === 'routines')
        return { ...orderOf(stage, plan), items: stage.routines.flatMap((call) => routineItems[call]!) }
      return { ...orderOf(stage, plan), items: [], totals: totalsOf(stage, plan, hostArguments, scalars) }
    })
  }

  /** Where every array of a plan lies; scratch gets its place here. */
  protected override arrayAddresses(plan: Plan, sizes: Sizes, memory: TensorMemory): number[] {
    const addresses = super.arrayAddresses(plan, sizes, memory)
    const needed: (ScratchNeed & { readonly index: number })[] = []
    plan.arrays.forEach((array, index) => {
      const { extent, storage } = array
      if (array.kind === 'scratch') needed.push({ ...array, index, size: bytesOf(storage, elementsOf(extent, sizes)) })
    })
    const { lasting, passing } = this.scratch
    const placesFor = ({ from, to }: ScratchNeed) =>
      this.levelsOfTotals.some((level) => from < level && level <= to) ? lasting : passing
    const places = placeScratch(needed, placesFor, (size) => ({ address: this.layout.reserveArray(size), size }))
    for (const [{ index }, { address }] of places) addresses[index] = address
    return addresses
  }

  protected override loopItems(placed: Placed, index: number): Items {
    const { plan, sizes, table, layout, entry } = placed
    const loop = plan.loops[index]!
    const fill = (what: EntryWord, ...values: number[]) => {
      for (const [position, value] of values.entries()) {
        this.words.push({ address: entry + layout.offset(what) + 4 * position, value })
      }
    }
    let items: Items
    let slices = 0
    let columns = 0
    if (loop.view) {
      const [batch, rows, own] = dimensionsOf(loop.view, sizes)
      columns = own
      const fitting = Math.floor(chunkElements / Math.max(columns, 1))
      const byColumn =
        loop.reductions.some(({ over }) => over === 'column') ||
        loop.body.some((instruction) => instruction.operation === 'broadcast' && instruction.own.column)
      // Where state takes few bytes, sums of columns must take few too.
      const few = loop.staged ? Math.ceil(rows / stagedSlices) : Math.min(columnRows, Math.ceil(rows / columnSlices))
      const tall = byColumn ? few : 1
      // Chunks of what is kept in blocks must begin with a block.
      const unit = loop.staged ? provided().unit(batch, rows, columns) : { rows: 1, batches: 1 }
      const most = Math.max(1, Math.floor(Math.max(fitting, tall) / unit.rows)) * unit.rows
      const perSlice = Math.max(1, Math.min(rows, most))
      // At least one slice, so that sums over nothing are written too.
      const slicesPerBatch = Math.max(1, Math.ceil(rows / perSlice))
      slices = batch * slicesPerBatch
      const batches = Math.floor(chunkElements / Math.max(1, perSlice * columns) / unit.batches)
      const together = Math.max(1, batches) * unit.batches
      items = { kernel: table.loops[index]!, entry, count: slices, perItem: together }
      fill({ kind: 'geometry', loop: index }, rows, columns, perSlice, slicesPerBatch)
      loop.body.forEach((instruction, position) => {
        if (instruction.operation !== 'broadcast' || !instruction.apart) return
        const { apart } = instruction
        fill({ kind: 'apart', loop: index, position }, sizes[apart.rows]!, sizes[apart.columns]!)
      })
    } else {
      items = super.loopItems(placed, index)
    }
    const parts = itemCount(items)
    loop.reductions.forEach((reduction, position) => {
      const column = reduction.over === 'column'
      const count = column ? slices : parts
      const numbers = column ? slices * columns : count
      fill({ kind: 'partial', loop: index, reduction: position }, this.layout.reserve(8 * numbers), count)
      if (!hasNarrowColumns(loop, reduction)) return
      const padded = 4 * Math.ceil(columns / 4)
      fill({ kind: 'narrow', loop: index, reduction: position }, this.layout.reserve(4 * parts * padded))
    })
    for (const register of putAside(loop)) {
      fill({ kind: 'aside', loop: index, register }, this.layout.reserve(4 * parts * blockElements))
    }
    return items
  }

  private routineItems({ plan, sizes, addresses }: Placed, call: RoutineCall): Items[] {
    const operands = call.operands.map(({ array, extent }) => ({
      address: addresses[array]!,
      dimensions: dimensionsOf(extent, sizes),
    }))
    const results = call.results.map((array) => ({
      address: addresses[array]!,
      dimensions: dimensionsOf(plan.arrays[array]!.extent, sizes),
    }))
    const kernel = this.kernels.library.routines[call.routine]!
    const work = this.routineWork[call.routine]
    return work ? work(operands, results, kernel) : this.batchedItems(call.routine, operands, results, kernel)
  }

  /** How the work of matrix functions is cut into items that have kernels of their own kind. */
  private readonly routineWork: Readonly<Partial<Record<RoutineName, RoutineWork>>> = {
    transposition: ([operand], [result], kernel) => {
      const [batch, columns, rows] = operand!.dimensions
      return this.rowItems(operand!.address, result!.address, [batch, rows, columns], kernel)
    },
    reversal: ([operand], [result], kernel) =>
      this.rowItems(operand!.address, result!.address, operand!.dimensions, kernel),
    gram: ([operand], [result], kernel) =>
      this.productItems([operand!, operand!], result!.address, operand!.dimensions[1], kernel, true),
    symmetricProduct: ([left, right], [result], kernel) =>
      this.productItems([left!, right!], result!.address, left!.dimensions[1], kernel, true),
    product: ([left, right], [result], kernel) =>
      this.productItems([left!, right!], result!.address, right!.dimensions[2], kernel),
    resized: ([operand], [result], kernel) => {
      const sizes = [sizeOf(operand!.dimensions), sizeOf(result!.dimensions)]
      const entry = this.entry([operand!.address, result!.address, ...sizes])
      return [oneItem(kernel, entry)]
    },
  }

  /** Rows of the result, some to each item. */
  private rowItems(from: number, to: number, [batch, rows, columns]: Dimensions, kernel: number): Items[] {
    const entry = this.entry([from, to, rows, columns])
    const perItem = this.threads > 1 ? Math.max(1, Math.floor(chunkElements / Math.max(columns, 1))) : batch * rows
    return [{ kernel, entry, count: batch * rows, perItem }]
  }

  /** One matrix of the batch after the other, side by side where there are several threads. */
  private batchedItems(
    routine: RoutineName,
    operands: readonly RoutineOperand[],
    results: readonly RoutineOperand[],
    kernel: number,
  ): Items[] {
    const dimensions = operands.map((operand) => operand.dimensions)
    const [batch] = dimensions[0]!
    const asked = results[0]!.dimensions
    // Only kernels of functions that are `sized` look at what is asked.
    const shapes = [...dimensions, asked]
    const addresses = [...operands, ...results].map(({ address }) => address)
    const sides = shapes.flatMap(([, rows, columns]) => [rows, columns])
    const entry = this.entry([...addresses, 0, 0, ...sides])
    this.noteWorkspace(entry + 4 * addresses.length, 8 * workspaces[routine](dimensions, asked))
    return [{ kernel, entry, count: batch, perItem: this.threads > 1 ? 1 : batch }]
  }

  /** Two words of an entry are to say where the first thread has so many bytes to work with, and how far behind the next has its own. */
  private noteWorkspace(user: number, bytes: number): void {
    this.workspaceUsers.push(user)
    this.workspaceBytes = Math.max(this.workspaceBytes, bytes)
  }

  /** A thread runs one kernel at a time, so all kernels share what it has to work with. */
  protected override reserveWork(): void {
    this.reserveWorkspaces()
    this.staged?.reserve(this.threads)
  }

  private reserveWorkspaces(): void {
    if (this.workspaceUsers.length === 0) return
    const bytes = 64 * Math.ceil(this.workspaceBytes / 64)
    const address = this.layout.reserve(bytes * this.threads, 64)
    for (const user of this.workspaceUsers) {
      this.words.push({ address: user, value: address }, { address: user + 4, value: bytes })
    }
  }

  private productItems(
    [left, right]: readonly [RoutineOperand, RoutineOperand],
    result: number,
    columns: number,
    kernel: number,
    symmetric = false,
  ): Items[] {
    const [batch, rows, inner] = left.dimensions
    const total = batch * rows
    const cut =
      this.threads > 1 ? cutOfProduct(left.dimensions, columns, symmetric) : { kind: 'rows' as const, size: total }
    const blocks = Math.ceil(inner / blockDepth)
    const bytes = cut.kind === 'inner' ? 64 * Math.ceil((4 * rows * columns) / 64) : 0
    const parts = this.layout.reserve(bytes * blocks, 64)
    const place = bytes > 0 ? parts : result
    const columnsOfPart = cut.kind === 'columns' ? cut.size : columns
    const rowsOfParts = cut.kind === 'rows' ? 0 : total
    const parted = [columnsOfPart, bytes, rowsOfParts]
    const entry = this.entry([left.address, right.address, place, rows, inner, columns, 0, 0, ...parted])
    this.noteWorkspace(entry + 24, packingBytes)
    const items = (count: number, perItem: number): Items => ({ kernel, entry, count, perItem })
    if (cut.kind === 'rows') return [items(total, cut.size)]
    if (cut.kind === 'columns') return [items(Math.ceil(columns / cut.size), 1)]
    // Nothing is known of a left factor at 0: the results of parts are added up.
    const adding = this.entry([0, parts, result, blocks, bytes, 0, 0, 0, 0, 0, 0])
    return [items(blocks, 1), { kernel, entry: adding, count: rows * columns, perItem: addedElements, waits: true }]
  }

  private entry(values: readonly number[]): number {
    const address = this.layout.reserve(4 * values.length)
    for (const [index, value] of values.entries()) this.words.push({ address: address + 4 * index, value })
    return address
  }

  private total(key: string): number {
    const known = this.totals.get(key)
    if (known !== undefined) return known
    const address = this.layout.reserve(8)
    this.totals.set(key, address)
    return address
  }
}

/** When a stage's turn is, and what it shares with those of other tensors. */
function orderOf(stage: Stage, plan: Plan): Omit<PreparedStage, 'items'> {
  if (stage.kind === 'scalars') return { kind: stage.kind, level: stage.level, beforeTotals: stage.beforeTotals }
  if (stage.kind !== 'commit') return { kind: stage.kind, level: stage.level }
  return { kind: stage.kind, shared: stage.shared, ...(stage.shared ? { keys: sharedKeys(plan, stage) } : {}) }
}

/** A tensor's parts of the totals that a stage adds up. */
function totalsOf(
  stage: Stage,
  plan: Plan,
  hostArguments: number,
  scalars: number,
): NonNullable<PreparedStage['totals']> {
  const known = stage.kind === 'totals' ? stage.scalars.map((index) => plan.scalars[index]!) : []
  return known.flatMap((scalar) => {
    if (scalar.kind !== 'total') return []
    const { key, reduction, part } = scalar
    return [{ key, reduction, address: (part.kind === 'argument' ? hostArguments : scalars) + 8 * part.index }]
  })
}
