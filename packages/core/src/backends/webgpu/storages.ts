/** State that is kept in fewer bits, packed in words: how kernels read an element, and write the elements of a block. */

import { codesOf, largestBfloat16, largestScale, midpoints, smallestScale } from '../../storage/codecs.ts'
import { type StagedStorage, storageOf } from '../../storage/storage.ts'
import type { Functions } from './expressions.ts'
import { lanes } from './workgroup.ts'

/** The function that gives element `i`: `(at, size, table, i)`. */
export const decodeName = (storage: StagedStorage) => `decode_${storage}`

/**
 * The function that writes the elements from `base` on, one of each lane: `(at, size, table, base, lane, value)`, and seed, step and
 * tensor where rounding is by chance. All lanes call it.
 */
export const encodeName = (storage: StagedStorage, chance: boolean) => `encode_${storage}${chance ? '_by_chance' : ''}`

/** What codes stand for, and what lies halfway between one and the next, as words. */
export function tableOf(storage: StagedStorage): Uint32Array<ArrayBuffer> {
  const codes = codesOf[storage]?.()
  return new Uint32Array(Float32Array.from(codes ? [...codes, ...midpoints(codes)] : []).buffer)
}

const float = (value: number) => `${Math.fround(value)}f`

/** Places of a number of so many bits within words. */
const within = (bits: number) => {
  const each = 32 / bits
  return {
    each,
    mask: `${2 ** bits - 1}u`,
    word: (i: string) => `${i} / ${each}u`,
    shift: (i: string) => `(${bits}u * (${i} % ${each}u))`,
  }
}

/** Puts what lanes have in `packed_codes` into words from `base` on. */
function packed(bits: number, at: string): string {
  const { each } = within(bits)
  const codes = Array.from({ length: each }, (_, part) => {
    const code = `packed_codes[${each}u * lane + ${part}u]`
    return part === 0 ? code : `(${code} << ${bits * part}u)`
  })
  return `workgroupBarrier();
  if (lane < ${lanes / each}u && base + ${each}u * lane < size) {
    bytes[${at} + base / ${each}u + lane] = ${codes.join(' | ')};
  }
  workgroupBarrier();`
}

/** Codes of few bits, with a scale for each block where the storage has blocks, all of which lie before the codes. */
function coded(storage: StagedStorage): Functions {
  const { bits, block } = storageOf(storage)
  const { mask, word, shift } = within(bits)
  const codes = codesOf[storage]!()
  const first = block ? `at + (size + ${block - 1}u) / ${block}u` : 'at'
  const scale = block ? ` * bitcast<f32>(bytes[at + i / ${block}u])` : ''
  const upwards = codes[0] === 0
  const decode = `fn ${decodeName(storage)}(at: u32, size: u32, table: u32, i: u32) -> f32 {
  let code = (bytes[${first} + ${word('i')}] >> ${shift('i')}) & ${mask};
  return bitcast<f32>(words[table + code])${scale};
}`
  const scaled = block
    ? `let largest = min(maximum_of_lanes(abs(value), lane, ${block}u), ${float(largestScale)});
  let scale = select(largest, 0f, largest < ${float(smallestScale)});
  if (lane % ${block}u == 0u && base + lane < size) { bytes[at + (base + lane) / ${block}u] = bitcast<u32>(scale); }
  let share = value * select(1f / scale, 0f, scale == 0f);`
    : 'let share = value;'
  const encode = `fn ${encodeName(storage, false)}(at: u32, size: u32, table: u32, base: u32, lane: u32, given: f32) {
  let value = select(given, 0f, is_nan(given));
  ${scaled}
  // The nearest code, the lower one halfway.
  var code = 0u;
  for (var half = ${2 ** (bits - 1)}u; half > 0u; half /= 2u) {
    if (share > bitcast<f32>(words[table + ${2 ** bits - 1}u + code + half])) { code += half; }
  }
  packed_codes[lane] = code${upwards ? ' + select(0u, 1u, code == 0u && value > 0f)' : ''};
  ${packed(bits, first)}
}`
  return { [decodeName(storage)]: decode, [encodeName(storage, false)]: encode }
}

const halfBits = within(16)

const encodeShort = (
  byChance: boolean,
) => `fn ${encodeName('bfloat16', byChance)}(at: u32, size: u32, table: u32, base: u32, lane: u32, value: f32${
  byChance ? ', seed: u32, step: u32, tensor: u32' : ''
}) {
  packed_codes[lane] = (short_bits(value) + ${byChance ? 'chance_of(base + lane, seed, step, tensor)' : '0x8000u'}) >> 16u;
  ${packed(16, 'at')}
}`

/** The functions of all storages. */
export const storageFunctions: Functions = {
  short_bits: `fn short_bits(value: f32) -> u32 {
  // What is smaller than a normal number, or none, is 0.
  if (is_nan(value) || abs(value) < ${float(smallestScale)}) { return 0u; }
  return bitcast<u32>(clamp(value, ${float(-largestBfloat16)}, ${float(largestBfloat16)}));
}`,
  chance_of: `/// Sixteen random bits of an element: 32 elements share four counters, whose words have two halves each.
fn chance_of(i: u32, seed: u32, step: u32, tensor: u32) -> u32 {
  let word = random_words(vec4u((i >> 5u) * 4u + (i & 3u), step, tensor, 0u), seed)[(i >> 2u) & 3u];
  return select(word & 0xffffu, word >> 16u, ((i >> 4u) & 1u) == 1u);
}`,
  [decodeName('bfloat16')]: `fn ${decodeName('bfloat16')}(at: u32, size: u32, table: u32, i: u32) -> f32 {
  return bitcast<f32>((bytes[at + ${halfBits.word('i')}] >> ${halfBits.shift('i')}) << 16u);
}`,
  [encodeName('bfloat16', false)]: encodeShort(false),
  [encodeName('bfloat16', true)]: encodeShort(true),
  others_of: `/// Where behind bfloat16 the bytes begin of what these left over.
fn others_of(size: u32) -> u32 {
  return (size + 15u) / 16u * 8u;
}`,
  [decodeName('bfloat16AndByte')]: `fn ${decodeName('bfloat16AndByte')}(at: u32, size: u32, table: u32, i: u32) -> f32 {
  let upper = (bytes[at + ${halfBits.word('i')}] >> ${halfBits.shift('i')}) & 0xffffu;
  let rest = (bytes[at + others_of(size) + i / 4u] >> (8u * (i % 4u))) & 255u;
  return bitcast<f32>((upper << 16u) + bitcast<u32>(bitcast<i32>(rest << 24u) >> 16u));
}`,
  [encodeName('bfloat16AndByte', false)]:
    `fn ${encodeName('bfloat16AndByte', false)}(at: u32, size: u32, table: u32, base: u32, lane: u32, value: f32) {
  let rounded = (short_bits(value) + 0x80u) >> 8u;
  let upper = (rounded + 0x80u) >> 8u;
  packed_codes[lane] = upper;
  ${packed(16, 'at')}
  packed_codes[lane] = (rounded - (upper << 8u)) & 255u;
  ${packed(8, 'at + others_of(size)')}
}`,
  ...coded('dynamic8'),
  ...coded('unsignedDynamic8'),
  ...coded('dynamic4'),
  ...coded('unsignedLinear4'),
  ...coded('sixteenths'),
}
