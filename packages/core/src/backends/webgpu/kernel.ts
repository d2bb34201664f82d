/** Kernels as WGSL, and what they need to be told of the tensor that they work on. */

import type { ReductionKind } from '../../graph/node.ts'
import type { Size } from '../../plan/plan.ts'
import type { StagedStorage } from '../../storage/storage.ts'
import { type Functions, mathematics } from './expressions.ts'
import { storageFunctions } from './storages.ts'
import { columnsTogether, lanes } from './workgroup.ts'

/** What a word of a kernel's entry holds. Arrays are places in a heap, numbers places among numbers or words. */
export type KernelWord =
  | { readonly kind: 'array'; readonly array: number }
  /** Of an array that is not kept in float32: where it begins among the words of bytes, how many elements it has, its table of codes. */
  | { readonly kind: 'bytes' | 'elements'; readonly array: number }
  | { readonly kind: 'table'; readonly storage: StagedStorage }
  /** A number that the host supplies for a step, the words of which say it as float32 and as a whole number. */
  | { readonly kind: 'argument'; readonly index: number }
  /** A number that the device computes. */
  | { readonly kind: 'scalar'; readonly index: number }
  /** A number that is kept as state. */
  | { readonly kind: 'number'; readonly key: string }
  /** A total over all tensors. */
  | { readonly kind: 'total'; readonly key: string }
  /** A size of the program. */
  | { readonly kind: 'size'; readonly size: Size }
  /** How many lanes share a row of so many columns. */
  | { readonly kind: 'width'; readonly columns: Size }
  /** Where the parts of a reduction lie, and how many there are. */
  | { readonly kind: 'partial'; readonly loop: number; readonly reduction: number }
  | { readonly kind: 'parts'; readonly loop: number }

/** One kernel, a module of its own. */
export interface Kernel {
  /** What it is, for errors and debuggers. */
  readonly label: string
  readonly code: string
  /** The code without comments: kernels that are the same but for these are one. */
  readonly key: string
  /** What an entry of it holds, in this order. */
  readonly words: readonly KernelWord[]
  /** True for the check of gradients, which may write to the words. */
  readonly judges: boolean
  /** True when it reads or writes parameters or gradients, which may lie in buffers of their own. */
  readonly reaches: boolean
}

/** Writes an element of a matrix function's arrays: `of(0, 'i')` of the first; operands come before results. */
export type ElementText = (array: number, index: string) => string

/** A kernel of a text. */
export function kernelOf(label: string, code: string, words: readonly KernelWord[] = [], judges = false): Kernel {
  const key = code.replaceAll(/ *\/\/.*$/gm, '')
  return { label, code, key, words, judges, reaches: attachedHeaps.some((heap) => mentions(code, heapName(heap))) }
}

/** Whether WGSL reads or writes elements of an array of that name. */
const mentions = (text: string, name: string): boolean => new RegExp(`\\b${name}\\[`).test(text)

/** Places of the bindings. */
export const bindings = { items: 0, words: 1, numbers: 2, bytes: 3, heaps: 4 } as const

/** Words at the beginning: the attempt that failed or 0, the bits of -∞, the attempt that runs or 0 for what runs in any case. */
export const head = { failed: 0, leastNumber: 1, attempt: 2, length: 3 } as const

const heapNames = ['parameters', 'gradients', 'state', 'more_state'] as const

/** The heap of parameters and that of gradients: what lies there may lie in buffers of the user's instead. */
export const parameterHeap = 0
export const gradientHeap = 1
const attachedHeaps = [parameterHeap, gradientHeap]

/** The name of a heap: one of few buffers of float32 that all arrays lie in, scratch, inputs and averages beside the state. */
export const heapName = (heap: number): string => heapNames[heap]!

/** How a sum or a maximum of any number of values grows in a lane: its start, the line that takes a value up, and what it is in the end. */
export interface Growth {
  readonly start: string
  readonly add: (into: string, value: string) => string
  readonly end: (name: string) => string
}

const maximumOf: Growth = {
  start: `bitcast<f32>(words[${head.leastNumber}])`,
  add: (into, value) => `${into} = larger(${into}, ${value});`,
  end: (name) => name,
}

/** Of few values. */
const plainSum: Growth = { start: '0f', add: (into, value) => `${into} += ${value};`, end: (name) => name }

/** Of any number: with what each addition loses beside it. */
const compensatedSum: Growth = {
  start: 'vec2f()',
  add: (into, value) => `${into} = compensated(${into}, ${value});`,
  end: (name) => `whole(${name})`,
}

/** How a reduction grows in a lane. @param few true for a sum of so few values that rounding matters little. */
export const growthOf = (kind: ReductionKind, few = false): Growth =>
  kind === 'maximum' ? maximumOf : few ? plainSum : compensatedSum

const entryPoint = '@compute'
const laneArgument = '@builtin(local_invocation_index) lane: u32'

/** How two lanes are put together, of numbers by their names. */
const combinations = {
  sum_of_lanes: (a: string, b: string) => `${a} + ${b}`,
  maximum_of_lanes: (a: string, b: string) => `larger(${a}, ${b})`,
} as const

type Combination = keyof typeof combinations

/** Puts the numbers of neighbouring lanes together, in pairs, pairs of pairs and so on: always in the same order. */
const overLanes = (
  name: Combination,
  called: string = name,
) => `fn ${called}(value: f32, lane: u32, width: u32) -> f32 {
  lane_values[lane] = value;
  workgroupBarrier();
  for (var half = width / 2u; half > 0u; half /= 2u) {
    if (lane % width < half) {
      lane_values[lane] = ${combinations[name]('lane_values[lane]', 'lane_values[lane + half]')};
    }
    workgroupBarrier();
  }
  let result = lane_values[lane - lane % width];
  workgroupBarrier();
  return result;
}`

/**
 * The same where every subgroup has at least `least` lanes: of so many numbers that are left of a whole workgroup each subgroup puts all
 * together itself, without a barrier. Pairs are the same, and so are the bits.
 */
function overSubgroups(name: Combination, least: number): string {
  const combination = combinations[name]
  const halves = Array.from({ length: Math.log2(least) }, (_, place) => least >> (place + 1))
  return `${overLanes(name, `some_of_${name}`)}

fn ${name}(value: f32, lane: u32, width: u32) -> f32 {
  if (width < ${lanes}u) { return some_of_${name}(value, lane, width); }
  lane_values[lane] = value;
  workgroupBarrier();
  for (var half = ${lanes / 2}u; half >= ${least}u; half /= 2u) {
    if (lane < half) {
      lane_values[lane] = ${combination('lane_values[lane]', 'lane_values[lane + half]')};
    }
    workgroupBarrier();
  }
  var result = lane_values[place_in_subgroup % ${least}u];
${halves.map((half) => `  result = ${combination('result', `subgroupShuffleDown(result, ${half}u)`)};`).join('\n')}
  result = subgroupBroadcastFirst(result);
  workgroupBarrier();
  return result;
}`
}

/** Functions of what the lanes of a workgroup have. */
const ofLanes: Functions = {
  larger: `/// The larger of two numbers, or the one that is not a number.
fn larger(a: f32, b: f32) -> f32 {
  return select(b, a, a >= b || a != a);
}`,
  compensated: `/// A sum and what it has lost, with one more number (Knuth). Bits that only the host knows are 0 keep compilers, which may take
/// arithmetic for exact, from leaving out what is lost.
fn compensated(sum: vec2f, value: f32) -> vec2f {
  let zero = words[${head.leastNumber}] ^ 0xff800000u;
  let total = bitcast<f32>(bitcast<u32>(sum.x + value) ^ zero);
  let added = bitcast<f32>(bitcast<u32>(total - sum.x) ^ zero);
  let before = bitcast<f32>(bitcast<u32>(total - added) ^ zero);
  return vec2f(total, sum.y + ((sum.x - before) + (value - added)));
}`,
  whole: `/// A sum with what it has lost, of which nothing is known where it is not finite.
fn whole(sum: vec2f) -> f32 {
  return select(sum.x + sum.y, sum.x, (bitcast<u32>(sum.x) & 0x7fffffffu) >= 0x7f800000u);
}`,
  sum_of_lanes: overLanes('sum_of_lanes'),
  maximum_of_lanes: overLanes('maximum_of_lanes'),
  turned: `/// What the lane of the same column and group of rows has, where groups are neighbours instead of columns.
fn turned(value: f32, lane: u32) -> f32 {
  lane_values[lane] = value;
  workgroupBarrier();
  let groups = ${lanes}u / ${columnsTogether}u;
  let result = lane_values[lane % groups * ${columnsTogether}u + lane / groups];
  workgroupBarrier();
  return result;
}`,
}

const functions: Functions = { ...mathematics, ...ofLanes, ...storageFunctions }

/** The functions that some WGSL calls, and those that these call, each once. */
function calledBy(text: string): string[] {
  const found = new Set<string>()
  const visit = (code: string): void => {
    for (const [name, own] of Object.entries(functions)) {
      if (found.has(own) || !new RegExp(`\\b${name}\\(`).test(code)) continue
      found.add(own)
      visit(own)
    }
  }
  visit(text)
  return [...found]
}

/**
 * The module of a kernel.
 * @param body what `main` does with `item`, `lane` and `entry`.
 * @param settings.lanes invocations of a workgroup.
 * @param settings.judges true for the kernel that may write to the words.
 * @param settings.shared variables of a workgroup, and functions, that no other kernel has.
 */
export function moduleOf(
  title: string,
  heaps: number,
  body: readonly string[],
  settings: { readonly lanes?: number; readonly judges?: boolean; readonly shared?: readonly string[] } = {},
): string {
  const { lanes: size = lanes, judges = false, shared = [] } = settings
  const text = body.join('\n')
  const helpers = calledBy([...shared, text].join('\n'))
  const everything = [...shared, ...helpers, text].join('\n')
  const binding = (place: number, access: string, name: string, type: string) =>
    `@group(0) @binding(${place}) var<storage, ${access}> ${name}: array<${type}>;`
  const used = (name: string) => mentions(everything, name)
  const heapsUsed = Array.from({ length: heaps }, (_, heap) => heap).filter((heap) => used(heapName(heap)))
  const isFunction = (code: string) => code.startsWith('fn ')
  return [
    `// ${title}`,
    binding(bindings.items, 'read', 'items', 'vec4u'),
    judges
      ? binding(bindings.words, 'read_write', 'words', 'atomic<u32>')
      : binding(bindings.words, 'read', 'words', 'u32'),
    ...(used('numbers') ? [binding(bindings.numbers, 'read_write', 'numbers', 'f32')] : []),
    ...(used('bytes') ? [binding(bindings.bytes, 'read_write', 'bytes', 'u32')] : []),
    ...heapsUsed.map((heap) => binding(bindings.heaps + heap, 'read_write', heapName(heap), 'f32')),
    ...(used('lane_values') ? [`var<workgroup> lane_values: array<f32, ${size}>;`] : []),
    ...(used('packed_codes') ? [`var<workgroup> packed_codes: array<u32, ${size}>;`] : []),
    ...shared.filter((code) => !isFunction(code)),
    ...[...helpers, ...shared.filter(isFunction)].map((code) => `\n${code}`),
    '',
    `${entryPoint} @workgroup_size(${size})`,
    `fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u, ${laneArgument}) {`,
    '  let item = items[group.x + group.y * groups.x];',
    ...(judges
      ? ['  if (item.x == 0u) { return; }']
      : [`  if (item.x == 0u || (words[${head.failed}] != 0u && words[${head.attempt}] != 0u)) { return; }`]),
    '  let entry = item.x;',
    text,
    '}',
    '',
  ].join('\n')
}

/**
 * The code of a kernel for a device whose subgroups put lanes together without memory.
 * @param least how many lanes a subgroup has at least, a power of two; 0 for a device without.
 */
export function withSubgroups(code: string, least: number): string {
  if (least < 2) return code
  const names = (Object.keys(combinations) as Combination[]).filter((name) => code.includes(overLanes(name)))
  if (names.length === 0) return code
  const changed = names.reduce((text, name) => text.replace(overLanes(name), overSubgroups(name, least)), code)
  const [functions, main] = changed.split(entryPoint) as [string, string]
  const place = '@builtin(subgroup_invocation_id) place: u32'
  return `enable subgroups;
${functions}var<private> place_in_subgroup: u32;

${entryPoint}${main.replace(laneArgument, `${laneArgument}, ${place}`).replace(') {\n', ') {\n  place_in_subgroup = place;\n')}`
}
