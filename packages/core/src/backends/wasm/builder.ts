import { sizeOf } from '../../graph/node.ts'
import { elementsOf, type Plan, type Sizes } from '../../plan/plan.ts'
import { HostEvaluator } from '../../program/host.ts'
import { isParameterSlot, type Program } from '../../program/program.ts'
import { bytesOf } from '../../storage/provided.ts'
import type { StorageName } from '../../storage/storage.ts'
import { arrayInputs, type BackendTensor, programsOfTensor } from '../backend.ts'
import type { ProgramForm } from '../forms.ts'
import { EntryLayout, type EntryWord } from './entry.ts'
import type { KernelTable } from './generate.ts'
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
  type Prepared,
  type PreparedStage,
  type TensorMemory,
} from './prepared.ts'
import type { StagedMemory } from './staged-word.ts'
import { room } from './staging.ts'
import type { Threading } from './threads.ts'
import { listTogether } from './work-list.ts'

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

/** A plan with what it works on for one tensor. */
export interface Placed {
  readonly plan: Plan
  readonly sizes: Sizes
  readonly memory: TensorMemory
  readonly table: KernelTable
  readonly layout: EntryLayout
  /** Addresses: of the entry, the host arguments and the scalars, and by place of the arrays of the plan. */
  readonly entry: number
  readonly hostArguments: number
  readonly scalars: number
  readonly addresses: readonly number[]
}

/** True for a plan that is nothing but flat passes over float32 arrays; all others need a `GatheringBuilder`. */
export function isPlain({ stages, loops, arrays, scalars }: Plan): boolean {
  return (
    scalars.length === 0 &&
    stages.every(({ kind }) => kind === 'loops') &&
    loops.every(({ view, reductions, staged }) => !view && !staged && reductions.length === 0) &&
    arrays.every(({ kind }) => kind !== 'scratch')
  )
}

/** Lays out the memory of an instance and fills in its entries, for plans that are plain. */
export class InstanceBuilder {
  protected readonly layout: MemoryLayout
  private readonly foreign: boolean
  private readonly oneGradient: boolean
  /** Where the gradients of all tensors lie, if in one place. */
  private gradient: number | undefined
  private readonly start: number
  protected readonly words: { address: number; value: number }[] = []
  protected readonly shared = new Map<string, number>()
  protected readonly totals = new Map<string, number>()
  private readonly groups = new Map<string, number>()
  /** What arrays need that are not in float32, where there are any. */
  protected staged: StagedMemory | undefined
  protected readonly tensors: readonly BackendTensor[]
  private readonly forms: ReadonlyMap<Program, ProgramForm>
  protected readonly kernels: Omit<KernelSet, 'module'>
  protected readonly threading: Threading | undefined

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
    this.threading = threading
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
    return finish({ memory, exports, workers, laidOut, prepared, listWork: listTogether, release })
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
    return finish({ memory, exports, workers: undefined, laidOut, prepared, listWork: listTogether, release })
  }

  /** Gives everything its place. */
  layOut(): { readonly laidOut: LaidOut; readonly prepared: readonly ReadonlyMap<Program, Prepared>[] } {
    const tensors = this.tensors.map((tensor) => this.reserveTensor(tensor))
    // Before the work is cut into items, of which an absurd size would have too many to list.
    this.layout.checkSize()
    const prepared = this.prepareTensors(tensors)
    this.reserveWork()
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
    const ownSize = slots.some(isParameterSlot) ? 0 : size
    const parameter = this.foreign ? 0 : this.layout.reserveArray(bytesOf('float32', ownSize))
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
    const settling = [{ address: parameter, size: ownSize }, ...floats].map(({ address: value, size }) => {
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

  protected prepareTensors(memories: readonly TensorMemory[]): Map<Program, Prepared>[] {
    return memories.map((memory, index) => this.prepareTensor(index, memory))
  }

  protected prepareTensor(index: number, memory: TensorMemory): Map<Program, Prepared> {
    const programs = programsOfTensor(this.tensors[index]!)
    return new Map(programs.map((program) => [program, this.prepare(program, memory)]))
  }

  private prepare(program: Program, memory: TensorMemory): Prepared {
    const { plan: index, sizes, computation } = this.forms.get(program)!
    const plan = this.kernels.plans[index]!
    const table = this.kernels.tables[index]!
    const layout = this.entryLayout(plan)
    const entry = this.layout.reserve(layout.bytes)
    const hostArguments = this.layout.reserve(8 * plan.arguments.length)
    const scalars = this.layout.reserve(8 * plan.scalars.length)
    this.words.push({ address: entry + layout.hostArguments, value: hostArguments })
    this.words.push({ address: entry + layout.scalars, value: scalars })
    const addresses = this.arrayAddresses(plan, sizes, memory)
    const placed = { plan, sizes, memory, table, layout, entry, hostArguments, scalars, addresses }
    for (const { offset, word } of layout.words) this.fillWord(word, entry + offset, placed)
    const telemetry = plan.scalarOutputs.flatMap(({ target, value }) =>
      target.kind === 'telemetry' ? [[target.name, scalars + 8 * value.index] as const] : [],
    )
    return {
      entry,
      stages: this.prepareStages(placed),
      hostArguments,
      telemetry: Object.fromEntries(telemetry),
      computation: new HostEvaluator(computation),
      group: this.groupOf(JSON.stringify(computation)),
    }
  }

  protected entryLayout(plan: Plan): EntryLayout {
    return new EntryLayout(plan)
  }

  /** Says in an entry, at this address, where something lies. */
  protected fillWord(word: EntryWord, address: number, { plan, memory, addresses }: Placed): void {
    if (word.kind !== 'array') return
    this.words.push({ address, value: addresses[word.array]! })
    this.notePointer(plan, memory, word.array, address)
  }

  /** Notes a word that holds the address of an array, in case that this is the parameter or the gradient and moves. */
  protected notePointer(plan: Plan, memory: TensorMemory, array: number, address: number): void {
    const { kind } = plan.arrays[array]!
    if (kind === 'parameter' || kind === 'gradient') memory.pointers[kind].push(address)
  }

  /** The calls of kernels that the stages of a plan are. */
  protected prepareStages(placed: Placed): PreparedStage[] {
    const items = placed.plan.loops.map((_, loop) => this.loopItems(placed, loop))
    return placed.plan.stages.flatMap((stage) =>
      stage.kind === 'loops'
        ? [{ kind: stage.kind, level: stage.level, items: stage.loops.map((loop) => items[loop]!) }]
        : [],
    )
  }

  protected loopItems({ plan, sizes, table, entry }: Placed, loop: number): Items {
    const count = elementsOf(plan.loops[loop]!.extent, sizes)
    return { kernel: table.loops[loop]!, entry, count, perItem: chunkElements }
  }

  /** Reserves what kernels need to work with, when everything is prepared. */
  protected reserveWork(): void {}

  private groupOf(text: string): number {
    // One tensor shares with nobody.
    if (this.tensors.length === 1) return 0
    const known = this.groups.get(text)
    if (known !== undefined) return known
    this.groups.set(text, this.groups.size)
    return this.groups.size - 1
  }

  /** Where every array of a plan lies. */
  protected arrayAddresses(plan: Plan, _sizes: Sizes, memory: TensorMemory): number[] {
    return plan.arrays.map((array) => {
      if (array.kind === 'input') return memory.inputs.get(array.key)!.address
      if (array.kind === 'slot') return memory.arrays.get(array.key)!.address
      return array.kind === 'scratch' ? 0 : memory[array.kind]
    })
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
