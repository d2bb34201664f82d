import type { Shapes } from 'fallline'

/** Around the widths at which kernels change their ways: a vector, an unrolled turn, a chunk of work. */
export const vectorsOfEverySize: Shapes = {
  'size 0': [0],
  'size 1': [1],
  'size 3': [3],
  'size 255': [255],
  'size 256': [256],
  'size 257': [257],
  'size 4097': [4097],
}

/** Larger than one chunk of work. */
export const largeVector: Shapes = { 'size 65537': [65537] }

/** Every class of shape, size-one and empty dimensions included. */
export const everyShape: Shapes = {
  scalar: [],
  vector: [19],
  tall: [33, 3],
  wide: [3, 37],
  square: [8, 8],
  '3-D': [5, 3, 7],
  '4-D': [3, 4, 3, 3],
  row: [1, 9],
  column: [9, 1],
  single: [1, 1],
  'one in the middle': [4, 1, 5],
  'ones around': [1, 6, 1, 1],
  'no rows': [0, 4],
  'no columns': [4, 0],
}

const seldom = ['3-D', 'one in the middle', 'ones around', 'no columns', 'square', 'row', 'single']

/** Of these what no other among them stands for: a batch, a size of one and an empty dimension once each. */
export const fewerShapes: Shapes = Object.fromEntries(
  Object.entries(everyShape).filter(([name]) => !seldom.includes(name)),
)

/** Small and of several classes, for tests that are about something else than shape. */
export const smallModel: Shapes = { weight: [4, 7], kernel: [3, 2, 3, 3], bias: [5], scale: [] }

/** For tests of every option of an optimizer and of every wrapper around it, which trace and plan each of them anew. */
export const matrixAndVector: Shapes = { weight: [4, 7], bias: [5] }
