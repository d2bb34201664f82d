/**
 * Factorizations, a workgroup for each matrix of a batch. Columns or pairs of them are done one after the other, which suits the matrices of
 * some hundred rows that rules factor now and then, and takes long for large ones.
 */

import type { ElementText } from '../kernel.ts'
import { lanes } from '../workgroup.ts'

/** Columns of the largest matrix: so many numbers a workgroup can hold beside each other, and of those with singular values. */
export const mostColumns = 2048
export const mostSingular = 768

/** Waits for all lanes, and for what they wrote to arrays. */
export const wait = 'storageBarrier(); workgroupBarrier();'

/** What is not a number, which WGSL has no constant for. */
export const notANumber = 'bitcast<f32>(words[1] | 0x00400000u)'

/** Below this part of a column's length, what is left of it is rounding. */
const rounding = '1e-6f'

/** What factorizations share among lanes. */
const along = (most: number) => `var<workgroup> along: array<f32, ${most}>;`
const axis = 'var<workgroup> axis: atomic<u32>;'
const dependent = 'var<workgroup> dependent: u32;'

/** A matrix whose columns are made orthonormal in place: how an element is written, and which columns are before `now`. */
interface Columns {
  readonly at: (row: string, column: string) => string
  readonly before: (column: string) => string
  readonly count: string
  readonly rows: string
}

/** Lines that take the parts along the columns before it off column `now`, all at once; `note` is done with each of them. */
function orthogonalize({ at, before, count, rows }: Columns, note = ''): string {
  return `for (var k = lane; k < ${count}; k += ${lanes}u) {
      var part = 0f;
      if (${before('k')}) {
        for (var i = 0u; i < ${rows}; i++) { part += ${at('i', 'k')} * ${at('i', 'now')}; }
      }
      along[k] = part;
      ${note}
    }
    ${wait}
    for (var i = lane; i < ${rows}; i += ${lanes}u) {
      var rest = ${at('i', 'now')};
      for (var k = 0u; k < ${count}; k++) {
        if (${before('k')}) { rest -= along[k] * ${at('i', 'k')}; }
      }
      ${at('i', 'now')} = rest;
    }
    ${wait}`
}

/** Lines that put the length of column `now` into a name. */
const lengthOf = (name: string, { at, rows }: Columns) => `var squares_${name} = 0f;
    for (var i = lane; i < ${rows}; i += ${lanes}u) { squares_${name} += ${at('i', 'now')} * ${at('i', 'now')}; }
    let ${name} = sqrt(sum_of_lanes(squares_${name}, lane, ${lanes}u));`

const divided = ({ at, rows }: Columns, length: string) => `for (var i = lane; i < ${rows}; i += ${lanes}u) {
      ${at('i', 'now')} = ${at('i', 'now')} / ${length};
    }
    ${wait}`

/** Lines that put in the place of column `now` what is left of the first axis, from `first` on, of which enough is. */
function anotherDirection(columns: Columns, first: string): string {
  const { at, before, count, rows } = columns
  return `if (lane == 0u) { atomicStore(&axis, ${rows}); }
      workgroupBarrier();
      for (var i = lane; i < ${rows}; i += ${lanes}u) {
        let tried = (${first} + i) % ${rows};
        var left = 1f;
        for (var k = 0u; k < ${count}; k++) {
          if (${before('k')}) { left -= ${at('tried', 'k')} * ${at('tried', 'k')}; }
        }
        if (left > 0.25f / f32(${rows})) { atomicMin(&axis, i); }
      }
      workgroupBarrier();
      let taken = (${first} + atomicLoad(&axis)) % ${rows};
      for (var i = lane; i < ${rows}; i += ${lanes}u) { ${at('i', 'now')} = select(0f, 1f, i == taken); }
      ${wait}
      ${orthogonalize(columns)}
      ${orthogonalize(columns)}
      ${lengthOf('unit', columns)}
      ${divided(columns, 'unit')}`
}

/** Lines that make column `now` orthonormal to those before, in two passes, or put another direction in its place. */
function orthonormalized(columns: Columns, first: string, note: string, found: (length: string) => string): string {
  return `${lengthOf('size', columns)}
    ${orthogonalize(columns, note)}
    ${orthogonalize(columns, note)}
    ${lengthOf('left', columns)}
    if (lane == 0u) {
      dependent = select(0u, 1u, left <= ${rounding} * size);
      ${found(`select(left, 0f, dependent == 1u)`)}
    }
    if (workgroupUniformLoad(&dependent) == 1u) {
      ${anotherDirection(columns, first)}
    } else {
      ${divided(columns, 'left')}
    }`
}

/** Q and R of `rows` by `columns`, of `rank` columns. */
export function qrBody(element: ElementText) {
  const q = (row: string, column: string) => element(1, `(item.y * rows + ${row}) * rank + ${column}`)
  const r = (row: string, column: string) => element(2, `(item.y * rank + ${row}) * columns + ${column}`)
  const operand = (row: string, column: string) => element(0, `(item.y * rows + ${row}) * columns + ${column}`)
  const columns: Columns = { at: q, before: (k) => `${k} < now`, count: 'rank', rows: 'rows' }
  const body = `  for (var place = lane; place < rows * rank; place += ${lanes}u) {
    ${q('place / rank', 'place % rank')} = ${operand('place / rank', 'place % rank')};
  }
  for (var place = lane; place < rank * columns; place += ${lanes}u) { ${r('place / columns', 'place % columns')} = 0f; }
  ${wait}
  for (var now = 0u; now < rank; now++) {
    ${orthonormalized(columns, '0u', `if (k < now) { ${r('k', 'now')} += part; }`, (left) => `${r('now', 'now')} = ${left};`)}
  }
  // What is right of the square has no part in Q.
  let others = columns - rank;
  for (var place = lane; place < rank * others; place += ${lanes}u) {
    let k = place / others;
    let j = rank + place % others;
    var part = 0f;
    for (var i = 0u; i < rows; i++) { part += ${q('i', 'k')} * ${operand('i', 'j')}; }
    ${r('k', 'j')} = part;
  }`
  return { body, shared: [along(mostColumns), axis, dependent] }
}

/** Each column is reflected onto an axis, with the signs of LAPACK. The workspace has what is left of the operand, then the reflections. */
export function householderBody(element: ElementText) {
  const start = 'item.y * rows * (columns + rank)'
  const rest = (row: string, column: string) => element(3, `${start} + ${row} * columns + ${column}`)
  const v = (row: string, column: string) => element(3, `${start} + rows * columns + ${row} * rank + ${column}`)
  const q = (row: string, column: string) => element(1, `(item.y * rows + ${row}) * rank + ${column}`)
  /** Lines that reflect columns from one on of a matrix. */
  const reflect = (
    at: typeof q,
    first: string,
    count: string,
  ) => `for (var j = ${first} + lane; j < ${count}; j += ${lanes}u) {
      var part = 0f;
      for (var i = k; i < rows; i++) { part += ${v('i', 'k')} * ${at('i', 'j')}; }
      part *= along[k];
      for (var i = k; i < rows; i++) { ${at('i', 'j')} -= part * ${v('i', 'k')}; }
    }
    ${wait}`
  const body = `  for (var place = lane; place < rows * columns; place += ${lanes}u) {
    ${rest('place / columns', 'place % columns')} = ${element(0, 'item.y * rows * columns + place')};
  }
  ${wait}
  for (var k = 0u; k < rank; k++) {
    var squares = 0f;
    for (var i = k + 1u + lane; i < rows; i += ${lanes}u) { squares += ${rest('i', 'k')} * ${rest('i', 'k')}; }
    let below = sum_of_lanes(squares, lane, ${lanes}u);
    let own = ${rest('k', 'k')};
    let size = sqrt(below + own * own);
    let first = own + select(size, -size, own < 0f);
    for (var i = k + lane; i < rows; i += ${lanes}u) { ${v('i', 'k')} = select(${rest('i', 'k')}, first, i == k); }
    if (lane == 0u) { along[k] = select(2f / (below + first * first), 0f, below == 0f); }
    ${wait}
    ${reflect(rest, 'k', 'columns')}
  }
  for (var place = lane; place < rows * rank; place += ${lanes}u) {
    ${q('place / rank', 'place % rank')} = select(0f, 1f, place / rank == place % rank);
  }
  ${wait}
  for (var done = 0u; done < rank; done++) {
    let k = rank - 1u - done;
    ${reflect(q, '0u', 'rank')}
  }
  for (var place = lane; place < rank * columns; place += ${lanes}u) {
    let k = place / columns;
    let j = place % columns;
    ${element(2, '(item.y * rank + k) * columns + j')} = select(0f, ${rest('k', 'j')}, j >= k);
  }`
  return { body, shared: [along(mostColumns)] }
}

/** Columns of marks from 0 to below 1 are made orthonormal in the order of their marks. */
export function orthonormalizationBody(element: ElementText) {
  const at = (row: string, column: string) => element(2, `(item.y * rows + ${row}) * columns + ${column}`)
  const mark = (column: string) => element(1, `item.y * columns + ${column}`)
  const columns: Columns = {
    at,
    before: (k) =>
      `(${mark(k)} < 0f || (${mark(k)} < 1f && (${mark(k)} < own_mark || (${mark(k)} == own_mark && ${k} < now))))`,
    count: 'columns',
    rows: 'rows',
  }
  const body = `  for (var place = lane; place < rows * columns; place += ${lanes}u) {
    ${at('place / columns', 'place % columns')} = ${element(0, 'item.y * rows * columns + place')};
  }
  ${wait}
  for (var turn = 0u; turn < columns; turn++) {
    // The column whose turn it is: so many have smaller marks, or the same and come before.
    for (var j = lane; j < columns; j += ${lanes}u) {
      let own = ${mark('j')};
      var smaller = 0u;
      for (var k = 0u; k < columns; k++) {
        let other = ${mark('k')};
        if (other >= 0f && other < 1f && (other < own || (other == own && k < j))) { smaller++; }
      }
      if (own >= 0f && own < 1f && smaller == turn) { chosen = j; }
    }
    if (lane == 0u) {
      count = 0u;
      for (var k = 0u; k < columns; k++) {
        if (${mark('k')} >= 0f && ${mark('k')} < 1f) { count++; }
      }
    }
    if (workgroupUniformLoad(&count) <= turn) { break; }
    let now = workgroupUniformLoad(&chosen);
    let own_mark = ${mark('now')};
    ${orthonormalized(columns, 'now', '', () => '')}
  }`
  return {
    body,
    shared: [along(mostColumns), axis, dependent, 'var<workgroup> chosen: u32;', 'var<workgroup> count: u32;'],
  }
}

/** The pair that lanes `k` find in round `turn` of a tournament in which each of an even number meets each other once. */
const pairOf = (order: string) => `let even = ${order} + ${order} % 2u;
    let one = select((turn + k) % (even - 1u), even - 1u, k == 0u);
    let two = (turn + even - 1u - k) % (even - 1u);
    let p = min(one, two);
    let q = max(one, two);`

/** The cosine and the sine of the turn that makes what is beside the diagonal 0, of numbers on it and beside it. */
const turnOf = `fn turn_of(first: f32, second: f32, beside: f32) -> vec2f {
  let ratio = (second - first) / (2f * beside);
  let size = abs(ratio);
  let root = select(sqrt(fma(size, size, 1f)), size, size > 1e9f);
  let t = select(1f, -1f, ratio < 0f) / (size + root);
  let c = 1f / sqrt(fma(t, t, 1f));
  return vec2f(c, t * c);
}`

const turns = ['var<workgroup> turned: atomic<u32>;', 'var<workgroup> again: u32;', turnOf]

/** After how many sweeps to stop at the latest. */
const mostSweeps = 24

/** Repeats rounds until a whole sweep has turned nothing. */
const sweeps = (order: string, round: string) => `  for (var sweep = 0u; sweep < ${mostSweeps}u; sweep++) {
    if (lane == 0u) { atomicStore(&turned, 0u); }
    workgroupBarrier();
    for (var turn = 0u; turn + 1u < ${order} + ${order} % 2u; turn++) {
    ${round}
    }
    if (lane == 0u) { again = atomicLoad(&turned); }
    if (workgroupUniformLoad(&again) == 0u) { break; }
  }`

/**
 * Jacobi's method with disjoint planes side by side. The workspace has the matrix, then the vectors as columns, for each of the batch.
 */
export function eigenBody(element: ElementText) {
  const a = (row: string, column: string) => element(3, `(2u * item.y * order + ${row}) * order + ${column}`)
  const v = (row: string, column: string) => element(3, `((2u * item.y + 1u) * order + ${row}) * order + ${column}`)
  const operand = (row: string, column: string) => element(0, `(item.y * order + ${row}) * order + ${column}`)
  const round = `  let pairs = (order + 1u) / 2u;
      for (var k = lane; k < pairs; k += ${lanes}u) {
    ${pairOf('order')}
        var turn_by = vec2f(1f, 0f);
        if (q < order) {
          let beside = ${a('p', 'q')};
          let first = ${a('p', 'p')};
          let second = ${a('q', 'q')};
          if (abs(beside) > 6e-8f * sqrt(abs(first)) * sqrt(abs(second))) {
            turn_by = turn_of(first, second, beside);
            atomicStore(&turned, 1u);
          }
        }
        cosines[k] = turn_by.x;
        sines[k] = turn_by.y;
      }
      ${wait}
      for (var place = lane; place < pairs * order; place += ${lanes}u) {
        let k = place % pairs;
        let i = place / pairs;
    ${pairOf('order')}
        if (q < order && sines[k] != 0f) {
          let x = ${a('i', 'p')};
          let y = ${a('i', 'q')};
          ${a('i', 'p')} = cosines[k] * x - sines[k] * y;
          ${a('i', 'q')} = sines[k] * x + cosines[k] * y;
          let s = ${v('i', 'p')};
          let t = ${v('i', 'q')};
          ${v('i', 'p')} = cosines[k] * s - sines[k] * t;
          ${v('i', 'q')} = sines[k] * s + cosines[k] * t;
        }
      }
      ${wait}
      for (var place = lane; place < pairs * order; place += ${lanes}u) {
        let k = place / order;
        let j = place % order;
    ${pairOf('order')}
        if (q < order && sines[k] != 0f) {
          let x = ${a('p', 'j')};
          let y = ${a('q', 'j')};
          ${a('p', 'j')} = select(cosines[k] * x - sines[k] * y, 0f, j == q);
          ${a('q', 'j')} = select(sines[k] * x + cosines[k] * y, 0f, j == p);
        }
      }
      ${wait}`
  const body = `  if (lane == 0u) { atomicStore(&bad, 0u); }
  workgroupBarrier();
  for (var place = lane; place < order * order; place += ${lanes}u) {
    let i = place / order;
    let j = place % order;
    let mean = (${operand('i', 'j')} + ${operand('j', 'i')}) * 0.5f;
    if ((bitcast<u32>(mean) & 0x7fffffffu) >= 0x7f800000u) { atomicStore(&bad, 1u); }
    ${a('i', 'j')} = mean;
    ${v('i', 'j')} = select(0f, 1f, i == j);
  }
  ${wait}
${sweeps('order', round)}
  let fails = atomicLoad(&bad) == 1u;
  for (var j = lane; j < order; j += ${lanes}u) {
    let own = ${a('j', 'j')};
    var place = 0u;
    for (var k = 0u; k < order; k++) {
      let other = ${a('k', 'k')};
      if (other < own || (other == own && k < j)) { place++; }
    }
    var largest = 0f;
    for (var i = 0u; i < order; i++) { if (abs(${v('i', 'j')}) > abs(largest)) { largest = ${v('i', 'j')}; } }
    let sign = select(1f, -1f, largest < 0f);
    if (fails) { place = j; }
    ${element(1, 'item.y * order + place')} = select(own, ${notANumber}, fails);
    for (var i = 0u; i < order; i++) {
      ${element(2, '(item.y * order + i) * order + place')} = select(sign * ${v('i', 'j')}, ${notANumber}, fails);
    }
  }`
  const shared = [
    ...turns,
    'var<workgroup> bad: atomic<u32>;',
    `var<workgroup> cosines: array<f32, ${mostColumns / 2}>;`,
    `var<workgroup> sines: array<f32, ${mostColumns / 2}>;`,
  ]
  return { body, shared }
}

/**
 * Jacobi's method on one side (Hestenes 1958), pairs side by side, some lanes for each. The workspace has the rows of the shorter side,
 * and what they were turned by, for each of the batch.
 */
export function svdBody(element: ElementText) {
  const start = 'item.y * small * (large + small)'
  const own = (row: string, column: string) => element(4, `${start} + ${row} * large + ${column}`)
  const near = (row: string, column: string) => element(4, `${start} + small * large + ${row} * small + ${column}`)
  const left = (row: string, column: string) => element(1, `(item.y * rows + ${row}) * small + ${column}`)
  const right = (row: string, column: string) => element(3, `(item.y * small + ${row}) * columns + ${column}`)
  const round = `  let pairs = (small + 1u) / 2u;
      for (var base = 0u; base < pairs; base += ${lanes}u / width) {
        let k = base + lane / width;
    ${pairOf('small')}
        let meets = k < pairs && q < small;
        var own_pp = 0f;
        var own_qq = 0f;
        var own_pq = 0f;
        if (meets) {
          for (var j = lane % width; j < large; j += width) {
            let x = ${own('p', 'j')};
            let y = ${own('q', 'j')};
            own_pp += x * x;
            own_qq += y * y;
            own_pq += x * y;
          }
        }
        let pp = sum_of_lanes(own_pp, lane, width);
        let qq = sum_of_lanes(own_qq, lane, width);
        let pq = sum_of_lanes(own_pq, lane, width);
        if (meets && abs(pq) > 4e-7f * sqrt(pp) * sqrt(qq)) {
          let by = turn_of(pp, qq, pq);
          atomicStore(&turned, 1u);
          for (var j = lane % width; j < large; j += width) {
            let x = ${own('p', 'j')};
            let y = ${own('q', 'j')};
            ${own('p', 'j')} = by.x * x - by.y * y;
            ${own('q', 'j')} = by.y * x + by.x * y;
          }
          for (var j = lane % width; j < small; j += width) {
            let x = ${near('p', 'j')};
            let y = ${near('q', 'j')};
            ${near('p', 'j')} = by.x * x - by.y * y;
            ${near('q', 'j')} = by.y * x + by.x * y;
          }
        }
      }
      ${wait}`
  /** The vectors of the longer side as they are found, as columns. */
  const far = (wide: boolean): Columns => ({
    at: (row, column) => (wide ? right(column, row) : left(row, column)),
    before: (k) => `${k} < now`,
    count: 'small',
    rows: 'large',
  })
  const vectors = (wide: boolean) => `for (var now = 0u; now < small; now++) {
      let given = order_of[now];
      let size = lengths[given];
      let sign = signs[given];
      for (var i = lane; i < small; i += ${lanes}u) {
        ${wide ? left('i', 'now') : right('now', 'i')} = sign * ${near('given', 'i')};
      }
      for (var i = lane; i < large; i += ${lanes}u) { ${far(wide).at('i', 'now')} = sign * ${own('given', 'i')} / size; }
      if (lane == 0u) {
        ${element(2, 'item.y * small + now')} = size;
        dependent = select(0u, 1u, size <= 1e-15f * lengths[order_of[0]]);
      }
      ${wait}
      if (workgroupUniformLoad(&dependent) == 1u) {
      ${anotherDirection(far(wide), '0u')}
      }
    }`
  const body = `  if (lane == 0u) { atomicStore(&bad, 0u); }
  workgroupBarrier();
  for (var place = lane; place < small * large; place += ${lanes}u) {
    let i = place / large;
    let j = place % large;
    let value = ${element(0, 'item.y * rows * columns + select(j * columns + i, i * columns + j, rows <= columns)')};
    if ((bitcast<u32>(value) & 0x7fffffffu) >= 0x7f800000u) { atomicStore(&bad, 1u); }
    ${own('i', 'j')} = value;
  }
  for (var place = lane; place < small * small; place += ${lanes}u) {
    ${near('place / small', 'place % small')} = select(0f, 1f, place / small == place % small);
  }
  ${wait}
${sweeps('small', round)}
  for (var i = lane; i < small; i += ${lanes}u) {
    var squares = 0f;
    for (var j = 0u; j < large; j++) { squares += ${own('i', 'j')} * ${own('i', 'j')}; }
    lengths[i] = sqrt(squares);
    var largest = 0f;
    for (var j = 0u; j < small; j++) { if (abs(${near('i', 'j')}) > abs(largest)) { largest = ${near('i', 'j')}; } }
    signs[i] = select(1f, -1f, largest < 0f);
  }
  workgroupBarrier();
  for (var i = lane; i < small; i += ${lanes}u) {
    var place = 0u;
    // Of equal ones the last comes first.
    for (var j = 0u; j < small; j++) {
      if (lengths[j] > lengths[i] || (lengths[j] == lengths[i] && j > i)) { place++; }
    }
    order_of[place] = i;
  }
  workgroupBarrier();
  if (rows <= columns) {
    ${vectors(true)}
  } else {
    ${vectors(false)}
  }
  if (atomicLoad(&bad) == 1u) {
    for (var place = lane; place < rows * small; place += ${lanes}u) { ${left('0u', 'place')} = ${notANumber}; }
    for (var place = lane; place < small; place += ${lanes}u) { ${element(2, 'item.y * small + place')} = ${notANumber}; }
    for (var place = lane; place < small * columns; place += ${lanes}u) { ${right('0u', 'place')} = ${notANumber}; }
  }`
  const shared = [
    along(mostSingular),
    axis,
    dependent,
    ...turns,
    'var<workgroup> bad: atomic<u32>;',
    `var<workgroup> lengths: array<f32, ${mostSingular}>;`,
    `var<workgroup> signs: array<f32, ${mostSingular}>;`,
    `var<workgroup> order_of: array<u32, ${mostSingular}>;`,
  ]
  return { body, shared }
}
