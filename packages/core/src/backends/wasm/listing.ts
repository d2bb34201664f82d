/** The instructions of a function as text, for whoever wants to read or count them. */

import { type FunctionBuilder, memory, plain } from './assembler.ts'

/** A code as tables have it: one byte, or a prefix byte and the rest. */
const names = new Map<number, string>([
  ...Object.entries(plain).map(([name, code]) => [code, name] as const),
  ...Object.entries(memory).map(([name, [code]]) => [code, name] as const),
])

const structures: Readonly<Record<number, string>> = { 2: 'block', 3: 'loop', 4: 'if' }

/** Instructions that name a local, a structure or a signature. */
const numbered: Readonly<Record<number, string>> = {
  12: 'br',
  13: 'br_if',
  17: 'call_indirect',
  32: 'local.get',
  33: 'local.set',
  34: 'local.tee',
}

/** Instructions whose number is filled in when the module is put together. */
const named: Readonly<Record<number, string>> = { 16: 'call', 35: 'global.get', 36: 'global.set' }

/** Reads numbers from code, one after the other. */
class Reader {
  position = 0
  private readonly code: readonly number[]

  constructor(code: readonly number[]) {
    this.code = code
  }

  get ended(): boolean {
    return this.position >= this.code.length
  }

  byte(): number {
    return this.code[this.position++]!
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.byte())
  }

  unsigned(): number {
    return this.leb(false)
  }

  signed(): number {
    return this.leb(true)
  }

  private leb(signed: boolean): number {
    let value = 0
    let shift = 0
    let byte: number
    do {
      byte = this.byte()
      value |= (byte & 0x7f) << shift
      shift += 7
    } while (byte >= 0x80)
    if (!signed) return value >>> 0
    return shift < 32 && (byte & 0x40) !== 0 ? value | (-1 << shift) : value
  }
}

/** WebAssembly text, one instruction a line, indented within structures. */
export function textOf({ name, parameters, results, locals, code, calls, constants }: FunctionBuilder): string {
  const types = (all: readonly { readonly type: string }[]) => all.map(({ type }) => type).join(' ')
  const result = results.length > 0 ? ` (result ${results.join(' ')})` : ''
  const lines = [
    `(func $${name} (param ${types(parameters)})${result}${locals.length > 0 ? ` (local ${types(locals)})` : ''}`,
  ]
  const filledIn = new Map<number, string | number>([
    ...calls.map(({ position, name: called }) => [position, called] as const),
    ...constants.map(({ position, value }) => [position, value] as const),
  ])
  const reader = new Reader(code)
  let depth = 1
  while (!reader.ended) {
    const first = reader.byte()
    const outwards = first === plain.end || first === plain.else
    if (outwards) depth--
    lines.push('  '.repeat(depth) + instruction(first, reader, filledIn))
    if (first in structures || first === plain.else) depth++
  }
  return `${lines.join('\n')})`
}

function instruction(first: number, reader: Reader, filledIn: ReadonlyMap<number, string | number>): string {
  if (first in structures) {
    reader.byte()
    return structures[first]!
  }
  if (first in numbered) {
    const text = `${numbered[first]} ${reader.unsigned()}`
    if (first === 0x11) reader.byte()
    return text
  }
  if (first in named) {
    const called = filledIn.get(reader.position)
    const text = `${named[first]} ${called === undefined ? reader.unsigned() : `$${called}`}`
    if (called !== undefined) reader.bytes(5)
    return text
  }
  if (first === 0x41) return `i32.const ${reader.signed()}`
  if (first === 0x43) return `f32.const ${new Float32Array(reader.bytes(4).buffer)[0]}`
  if (first === 0x44) return `f64.const ${new Float64Array(reader.bytes(8).buffer)[0]}`
  if (first < 0xfc) return withImmediates(first, first >= 0x28 && first <= 0x3e ? 'address' : 'none', reader)
  const rest = reader.unsigned()
  return withImmediates(codeOf(first, rest), immediatesOf(first, rest), reader)
}

/** As the tables of the assembler have it. */
const codeOf = (first: number, rest: number) => (rest > 0xff ? (first << 16) | rest : (first << 8) | rest)

type Immediates = 'none' | 'address' | 'address and lane' | 'lane' | 'lanes' | 'words' | 'memory' | 'memories'

function immediatesOf(first: number, rest: number): Immediates {
  if (first === 0xfe) return 'address'
  if (first === 0xfc) return rest === 0x0a ? 'memories' : rest === 0x0b ? 'memory' : 'none'
  if (rest <= 0x0b || rest === 0x5c || rest === 0x5d) return 'address'
  if (rest === 0x0c) return 'words'
  if (rest === 0x0d) return 'lanes'
  if (rest >= 0x15 && rest <= 0x22) return 'lane'
  return rest >= 0x54 && rest <= 0x5b ? 'address and lane' : 'none'
}

const unnamed: Readonly<Record<number, string>> = {
  64522: 'memory.copy',
  64523: 'memory.fill',
  64780: 'v128.const',
  64781: 'i8x16.shuffle',
  64795: 'i32x4.extract_lane',
  64799: 'f32x4.extract_lane',
  64801: 'f64x2.extract_lane',
}

function withImmediates(code: number, immediates: Immediates, reader: Reader): string {
  const name = names.get(code) ?? unnamed[code] ?? `0x${code.toString(16)}`
  switch (immediates) {
    case 'none':
      return name
    case 'address':
    case 'address and lane': {
      reader.unsigned()
      const offset = reader.unsigned()
      const text = offset === 0 ? name : `${name} offset=${offset}`
      return immediates === 'address' ? text : `${text} ${reader.byte()}`
    }
    case 'lane':
      return `${name} ${reader.byte()}`
    case 'lanes':
      return `${name} ${reader.bytes(16).join(' ')}`
    case 'words':
      return `${name} i32x4 ${new Int32Array(reader.bytes(16).buffer).join(' ')}`
    case 'memory':
      reader.byte()
      return name
    case 'memories':
      reader.bytes(2)
      return name
  }
}
