/** Kernels that do not depend on a plan: the check for finiteness, what runs a list of work. */

import { FunctionBuilder, kernelParameters, type Local } from './assembler.ts'

/** Bytes of one item of the work list: function, entry, first, last, chunk. */
export const itemBytes = 20

/** A local variable for an address or a count by each of the names. */
export function locals<const N extends string>(f: FunctionBuilder, names: readonly N[]): Record<N, Local> {
  return Object.fromEntries(names.map((name) => [name, f.local('i32')])) as Record<N, Local>
}

/** Emits `do { body } while (counter += step, counter < end)`, skipped when it would not run once. */
export function countUp(f: FunctionBuilder, counter: Local, step: number | Local, end: Local, body: () => void): void {
  f.get(counter)
    .get(end)
    .op('i32.lt_u')
    .if(() => {
      f.loop(() => {
        body()
        f.get(counter)
        if (typeof step === 'number') f.i32(step)
        else f.get(step)
        f.op('i32.add').tee(counter).get(end).op('i32.lt_u').branchIf(0)
      })
    })
}

/** Raises a flag when an element in `[first, last)` is infinite or not a number. Entry: array, flag. */
export function checkFinite(): FunctionBuilder {
  const f = new FunctionBuilder('check_finite', kernelParameters)
  const entry = f.parameters[0]!
  const { pointer } = locals(f, ['pointer'])
  const largest = Array.from({ length: 8 }, () => f.local('v128'))
  const single = f.local('f32')
  const repeat = overElements(f, pointer)
  // Without their signs the bits of floats are ordered as they are, and those that are not finite come last.
  const withoutSign = f.local('v128')
  f.i32(0x7fffffff).op('i32x4.splat').set(withoutSign)
  repeat(4 * largest.length, () => {
    largest.forEach((bits, lane) => {
      f.get(bits)
        .get(pointer)
        .at('v128.load', 16 * lane)
        .get(withoutSign)
        .op('v128.and', 'i32x4.max_s')
        .set(bits)
    })
  })
  // x minus x is 0 for finite x, else not a number, and so is any sum that it enters.
  repeat(1, () =>
    f.get(single).get(pointer).at('f32.load').get(pointer).at('f32.load').op('f32.sub', 'f32.add').set(single),
  )
  f.get(largest[0]!)
  for (const bits of largest.slice(1)) f.get(bits).op('i32x4.max_s')
  f.i32(0x7f7fffff).op('i32x4.splat', 'i32x4.gt_s', 'v128.any_true')
  f.get(single).get(single).op('f32.ne', 'i32.or')
  f.if(() => f.get(entry).at('i32.load', 4).i32(1).at('i32.store'))
  return f
}

/** Emits a loop that runs while at least so many elements remain, and counts them off. */
export function whileLeft(f: FunctionBuilder, remaining: Local, elements: number, body: () => void): void {
  f.get(remaining)
    .i32(elements)
    .op('i32.ge_u')
    .if(() => {
      f.loop(() => {
        body()
        f.get(remaining).i32(elements).op('i32.sub').tee(remaining).i32(elements).op('i32.ge_u').branchIf(0)
      })
    })
}

/** Puts the pointer at `first` of the entry's array; what it returns repeats a body while so many elements are left to `last`. */
function overElements(f: FunctionBuilder, pointer: Local): (elements: number, body: () => void) => void {
  const [entry, first, last] = f.parameters as [Local, Local, Local]
  const { remaining } = locals(f, ['remaining'])
  f.get(entry).at('i32.load').get(first).i32(4).op('i32.mul', 'i32.add').set(pointer)
  f.get(last).get(first).op('i32.sub').set(remaining)
  return (elements, body) =>
    whileLeft(f, remaining, elements, () => {
      body()
      f.get(pointer)
        .i32(4 * elements)
        .op('i32.add')
        .set(pointer)
    })
}

/** Puts 0 in the place of elements in `[first, last)` that are smaller than the smallest normal float32, 2⁻¹²⁶. Entry: array. */
export function settle(): FunctionBuilder {
  const f = new FunctionBuilder('settle', kernelParameters)
  const { pointer } = locals(f, ['pointer'])
  const [value, small, smallest] = [f.local('v128'), f.local('v128'), f.local('v128')]
  f.f32(2 ** -126)
    .op('f32x4.splat')
    .set(smallest)
  const repeat = overElements(f, pointer)
  repeat(4, () => {
    // Compared as whole numbers, in whose order those bits are. What is 0 already needs no store.
    f.get(pointer).at('v128.load').tee(value)
    f.get(smallest).get(value).op('f32x4.abs', 'i32x4.gt_s', 'v128.and').tee(small).op('v128.any_true')
    f.if(() => f.get(pointer).get(value).get(small).op('v128.xor').at('v128.store'))
  })
  repeat(1, () => {
    f.get(pointer)
      .at('f32.load')
      .op('f32.abs')
      .f32(2 ** -126)
      .op('f32.lt')
    f.if(() => f.get(pointer).f32(0).at('f32.store'))
  })
  return f
}

/**
 * Runs a work list. Parameters: list, number of items. Every item calls a kernel through the table.
 */
export function driver(): FunctionBuilder {
  const f = new FunctionBuilder('run', ['i32', 'i32'])
  const [item, count] = f.parameters as [Local, Local]
  const end = f.local('i32')
  f.get(item).get(count).i32(itemBytes).op('i32.mul', 'i32.add').set(end)
  countUp(f, item, itemBytes, end, () => {
    callItem(f, item)
  })
  return f
}

/** Words of the block through which threads share a work list. */
export const control = {
  /** Counts lists; workers wait for it to change. */
  generation: 0,
  /** How many threads have arrived at the barrier, in total. */
  arrived: 4,
  /** Address of the list of rounds: pairs of first item and number of items; and their number. */
  rounds: 8,
  roundCount: 12,
  /** Address of the items. */
  items: 16,
  /** How many threads there are. */
  threads: 20,
  /** Address of one counter per round, from which threads take items. */
  counters: 24,
  /** What `arrived` was when the list began. */
  base: 28,
  /** How many threads have begun the list, which numbers them. */
  begun: 32,
  bytes: 64,
} as const

/** Calls the kernel of an item of the work list. */
export function callItem(f: FunctionBuilder, item: Local): void {
  for (const offset of [4, 8, 12, 16]) f.get(item).at('i32.load', offset)
  f.get(item).at('i32.load').callIndirect(0)
}
