/** The kernels of matrix functions. */

import { type Dimensions, sizeOf } from '../../graph/node.ts'
import { type RoutineName, routineOf } from '../../routines/table.ts'
import type { Placed } from './heaps.ts'
import { type ElementText, heapName, type Kernel, kernelOf, moduleOf } from './kernel.ts'
import {
  eigenBody,
  householderBody,
  mostColumns,
  mostSingular,
  notANumber,
  orthonormalizationBody,
  qrBody,
  svdBody,
  wait,
} from './routines/factorizations.ts'
import { productBody, productTiles } from './routines/product.ts'
import { lanes } from './workgroup.ts'

/** An operand or a result: where it lies, and its batch, rows and columns. */
export type Matrix = Placed & { readonly dimensions: Dimensions }

/** A kernel, the words of its entry, and items without their entry. */
export interface RoutineDispatch {
  readonly kernel: Kernel
  readonly words: readonly number[]
  readonly items: readonly (readonly [number, number, number])[]
}

/** What a kernel is made of: names of its words besides the places of arrays, its lines, and how its work is cut. */
interface RoutineKernel {
  readonly sizes: Readonly<Record<string, number>>
  readonly items: RoutineDispatch['items']
  readonly body: string
  readonly shared?: readonly string[]
}

type Writer = (arrays: readonly Matrix[], element: ElementText) => RoutineKernel

/** Elements of a result per item, where each is found on its own. */
const elementsEach = 4096

function split(count: number, each: number): [number, number, number][] {
  const items: [number, number, number][] = []
  for (let first = 0; first < count; first += each) items.push([first, Math.min(first + each, count), 0])
  return items
}

/** A function whose results are elements of its operand in other places. */
const moved =
  (sizes: (arrays: readonly Matrix[]) => Record<string, number>, source: string, condition?: string): Writer =>
  (arrays, element) => {
    const result = arrays.at(-1)!
    const value = element(0, 'source')
    const lines = [
      `let source = ${source};`,
      condition === undefined
        ? `${element(arrays.length - 1, 'i')} = ${value};`
        : `var value = 0f;\n    if (${condition}) { value = ${value}; }\n    ${element(arrays.length - 1, 'i')} = value;`,
    ]
    return {
      sizes: sizes(arrays),
      items: split(sizeOf(result.dimensions), elementsEach),
      body: `  for (var i = item.y + lane; i < item.z; i += ${lanes}u) {\n    ${lines.join('\n    ')}\n  }`,
    }
  }

const product =
  (kind: 'product' | 'gram' | 'symmetricProduct'): Writer =>
  (arrays, element) => {
    const [batch, rows, inner] = arrays[0]!.dimensions
    const columns = arrays.at(-1)!.dimensions[2]
    const { body, shared } = productBody(kind, element)
    return {
      sizes: { rows, inner, columns },
      items: productTiles(batch, rows, columns, kind !== 'product'),
      body,
      shared,
    }
  }

/** Of each row of the first array, one after the other, by one lane. */
const eachRow = (body: string) => `  let row = item.y + lane;
  if (row < item.z) {
${body}
  }`

const solution =
  (lower: boolean): Writer =>
  ([, right], element) => {
    const [batch, order, columns] = right!.dimensions
    const items: [number, number, number][] = []
    for (let b = 0; b < batch; b++) {
      for (let column = 0; column < columns; column += lanes) items.push([b, column, 0])
    }
    return {
      sizes: { order, columns },
      items,
      body: `  let column = item.z + lane;
  if (column < columns) {
    for (var done = 0u; done < order; done++) {
      let i = ${lower ? 'done' : 'order - 1u - done'};
      let line = (item.y * order + i) * order;
      var rest = ${element(1, '(item.y * order + i) * columns + column')};
      for (var j = ${lower ? '0u' : 'i + 1u'}; j < ${lower ? 'i' : 'order'}; j++) {
        rest -= ${element(0, 'line + j')} * ${element(2, '(item.y * order + j) * columns + column')};
      }
      ${element(2, '(item.y * order + i) * columns + column')} = rest / ${element(0, 'line + i')};
    }
  }`,
    }
  }

/** One workgroup for each matrix of the batch. */
const batches = (batch: number) => Array.from({ length: batch }, (_, b): [number, number, number] => [b, 0, 0])

const shorter = ([, rows, columns]: Dimensions) => Math.min(rows, columns)

/** @throws Error for a matrix of more columns than a workgroup has room for. */
function refuseWide(name: RoutineName, columns: number, most: number): void {
  if (columns <= most) return
  throw new Error(
    `webgpu: ${routineOf(name).title} of ${columns} vectors; a workgroup has room for ${most}; use wasm()`,
  )
}

const writers: Readonly<Record<RoutineName, Writer>> = {
  product: product('product'),
  gram: product('gram'),
  symmetricProduct: product('symmetricProduct'),
  transposition: moved(
    ([, result]) => ({ rows: result!.dimensions[1], columns: result!.dimensions[2] }),
    '(i / columns / rows * columns + i % columns) * rows + i / columns % rows',
  ),
  reversal: moved(
    ([, result]) => ({ rows: result!.dimensions[1], columns: result!.dimensions[2] }),
    '(i / columns / rows * rows + (rows - 1u - i / columns % rows)) * columns + i % columns',
  ),
  resized: moved(([operand]) => ({ size: sizeOf(operand!.dimensions) }), 'i', 'source < size'),
  gather: ([operand, places, result], element) => ({
    sizes: { columns: operand!.dimensions[2], count: places!.dimensions[2] },
    items: split(sizeOf(result!.dimensions), elementsEach),
    body: `  for (var i = item.y + lane; i < item.z; i += ${lanes}u) {
    let place = ${element(1, 'i')};
    var value = 0f;
    if (place >= 0f && place < f32(columns)) { value = ${element(0, 'i / count * columns + u32(place)')}; }
    ${element(2, 'i')} = value;
  }`,
  }),
  scatter: ([, places, result], element) => ({
    sizes: { columns: result!.dimensions[2], count: places!.dimensions[2] },
    items: split(result!.dimensions[0] * result!.dimensions[1], lanes),
    body: eachRow(`    for (var column = 0u; column < columns; column++) { ${element(2, 'row * columns + column')} = 0f; }
    for (var k = 0u; k < count; k++) {
      let place = ${element(1, 'row * count + k')};
      if (place >= 0f && place < f32(columns)) {
        ${element(2, 'row * columns + u32(place)')} += ${element(0, 'row * count + k')};
      }
    }`),
  }),
  largestPlaces: ([operand, result], element) => ({
    sizes: { columns: operand!.dimensions[2], count: result!.dimensions[2] },
    items: batches(result!.dimensions[0] * result!.dimensions[1]),
    shared: [`var<workgroup> best_sizes: array<u32, ${lanes}>;`, `var<workgroup> best_places: array<u32, ${lanes}>;`],
    // Sizes as bits are ordered as they are. Each time the first in order behind the one before: larger ones first, then lower places.
    body: `  var size = 0xffffffffu;
  var place = 0u;
  for (var k = 0u; k < count; k++) {
    var best = 0u;
    var at = 0xffffffffu;
    for (var column = lane; column < columns; column += ${lanes}u) {
      let own = min(bitcast<u32>(${element(0, 'item.y * columns + column')}) & 0x7fffffffu, 0x7f800000u);
      let behind = own < size || (own == size && column > place);
      if (behind && (at == 0xffffffffu || own > best)) { best = own; at = column; }
    }
    best_sizes[lane] = best;
    best_places[lane] = at;
    workgroupBarrier();
    for (var half = ${lanes / 2}u; half > 0u; half /= 2u) {
      if (lane < half) {
        let other = best_sizes[lane + half];
        let there = best_places[lane + half];
        let here = best_places[lane];
        if (there != 0xffffffffu && (here == 0xffffffffu || other > best_sizes[lane] || (other == best_sizes[lane] && there < here))) {
          best_sizes[lane] = other;
          best_places[lane] = there;
        }
      }
      workgroupBarrier();
    }
    size = best_sizes[0];
    place = best_places[0];
    workgroupBarrier();
    if (lane == 0u) { ${element(1, 'item.y * count + k')} = f32(place); }
  }`,
  }),
  cholesky: ([operand], element) => ({
    sizes: { order: operand!.dimensions[1] },
    items: batches(operand!.dimensions[0]),
    // Columns one after the other; a pivot that is not above 0 leaves what is not a number everywhere.
    body: `  let start = item.y * order * order;
  for (var place = lane; place < order * order; place += ${lanes}u) {
    let i = place / order;
    let j = place % order;
    let mean = (${element(0, 'start + place')} + ${element(0, 'start + j * order + i')}) * 0.5f;
    ${element(1, 'start + place')} = select(mean, 0f, j > i);
  }
  ${wait}
  var failed = false;
  for (var k = 0u; k < order; k++) {
    let pivot = ${element(1, 'start + k * order + k')};
    failed = failed || !(pivot > 0f);
    let root = sqrt(pivot);
    workgroupBarrier();
    for (var i = k + lane; i < order; i += ${lanes}u) { ${element(1, 'start + i * order + k')} /= root; }
    ${wait}
    let rest = order - k - 1u;
    for (var place = lane; place < rest * rest; place += ${lanes}u) {
      let i = k + 1u + place / rest;
      let j = k + 1u + place % rest;
      if (j <= i) {
        ${element(1, 'start + i * order + j')} -= ${element(1, 'start + i * order + k')} * ${element(1, 'start + j * order + k')};
      }
    }
    ${wait}
  }
  if (failed) {
    for (var place = lane; place < order * order; place += ${lanes}u) {
      ${element(1, 'start + place')} = ${notANumber};
    }
  }`,
  }),
  solveLower: solution(true),
  solveUpper: solution(false),
  qr: ([operand], element) => {
    const [batch, rows, columns] = operand!.dimensions
    const rank = shorter(operand!.dimensions)
    refuseWide('qr', rank, mostColumns)
    return { sizes: { rows, columns, rank }, items: batches(batch), ...qrBody(element) }
  },
  householder: ([operand], element) => {
    const [batch, rows, columns] = operand!.dimensions
    const rank = shorter(operand!.dimensions)
    refuseWide('householder', rank, mostColumns)
    return { sizes: { rows, columns, rank }, items: batches(batch), ...householderBody(element) }
  },
  orthonormalization: ([operand], element) => {
    const [batch, rows, columns] = operand!.dimensions
    refuseWide('orthonormalization', columns, mostColumns)
    return { sizes: { rows, columns }, items: batches(batch), ...orthonormalizationBody(element) }
  },
  eigen: ([operand], element) => {
    const [batch, order] = operand!.dimensions
    refuseWide('eigen', order, mostColumns)
    return { sizes: { order }, items: batches(batch), ...eigenBody(element) }
  },
  svd: ([operand], element) => {
    const [batch, rows, columns] = operand!.dimensions
    const small = shorter(operand!.dimensions)
    refuseWide('svd', small, mostSingular)
    let width = lanes
    while (width > 1 && width * Math.ceil(small / 2) > lanes) width /= 2
    const sizes = { rows, columns, small, large: Math.max(rows, columns), width }
    return { sizes, items: batches(batch), ...svdBody(element) }
  },
}

/** How many float32 a matrix function needs to work with, besides operands and results. */
export function workspaceOf(name: RoutineName, [operand]: readonly Dimensions[]): number {
  const [batch, rows, columns] = operand!
  const small = shorter(operand!)
  // Of an empty matrix a place, which its kernel names.
  if (name === 'eigen') return Math.max(1, 2 * batch * rows * rows)
  if (name === 'householder') return Math.max(1, batch * rows * (columns + small))
  return name === 'svd' ? Math.max(1, batch * small * (Math.max(rows, columns) + small)) : 0
}

/**
 * What a call of a matrix function runs.
 * @param arrays operands, results, and the workspace where it needs one.
 * @throws Error for matrices that are too large.
 */
export function routineCall(name: RoutineName, arrays: readonly Matrix[], heaps: number): RoutineDispatch {
  const element: ElementText = (array, index) => `${heapName(arrays[array]!.heap)}[at${array} + ${index}]`
  const { sizes, items, body, shared = [] } = writers[name](arrays, element)
  const { title } = routineOf(name)
  const names = [...arrays.map((_, array) => `at${array}`), ...Object.keys(sizes)]
  const top = names.map((word, index) => `  let ${word} = words[entry + ${index}u];`)
  const code = moduleOf(title, heaps, [...top, body], { shared })
  const words = [...arrays.map(({ at }) => at), ...Object.values(sizes)]
  return { kernel: kernelOf(title, code), words, items }
}
