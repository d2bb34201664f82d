/** Lays out what an optimizer keeps on a device, and makes its programs ready to run there. */

import { type Dimensions, sizeOf } from '../../graph/node.ts'
import { placeScratch, type ScratchPlace } from '../../plan/place-scratch.ts'
import { dimensionsOf, elementsOf, type Plan, type PlannedArray, type Sizes } from '../../plan/plan.ts'
import { planTogether } from '../../plan/planner.ts'
import { HostEvaluator } from '../../program/host.ts'
import { isParameterSlot, type Program, parameterSlot, type SlotStorage, startOf } from '../../program/program.ts'
import { bytesOf, provided } from '../../storage/provided.ts'
import type { StagedStorage } from '../../storage/storage.ts'
import { arrayInputs, type BackendTensor, programsOfTensor } from '../backend.ts'
import { formsOf, type ProgramForm } from '../forms.ts'
import { type Factor, factorsOf, generateKernels, type LoopKernel, type PlanKernels } from './generate.ts'
import { Heaps, mebibytes, type Placed } from './heaps.ts'
import { head, type Kernel, type KernelWord } from './kernel.ts'
import { copyKernel } from './library.ts'
import { routineCall, workspaceOf } from './routines.ts'
import { tableOf } from './storages.ts'
import type { Packed, TensorMemory } from './tensor-memory.ts'
import { columnsTogether, lanes } from './workgroup.ts'

/** Elements per item of work. Fixed, because parts of sums belong to items. */
export const chunkElements = 4096

/** What a workgroup is told: the entry of its kernel, and three words more. */
export type Item = readonly [entry: number, number, number, number]

/** A kernel and the items that one tensor gives it. */
export interface Dispatch {
  readonly kernel: Kernel
  readonly items: readonly Item[]
  /** How many of the items have a workgroup, from the first on; all, if absent. */
  readonly groups?: number
  /** The tensor whose own buffers the kernel works on; absent where it needs none. */
  readonly buffersOf?: number
}

/** Whose buffers a kernel needs for its work on a tensor. */
export function buffersFor(attached: boolean, { reaches }: Kernel, tensor: number): Pick<Dispatch, 'buffersOf'> {
  return attached && reaches ? { buffersOf: tensor } : {}
}

/** A matrix of a program that waited for its eigendecomposition, which is done on the device if not on the host before. */
export interface Delayed {
  /** The state that it waits in, and the number of the host that says whether there is one yet. */
  readonly key: string
  readonly began: string
  readonly dimensions: Dimensions
  /** Where the host leaves its values, and the vectors behind them. */
  readonly place: Placed
}

/** A program made ready to run on one tensor. */
export interface Prepared {
  /** Tells it from all others of the optimizer. */
  readonly id: number
  readonly plan: Plan
  readonly evaluator: HostEvaluator
  readonly factors: readonly Factor[]
  /** Where the numbers of the host begin among the words, and those of the device among the numbers. */
  readonly hostNumbers: number
  readonly scalars: number
  /** What every loop, matrix function and stage runs, one after the other. */
  readonly loops: readonly (readonly Dispatch[])[]
  readonly routines: readonly (readonly Dispatch[])[]
  readonly stages: ReadonlyMap<number, Dispatch>
  readonly telemetry: ReadonlyMap<string, number>
  readonly delayed: readonly Delayed[]
  /** The same with the decompositions that the host has left. */
  readonly decomposed?: Prepared
}

/** Everything that is on a device, before it is there. */
export interface Blueprint {
  /** Whether every parameter and every gradient has a buffer of its own. */
  readonly attached: boolean
  readonly tensors: readonly TensorMemory[]
  readonly prepared: readonly ReadonlyMap<Program, Prepared>[]
  readonly shared: ReadonlyMap<string, number>
  readonly totals: ReadonlyMap<string, number>
  /** Elements of each heap. */
  readonly heaps: readonly number[]
  /** The words that never change. */
  readonly words: Uint32Array<ArrayBuffer>
  /** Where the marks begin. */
  readonly marks: number
  /** How many words the host writes before each step, from that of the attempt on. */
  readonly hostWords: number
  readonly numbers: Float32Array<ArrayBuffer>
  /** How many words the bytes of arrays take that are not in float32. */
  readonly byteWords: number
  /** What arrays begin with. */
  readonly starts: readonly { readonly place: Placed; readonly values: Float32Array<ArrayBuffer> }[]
  readonly packedStarts: readonly { readonly place: Packed; readonly bytes: Uint8Array }[]
  readonly kernels: readonly Kernel[]
  /** Gives an entry for a copy from one place to another. */
  readonly copyEntry: (tensor: number, key: string) => number
}

/** What an array is called among the heaps. */
function roleOf(array: PlannedArray): string {
  if (array.kind === 'slot') return `state ${array.key}`
  return array.kind === 'input' ? `input ${array.key}` : array.kind
}

interface Scratch extends ScratchPlace {
  readonly place: () => Placed
}

/** What a program has for the time of a step: arrays by their place in the plan, and what its matrix functions work with. */
interface ScratchPlaces {
  readonly arrays: ReadonlyMap<number, () => Placed>
  readonly workspaces: readonly ((() => Placed) | undefined)[]
}

/** Lays out what tensors have on a device, and generates the kernels of their programs. */
export class BlueprintMaker {
  private readonly tensors: readonly BackendTensor[]
  private readonly title: string
  private readonly heaps = new Heaps()
  private readonly words: number[] = []
  private readonly numbers: number[] = []
  private readonly shared = new Map<string, number>()
  private readonly totals = new Map<string, number>()
  private readonly forms: ReadonlyMap<Program, ProgramForm>
  private readonly plans: readonly Plan[]
  private readonly generated = new Map<number, PlanKernels>()
  private readonly kernels = new Map<string, Kernel>()
  private preparedCount = 0
  private byteWords = 0
  private readonly tables = new Map<StagedStorage, number>()
  /** Where the numbers of the host begin, by tensor. */
  private readonly hostNumbers: Map<Program, number>[] = []
  private readonly attached: boolean

  /**
   * @param title what the rule is called.
   * @param attached whether every parameter and every gradient has a buffer of its own.
   */
  constructor(tensors: readonly BackendTensor[], title: string, attached = false) {
    this.tensors = tensors
    this.title = title
    this.attached = attached
    const { forms, programs } = formsOf(tensors)
    this.forms = forms
    this.plans = planTogether(programs)
  }

  /** @param most bytes that a kernel may be bound to at once. */
  make(most: number): Blueprint {
    const reserved = this.tensors.map((tensor) => this.reserve(tensor))
    const scratches = this.tensors.map((tensor) => this.reserveScratch(tensor))
    this.heaps.choose(most)
    refuseLarge(4 * this.byteWords, most)
    const hostWords = this.reserveHostWords()
    const marks = this.words.length
    for (const _ of this.tensors) this.words.push(0)
    const tensors = reserved.map((settle, index) => settle(marks + index))
    const prepared = this.tensors.map((tensor, index) => {
      const programs = programsOfTensor(tensor)
      return new Map(
        programs.map((program) => {
          const hostNumbers = this.hostNumbers[index]!.get(program)!
          return [program, this.prepare(program, index, tensors[index]!, scratches[index]!.get(program)!, hostNumbers)]
        }),
      )
    })
    const copies = new Map<string, number>()
    for (const [index, { slots }] of this.tensors.entries()) {
      const { parameter, arrays, packed } = tensors[index]!
      const kept = packed.get(parameterSlot)
      const from = kept ? [kept.at, kept.size, this.table(kept.storage)] : [parameter.at]
      for (const { key, start } of slots) {
        if (start === 'parameter') copies.set(`${index} ${key}`, this.entry([arrays.get(key)!.at, ...from]))
      }
    }
    const starts = this.tensors.flatMap(({ slots }, index) =>
      slots.flatMap((slot) =>
        slot.space === 'array' && slot.storage === 'float32' && slot.start !== 0 && slot.start !== 'parameter'
          ? [{ place: tensors[index]!.arrays.get(slot.key)!, values: startOf(slot) }]
          : [],
      ),
    )
    const packedStarts = this.tensors.flatMap(({ slots }, index) =>
      slots.flatMap((slot) => {
        const place = tensors[index]!.packed.get(slot.key)
        return place ? [{ place, bytes: provided().start(slot) }] : []
      }),
    )
    return {
      attached: this.attached,
      tensors,
      prepared,
      shared: this.shared,
      totals: this.totals,
      heaps: this.heaps.sizes,
      words: Uint32Array.from(this.words),
      marks,
      hostWords,
      numbers: Float32Array.from([...this.numbers, 0]),
      byteWords: this.byteWords,
      starts,
      packedStarts,
      kernels: [...this.kernels.values()],
      copyEntry: (tensor, key) => copies.get(`${tensor} ${key}`)!,
    }
  }

  /** The head, and right behind it what the host writes before each step. */
  private reserveHostWords(): number {
    this.words.push(0, 0xff800000, 0)
    for (const tensor of this.tensors) {
      const places = new Map<Program, number>()
      // Programs of one tensor never run in the same step, so they can use the same words.
      let most = 0
      for (const program of programsOfTensor(tensor)) {
        const plan = this.plans[this.forms.get(program)!.plan]!
        places.set(program, this.words.length)
        most = Math.max(most, 2 * (plan.arguments.length + factorsOf(plan).length))
      }
      for (let word = 0; word < most; word++) this.words.push(0)
      this.hostNumbers.push(places)
    }
    return this.words.length - head.attempt
  }

  private entry(words: readonly number[]): number {
    this.words.push(...words)
    return this.words.length - words.length
  }

  private number(start = 0): number {
    return this.numbers.push(start) - 1
  }

  private total(key: string): number {
    const known = this.totals.get(key) ?? this.number()
    this.totals.set(key, known)
    return known
  }

  private reserve(tensor: BackendTensor): (mark: number) => TensorMemory {
    const { name, size, slots, average } = tensor
    const inFloat32 = slots.some(isParameterSlot) ? 0 : size
    // In a buffer of its own each begins at 0.
    const parameter = this.heaps.reserve('parameter', this.attached ? 0 : inFloat32)
    const gradient = this.heaps.reserve('gradient', this.attached ? 0 : size)
    const averageArray = average ? this.heaps.reserve('average', size) : undefined
    const inputs = [...arrayInputs(programsOfTensor(tensor))].map(
      ([name, size]) => [name, this.heaps.reserve(`input ${name}`, size)] as const,
    )
    const arrays: (readonly [string, () => Placed])[] = []
    const packed = new Map<string, Packed>()
    const numbers = new Map<string, number>()
    for (const { key, space, shared, dimensions, start, storage } of slots) {
      if (space === 'array' && storage !== 'float32') packed.set(key, this.reserveBytes(storage, sizeOf(dimensions)))
      else if (space === 'array') arrays.push([key, this.heaps.reserve(`state ${key}`, sizeOf(dimensions))])
      else if (space === 'host') continue
      else if (!shared) numbers.set(key, this.number(start as number))
      else if (!this.shared.has(key)) this.shared.set(key, this.number(start as number))
    }
    const settled = (list: readonly (readonly [string, () => Placed])[]) =>
      new Map(list.map(([key, place]) => [key, place()]))
    return (mark) => ({
      name,
      size,
      parameter: { ...parameter(), size: inFloat32 },
      gradient: { ...gradient(), size },
      average: averageArray?.(),
      inputs: settled(inputs),
      arrays: settled(arrays),
      packed,
      numbers,
      mark,
    })
  }

  private reserveBytes(storage: StagedStorage, size: number): Packed {
    const at = this.byteWords
    const bytes = bytesOf(storage, size)
    this.byteWords += 4 * Math.ceil(bytes / 16)
    return { storage, at, size, bytes }
  }

  /** Where the table of a storage begins among the words. */
  private table(storage: StagedStorage): number {
    const known = this.tables.get(storage) ?? this.entry([...tableOf(storage)])
    this.tables.set(storage, known)
    return known
  }

  /** Programs of one tensor never run at the same time, so they use the same scratch, and within one what nobody needs any more. */
  private reserveScratch(tensor: BackendTensor): Map<Program, ScratchPlaces> {
    const buffers: Scratch[] = []
    const workspaces: Scratch[] = []
    return new Map(
      programsOfTensor(tensor).map((program) => {
        const { plan: index, sizes } = this.forms.get(program)!
        const needed = this.plans[index]!.arrays.flatMap((array, place) =>
          array.kind === 'scratch' ? [{ ...array, place, size: elementsOf(array.extent, sizes) }] : [],
        )
        const make = (size: number) => ({ place: this.heaps.reserve('scratch', size), size })
        const found = placeScratch(needed, () => buffers, make)
        const arrays = new Map([...found].map(([need, { place }]) => [need.place, place]))
        return [program, { arrays, workspaces: this.reserveWorkspaces(index, sizes, workspaces) }]
      }),
    )
  }

  /** Matrix functions of a level run side by side, so each has a workspace of its own. */
  private reserveWorkspaces(index: number, sizes: Sizes, known: Scratch[]): ScratchPlaces['workspaces'] {
    const free = [...known]
    return this.plans[index]!.routines.map(({ routine, operands }) => {
      const size = workspaceOf(
        routine,
        operands.map(({ extent }) => dimensionsOf(extent, sizes)),
      )
      if (size === 0) return undefined
      const fitting = free.findIndex((workspace) => workspace.size >= size)
      if (fitting >= 0) return free.splice(fitting, 1)[0]!.place
      const place = this.heaps.reserve('scratch', size)
      known.push({ place, size })
      return place
    })
  }

  private kernelsOf(index: number, form: ProgramForm): PlanKernels {
    const known = this.generated.get(index)
    if (known) return known
    const plan = this.plans[index]!
    const made = generateKernels(plan, {
      title: this.title,
      host: form.computation,
      heaps: plan.arrays.map((array) => (array.storage === 'float32' ? this.heaps.heapOf(roleOf(array)) : -1)),
      heapCount: this.heaps.sizes.length,
    })
    this.generated.set(index, made)
    return made
  }

  private prepare(
    program: Program,
    tensor: number,
    memory: TensorMemory,
    scratch: ScratchPlaces,
    hostNumbers: number,
  ): Prepared {
    const form = this.forms.get(program)!
    const { sizes, computation } = form
    const plan = this.plans[form.plan]!
    const kernels = this.kernelsOf(form.plan, form)
    const scalars = this.numbers.length
    for (const _ of plan.scalars) this.number()
    const packedOf = (array: number) => memory.packed.get((plan.arrays[array] as { readonly key: string }).key)!
    const places = plan.arrays.map((array, index): Placed => {
      // State that is packed has no place in a heap, and no word asks for it.
      if (array.kind === 'slot') return memory.arrays.get(array.key)!
      if (array.kind === 'input') return memory.inputs.get(array.key)!
      return array.kind === 'scratch' ? scratch.arrays.get(index)!() : memory[array.kind]!
    })
    const items = kernels.loops.map((ofLoop, loop) => ofLoop.map(({ split }) => itemsOf(plan, loop, split, sizes)))
    const partials = plan.loops.map(({ reductions }, loop) => {
      const count = items[loop]!.at(-1)?.length ?? 0
      const places = reductions.map(({ over }) => {
        if (over !== 'all') return 0
        const first = this.numbers.length
        for (let part = 0; part < count; part++) this.number()
        return first
      })
      return { places, count }
    })
    const wordOf = (word: KernelWord): number => {
      switch (word.kind) {
        case 'array':
          return places[word.array]!.at
        case 'bytes':
          return packedOf(word.array).at
        case 'elements':
          return packedOf(word.array).size
        case 'table':
          return this.table(word.storage)
        case 'argument':
          return hostNumbers + 2 * word.index
        case 'scalar':
          return scalars + word.index
        case 'number':
          return memory.numbers.get(word.key) ?? this.shared.get(word.key)!
        case 'total':
          return this.total(word.key)
        case 'size':
          return sizes[word.size]!
        case 'width':
          return rowWidth(sizes[word.columns]!)
        case 'partial':
          return partials[word.loop]!.places[word.reduction]!
        case 'parts':
          return partials[word.loop]!.count
      }
    }
    const dispatch = (kernel: Kernel, list: readonly Item[]): Dispatch => {
      this.note(kernel)
      // Where an entry has no words the item says all; 0 would say that there is nothing to do.
      const entry = kernel.words.length > 0 ? this.entry(kernel.words.map(wordOf)) : 1
      return {
        kernel,
        items: list.map(([, ...rest]) => [entry, ...rest]),
        ...buffersFor(this.attached, kernel, tensor),
      }
    }
    const loops = kernels.loops.map((ofLoop, loop) =>
      ofLoop.map(({ kernel }, position) => dispatch(kernel, items[loop]![position]!)),
    )
    const stages = new Map([...kernels.stages].map(([stage, kernel]) => [stage, dispatch(kernel, [[0, 0, 0, 0]])]))
    const routines = plan.routines.map((call, index): Dispatch[] => {
      const matrix = (array: number, extent = plan.arrays[array]!.extent) => ({
        ...places[array]!,
        dimensions: dimensionsOf(extent, sizes),
      })
      const workspace = scratch.workspaces[index]?.()
      const { kernel, words, items } = routineCall(
        call.routine,
        [
          ...call.operands.map(({ array, extent }) => matrix(array, extent)),
          ...call.results.map((array) => matrix(array)),
          ...(workspace ? [{ ...workspace, dimensions: [1, 1, workspace.size] as const }] : []),
        ],
        this.heaps.sizes.length,
      )
      this.note(kernel)
      const entry = this.entry(words)
      return [{ kernel, items: items.map((rest) => [entry, ...rest]), ...buffersFor(this.attached, kernel, tensor) }]
    })
    const telemetry = new Map(
      plan.scalarOutputs.flatMap(({ target, value }) =>
        target.kind === 'telemetry' ? [[target.name as string, scalars + value.index] as const] : [],
      ),
    )
    const evaluator = new HostEvaluator(computation)
    const copied: (readonly Dispatch[])[] = [...routines]
    const delayed = plan.routines.flatMap(({ routine, operands, results }, index): Delayed[] => {
      const slot = routine === 'eigen' ? this.waitingSlot(plan, operands[0]!.array, tensor) : undefined
      if (!slot) return []
      const place = scratch.workspaces[index]!()
      let read = place.at
      copied[index] = results.map((result) => {
        const { heap, at } = places[result]!
        const size = elementsOf(plan.arrays[result]!.extent, sizes)
        const kernel = copyKernel(this.heaps.sizes.length, heap, place.heap)
        this.note(kernel)
        const entry = this.entry([at, read])
        read += size
        return { kernel, items: chunks(size, chunkElements).map(([first, last]): Item => [entry, first, last, 0]) }
      })
      return [{ key: slot.key, began: slot.delayed!, dimensions: slot.dimensions, place }]
    })
    const factors = factorsOf(plan)
    const made = { plan, evaluator, factors, hostNumbers, scalars, loops, stages, telemetry, delayed }
    const id = this.preparedCount++
    if (delayed.length === 0) return { ...made, id, routines }
    return { ...made, id, routines, decomposed: { ...made, id: this.preparedCount++, routines: copied } }
  }

  /** The state that a matrix waited in which is an operand. */
  private waitingSlot(plan: Plan, operand: number, tensor: number): SlotStorage | undefined {
    for (const { body, stores } of plan.loops) {
      const register = stores.find(({ array }) => array === operand)?.register
      if (register === undefined) continue
      for (const input of body[register]!.inputs) {
        const read = body[input]!
        const array = read.operation === 'load' ? plan.arrays[read.array]! : undefined
        const slot = this.tensors[tensor]!.slots.find(({ key }) => array?.kind === 'slot' && key === array.key)
        if (slot?.delayed !== undefined) return slot
      }
    }
    return undefined
  }

  private note(kernel: Kernel): void {
    if (!this.kernels.has(kernel.key)) this.kernels.set(kernel.key, kernel)
  }
}

/** @throws Error when what is not kept in float32 is more than a kernel reaches. */
function refuseLarge(bytes: number, most: number): void {
  if (bytes <= most) return
  throw new Error(
    `webgpu: state in few bits takes ${mebibytes(bytes)}; a kernel of this device reaches ${mebibytes(most)} of it`,
  )
}

/** How many lanes share a row: a power of two, so that they are put together in pairs. */
function rowWidth(columns: number): number {
  let width = 1
  while (width < columns && width < lanes) width *= 2
  return width
}

/** First and last of every so many. */
export function chunks(count: number, each: number): [first: number, last: number][] {
  const parts: [number, number][] = []
  for (let first = 0; first < count; first += each) parts.push([first, Math.min(first + each, count)])
  return parts
}

/** Cuts a loop into items; their entry comes later. */
function itemsOf(plan: Plan, index: number, split: LoopKernel['split'], sizes: Sizes): Item[] {
  const loop = plan.loops[index]!
  const items: Item[] = []
  const add = (count: number, each: number) => {
    for (const [first, last] of chunks(count, each)) items.push([0, first, last, items.length])
  }
  if (split === 'elements') {
    add(elementsOf(loop.extent, sizes), chunkElements)
    return items
  }
  const [batch, rows, columns] = dimensionsOf(loop.view!, sizes)
  if (split === 'rows') {
    add(batch * rows, Math.max(lanes / rowWidth(columns), Math.floor(chunkElements / Math.max(1, columns))))
    return items
  }
  for (let b = 0; b < batch; b++) {
    for (let column = 0; column < columns; column += columnsTogether) items.push([0, b, column, 0])
  }
  return items
}
