import { type Dimensions, type ReductionKind, sizeOf } from '../../graph/node.ts'
import { checkNames } from '../../language/definition.ts'
import { argumentsOf, type CanonicalProgram, canonicalize } from '../../plan/canonical.ts'
import {
  dimensionsOf,
  elementsOf,
  type Loop,
  type Plan,
  type RoutineCall,
  type Sizes,
  type Stage,
} from '../../plan/plan.ts'
import { type Round, schedule } from '../../plan/schedule.ts'
import { type Program, type TelemetryName, writeStart } from '../../program/program.ts'
import type { RoutineName } from '../../routines/table.ts'
import { bytesOf } from '../../storage/storage.ts'
import {
  arrayInputs,
  type Backend,
  type BackendTensor,
  type HostExecutor,
  onHost,
  programsOfTensor,
  type Work,
} from '../backend.ts'
import { HostEvaluator } from '../host.ts'
import { EntryLayout, type EntryWord } from './entry.ts'
import type { KernelTable } from './generate.ts'
import { compilationCount, foreignKernelsFor, type KernelSet, kernelsFor, type LibraryIndices } from './kernels.ts'
import { control, itemBytes, stripColumns } from './library.ts'
import { MemoryLayout } from './memory.ts'
import { blockElements, hasNarrowColumns, putAside } from './sums.ts'
import { barrierFunctions, startThreads, type Threads, ThreadsError, threadsAvailable } from './threads.ts'

export { compilationCount }

export interface WasmOptions {
  /**
   * How many threads run the kernels, this one included. Default 1. More than one need `SharedArrayBuffer` and workers
   * (in pages: cross-origin isolation); without them one thread does the work. Where workers are there but do not start, as
   * under a content security policy that forbids them, so it does, and a warning says why. Results are the same to the bit.
   */
  readonly threads?: number
}

/**
 * The WebAssembly backend: one fused SIMD kernel per distinct plan. Parameters, gradients and state lie in one memory and
 * are handed out as Float32Array views.
 * @throws Error when `threads` is not a whole number from 1 up.
 */
export function wasm(options: WasmOptions = {}): Backend {
  checkNames('wasm', options, ['threads'])
  const { threads = 1 } = options
  if (!Number.isInteger(threads) || threads < 1)
    throw new Error(`wasm: threads must be a whole number from 1 up, not ${threads}`)
  const count = threadsAvailable() ? threads : 1
  return { name: 'wasm', create: async (tensors) => onHost(await createInstance(tensors, count), wasmPrecision) }
}

/** @internal which numbers the kernels compute with */
export const wasmPrecision = { arrays: 'float32', scalars: 'float64', sums: 'float64' } as const

/** Elements per item of work. Fixed, because partial sums of reductions belong to items: so threads do not change results. */
const chunkElements = 65536
/** Every how many steps numbers next to 0 are put to 0: seldom enough to cost nothing beside the steps. */
const settlingPeriod = 128

/**
 * Rows of a slice of long rows where every slice has sums of its own of all columns: so many, unless the slices would be too
 * few to share among threads.
 */
const columnRows = 64
const columnSlices = 16

/** Rows of a matrix product per item of work, when several threads share it. */
const productRows = 64

/** One call of a kernel. */
interface Item {
  readonly kernel: number
  readonly entry: number
  readonly first: number
  readonly last: number
  readonly chunk: number
}

/** Cuts a call of a matrix function into items for its kernel. */
type RoutineWork = (
  operands: readonly { readonly address: number; readonly dimensions: Dimensions }[],
  results: readonly number[],
  kernel: number,
) => Item[]

/** A program made ready to run on one tensor. */
interface Prepared {
  readonly plan: Plan
  readonly kernels: KernelTable
  readonly entry: number
  /** Addresses of host arguments and of scalars. */
  readonly hostArguments: number
  readonly scalars: number
  readonly evaluator: HostEvaluator
  readonly loopItems: readonly (readonly Item[])[]
  readonly routineItems: readonly (readonly Item[])[]
  readonly scalarOf: (target: string) => number | undefined
  /** Programs of one group have equal host arguments in equal environments. */
  readonly group: number
}

interface TensorMemory {
  readonly parameter: number
  readonly gradient: number
  readonly average: number
  /** By name. */
  readonly inputs: ReadonlyMap<string, number>
  readonly arrays: ReadonlyMap<string, { readonly address: number; readonly size: number }>
  readonly numbers: ReadonlyMap<string, number>
  readonly finiteEntry: number
  readonly flag: number
  readonly size: number
  /** The parameter and its state, with the entries of the kernel that settles them. */
  readonly settling: readonly { readonly entry: number; readonly size: number }[]
  /** The words that hold the address of the parameter, and of the gradient. */
  readonly pointers: Readonly<Record<ForeignArray, number[]>>
}

/** Where parameters and gradients lie when their memory belongs to someone else. */
type ForeignArray = 'parameter' | 'gradient'

/** @internal memory that belongs to someone else and may grow; it holds the parameters and the gradients */
export interface ForeignMemory {
  readonly memory: WebAssembly.Memory
  /** Gives the address of that many bytes. */
  allocate(bytes: number): number
  free(address: number): void
}

/** @internal an instance whose parameters and gradients lie in someone else's memory */
export interface ForeignInstance extends HostExecutor {
  /** Says where the parameter or the gradient of a tensor lies from now on. */
  place(tensor: number, array: ForeignArray, address: number): void
}

/**
 * @internal An instance for one thread inside a memory that belongs to someone else: state and tables lie in one block
 * that the memory's owner allocates, parameters and gradients where `place` says. Everything happens at once.
 */
export function createForeignInstance(tensors: readonly BackendTensor[], foreign: ForeignMemory): ForeignInstance {
  const { canonical, unique } = canonicalForms(tensors)
  const shared = typeof SharedArrayBuffer === 'function' && foreign.memory.buffer instanceof SharedArrayBuffer
  const kernels = foreignKernelsFor([...unique.values()], shared)
  const build = (start: number) =>
    new InstanceBuilder(tensors, canonical, [...unique.keys()], kernels, 1, new MemoryLayout(start), true)
  const bytes = build(0).measure() + foreignAlignment
  const block = foreign.allocate(bytes)
  return build(Math.ceil(block / foreignAlignment) * foreignAlignment).buildWithin(foreign.memory, () =>
    foreign.free(block),
  )
}

/** Blocks of foreign memory come with less alignment than a cache line. */
const foreignAlignment = 64

function canonicalForms(tensors: readonly BackendTensor[]) {
  const canonical = new Map<Program, CanonicalProgram>()
  const unique = new Map<string, CanonicalProgram>()
  for (const tensor of tensors) {
    for (const program of programsOfTensor(tensor)) {
      const form = canonicalize(program)
      canonical.set(program, form)
      if (!unique.has(form.signature)) unique.set(form.signature, form)
    }
  }
  return { canonical, unique }
}

async function createInstance(tensors: readonly BackendTensor[], threads: number): Promise<HostExecutor> {
  const { canonical, unique } = canonicalForms(tensors)
  const kernels = await kernelsFor([...unique.values()], threads > 1)
  const layout = new MemoryLayout()
  try {
    return await new InstanceBuilder(tensors, canonical, [...unique.keys()], kernels, threads, layout, false).build()
  } catch (error) {
    if (!(error instanceof ThreadsError)) throw error
    console.warn(`wasm: one thread does the work instead of ${threads}, worker threads did not start: ${error.message}`)
    return createInstance(tensors, 1)
  }
}

/** Lays out the memory of an instance and fills in its entries. */
class InstanceBuilder {
  private readonly layout: MemoryLayout
  private readonly foreign: boolean
  private readonly start: number
  private readonly words: { address: number; value: number }[] = []
  private readonly shared = new Map<string, number>()
  private readonly totals = new Map<string, number>()
  private readonly groups = new Map<string, number>()
  private packing = 0
  private readonly packingUsers: number[] = []
  private readonly tensors: readonly BackendTensor[]
  private readonly canonical: ReadonlyMap<Program, CanonicalProgram>
  private readonly signatures: readonly string[]
  private readonly kernels: KernelSet
  private readonly threads: number

  constructor(
    tensors: readonly BackendTensor[],
    canonical: ReadonlyMap<Program, CanonicalProgram>,
    signatures: readonly string[],
    kernels: KernelSet,
    threads: number,
    layout: MemoryLayout,
    foreign: boolean,
  ) {
    this.layout = layout
    this.start = layout.end
    this.foreign = foreign
    this.tensors = tensors
    this.canonical = canonical
    this.signatures = signatures
    this.kernels = kernels
    this.threads = threads
  }

  async build(): Promise<WasmInstance> {
    const parts = this.reserve()
    const memory = this.layout.create(this.threads > 1)
    this.fill(memory, parts)
    const { module } = this.kernels
    const functions = this.threads > 1 ? barrierFunctions(memory, parts.block) : {}
    const instance = await WebAssembly.instantiate(module, { env: { memory, ...functions } })
    const workers = this.threads > 1 ? await startThreads(this.threads - 1, module, memory, parts.block) : undefined
    return this.finish(memory, instance, parts, workers, () => workers?.terminate())
  }

  /** How many bytes the instance needs. */
  measure(): number {
    this.reserve()
    return this.layout.end
  }

  buildWithin(memory: WebAssembly.Memory, free: () => void): WasmInstance {
    const parts = this.reserve()
    this.fill(memory, parts)
    const instance = new WebAssembly.Instance(this.kernels.module, { env: { memory } })
    return this.finish(memory, instance, parts, undefined, free)
  }

  private reserve(): Parts {
    const memories = this.tensors.map((tensor) => this.reserveTensor(tensor))
    // Before the work is cut into items, of which an absurd size would have too many to list.
    this.layout.checkSize()
    const prepared = this.tensors.map((tensor, index) => this.prepareTensor(tensor, memories[index]!))
    if (this.packingUsers.length > 0) {
      const address = this.layout.reserve(this.packing)
      for (const user of this.packingUsers) this.words.push({ address: user, value: address })
    }
    const lists = this.reserveLists(prepared, memories)
    return { memories, prepared, lists, block: this.layout.reserve(control.bytes, 64) }
  }

  /** Writes the words and the first values of state to memory. */
  private fill(memory: WebAssembly.Memory, { memories }: Parts): void {
    // A memory of someone else may hold anything.
    if (this.foreign) new Uint8Array(memory.buffer).fill(0, this.start, this.layout.end)
    const view = new Int32Array(memory.buffer)
    for (const { address, value } of this.words) view[address / 4] = value
    const numbers = new Float64Array(memory.buffer)
    for (const [index, { slots }] of this.tensors.entries()) {
      for (const slot of slots) {
        if (slot.space === 'array' && slot.start !== 0) {
          const { address, size } = memories[index]!.arrays.get(slot.key)!
          writeStart(slot, new Float32Array(memory.buffer, address, size))
        }
        if (slot.space !== 'tensor' && slot.space !== 'global') continue
        const address = (slot.shared ? this.shared : memories[index]!.numbers).get(slot.key)!
        numbers[address / 8] = slot.start as number
      }
    }
  }

  private finish(
    memory: WebAssembly.Memory,
    instance: WebAssembly.Instance,
    { memories, prepared, lists, block }: Parts,
    workers: Threads | undefined,
    release: () => void,
  ): WasmInstance {
    return new WasmInstance(
      memory,
      instance.exports.run as (address: number, count: number) => void,
      workers,
      this.threads,
      block,
      memories,
      prepared,
      lists,
      this.shared,
      this.totals,
      this.kernels.library,
      release,
    )
  }

  private reserveTensor(tensor: BackendTensor): TensorMemory {
    const { size, slots, average } = tensor
    const parameter = this.foreign ? 0 : this.layout.reserveArray(bytesOf('float32', size))
    const gradient = this.foreign ? 0 : this.layout.reserveArray(bytesOf('float32', size))
    const arrays = new Map<string, { address: number; size: number }>()
    const numbers = new Map<string, number>()
    for (const slot of slots) {
      if (slot.space === 'array') {
        const elements = sizeOf(slot.dimensions)
        const address = this.layout.reserveArray(bytesOf(slot.storage, elements))
        arrays.set(slot.key, { address, size: elements })
      } else if (slot.space !== 'host') {
        if (!slot.shared) numbers.set(slot.key, this.layout.reserve(8))
        else if (!this.shared.has(slot.key)) this.shared.set(slot.key, this.layout.reserve(8))
      }
    }
    const finiteEntry = this.layout.reserve(16)
    const flag = finiteEntry + 8
    this.words.push({ address: finiteEntry, value: gradient }, { address: finiteEntry + 4, value: flag })
    const averageArray = average ? this.layout.reserveArray(bytesOf('float32', size)) : 0
    const settling = [{ address: parameter, size }, ...arrays.values()].map(({ address: value, size }) => {
      const entry = this.layout.reserve(8)
      this.words.push({ address: entry, value })
      return { entry, size }
    })
    const pointers = { parameter: [settling[0]!.entry], gradient: [finiteEntry] }
    const inputs = new Map(
      arrayInputs(tensor).map((name) => [name, this.layout.reserveArray(bytesOf('float32', size))]),
    )
    const arraysOf = { average: averageArray, inputs, arrays, numbers }
    return { parameter, gradient, ...arraysOf, finiteEntry, flag, size, settling, pointers }
  }

  private prepareTensor(tensor: BackendTensor, memory: TensorMemory): Map<Program, Prepared> {
    const programs = programsOfTensor(tensor)
    // Programs of one tensor never run at the same time, so they can use the same scratch memory.
    const buffers: { address: number; bytes: number }[] = []
    return new Map(programs.map((program) => [program, this.prepare(program, memory, buffers)]))
  }

  private prepare(program: Program, memory: TensorMemory, buffers: { address: number; bytes: number }[]): Prepared {
    const own = this.canonical.get(program)!
    const index = this.signatures.indexOf(own.signature)
    const plan = this.kernels.plans[index]!
    const { sizes } = own
    const layout = new EntryLayout(plan)
    const entry = this.layout.reserve(layout.bytes)
    const hostArguments = this.layout.reserve(8 * plan.arguments.length)
    const scalars = this.layout.reserve(8 * plan.scalars.length)
    const word = (offset: number, value: number) => this.words.push({ address: entry + offset, value })
    word(layout.hostArguments, hostArguments)
    word(layout.scalars, scalars)
    const addresses = this.arrayAddresses(plan, sizes, memory, buffers)
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
      const items = this.routineItems(call, sizes, addresses)
      for (const { entry } of items) {
        for (const [index, { array }] of call.operands.entries()) note(array, entry + 4 * index)
      }
      return items
    })
    const telemetry = new Map(
      plan.scalarOutputs.flatMap(({ target, value }) =>
        target.kind === 'telemetry' ? [[target.name as string, scalars + 8 * value.index] as const] : [],
      ),
    )
    const computation = argumentsOf(own)
    return {
      plan,
      kernels: table,
      entry,
      hostArguments,
      scalars,
      evaluator: new HostEvaluator(computation),
      loopItems,
      routineItems,
      scalarOf: (name) => telemetry.get(name),
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
  private arrayAddresses(
    plan: Plan,
    sizes: Sizes,
    memory: TensorMemory,
    buffers: { address: number; bytes: number }[],
  ): number[] {
    const free = buffers.map((buffer) => ({ ...buffer, until: -1 }))
    const place = (bytes: number, from: number, to: number): number => {
      const fitting = free.filter((buffer) => buffer.until < from && buffer.bytes >= bytes)
      let chosen = fitting.sort((a, b) => a.bytes - b.bytes)[0]
      if (!chosen) {
        const buffer = { address: this.layout.reserveArray(bytes), bytes }
        buffers.push(buffer)
        chosen = { ...buffer, until: -1 }
        free.push(chosen)
      }
      chosen.until = to
      return chosen.address
    }
    const addresses: number[] = []
    const scratch: { index: number; bytes: number; from: number; to: number }[] = []
    plan.arrays.forEach((array, index) => {
      const { extent, storage } = array
      if (array.kind === 'input') addresses[index] = memory.inputs.get(array.key)!
      else if (array.kind === 'slot') addresses[index] = memory.arrays.get(array.key)!.address
      else if (array.kind !== 'scratch') addresses[index] = memory[array.kind]
      else scratch.push({ ...array, index, bytes: bytesOf(storage, elementsOf(extent, sizes)) })
    })
    for (const { index, bytes, from, to } of scratch.sort((a, b) => a.from - b.from)) {
      addresses[index] = place(bytes, from, to)
    }
    return addresses
  }

  private loopItems(
    loop: Loop,
    index: number,
    sizes: Sizes,
    fill: (word: EntryWord, ...values: number[]) => void,
    kernel: number,
    entry: number,
  ): Item[] {
    const items: Item[] = []
    let slices = 0
    let columns = 0
    const add = (first: number, last: number) => items.push({ kernel, entry, first, last, chunk: items.length })
    if (loop.view) {
      const [batch, rows, own] = dimensionsOf(loop.view, sizes)
      columns = own
      const fitting = Math.floor(chunkElements / Math.max(columns, 1))
      const byColumn = loop.reductions.some(({ over }) => over === 'column')
      const tall = byColumn ? Math.min(columnRows, Math.ceil(rows / columnSlices)) : 1
      const perSlice = Math.max(1, Math.min(rows, Math.max(fitting, tall)))
      // At least one slice, so that sums over nothing are written too.
      const slicesPerBatch = Math.max(1, Math.ceil(rows / perSlice))
      slices = batch * slicesPerBatch
      const together = Math.max(1, Math.floor(chunkElements / Math.max(1, perSlice * columns)))
      for (let first = 0; first < slices; first += together) add(first, Math.min(first + together, slices))
      fill({ kind: 'geometry', loop: index }, rows, columns, perSlice, slicesPerBatch)
      loop.body.forEach((instruction, position) => {
        if (instruction.operation !== 'broadcast' || !instruction.apart) return
        const { apart } = instruction
        fill({ kind: 'apart', loop: index, position }, sizes[apart.rows]!, sizes[apart.columns]!)
      })
    } else {
      const size = elementsOf(loop.extent, sizes)
      for (let first = 0; first < size; first += chunkElements) add(first, Math.min(first + chunkElements, size))
    }
    loop.reductions.forEach((reduction, position) => {
      const column = reduction.over === 'column'
      const count = column ? slices : items.length
      const numbers = column ? slices * columns : count
      fill({ kind: 'partial', loop: index, reduction: position }, this.layout.reserve(8 * numbers), count)
      if (!hasNarrowColumns(loop, reduction)) return
      const padded = 4 * Math.ceil(columns / 4)
      fill({ kind: 'narrow', loop: index, reduction: position }, this.layout.reserve(4 * items.length * padded))
    })
    for (const register of putAside(loop)) {
      fill({ kind: 'aside', loop: index, register }, this.layout.reserve(4 * items.length * blockElements))
    }
    return items
  }

  private routineItems(call: RoutineCall, sizes: Sizes, addresses: readonly number[]): Item[] {
    const operands = call.operands.map(({ array, extent }) => ({
      address: addresses[array]!,
      dimensions: dimensionsOf(extent, sizes),
    }))
    const results = call.results.map((array) => addresses[array]!)
    return this.routineWork[call.routine](operands, results, this.kernels.library.routines[call.routine]!)
  }

  /** How the work of each matrix function is cut into items. */
  private readonly routineWork: Readonly<Record<RoutineName, RoutineWork>> = {
    transposition: ([operand], [result], kernel) => {
      const [batch, columns, rows] = operand!.dimensions
      const entry = this.entry([operand!.address, result!, rows, columns])
      const perItem = this.threads > 1 ? Math.max(1, Math.floor(chunkElements / Math.max(columns, 1))) : batch * rows
      return split(batch * rows, perItem).map(([first, last]) => ({ kernel, entry, first, last, chunk: 0 }))
    },
    product: ([left, right], [result], kernel) => {
      const [batch, rows, inner] = left!.dimensions
      const columns = right!.dimensions[2]
      const packing = 4 * stripColumns * Math.max(inner, 1)
      return split(batch * rows, this.threads > 1 ? productRows : batch * rows).map(([first, last]) => {
        const entry = this.entry([left!.address, right!.address, result!, rows, inner, columns, 0])
        if (this.threads > 1) this.words.push({ address: entry + 24, value: this.layout.reserve(packing) })
        else {
          this.packing = Math.max(this.packing, packing)
          this.packingUsers.push(entry + 24)
        }
        return { kernel, entry, first, last, chunk: 0 }
      })
    },
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
      for (const { plan, loopItems, routineItems } of programs.values()) {
        most = Math.max(most, loopItems.flat().length + routineItems.flat().length + plan.stages.length)
        rounds = Math.max(rounds, 6 * plan.levels + 4)
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

/** What is laid out before there is memory. */
interface Parts {
  readonly memories: readonly TensorMemory[]
  readonly prepared: readonly ReadonlyMap<Program, Prepared>[]
  readonly lists: ListRegions
  /** The control block of threads. */
  readonly block: number
}

interface ListRegions {
  readonly items: number
  readonly rounds: number
  readonly counters: number
  readonly totals: number
  readonly finite: number
  readonly settling: number
}

function sameElements<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index])
}

function split(count: number, perPart: number): [number, number][] {
  const parts: [number, number][] = []
  for (let first = 0; first < count; first += perPart) parts.push([first, Math.min(first + perPart, count)])
  return parts
}

/** A work list as words, ready to be copied into the memory. */
interface WorkList {
  readonly items: Int32Array
  /** First item and number of items of each round. */
  readonly rounds: readonly (readonly [number, number])[]
  readonly totals: Int32Array
}

/** How many work lists are kept: one for every recent combination of tensors and programs. */
const keptLists = 16

class WasmInstance implements ForeignInstance {
  readonly parameters: Float32Array[]
  readonly gradients: Float32Array[]
  private words!: Int32Array
  private numbers!: Float64Array
  inputs!: readonly ReadonlyMap<string, Float32Array>[]
  private readonly lists = new Map<string, WorkList>()
  private current: WorkList | undefined
  private currentOf: readonly Prepared[] = []
  private finiteOf: readonly number[] = []
  private finiteItems = -1
  private readonly last: (Prepared | undefined)[] = []
  private readonly memory: WebAssembly.Memory
  private readonly runKernels: (address: number, count: number) => void
  private readonly workers: Threads | undefined
  private readonly threads: number
  private readonly block: number
  private readonly tensors: readonly TensorMemory[]
  private readonly prepared: readonly ReadonlyMap<Program, Prepared>[]
  private readonly regions: ListRegions
  private readonly shared: ReadonlyMap<string, number>
  private readonly totals: ReadonlyMap<string, number>
  private readonly library: LibraryIndices
  private readonly release: () => void

  constructor(
    memory: WebAssembly.Memory,
    run: (address: number, count: number) => void,
    workers: Threads | undefined,
    threads: number,
    block: number,
    tensors: readonly TensorMemory[],
    prepared: readonly ReadonlyMap<Program, Prepared>[],
    regions: ListRegions,
    shared: ReadonlyMap<string, number>,
    totals: ReadonlyMap<string, number>,
    library: LibraryIndices,
    release: () => void,
  ) {
    this.memory = memory
    this.release = release
    this.library = library
    this.runKernels = run
    this.workers = workers
    this.threads = threads
    this.block = block
    this.tensors = tensors
    this.prepared = prepared
    this.regions = regions
    this.shared = shared
    this.totals = totals
    this.look()
    this.parameters = tensors.map(({ parameter, size }) => this.floats(parameter, size))
    this.gradients = tensors.map(({ gradient, size }) => this.floats(gradient, size))
  }

  place(tensor: number, array: ForeignArray, address: number): void {
    const views = array === 'parameter' ? this.parameters : this.gradients
    const { buffer, byteOffset } = views[tensor]!
    if (byteOffset === address && buffer === this.memory.buffer) return
    this.look()
    const { pointers, size } = this.tensors[tensor]!
    for (const word of pointers[array]) this.words[word / 4] = address
    views[tensor] = this.floats(address, size)
  }

  slotArray(tensor: number, key: string): Float32Array {
    const { address, size } = this.tensors[tensor]!.arrays.get(key)!
    return this.floats(address, size)
  }

  copyParameter(tensor: number, key: string): void {
    this.slotArray(tensor, key).set(this.parameters[tensor]!)
  }

  readScalar(tensor: number, key: string): number {
    this.look()
    return this.numbers[this.scalarAddress(tensor, key) / 8]!
  }

  writeScalar(tensor: number, key: string, value: number): void {
    this.look()
    this.numbers[this.scalarAddress(tensor, key) / 8] = value
  }

  findNonFinite(tensors: readonly number[]): number[] {
    this.look()
    if (this.finiteItems < 0 || !sameElements(tensors, this.finiteOf)) {
      const kernel = this.library.checkFinite
      const items = tensors.flatMap((index) => {
        const { finiteEntry: entry, size } = this.tensors[index]!
        return split(size, chunkElements).map(([first, last]) => ({ kernel, entry, first, last, chunk: 0 }))
      })
      this.words.set(encodeItems(items), this.regions.finite / 4)
      this.finiteOf = [...tensors]
      this.finiteItems = items.length
    }
    for (const index of tensors) this.words[this.tensors[index]!.flag / 4] = 0
    this.execute(this.regions.finite, this.finiteItems, [[0, this.finiteItems]])
    return tensors.filter((index) => this.words[this.tensors[index]!.flag / 4] !== 0)
  }

  run(work: readonly Work[]): void {
    this.perform(work)
    if (work.length > 0 && work[0]!.environment.count('', false) % settlingPeriod === 0) this.settle(work)
  }

  private perform(work: readonly Work[]): void {
    this.look()
    const ready = work.map(({ tensor, program }) => this.prepared[tensor]!.get(program)!)
    const evaluated: { environment: Work['environment']; address: number }[] = []
    for (let index = 0; index < work.length; index++) {
      const { tensor, environment } = work[index]!
      const { evaluator, hostArguments, group, plan } = ready[index]!
      const known = evaluated[group]
      if (known?.environment === environment) {
        const from = known.address / 8
        this.numbers.copyWithin(hostArguments / 8, from, from + plan.arguments.length)
      } else {
        evaluator.evaluate(environment, this.numbers, hostArguments / 8)
        evaluated[group] = { environment, address: hostArguments }
      }
      this.last[tensor] = ready[index]
    }
    if (!this.current || !sameElements(ready, this.currentOf)) {
      this.loadList(this.listFor(work, ready))
      this.currentOf = ready
    }
    const { items, rounds } = this.current!
    this.execute(this.regions.items, items.length / 5, rounds)
  }

  /**
   * Moments of what has no gradient any more decay, and rounding would keep them just above 0 for ever, at numbers that processors
   * compute with many times as slowly. WebAssembly cannot tell them to leave those out, so they are put to 0 now and then.
   */
  private settle(work: readonly Work[]): void {
    const kernel = this.library.settle
    const items = work.flatMap(({ tensor }) =>
      this.tensors[tensor]!.settling.flatMap(({ entry, size }) =>
        split(size, chunkElements).map(([first, last]) => ({ kernel, entry, first, last, chunk: 0 })),
      ),
    )
    this.words.set(encodeItems(items), this.regions.settling / 4)
    this.execute(this.regions.settling, items.length, [[0, items.length]])
  }

  telemetry(tensor: number, name: TelemetryName): number | undefined {
    const address = this.last[tensor]?.scalarOf(name)
    this.look()
    return address === undefined ? undefined : this.numbers[address / 8]!
  }

  compute(work: readonly Work[]): Float32Array[] {
    if (work.length > 0) this.perform(work)
    return work.map(({ tensor }) => {
      const { average, size } = this.tensors[tensor]!
      return this.floats(average, size).slice()
    })
  }

  dispose(): void {
    this.release()
  }

  /** Looks at the memory anew when it has grown: a memory of someone else may do so at any time. */
  private look(): void {
    const { buffer } = this.memory
    if (this.words?.buffer === buffer) return
    this.words = new Int32Array(buffer)
    this.numbers = new Float64Array(buffer)
    this.inputs = this.tensors.map(
      ({ inputs, size }) => new Map([...inputs].map(([name, address]) => [name, this.floats(address, size)])),
    )
  }

  private floats(address: number, size: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, size)
  }

  private scalarAddress(tensor: number, key: string): number {
    return this.tensors[tensor]!.numbers.get(key) ?? this.shared.get(key)!
  }

  private execute(items: number, count: number, rounds: WorkList['rounds']): void {
    if (!this.workers) {
      this.runKernels(items, count)
      return
    }
    const { words, block, regions } = this
    rounds.forEach(([first, length], index) => {
      words[regions.rounds / 4 + 2 * index] = first
      words[regions.rounds / 4 + 2 * index + 1] = length
      words[regions.counters / 4 + index] = 0
    })
    const set = (field: keyof typeof control, value: number) => {
      words[(block + control[field]) / 4] = value
    }
    set('rounds', regions.rounds)
    set('roundCount', rounds.length)
    set('items', items)
    set('threads', this.threads)
    set('counters', regions.counters)
    set('base', Atomics.load(words, (block + control.arrived) / 4))
    this.workers.start()
    this.runKernels(block, 0)
  }

  private listFor(work: readonly Work[], ready: readonly Prepared[]): WorkList {
    const key = ready.map(({ entry }) => entry).join()
    const known = this.lists.get(key)
    if (known) return known
    const list = this.buildList(work, ready)
    if (this.lists.size >= keptLists) this.lists.delete(this.lists.keys().next().value!)
    this.lists.set(key, list)
    return list
  }

  private loadList(list: WorkList): void {
    this.words.set(list.items, this.regions.items / 4)
    this.words.set(list.totals, this.regions.totals / 4)
    this.current = list
  }

  private buildList(work: readonly Work[], ready: readonly Prepared[]): WorkList {
    const totals: number[] = []
    const committed = new Set<string>()
    const rounds = schedule(ready.map(({ plan }) => plan)).map(({ kind, together, work: stages }) => ({
      together,
      items:
        kind === 'totals'
          ? this.totalItems(stages, ready, totals).map((item) => ({ tensor: -1, item }))
          : stages.flatMap(({ member, stage }) =>
              stageItems(ready[member]!, stage, committed).map((item) => ({
                tensor: together ? -1 : work[member]!.tensor,
                item,
              })),
            ),
    }))
    return this.workers ? inRounds(rounds, totals) : byTensor(rounds, totals)
  }

  /** One item for every total over tensors that becomes known in a round. */
  private totalItems(stages: Round['work'], ready: readonly Prepared[], words: number[]): Item[] {
    const parts = new Map<string, { kind: ReductionKind; addresses: number[] }>()
    for (const { member, stage } of stages) {
      if (stage.kind !== 'totals') continue
      const { plan, scalars, hostArguments } = ready[member]!
      for (const index of stage.scalars) {
        const scalar = plan.scalars[index]!
        if (scalar.kind !== 'total') continue
        const { key, reduction, part } = scalar
        const known = parts.get(key) ?? { kind: reduction, addresses: [] }
        known.addresses.push((part.kind === 'argument' ? hostArguments : scalars) + 8 * part.index)
        parts.set(key, known)
      }
    }
    return [...parts].map(([key, { kind, addresses }]) => {
      const entry = this.regions.totals + 4 * words.length
      words.push(this.totals.get(key)!, addresses.length, ...addresses)
      return { kernel: this.library.totals[kind]!, entry, first: 0, last: 0, chunk: 0 }
    })
  }
}

/** The items of one stage of one tensor. */
function stageItems(prepared: Prepared, stage: Stage, committed: Set<string>): readonly Item[] {
  const { plan, kernels, entry, loopItems, routineItems } = prepared
  const kernel = () => {
    const index = kernels.stages.get(plan.stages.indexOf(stage))!
    return [{ kernel: index, entry, first: 0, last: 0, chunk: 0 }]
  }
  switch (stage.kind) {
    case 'scalars':
      return kernel()
    case 'loops':
      return stage.loops.flatMap((loop) => loopItems[loop]!)
    case 'routines':
      return stage.routines.flatMap((routine) => routineItems[routine]!)
    case 'commit': {
      if (!stage.shared) return kernel()
      // Every tensor computes the same shared state; the first one stores it.
      const keys = stage.outputs.map((output) => (plan.scalarOutputs[output]!.target as { key: string }).key)
      const fresh = keys.some((key) => !committed.has(key))
      for (const key of keys) committed.add(key)
      return fresh ? kernel() : []
    }
    case 'totals':
      return []
  }
}

function encodeItems(items: readonly Item[]): Int32Array {
  const words = new Int32Array(5 * items.length)
  items.forEach(({ kernel, entry, first, last, chunk }, index) => {
    words.set([kernel, entry, first, last, chunk], 5 * index)
  })
  return words
}

type Rounds = readonly {
  readonly items: readonly { readonly tensor: number; readonly item: Item }[]
  readonly together: boolean
}[]

/** For several threads: round by round, all tensors side by side. */
function inRounds(rounds: Rounds, totals: readonly number[]): WorkList {
  const bounds: [number, number][] = []
  const items: Item[] = []
  for (const round of rounds) {
    bounds.push([items.length, round.items.length])
    items.push(...round.items.map(({ item }) => item))
  }
  return { items: encodeItems(items), rounds: bounds, totals: Int32Array.from(totals) }
}

/** For one thread: tensor by tensor between sums over all tensors, so that a tensor's later passes find it in the cache. */
function byTensor(rounds: Rounds, totals: readonly number[]): WorkList {
  const items: Item[] = []
  const waiting = new Map<number, Item[]>()
  const flush = () => {
    for (const list of waiting.values()) items.push(...list)
    waiting.clear()
  }
  for (const round of rounds) {
    if (round.together) flush()
    for (const { tensor, item } of round.items) {
      const list = waiting.get(tensor) ?? []
      waiting.set(tensor, list)
      list.push(item)
    }
    if (round.together) flush()
  }
  flush()
  return { items: encodeItems(items), rounds: [[0, items.length]], totals: Int32Array.from(totals) }
}
