/** What runs on a device: steps, readback, and the verdicts of the check for finiteness. */

import { type Program, parameterSlot } from '../../program/program.ts'
import { provided } from '../../storage/provided.ts'
import {
  type DeferredExecutor,
  type FloatArray,
  firstElement,
  type Place,
  type Readback,
  type Work,
  type WritablePlace,
} from '../backend.ts'
import {
  type Blueprint,
  buffersFor,
  chunkElements,
  chunks,
  type Dispatch,
  type Item,
  type Prepared,
} from './builder.ts'
import { Eigendecompositions } from './eigendecompositions.ts'
import { type DeviceBytes, type Gpu, itemAlignment, readBuffers, usage } from './gpu.ts'
import type { Placed } from './heaps.ts'
import { bindings, gradientHeap, head, heapName, parameterHeap } from './kernel.ts'
import { checkFinite, parameterCopy } from './library.ts'
import type { Packed } from './tensor-memory.ts'
import { dispatchesOf, merged } from './work-list.ts'

/** How many work lists are kept: one for every recent combination of tensors and programs. */
const keptLists = 16

const itemBytes = 16
const mostGroups = 65535

/** What kernels are bound to. */
interface BoundBuffers {
  readonly group: GPUBindGroup
  /** For the check, which writes to the words. */
  readonly judging: GPUBindGroup
}

/** Dispatches that are ready to be recorded. */
interface WorkList {
  readonly items: GPUBuffer
  /** Bytes of items that a kernel sees at most. */
  readonly window: number
  readonly bound: BoundBuffers
  /** With the buffers of one tensor, as they were last attached. */
  readonly boundTo: Map<number, BoundBuffers & { readonly attached: AttachedBuffers }>
  readonly dispatches: readonly {
    readonly pipeline: GPUComputePipeline
    readonly judges: boolean
    readonly offset: number
    readonly groups: readonly [number, number]
    readonly buffersOf: number | undefined
  }[]
  /** True when it has run once, and the device found nothing wrong with how. */
  tried: boolean
}

interface Attempt {
  readonly number: number
  readonly tensors: readonly number[]
  readonly settle: (found: readonly number[]) => void
  readonly fail: (error: unknown) => void
}

/** A part of a buffer, as a bind group takes it. */
export interface BufferRange {
  readonly buffer: GPUBuffer
  /** In bytes, a multiple of 256. */
  readonly offset: number
  readonly size: number
}

/** Where the parameter and its gradient lie on the device. */
export interface ParameterBuffers {
  readonly parameter: BufferRange
  readonly gradient: BufferRange
}

/** The same, where these buffers are the user's and may be yet to come. */
export type AttachedBuffers = { readonly [kind in keyof ParameterBuffers]?: BufferRange | undefined }

/** Where an array begins, in bytes, and how many elements it has. */
interface ArrayOnDevice {
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly size: number
}

const bytesOf = ({ buffer, offset, size }: ArrayOnDevice): DeviceBytes => ({ buffer, offset, bytes: 4 * size })

/** What is asked of the device in one go. */
interface Task {
  readonly work: readonly Work[]
  /** The tensors whose gradients are checked. */
  readonly check: readonly number[]
  readonly copies: readonly { readonly tensor: number; readonly key: string }[]
}

/** The buffers and pipelines of one optimizer. */
export class WebgpuInstance implements DeferredExecutor, Readback {
  private readonly gpu: Gpu
  private readonly blueprint: Blueprint
  private readonly pipelines: ReadonlyMap<string, GPUComputePipeline>
  private readonly release: () => void
  private readonly heaps: readonly GPUBuffer[]
  private readonly words: GPUBuffer
  private readonly numbers: GPUBuffer
  private readonly bytes: GPUBuffer
  private readonly lists = new Map<string, WorkList>()
  private readonly attached: AttachedBuffers[]
  private readonly eigendecompositions: Eigendecompositions
  /** The words that the host writes before each step, and their two ways to be seen. */
  private readonly hostWords: Uint32Array<ArrayBuffer>
  private readonly hostFloats: Float32Array<ArrayBuffer>
  private readonly computed: number[] = []
  private readonly last: (Prepared | undefined)[] = []
  private attempts = 0
  /** Attempts whose outcome nobody was told yet, in order. */
  private waiting: Attempt[] = []
  private asking = false
  /** What the device found wrong, if anything. */
  private failure: Error | undefined
  private disposed = false

  constructor(gpu: Gpu, blueprint: Blueprint, pipelines: ReadonlyMap<string, GPUComputePipeline>, release: () => void) {
    this.gpu = gpu
    this.blueprint = blueprint
    this.pipelines = pipelines
    this.release = release
    this.attached = blueprint.tensors.map(() => ({}))
    this.eigendecompositions = new Eigendecompositions(
      (tensor, key) => this.readMatrix(tensor, key),
      blueprint.prepared,
    )
    this.hostWords = new Uint32Array(blueprint.hostWords)
    this.hostFloats = new Float32Array(this.hostWords.buffer)
    const buffer = (label: string, bytes: number) =>
      gpu.device.createBuffer({ label, size: bytes, usage: usage.storage | usage.copySource | usage.copyTarget })
    this.heaps = blueprint.heaps.map((size, heap) => buffer(heapName(heap), 4 * size))
    this.words = buffer('words', blueprint.words.byteLength)
    this.numbers = buffer('numbers', blueprint.numbers.byteLength)
    this.bytes = buffer('bytes', 4 * Math.max(4, blueprint.byteWords))
    const { queue } = gpu.device
    queue.writeBuffer(this.words, 0, blueprint.words)
    queue.writeBuffer(this.numbers, 0, blueprint.numbers)
    for (const { place, values } of blueprint.starts) this.writeArray(this.inHeap(place), values)
    for (const { place, bytes } of blueprint.packedStarts) this.writeBytes(place, bytes)
  }

  run(work: readonly Work[]): void {
    this.perform({ work, check: [], copies: [] }, 0)
  }

  copyParameter(tensor: number, key: string): void {
    this.perform({ work: [], check: [], copies: [{ tensor, key }] }, 0)
  }

  attempt(work: readonly Work[], tensors: readonly number[], copies: Task['copies']): Promise<readonly number[]> {
    const number = ++this.attempts
    // What reads no gradient need not have one.
    const check = this.attaches ? tensors.filter((tensor) => this.attached[tensor]!.gradient) : tensors
    this.perform({ work, check, copies }, number)
    return new Promise((settle, fail) => {
      this.waiting.push({ number, tensors, settle, fail })
      // Many attempts that are made at once are asked about together.
      if (!this.asking) {
        this.asking = true
        queueMicrotask(() => this.ask())
      }
    })
  }

  settled(): Promise<void> {
    return this.eigendecompositions.settled()
  }

  resume(): void {
    if (this.gpu.lost === undefined) this.gpu.device.queue.writeBuffer(this.words, 4 * head.failed, Uint32Array.of(0))
  }

  async read(places: readonly Place[]): Promise<readonly FloatArray[]> {
    this.gpu.refuseWhenLost('webgpu')
    const arrays = await readBuffers(
      this.gpu,
      places.map((place) => this.range(place)),
    )
    this.refuseAfterFailure()
    return arrays.map((array, index) => this.decoded(places[index]!, array))
  }

  /** What bytes say that were copied from the range of a place. */
  decoded(place: Place, array: ArrayBuffer): FloatArray {
    const packed = this.packedAt(place)
    if (!packed) return new Float32Array(array)
    const bytes = new Uint8Array(array, 0, packed.bytes)
    // Only checkpoints ask for bytes, and give them back.
    if (place.kind === 'bytes') return bytes as ArrayLike<number> as FloatArray
    return Float32Array.from(provided().codecs[packed.storage].decode(bytes, packed.size))
  }

  write(place: WritablePlace, values: ArrayLike<number>): void {
    this.gpu.refuseWhenLost('webgpu')
    const packed = this.packedAt(place)
    if (packed) {
      this.writeBytes(packed, place.kind === 'bytes' ? values : provided().codecs[packed.storage].encode(values))
    } else if (place.kind === 'number') {
      this.gpu.device.queue.writeBuffer(this.numbers, 4 * this.numberPlace(place), Float32Array.of(values[0]!))
    } else this.writeArray(this.arrayAt(place), values, firstElement(place))
    if (place.kind === 'array') this.eigendecompositions.changed(place.tensor, place.key)
  }

  async compute(work: readonly Work[]): Promise<readonly FloatArray[]> {
    this.run(work)
    const arrays = await readBuffers(
      this.gpu,
      work.map(({ tensor }) => this.average(tensor)),
    )
    return arrays.map((array) => new Float32Array(array))
  }

  /** Where a tensor's program that computes what to evaluate with has left it. */
  average(tensor: number): DeviceBytes {
    return bytesOf(this.inHeap(this.blueprint.tensors[tensor]!.average!))
  }

  /** How many bytes of the device it holds, but for what is small. */
  get bytesHeld(): number {
    const { heaps, byteWords } = this.blueprint
    return heaps.reduce((sum, size) => sum + 4 * size, 4 * byteWords)
  }

  /** Whether parameters and gradients lie in buffers that are attached. */
  get attaches(): boolean {
    return this.blueprint.attached
  }

  /** The device that everything lies on. */
  get device(): GPUDevice {
    return this.gpu.device
  }

  /**
   * Where the parameter and the gradient of a tensor lie.
   * @throws Error for a parameter that is not in float32.
   */
  buffersOf(tensor: number): ParameterBuffers {
    const kept = this.packedAt({ kind: 'parameter', tensor })
    if (kept) {
      const { name } = this.blueprint.tensors[tensor]!
      throw new Error(`buffersOf: ${provided().parameters.refused(name, kept.storage, 'await readParameters()')}`)
    }
    const range = (kind: keyof ParameterBuffers) => {
      const { buffer, offset, bytes: size } = this.range({ kind, tensor })
      return { buffer, offset, size }
    }
    return { parameter: range('parameter'), gradient: range('gradient') }
  }

  /** The buffers that are attached to a tensor. */
  attachedTo(tensor: number): AttachedBuffers {
    return this.attached[tensor]!
  }

  /** Takes the parameter or the gradient of a tensor, or both, to lie in other buffers from now on. */
  attach(tensor: number, buffers: AttachedBuffers): void {
    this.attached[tensor] = { ...this.attached[tensor], ...buffers }
  }

  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    this.eigendecompositions.dispose()
    for (const { items } of this.lists.values()) items.destroy()
    for (const buffer of [...this.heaps, this.words, this.numbers, this.bytes]) buffer.destroy()
    this.release()
  }

  /** Records and submits everything of a task, at once. */
  private perform(task: Task, attempt: number): void {
    // An attempt is told so when it asks.
    if (this.gpu.lost !== undefined && attempt > 0) return
    this.refuseAfterFailure()
    const { work } = task
    if (this.attaches) this.checkAttached(task)
    const programs = work.map(({ tensor, program }) => this.preparedOf(tensor, program))
    const ready = programs.map((prepared, index) => this.withDecompositions(prepared, work[index]!))
    this.hostWords[0] = attempt
    work.forEach(({ tensor, environment }, index) => {
      this.writeHostNumbers(ready[index]!, environment)
      this.last[tensor] = ready[index]
    })
    const list = this.listFor(task, ready)
    if (list.dispatches.length === 0) return
    const { device } = this.gpu
    if (!list.tried) device.pushErrorScope('validation')
    device.queue.writeBuffer(this.words, 4 * head.attempt, this.hostWords)
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    let pipeline: GPUComputePipeline | undefined
    for (const dispatch of list.dispatches) {
      if (dispatch.pipeline !== pipeline) pass.setPipeline(dispatch.pipeline)
      pipeline = dispatch.pipeline
      const { group, judging } = dispatch.buffersOf === undefined ? list.bound : this.boundTo(list, dispatch.buffersOf)
      pass.setBindGroup(0, dispatch.judges ? judging : group, [dispatch.offset])
      pass.dispatchWorkgroups(...dispatch.groups)
    }
    pass.end()
    device.queue.submit([encoder.finish()])
    programs.forEach(({ delayed }, index) => {
      for (const { key } of delayed) this.eigendecompositions.changed(work[index]!.tensor, key)
    })
    if (list.tried) return
    list.tried = true
    device.popErrorScope().then(
      (error) => {
        if (error) this.failure ??= new Error(`webgpu: the device refused the kernels of a step: ${error.message}`)
      },
      () => {},
    )
  }

  /** What a program runs when the host has decomposed its matrices, which then lie where the rest finds them. */
  private withDecompositions(prepared: Prepared, { tensor, environment }: Work): Prepared {
    const { delayed, decomposed } = prepared
    const found = delayed.map(({ key, began }) =>
      environment.slot(began) > 0 ? this.eigendecompositions.of(tensor, key) : undefined,
    )
    if (!decomposed || found.includes(undefined)) return prepared
    delayed.forEach(({ place }, index) => {
      this.writeArray(this.inHeap(place), found[index]!)
    })
    return decomposed
  }

  private async readMatrix(tensor: number, key: string): Promise<Float32Array> {
    const [found] = await readBuffers(this.gpu, [this.range({ kind: 'array', tensor, key })])
    return new Float32Array(found!)
  }

  private refuseAfterFailure(): void {
    this.gpu.refuseWhenLost('webgpu')
    if (this.failure) throw this.failure
  }

  private preparedOf(tensor: number, program: Program): Prepared {
    return this.blueprint.prepared[tensor]!.get(program)!
  }

  /** Each number as float32 and as a whole number. */
  private writeHostNumbers(
    { evaluator, factors, plan, hostNumbers }: Prepared,
    environment: Work['environment'],
  ): void {
    const { computed, hostWords, hostFloats } = this
    evaluator.evaluate(environment, computed)
    const count = plan.arguments.length
    factors.forEach(({ times, over }, index) => {
      let product = 1
      for (const argument of times) product *= computed[argument]!
      for (const argument of over) product /= computed[argument]!
      computed[count + index] = product
    })
    const first = hostNumbers - head.attempt
    for (let index = 0; index < count + factors.length; index++) {
      const value = computed[index]!
      hostFloats[first + 2 * index] = value
      hostWords[first + 2 * index + 1] = value
    }
  }

  private listFor({ check, copies }: Task, ready: readonly Prepared[]): WorkList {
    const key = [
      ready.map(({ id }) => id).join(),
      check.join(),
      copies.map(({ tensor, key: slot }) => `${tensor}:${slot}`).join(),
    ].join('|')
    const known = this.lists.get(key)
    if (known) return known
    const { blueprint } = this
    const list = this.makeList([
      ...merged(check.map((tensor) => [this.checkOf(tensor)])),
      ...merged(copies.map((copy) => [this.copyOf(copy)])),
      ...dispatchesOf(ready, blueprint.totals, blueprint.heaps.length),
    ])
    if (this.lists.size >= keptLists) {
      const [oldest, dropped] = this.lists.entries().next().value!
      dropped.items.destroy()
      this.lists.delete(oldest)
    }
    this.lists.set(key, list)
    return list
  }

  private checkOf(tensor: number): Dispatch {
    const { mark, gradient } = this.blueprint.tensors[tensor]!
    const items = chunks(gradient.size, chunkElements).map(([first, last]): Item => [mark, first, last, gradient.at])
    const kernel = checkFinite(this.heaps.length, gradient.heap)
    return { kernel, items, ...buffersFor(this.attaches, kernel, tensor) }
  }

  private copyOf({ tensor, key }: Task['copies'][number]): Dispatch {
    const memory = this.blueprint.tensors[tensor]!
    const kernel = parameterCopy(this.heaps.length, memory, memory.arrays.get(key)!.heap)
    const entry = this.blueprint.copyEntry(tensor, key)
    const items = chunks(memory.size, chunkElements).map(([first, last]): Item => [entry, first, last, 0])
    return { kernel, items, ...buffersFor(this.attaches, kernel, tensor) }
  }

  /** @throws Error when a parameter or a gradient that is needed lies nowhere. */
  private checkAttached({ work, copies }: Task): void {
    const need = (tensor: number, kind: keyof ParameterBuffers) => void this.arrayAt({ kind, tensor })
    for (const { tensor, program } of work) {
      need(tensor, 'parameter')
      if (program.leaves.gradient) need(tensor, 'gradient')
    }
    for (const { tensor } of copies) need(tensor, 'parameter')
  }

  /** What the kernels of a list are bound to when they work on the buffers of a tensor. */
  private boundTo(list: WorkList, tensor: number): BoundBuffers {
    const attached = this.attached[tensor]!
    const known = list.boundTo.get(tensor)
    if (known && sameRange(known.attached, attached)) return known
    const made = { ...this.bind(list.items, list.window, attached), attached }
    list.boundTo.set(tensor, made)
    return made
  }

  private bind(items: GPUBuffer, window: number, { parameter, gradient }: AttachedBuffers): BoundBuffers {
    const heaps: GPUBufferBinding[] = this.heaps.map((buffer) => ({ buffer }))
    if (parameter) heaps[parameterHeap] = parameter
    if (gradient) heaps[gradientHeap] = gradient
    const group = (judges: boolean) =>
      this.gpu.device.createBindGroup({
        layout: this.gpu.layout(this.heaps.length, judges).group,
        entries: [
          { binding: bindings.items, resource: { buffer: items, size: window } },
          { binding: bindings.words, resource: { buffer: this.words } },
          { binding: bindings.numbers, resource: { buffer: this.numbers } },
          { binding: bindings.bytes, resource: { buffer: this.bytes } },
          ...heaps.map((resource, heap) => ({ binding: bindings.heaps + heap, resource })),
        ],
      })
    return { group: group(false), judging: group(true) }
  }

  private makeList(all: readonly Dispatch[]): WorkList {
    const { device } = this.gpu
    const laidOut: { offset: number; dispatch: Dispatch; groups: readonly [number, number] }[] = []
    let bytes = 0
    let window: number = itemAlignment
    for (const dispatch of all) {
      const count = dispatch.groups ?? dispatch.items.length
      if (count === 0) continue
      const rows = Math.ceil(count / mostGroups)
      const groups = [Math.ceil(count / rows), rows] as const
      // What is behind the last item says that there is nothing to do.
      const items = Math.max(dispatch.items.length, groups[0] * groups[1])
      const length = Math.ceil((items * itemBytes) / itemAlignment) * itemAlignment
      laidOut.push({ offset: bytes, dispatch, groups })
      bytes += length
      window = Math.max(window, length)
    }
    const values = new Uint32Array((bytes + window) / 4)
    for (const { offset, dispatch } of laidOut) {
      dispatch.items.forEach((item, index) => {
        values.set(item, offset / 4 + 4 * index)
      })
    }
    const items = device.createBuffer({
      label: 'items',
      size: values.byteLength,
      usage: usage.storage | usage.copyTarget,
    })
    device.queue.writeBuffer(items, 0, values)
    const dispatches = laidOut.map(({ offset, dispatch: { kernel, buffersOf }, groups }) => {
      const pipeline = this.pipelines.get(kernel.key) ?? this.gpu.pipelineAtOnce(kernel, this.heaps.length)
      return { pipeline, judges: kernel.judges, offset, groups, buffersOf }
    })
    return { items, window, bound: this.bind(items, window, {}), boundTo: new Map(), dispatches, tried: false }
  }

  /** Asks what became of the attempts that wait. */
  private async ask(): Promise<void> {
    const asked = this.waiting.at(-1)!.number
    try {
      this.gpu.refuseWhenLost('webgpu')
      const { marks, tensors } = this.blueprint
      const [failed, found] = await readBuffers(this.gpu, [
        { buffer: this.words, offset: 4 * head.failed, bytes: 4 },
        { buffer: this.words, offset: 4 * marks, bytes: 4 * tensors.length },
      ])
      this.refuseAfterFailure()
      const first = new Uint32Array(failed!)[0]!
      const marked = new Uint32Array(found!)
      const told = this.waiting.filter(({ number }) => number <= asked)
      this.waiting = this.waiting.filter(({ number }) => number > asked)
      for (const { number, tensors: checked, settle } of told) {
        settle(number === first ? checked.filter((tensor) => marked[tensor] === first) : [])
      }
    } catch (error) {
      const told = this.waiting
      this.waiting = []
      for (const { fail } of told) fail(error)
    }
    if (this.waiting.length > 0) this.ask()
    else this.asking = false
  }

  /**
   * Where something lies; of nothing, 0 bytes.
   * @throws Error for a parameter or a gradient that is kept in a buffer of the user's and has none yet.
   */
  range(place: Place): DeviceBytes {
    if (place.kind === 'telemetry') {
      const found = this.last[place.tensor]?.telemetry.get(place.key)
      return { buffer: this.numbers, offset: 4 * (found ?? 0), bytes: found === undefined ? 0 : 4 }
    }
    if (place.kind === 'number') return { buffer: this.numbers, offset: 4 * this.numberPlace(place), bytes: 4 }
    const packed = this.packedAt(place)
    if (packed) return { buffer: this.bytes, offset: 4 * packed.at, bytes: 4 * Math.ceil(packed.bytes / 4) }
    return bytesOf(this.arrayAt(place))
  }

  private inHeap({ heap, at, size }: Placed): ArrayOnDevice {
    return { buffer: this.heaps[heap]!, offset: 4 * at, size }
  }

  /** @throws Error for a parameter or a gradient that is kept in a buffer of the user's and has none yet. */
  private arrayAt(place: Exclude<WritablePlace, { readonly kind: 'number' }>): ArrayOnDevice {
    const memory = this.blueprint.tensors[place.tensor]!
    if ('key' in place) return this.inHeap((place.kind === 'input' ? memory.inputs : memory.arrays).get(place.key)!)
    const own = memory[place.kind]
    if (!this.attaches || own.size === 0) return this.inHeap(own)
    const range = this.attached[place.tensor]![place.kind]
    if (range) return { ...range, size: own.size }
    const what = place.kind === 'parameter' ? 'the parameter' : 'the gradient of'
    throw new Error(`webgpu: ${what} '${memory.name}' lies nowhere yet: attach a buffer with attachBuffers`)
  }

  private packedAt(place: Place): Packed | undefined {
    const { kind } = place
    const { packed } = this.blueprint.tensors[place.tensor]!
    if (kind === 'parameter') return packed.get(parameterSlot)
    return kind === 'array' || kind === 'bytes' ? packed.get(place.key) : undefined
  }

  private writeBytes({ at, bytes }: Packed, values: ArrayLike<number>): void {
    const whole = new Uint8Array(4 * Math.ceil(bytes / 4))
    whole.set(values)
    this.gpu.device.queue.writeBuffer(this.bytes, 4 * at, whole)
  }

  private numberPlace({ tensor, key }: { readonly tensor: number; readonly key: string }): number {
    return this.blueprint.tensors[tensor]!.numbers.get(key) ?? this.blueprint.shared.get(key)!
  }

  private writeArray({ buffer, offset }: ArrayOnDevice, values: ArrayLike<number>, from = 0): void {
    if (values.length === 0) return
    const floats = values instanceof Float32Array ? (values as Float32Array<ArrayBuffer>) : Float32Array.from(values)
    this.gpu.device.queue.writeBuffer(buffer, offset + 4 * from, floats)
  }
}

/** Whether buffers are attached that were so before. */
function sameRange(before: AttachedBuffers, now: AttachedBuffers): boolean {
  return (['parameter', 'gradient'] as const).every((kind) => {
    const [a, b] = [before[kind], now[kind]]
    return a?.buffer === b?.buffer && a?.offset === b?.offset && a?.size === b?.size
  })
}
