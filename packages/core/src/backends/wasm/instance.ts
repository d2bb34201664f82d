import { type Program, parameterSlot, type TelemetryName } from '../../program/program.ts'
import { bytesOf, provided } from '../../storage/provided.ts'
import type { StagedStorage } from '../../storage/storage.ts'
import { type HostExecutor, viewPlace, type Work } from '../backend.ts'
import { chunkElements, type ForeignArray, type Items, itemCount, type LaidOut, type Prepared } from './prepared.ts'
import type { Threads } from './threads.ts'
import { encodeItems, type ListWork, type WorkList } from './work-list.ts'

/** @internal an instance whose parameters and gradients lie in someone else's memory */
export interface ForeignInstance extends HostExecutor {
  /** Says where the parameter or the gradient of a tensor lies from now on. */
  place(tensor: number, array: ForeignArray, address: number): void
}

/** What an instance is made of. */
export interface InstanceSetup {
  readonly memory: WebAssembly.Memory
  /** Runs a list of items; with several threads, the control block. */
  readonly run: (address: number, count: number) => void
  readonly workers: Threads | undefined
  readonly laidOut: LaidOut
  readonly prepared: readonly ReadonlyMap<Program, Prepared>[]
  readonly listWork: ListWork
  readonly release: () => void
}

/** Every how many steps numbers next to 0 are put to 0: seldom enough to cost nothing beside the steps. */
const settlingPeriod = 128

function sameElements<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index])
}

/** How many work lists are kept: one for every recent combination of tensors and programs. */
const keptLists = 16

/** Parameters, gradients and state in one memory, and the kernels that run on them. */
export class WasmInstance implements ForeignInstance {
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
  private readonly laidOut: LaidOut
  private readonly last: (Prepared | undefined)[] = []
  private readonly setup: InstanceSetup

  constructor(setup: InstanceSetup) {
    this.setup = setup
    this.laidOut = setup.laidOut
    this.look()
    this.parameters = this.laidOut.tensors.map(({ parameter, size }, tensor) =>
      this.floats(parameter, this.parameterStorage(tensor) ? 0 : size),
    )
    this.gradients = this.laidOut.tensors.map(({ gradient, size }) => this.floats(gradient, size))
  }

  place(tensor: number, array: ForeignArray, address: number): void {
    const views = array === 'parameter' ? this.parameters : this.gradients
    const { buffer, byteOffset } = views[tensor]!
    if (byteOffset === address && buffer === this.setup.memory.buffer) return
    this.look()
    const { pointers, size } = this.laidOut.tensors[tensor]!
    for (const word of pointers[array]) this.words[word / 4] = address
    views[tensor] = this.floats(address, size)
  }

  slotArray(tensor: number, key: string): Float32Array {
    const { address, size, storage } = this.laidOut.tensors[tensor]!.arrays.get(key)!
    if (storage === 'float32') return this.floats(address, size)
    return Float32Array.from(provided().codecs[storage].decode(this.slotBytes(tensor, key), size))
  }

  slotBytes(tensor: number, key: string): Uint8Array {
    const { address, size, storage } = this.laidOut.tensors[tensor]!.arrays.get(key)!
    return new Uint8Array(this.setup.memory.buffer, address, bytesOf(storage, size))
  }

  copyParameter(tensor: number, key: string): void {
    this.slotArray(tensor, key).set(viewPlace(this, { kind: 'parameter', tensor }))
  }

  parameterStorage(tensor: number): StagedStorage | undefined {
    // A slot is not float32 where it holds a parameter.
    return this.laidOut.tensors[tensor]!.arrays.get(parameterSlot)?.storage as StagedStorage | undefined
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
      const kernel = this.laidOut.library.checkFinite
      this.finiteItems = this.writeItems(
        this.laidOut.regions.finite,
        tensors.map((index) => {
          const { finiteEntry: entry, size } = this.laidOut.tensors[index]!
          return { kernel, entry, count: size, perItem: chunkElements }
        }),
      )
      this.finiteOf = [...tensors]
    }
    for (const index of tensors) this.words[this.laidOut.tensors[index]!.flag / 4] = 0
    this.execute(this.laidOut.regions.finite, this.finiteItems, [[0, this.finiteItems]])
    return tensors.filter((index) => this.words[this.laidOut.tensors[index]!.flag / 4] !== 0)
  }

  run(work: readonly Work[]): void {
    this.perform(work)
    if (work.length > 0 && work[0]!.environment.count('', false) % settlingPeriod === 0) this.settle(work)
  }

  private perform(work: readonly Work[]): void {
    this.look()
    const ready = work.map(({ tensor, program }) => this.setup.prepared[tensor]!.get(program)!)
    const evaluated: { environment: Work['environment']; address: number; count: number }[] = []
    for (let index = 0; index < work.length; index++) {
      const { tensor, environment } = work[index]!
      const { computation, hostArguments, group } = ready[index]!
      const known = evaluated[group]
      if (known?.environment === environment) {
        const from = known.address / 8
        this.numbers.copyWithin(hostArguments / 8, from, from + known.count)
      } else {
        const count = computation.evaluate(environment, this.numbers, hostArguments / 8)
        evaluated[group] = { environment, address: hostArguments, count }
      }
      this.last[tensor] = ready[index]
    }
    if (!this.current || !sameElements(ready, this.currentOf)) {
      this.loadList(this.listFor(work, ready))
      this.currentOf = ready
    }
    const { items, rounds } = this.current!
    this.execute(this.laidOut.regions.items, items.length / 5, rounds)
  }

  /**
   * Moments of what has no gradient any more decay, and rounding would keep them just above 0 for ever, at numbers that processors
   * compute with many times as slowly. WebAssembly cannot tell them to leave those out, so they are put to 0 now and then.
   */
  private settle(work: readonly Work[]): void {
    const kernel = this.laidOut.library.settle
    const { settling: region } = this.laidOut.regions
    const count = this.writeItems(
      region,
      work.flatMap(({ tensor }) =>
        this.laidOut.tensors[tensor]!.settling.map(({ entry, size }) => ({
          kernel,
          entry,
          count: size,
          perItem: chunkElements,
        })),
      ),
    )
    this.execute(region, count, [[0, count]])
  }

  /** Writes calls of kernels to memory and says how many there are. */
  private writeItems(region: number, items: readonly Items[]): number {
    this.words.set(encodeItems(items), region / 4)
    return items.reduce((sum, each) => sum + itemCount(each), 0)
  }

  telemetry(tensor: number, name: TelemetryName): number | undefined {
    const address = this.last[tensor]?.telemetry[name]
    this.look()
    return address === undefined ? undefined : this.numbers[address / 8]!
  }

  compute(work: readonly Work[]): Float32Array[] {
    if (work.length > 0) this.perform(work)
    return work.map(({ tensor }) => {
      const { average, size } = this.laidOut.tensors[tensor]!
      return this.floats(average, size).slice()
    })
  }

  dispose(): void {
    this.setup.release()
  }

  /** Looks at the memory anew when it has grown: a memory of someone else may do so at any time. */
  private look(): void {
    const { buffer } = this.setup.memory
    if (this.words?.buffer === buffer) return
    this.words = new Int32Array(buffer)
    this.numbers = new Float64Array(buffer)
    this.inputs = this.laidOut.tensors.map(
      ({ inputs }) => new Map([...inputs].map(([name, { address, size }]) => [name, this.floats(address, size)])),
    )
  }

  private floats(address: number, size: number): Float32Array {
    return new Float32Array(this.setup.memory.buffer, address, size)
  }

  private scalarAddress(tensor: number, key: string): number {
    return this.laidOut.tensors[tensor]!.numbers.get(key) ?? this.laidOut.shared.get(key)!
  }

  private execute(items: number, count: number, rounds: WorkList['rounds']): void {
    const { workers, run } = this.setup
    if (!workers) {
      run(items, count)
      return
    }
    const { block, regions } = this.laidOut
    workers.start(regions, items, rounds)
    run(block, 0)
  }

  private listFor(work: readonly Work[], ready: readonly Prepared[]): WorkList {
    const key = ready.map(({ entry }) => entry).join()
    const known = this.lists.get(key)
    if (known) return known
    const { regions, totals, library } = this.laidOut
    const list = this.setup.listWork(
      work.map(({ tensor }) => tensor),
      ready,
      { region: regions.totals, addresses: totals, kernels: library.totals },
      this.setup.workers !== undefined,
    )
    if (this.lists.size >= keptLists) this.lists.delete(this.lists.keys().next().value!)
    this.lists.set(key, list)
    return list
  }

  private loadList(list: WorkList): void {
    this.words.set(list.items, this.laidOut.regions.items / 4)
    this.words.set(list.totals, this.laidOut.regions.totals / 4)
    this.current = list
  }
}
