/** The kernel of one loop over elements that depend on no others. */

import { type Instruction, isMask, type Loop, type NumberReference, type Plan } from '../../plan/plan.ts'
import { isAside } from './aside.ts'
import { FunctionBuilder, kernelParameters, type Local, type ValueType } from './assembler.ts'
import { emitScalar, emitVector } from './elements.ts'
import type { EntryLayout, EntryWord } from './entry.ts'
import { whileLeft } from './library.ts'
import { emitNumber } from './numbers.ts'

const masks = new Set<Instruction['operation']>(['equal', 'less', 'lessOrEqual', 'and', 'not', 'stride'])

/** Vectors per turn of the main loop. */
export const unroll = 4

/** A part of a loop's body. */
export interface Part {
  /** Its instructions in order, each with the stores that can be done then. */
  readonly steps: readonly { readonly register: number; readonly stores: Loop['stores'] }[]
  /** The places of the reductions that it gathers for. */
  readonly reductions: readonly number[]
}

/** What takes a processor long. */
const slow = new Set<Instruction['operation']>(['divide', 'squareRoot'])

/** Whether roots or quotients are among the instructions of a loop. */
export const isSlow = ({ body }: Loop): boolean => body.some(({ operation }) => slow.has(operation))

/** A factor beyond this, or as small, is multiplied with in two: float32 holds numbers near its ends badly or not at all. */
const largestFactor = 2 ** 64

/**
 * Cuts the body of a loop behind its roots and quotients. What needs none of them but is needed with one only later
 * belongs to the later part.
 */
function cut({ body, stores, reductions }: Loop): Part[] {
  const after = (register: number) => (slow.has(body[register]!.operation) ? 1 : 0)
  const earliest: number[] = []
  for (const { inputs } of body) earliest.push(Math.max(0, ...inputs.map((input) => earliest[input]! + after(input))))
  const count = Math.max(0, ...earliest) + 1
  const place = body.map(() => count - 1)
  for (const { register } of stores) place[register] = earliest[register]!
  for (const { registers } of reductions) for (const register of registers) place[register] = earliest[register]!
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
    reductions: [...reductions.keys()].filter(
      (index) => Math.max(...reductions[index]!.registers.map((register) => place[register]!)) === part,
    ),
  }))
}

type Scaling = Extract<Instruction, { readonly operation: 'scale' }>

const gathering = new Set<Instruction['operation']>(['broadcast', 'random', 'index', 'stride'])

/** Instructions that only a `GatheringLoopGenerator` knows. */
export type Gathering = Extract<Instruction, { readonly operation: 'broadcast' | 'random' | 'index' | 'stride' }>

const isGathering = (instruction: Instruction): instruction is Gathering => gathering.has(instruction.operation)

/** Whether a loop goes over elements that depend on no others, one like the other. */
export function isFlat({ view, elementwise, reductions, body }: Loop): boolean {
  return !view && !elementwise && reductions.length === 0 && !body.some(isGathering)
}

/**
 * Whether loops of a plan read memory ahead, which helps where sums stand beside reads or passes read much; products of matrices
 * take so long that it does not show.
 */
export function readsAhead({ loops, stages }: Plan): boolean {
  return loops.some(({ reductions }) => reductions.length > 0) && !stages.some(({ kind }) => kind === 'routines')
}

/** Writes the function of one loop that is flat. */
export class LoopGenerator {
  protected readonly f: FunctionBuilder
  protected readonly entry: Local
  protected readonly first: Local
  protected readonly last: Local
  protected readonly chunk: Local
  protected readonly pointers = new Map<number, Local>()
  protected readonly vectors = new Map<number, Local>()
  protected readonly singles = new Map<number, Local>()
  /** The two factors of what is scaled, of which the first is nearly always 1. */
  private readonly factors = new Map<number, readonly { readonly single: Local; readonly vector: Local }[]>()
  protected readonly parts: readonly Part[]
  /** The registers that a turn computes. */
  private readonly needed = new Set<number>()
  protected readonly remaining: Local
  protected readonly plan: Plan
  protected readonly layout: EntryLayout
  protected readonly loop: Loop

  /** @param results what the function leaves on the stack. */
  constructor(plan: Plan, layout: EntryLayout, loop: Loop, name: string, results: readonly ValueType[] = []) {
    this.plan = plan
    this.layout = layout
    this.loop = loop
    this.f = new FunctionBuilder(name, kernelParameters, results)
    const [entry, first, last, chunk] = this.f.parameters as [Local, Local, Local, Local]
    this.entry = entry
    this.first = first
    this.last = last
    this.chunk = chunk
    this.remaining = this.f.local('i32')
    this.parts = cut(loop)
    for (const { register } of loop.stores) this.need(register)
  }

  protected need(register: number): void {
    if (this.needed.has(register)) return
    this.needed.add(register)
    for (const input of this.loop.body[register]!.inputs) this.need(input)
  }

  generate(): FunctionBuilder {
    this.loadScalars()
    this.flat()
    return this.f
  }

  protected word(word: EntryWord, extra = 0): FunctionBuilder {
    return this.f.get(this.entry).at('i32.load', this.layout.offset(word) + extra)
  }

  protected loadScalars(): void {
    const { f } = this
    this.loop.body.forEach((instruction, register) => {
      this.loadBefore(instruction, register)
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

  /** Loads what else an instruction needs before the loop. */
  protected loadBefore(_instruction: Instruction, _register: number): void {}

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

  /** Pointers of all arrays that advance with the elements, moved to the element index in `start`. */
  protected startPointers(start: Local): void {
    for (const use of [...this.loop.body, ...this.loop.stores]) {
      if (!('array' in use) || ('operation' in use && use.operation === 'broadcast')) continue
      const { array } = use
      const pointer = this.pointers.get(array) ?? this.f.local('i32')
      this.pointers.set(array, pointer)
      this.startPointer(array, pointer, start)
    }
  }

  protected startPointer(array: number, pointer: Local, start: Local): void {
    this.placeOf(array, start).i32(4).op('i32.mul', 'i32.add').set(pointer)
  }

  /** Leaves where an array begins, and how many elements behind that one lies. */
  protected placeOf(array: number, element: Local): FunctionBuilder {
    return this.word({ kind: 'array', array }).get(element)
  }

  protected flat(): void {
    this.between(this.first, this.last)
  }

  /** Runs the body over the elements from one to another. */
  protected between(from: Local, to: Local): void {
    const { f } = this
    this.beginAt(from, to)
    f.get(to).get(from).op('i32.sub').set(this.remaining)
    this.runElements()
  }

  protected beginAt(from: Local, _to: Local): void {
    this.startPointers(from)
  }

  /** Runs the body over `remaining` elements: four vectors at a time, then single vectors, then single elements. */
  protected runElements(): void {
    this.repeat(4 * unroll, () => this.turn())
    this.runRest()
  }

  /** Runs the body over what is left of turns. */
  protected runRest(): void {
    this.repeat(4, () => {
      const values: Local[] = []
      for (const part of this.parts) this.vectorPart(part, values, 0, false)
    })
    this.repeat(1, () => this.singleBody())
  }

  protected repeat(elements: number, body: () => void): void {
    whileLeft(this.f, this.remaining, elements, () => {
      body()
      this.advance(elements)
    })
  }

  protected advance(elements: number): void {
    for (const pointer of this.pointers.values()) this.move(pointer, 4 * elements)
  }

  protected move(pointer: Local, bytes: number): void {
    this.f.get(pointer).i32(bytes).op('i32.add').set(pointer)
  }

  /** Sixteen elements. The parts of a vector come between those of its neighbours, which gives each time to finish. */
  protected turn(): void {
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
  protected vectorPart(part: Part, values: Local[], lane: number, ofSixteen: boolean): void {
    for (const { register, stores } of part.steps) {
      if (ofSixteen && !this.needed.has(register)) continue
      values[register] = this.vectorValue(register, values, lane, ofSixteen)
      for (const store of stores) {
        if (isAside(store.array) && !ofSixteen) continue
        this.storeVector(store.array, values[store.register]!, lane)
      }
    }
    this.gather(part, values, lane, ofSixteen)
  }

  /** Leaves the `lane`-th vector of an array in a turn. */
  protected loadVector(array: number, lane: number): void {
    this.f.get(this.pointerTo(array)).at('v128.load', 16 * lane)
  }

  protected storeVector(array: number, value: Local, lane: number): void {
    this.f
      .get(this.pointerTo(array))
      .get(value)
      .at('v128.store', 16 * lane)
  }

  /** Adds to what is gathered, after the part of a body for four elements. */
  protected gather(_part: Part, _values: readonly Local[], _lane: number, _ofSixteen: boolean): void {}

  /** Where an array is read or written. */
  protected pointerTo(array: number): Local {
    return this.pointers.get(array)!
  }

  /** A vector that need not be computed. */
  protected known(register: number, _lane: number): Local | undefined {
    return this.vectors.get(register)
  }

  protected vectorValue(register: number, values: readonly Local[], lane: number, ofSixteen: boolean): Local {
    const { f } = this
    const instruction = this.loop.body[register]!
    const { operation } = instruction
    const hoisted = this.known(register, lane)
    if (hoisted) return hoisted
    const known = this.drawn(instruction, register, lane, ofSixteen)
    if (known) return known
    const local = f.local('v128')
    if (operation === 'load') this.loadVector(instruction.array, lane)
    else if (operation === 'scale') {
      f.get(values[instruction.inputs[0]]!)
      for (const { vector } of this.factors.get(register)!) f.get(vector).op('f32x4.mul')
    } else if (operation === 'scalar' || isGathering(instruction)) this.gatheringVector(instruction, register, lane)
    else {
      emitVector(
        f,
        instruction.operation,
        instruction.inputs.map((input) => values[input]!),
      )
    }
    f.set(local)
    return local
  }

  /** What an instruction has drawn before. */
  protected drawn(_draw: Instruction, _register: number, _lane: number, _ofSixteen: boolean): Local | undefined {
    return undefined
  }

  protected gatheringVector({ operation }: Instruction, _register: number, _lane: number): void {
    throw new Error(`${operation} is not computed for each vector`)
  }

  protected gatheringSingle({ operation }: Gathering, _register: number): void {
    throw new Error(`${operation} is not computed for each element of a flat loop`)
  }

  protected singleBody(): void {
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
      } else if (isGathering(instruction)) this.gatheringSingle(instruction, register)
      else if (operation === 'scalar') throw new Error('a number is loaded once, before the loop')
      else if (operation === 'scale') {
        f.get(values[instruction.inputs[0]]!)
        for (const { single } of this.factors.get(register)!) f.get(single).op('f32.mul')
      } else
        emitScalar(
          f,
          'f32',
          instruction.operation,
          instruction.inputs.map((input) => values[input]!),
        )
      f.set(local)
      values.push(local)
    })
    for (const { array, register } of this.loop.stores) {
      if (isAside(array)) continue
      f.get(this.pointers.get(array)!).get(values[register]!).at('f32.store')
    }
    this.gatherSingle(values)
  }

  /** Adds to what is gathered, after the body for one element. */
  protected gatherSingle(_values: readonly Local[]): void {}
}
