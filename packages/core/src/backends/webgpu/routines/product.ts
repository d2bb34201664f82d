/** Products of matrices in tiles: a workgroup finds 64 by 64 elements, a lane 4 by 4 of them. */

import type { ElementText } from '../kernel.ts'
import { lanes } from '../workgroup.ts'

/** Rows and columns of a tile. */
const productTile = 64

/** How much of the inner dimension is held at a time. */
const depth = 16

/** The tiles of a result: batch, row and column of each; of symmetric ones those that reach below the diagonal. */
export function productTiles(
  batch: number,
  rows: number,
  columns: number,
  symmetric: boolean,
): [number, number, number][] {
  const items: [number, number, number][] = []
  for (let b = 0; b < batch; b++) {
    for (let row = 0; row < rows; row += productTile) {
      for (let column = 0; column < (symmetric ? Math.min(row + 1, columns) : columns); column += productTile) {
        items.push([b, row, column])
      }
    }
  }
  return items
}

/** The lines of a kernel that knows `rows`, `inner` and `columns`. A Gram matrix multiplies with its own transpose. */
export function productBody(kind: 'product' | 'gram' | 'symmetricProduct', element: ElementText) {
  const result = kind === 'gram' ? 1 : 2
  const right =
    kind === 'gram'
      ? element(0, '(item.y * columns + column) * inner + k')
      : element(1, '(item.y * inner + k) * columns + column')
  const at = (row: string, column: string) => element(result, `(item.y * rows + ${row}) * columns + ${column}`)
  const store =
    kind === 'product'
      ? `if (column < columns) { ${at('row', 'column')} = value; }`
      : // Only half is computed, so that the result is symmetric to the bit.
        `if (column <= row) { ${at('row', 'column')} = value; ${at('column', 'row')} = value; }`
  const elements = productTile * depth
  const perLane = 4
  const acrossLanes = productTile / perLane
  // A gram's lanes read along the inner dimension on both sides, which is how the matrix lies.
  const [rightK, rightColumn] =
    kind === 'gram' ? [`t % ${depth}u`, `t / ${depth}u`] : [`t / ${productTile}u`, `t % ${productTile}u`]
  const body = `  let own_row = lane / ${acrossLanes}u * ${perLane}u;
  let own_column = lane % ${acrossLanes}u * ${perLane}u;
  var sums = mat4x4f();
  for (var inner_at = 0u; inner_at < inner; inner_at += ${depth}u) {
    for (var t = lane; t < ${elements}u; t += ${lanes}u) {
      let row = item.z + t / ${depth}u;
      let own_k = inner_at + t % ${depth}u;
      var value = 0f;
      if (row < rows && own_k < inner) { value = ${element(0, '(item.y * rows + row) * inner + own_k')}; }
      left_tile[t % ${depth}u * ${productTile}u + t / ${depth}u] = value;
      let k = inner_at + ${rightK};
      let column = item.w + ${rightColumn};
      value = 0f;
      if (k < inner && column < columns) { value = ${right}; }
      right_tile[(${rightK}) * ${productTile}u + ${rightColumn}] = value;
    }
    workgroupBarrier();
    for (var k = 0u; k < ${depth}u; k++) {
      let a = k * ${productTile}u + own_row;
      let b = k * ${productTile}u + own_column;
      let line = vec4f(right_tile[b], right_tile[b + 1u], right_tile[b + 2u], right_tile[b + 3u]);
      for (var r = 0u; r < ${perLane}u; r++) { sums[r] += left_tile[a + r] * line; }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < ${perLane}u; r++) {
    let row = item.z + own_row + r;
    if (row < rows) {
      for (var c = 0u; c < ${perLane}u; c++) {
        let column = item.w + own_column + c;
        let value = sums[r][c];
        ${store}
      }
    }
  }`
  const shared = [
    `var<workgroup> left_tile: array<f32, ${elements}>;`,
    `var<workgroup> right_tile: array<f32, ${elements}>;`,
  ]
  return { body, shared }
}
