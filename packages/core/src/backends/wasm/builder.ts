import { type Dimensions, sizeOf } from '../../graph/node.ts'
import { placeScratch, type ScratchNeed, type ScratchPlace } from '../../plan/place-scratch.ts'
import {
  dimensionsOf,
  elementsOf,
  type Loop,
  type Plan,
  type RoutineCall,
  type Sizes,
  type Stage,
} from '../../plan/plan.ts'
import { sharedKeys } from '../../plan/schedule.ts'
import { HostEvaluator } from '../../program/host.ts'
import type { Program } from '../../program/program.ts'
import type { RoutineName } from '../../routines/table.ts'
import { workspaces } from '../../routines/workspaces.ts'
import { bytesOf, provided } from '../../storage/provided.ts'
import type { StorageName } from '../../storage/storage.ts'
import { arrayInputs, type BackendTensor, programsOfTensor } from '../backend.ts'
import type { ProgramForm } from '../forms.ts'
import { EntryLayout, type EntryWord } from './entry.ts'
import type { WasmInstance } from './instance.ts'
import { fill, finish } from './instantiate.ts'
import type { KernelSet } from './kernels.ts'
import { control, itemBytes } from './library.ts'
import { MemoryLayout } from './memory.ts'
import {
  chunkElements,
  type Items,
  itemCount,
  type LaidOut,
  type ListRegions,
  oneItem,
  type Prepared,
  type PreparedStage,
  type TensorMemory,
} from './prepared.ts'
import { blockDepth, packingBytes } from './routines/tiles.ts'
import type { StagedMemory } from './staged-word.ts'
import { room } from './staging.ts'
import { blockElements, hasNarrowColumns, putAside } from './sums.ts'
import type { Threading } from './threads.ts'

export interface BuilderSettings {
  readonly tensors: readonly BackendTensor[]
  readonly forms: ReadonlyMap<Program, ProgramForm>
  readonly kernels: Omit<KernelSet, 'module'>
  /** Absent for one thread. */
  readonly threading?: Threading | undefined
  readonly layout?: MemoryLayout
  /** True when parameters and gradients lie in a memory of someone else. */
  readonly foreign?: boolean
  /** True when the gradients of all tensors lie in one place. */
  readonly oneGradient?: boolean
}

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

/** Lays out the memory of an instance and fills in its entries. */
export class InstanceBuilder {
  private readonly layout: MemoryLayout
  private readonly foreign: boolean
  private readonly oneGradient: boolean
  /** Where the gradients of all tensors lie, if in one place. */
  private gradient: number | undefined
  private readonly start: number
  private readonly words: { address: number; value: number }[] = []
  private readonly shared = new Map<string, number>()
  private readonly totals = new Map<string, number>()
  private readonly groups = new Map<string, number>()
  /** What arrays need that are not in float32, where there are any. */
  private staged: StagedMemory | undefined
  private readonly workspaceUsers: number[] = []
  private workspaceBytes = 0
  private readonly tensors: readonly BackendTensor[]
  private readonly forms: ReadonlyMap<Program, ProgramForm>
  private readonly kernels: Omit<KernelSet, 'module'>
  /** The levels that begin with totals over all tensors. */
  private readonly levelsOfTotals: readonly number[]
  private readonly threading: Threading | undefined
  private readonly threads: number

  constructor({
    tensors,
    forms,
    kernels,
    threading,
    layout = new MemoryLayout(),
    foreign = false,
    oneGradient = false,
  }: BuilderSettings) {
    this.oneGradient = oneGradient
    this.layout = layout
    this.start = layout.end
    this.foreign = foreign
    this.tensors = tensors
    this.forms = forms
    this.kernels = kernels
    const stages = kernels.plans.flatMap((plan) => plan.stages)
    this.levelsOfTotals = stages.flatMap((stage) => (stage.kind === 'totals' ? [stage.level] : []))
    this.threading = threading
    this.threads = threading?.count ?? 1
  }

  async build(module: WebAssembly.Module): Promise<WasmInstance> {
    const { laidOut, prepared } = this.layOut()
    const { threading, tensors } = this
    const memory = this.layout.create(threading !== undefined)
    fill(memory, laidOut, tensors)
    const functions = threading?.functions(memory, laidOut.block)
    const { exports } = await WebAssembly.instantiate(module, { env: { memory, ...functions } })
    const workers = await threading?.start(threading.count - 1, module, memory, laidOut.block)
    const release = () => workers?.terminate()
    return finish({ memory, exports, workers, laidOut, prepared, release })
  }

  /** How many bytes the instance needs. */
  measure(): number {
    return this.layOut().laidOut.end
  }

  buildWithin(module: WebAssembly.Module, memory: WebAssembly.Memory, release: () => void): WasmInstance {
    const { laidOut, prepared } = this.layOut()
    // A memory of someone else may hold anything.
    new Uint8Array(memory.buffer).fill(0, this.start, laidOut.end)
    fill(memory, laidOut, this.tensors)
    const { exports } = new WebAssembly.Instance(module, { env: { memory } })
    return finish({ memory, exports, workers: undefined, laidOut, prepared, release })
  }

  /** Gives everything its place. */
  layOut(): { readonly laidOut: LaidOut; readonly prepared: readonly ReadonlyMap<Program, Prepared>[] } {
    const tensors = this.tensors.map((tensor) => this.reserveTensor(tensor))
    // Before the work is cut into items, of which an absurd size would have too many to list.
    this.layout.checkSize()
    const prepared = this.prepareTensors(tensors)
    this.reserveWorkspaces()
    this.staged?.reserve(this.threads)
    const regions = this.reserveLists(prepared, tensors)
    const block = this.layout.reserve(control.bytes, 64)
    const { shared, totals, kernels } = this
    const laidOut: LaidOut = {
      end: this.layout.end,
      words: runsOf(this.words),
      tables: this.staged?.tables ?? new Map(),
      tensors,
      regions,
      shared,
      totals,
      block,
      library: kernels.library,
    }
    return { laidOut, prepared }
  }

  private reserveGradient(size: number): number {
    if (!this.oneGradient) return this.layout.reserveArray(bytesOf('float32', size))
    const largest = Math.max(...this.tensors.map((tensor) => tensor.size))
    this.gradient ??= this.layout.reserveArray(bytesOf('float32', largest))
    return this.gradient
  }

  private reserveTensor(tensor: BackendTensor): TensorMemory {
    const { size, slots, average } = tensor
    const parameter = this.foreign ? 0 : this.layout.reserveArray(bytesOf('float32', size))
    const gradient = this.foreign ? 0 : this.reserveGradient(size)
    const arrays = new Map<string, { address: number; size: number; storage: StorageName }>()
    const numbers = new Map<string, number>()
    for (const slot of slots) {
      if (slot.space === 'array') {
        const elements = sizeOf(slot.dimensions)
        const { storage } = slot
        const address = this.layout.reserveArray(bytesOf(storage, elements) + (storage === 'float32' ? 0 : room))
        arrays.set(slot.key, { address, size: elements, storage })
      } else if (slot.space !== 'host') {
        if (!slot.shared) numbers.set(slot.key, this.layout.reserve(8))
        else if (!this.shared.has(slot.key)) this.shared.set(slot.key, this.layout.reserve(8))
      }
    }
    const finiteEntry = this.layout.reserve(16)
    const flag = finiteEntry + 8
    this.words.push({ address: finiteEntry, value: gradient }, { address: finiteEntry + 4, value: flag })
    const averageArray = average ? this.layout.reserveArray(bytesOf('float32', size)) : 0
    const floats = [...arrays.values()].filter(({ storage }) => storage === 'float32')
    const settling = [{ address: parameter, size }, ...floats].map(({ address: value, size }) => {
      const entry = this.layout.reserve(8)
      this.words.push({ address: entry, value })
      return { entry, size }
    })
    const pointers = { parameter: [settling[0]!.entry], gradient: [finiteEntry] }
    const inputs = new Map(
      [...arrayInputs(programsOfTensor(tensor))].map(([name, size]) => [
        name,
        { address: this.layout.reserveArray(bytesOf('float32', size)), size },
      ]),
    )
    const arraysOf = { average: averageArray, inputs, arrays, numbers }
    return { parameter, gradient, ...arraysOf, finiteEntry, flag, size, settling, pointers }
  }

  /**
   * Programs of one tensor never run at the same time, so they can use the same scratch memory. One thread works on a tensor after the
   * other, until it needs a total over all of them: so they can too, but for what lasts beyond a total.
   */
  private prepareTensors(memories: readonly TensorMemory[]): Map<Program, Prepared>[] {
    const prepared: Map<Program, Prepared>[] = []
    const common: Room[] = []
    // The largest come first, and leave room enough for all others.
    const order = [...this.tensors.entries()].sort(([, a], [, b]) => b.size - a.size)
    for (const [index, tensor] of order) {
      const own: Room[] = []
      const scratch = { lasting: own, passing: this.threading ? own : common }
      prepared[index] = new Map(
        programsOfTensor(tensor).map((program) => [program, this.prepare(program, memories[index]!, scratch)]),
      )
    }
    return prepared
  }

  private prepare(program: Program, memory: TensorMemory, scratch: Scratch): Prepared {
    const { plan: index, sizes, computation } = this.forms.get(program)!
    const plan = this.kernels.plans[index]!
    const layout = new EntryLayout(plan)
    const entry = this.layout.reserve(layout.bytes)
    const hostArguments = this.layout.reserve(8 * plan.arguments.length)
    const scalars = this.layout.reserve(8 * plan.scalars.length)
    const word = (offset: number, value: number) => this.words.push({ address: entry + offset, value })
    word(layout.hostArguments, hostArguments)
    word(layout.scalars, scalars)
    const addresses = this.arrayAddresses(plan, sizes, memory, scratch)
    const note = (array: number, address: number) => {
      const { kind } = plan.arrays[array]!
      if (kind === 'parameter' || kind === 'gradient') memory.pointers[kind].push(address)
    }
    for (const { offset, word: what } of layout.words) {
      if (what.kind === 'number') word(offset, memory.numbers.get(what.key) ?? this.shared.get(what.key)!)
      else if (what.kind === 'total') word(offset, this.total(what.key))
      else if (what.kind === 'array') {
        word(offset, addresses[what.array]!)
        note(what.array, entry + offset)
      } else if (what.kind === 'staged') {
        this.staged ??= provided().memory(this.layout, this.words)
        this.staged.place(what, entry + offset, plan, sizes, addresses)
      }
    }
    const table = this.kernels.tables[index]!
    const fill = (what: EntryWord, ...values: number[]) => {
      for (const [position, value] of values.entries()) word(layout.offset(what) + 4 * position, value)
    }
    const loopItems = plan.loops.map((loop, loopIndex) =>
      this.loopItems(loop, loopIndex, sizes, fill, table.loops[loopIndex]!, entry),
    )
    const routineItems = plan.routines.map((call) => {
      const items = this.routineItems(plan, call, sizes, addresses)
      // A Gram matrix is the product of its operand with itself, so that its entry has it twice.
      const operands = call.routine === 'gram' ? [...call.operands, ...call.operands] : call.operands
      for (const [index, { array }] of operands.entries()) note(array, items[0]!.entry + 4 * index)
      return items
    })
    const stages = plan.stages.map((stage, index) => {
      const kernel = table.stages.get(index)
      if (kernel !== undefined) return { ...orderOf(stage, plan), items: [oneItem(kernel, entry)] }
      if (stage.kind === 'loops') return { ...orderOf(stage, plan), items: stage.loops.map((loop) => loopItems[loop]!) }
      if (stage.kind === 'routines')
        return { ...orderOf(stage, plan), items: stage.routines.flatMap((call) => routineItems[call]!) }
      return { ...orderOf(stage, plan), items: [], totals: totalsOf(stage, plan, hostArguments, scalars) }
    })
    const telemetry = plan.scalarOutputs.flatMap(({ target, value }) =>
      target.kind === 'telemetry' ? [[target.name, scalars + 8 * value.index] as const] : [],
    )
    return {
      entry,
      stages,
      hostArguments,
      telemetry: Object.fromEntries(telemetry),
      evaluator: new HostEvaluator(computation),
      group: this.groupOf(JSON.stringify(computation)),
    }
  }

  private groupOf(text: string): number {
    // One tensor shares with nobody.
    if (this.tensors.length === 1) return 0
    const known = this.groups.get(text)
    if (known !== undefined) return known
    this.groups.set(text, this.groups.size)
    return this.groups.size - 1
  }

  /** Where every array of a plan lies; scratch gets its place here. */
  private arrayAddresses(plan: Plan, sizes: Sizes, memory: TensorMemory, scratch: Scratch): number[] {
    const addresses: number[] = []
    const needed: (ScratchNeed & { readonly index: number })[] = []
    plan.arrays.forEach((array, index) => {
      const { extent, storage } = array
      if (array.kind === 'input') addresses[index] = memory.inputs.get(array.key)!.address
      else if (array.kind === 'slot') addresses[index] = memory.arrays.get(array.key)!.address
      else if (array.kind !== 'scratch') addresses[index] = memory[array.kind]
      else needed.push({ ...array, index, size: bytesOf(storage, elementsOf(extent, sizes)) })
    })
    const placesFor = ({ from, to }: ScratchNeed) =>
      this.levelsOfTotals.some((level) => from < level && level <= to) ? scratch.lasting : scratch.passing
    const places = placeScratch(needed, placesFor, (size) => ({ address: this.layout.reserveArray(size), size }))
    for (const [{ index }, { address }] of places) addresses[index] = address
    return addresses
  }

  private loopItems(
    loop: Loop,
    index: number,
    sizes: Sizes,
    fill: (word: EntryWord, ...values: number[]) => void,
    kernel: number,
    entry: number,
  ): Items {
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
      items = { kernel, entry, count: slices, perItem: together }
      fill({ kind: 'geometry', loop: index }, rows, columns, perSlice, slicesPerBatch)
      loop.body.forEach((instruction, position) => {
        if (instruction.operation !== 'broadcast' || !instruction.apart) return
        const { apart } = instruction
        fill({ kind: 'apart', loop: index, position }, sizes[apart.rows]!, sizes[apart.columns]!)
      })
    } else {
      items = { kernel, entry, count: elementsOf(loop.extent, sizes), perItem: chunkElements }
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

  private routineItems(plan: Plan, call: RoutineCall, sizes: Sizes, addresses: readonly number[]): Items[] {
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

  /** Room for the longest work list, its rounds and the pointers of sums over tensors. */
  private reserveLists(
    prepared: readonly ReadonlyMap<Program, Prepared>[],
    memories: readonly TensorMemory[],
  ): ListRegions {
    let items = this.totals.size
    let rounds = 4
    for (const programs of prepared) {
      let most = 0
      for (const { stages } of programs.values()) {
        const calls = stages.flatMap((stage) => stage.items).reduce((sum, each) => sum + itemCount(each), 0)
        most = Math.max(most, calls)
        const levels = 1 + Math.max(...stages.map(({ level = 0 }) => level))
        rounds = Math.max(rounds, 7 * levels + 4)
      }
      items += most
    }
    const chunks = (size: number) => Math.ceil(size / chunkElements)
    const finite = this.tensors.reduce((count, { size }) => count + chunks(size), 0)
    const settling = memories.flatMap((memory) => memory.settling).reduce((count, { size }) => count + chunks(size), 0)
    return {
      items: this.layout.reserve(itemBytes * (items + 1)),
      rounds: this.layout.reserve(8 * rounds),
      counters: this.layout.reserve(4 * rounds),
      totals: this.layout.reserve(this.totals.size * (8 + 4 * this.tensors.length)),
      finite: this.layout.reserve(itemBytes * (finite + 1)),
      settling: this.layout.reserve(itemBytes * (settling + 1)),
    }
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

/** Words by runs that follow each other in memory. */
function runsOf(words: readonly { readonly address: number; readonly value: number }[]): LaidOut['words'] {
  const runs: { readonly address: number; readonly values: number[] }[] = []
  for (const { address, value } of words) {
    const run = runs.at(-1)
    if (run && run.address + 4 * run.values.length === address) run.values.push(value)
    else runs.push({ address, values: [value] })
  }
  return runs
}
