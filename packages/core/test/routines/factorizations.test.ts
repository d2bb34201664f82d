import { describe, expect, it } from 'vitest'
import { assembleModule } from '../../src/backends/wasm/assembler.ts'
import { driver } from '../../src/backends/wasm/library.ts'
import { routineFunctions, routineKernels } from '../../src/backends/wasm/routines/kernels.ts'
import type { Dimensions } from '../../src/graph/dimensions.ts'
import { references } from '../../src/routines/references.ts'
import { type RoutineName, routines } from '../../src/routines/table.ts'
import { workspaces } from '../../src/routines/workspaces.ts'
import { diagonal, distance, identity, largest, type Matrix, matrixOf, times, transposed } from '../support/matrices.ts'
import { randomNumbers } from '../support/random.ts'

const names = [
  'cholesky',
  'eigen',
  'householder',
  'orthonormalization',
  'qr',
  'solveLower',
  'solveUpper',
  'svd',
] as const
/** What only functions look at whose operands do not say the dimensions of what they give. */
const asked = [1, 1, 1] as const
const memory = new WebAssembly.Memory({ initial: 64 })
const module = new WebAssembly.Module(
  assembleModule(
    names.map((name) => routineKernels(false)[name]()),
    driver(),
    routineFunctions,
    undefined,
  ),
)
const run = new WebAssembly.Instance(module, { env: { memory } }).exports.run as (list: number, count: number) => void

interface Matrices {
  readonly values: Float64Array
  readonly dimensions: Dimensions
}

/** A matrix of a batch. */
function rowsOf({ values, dimensions: [, rows, columns] }: Matrices, batch = 0): Matrix {
  return matrixOf(values.subarray(batch * rows * columns), rows, columns)
}

/** What the kernel makes of operands that are rounded to float32, and what the float64 reference makes of the same. */
function both(name: (typeof names)[number], given: readonly Matrices[]): { kernel: Matrices[]; reference: Matrices[] } {
  const operands = given.map(({ values, dimensions }) => ({ values: values.map(Math.fround), dimensions }))
  const dimensions = operands.map((operand) => operand.dimensions)
  const shapes = routines[name].results(dimensions, asked)
  let end = 1024
  const place = (bytes: number) => {
    const address = end
    end += Math.ceil((bytes + 8) / 64) * 64
    return address
  }
  const sizeOf = ([batch, rows, columns]: Dimensions) => batch * rows * columns
  const addresses = [...dimensions, ...shapes].map((shape) => place(4 * sizeOf(shape)))
  const workspace = place(8 * workspaces[name](dimensions, asked))
  new Float32Array(memory.buffer).fill(Number.NaN, 256)
  const floats = new Float32Array(memory.buffer)
  operands.forEach(({ values }, index) => {
    floats.set(values, addresses[index]! / 4)
  })
  const words = new Int32Array(memory.buffer)
  words.set([...addresses, workspace, 0, ...dimensions.flatMap(([, rows, columns]) => [rows, columns])], 32)
  words.set([names.indexOf(name), 128, 0, dimensions[0]![0], 0], 16)
  run(64, 1)
  const behind = floats[end / 4]
  expect(behind).toBeNaN()
  return {
    kernel: shapes.map((shape, index) => {
      const start = addresses[operands.length + index]! / 4
      return { values: Float64Array.from(floats.subarray(start, start + sizeOf(shape))), dimensions: shape }
    }),
    reference: references[name](operands, asked).map((values, index) => ({ values, dimensions: shapes[index]! })),
  }
}

const random = randomNumbers(7)
const matrices = (dimensions: Dimensions, value: (b: number, i: number, j: number) => number = random): Matrices => {
  const [batch, rows, columns] = dimensions
  const values = new Float64Array(batch * rows * columns)
  for (let b = 0; b < batch; b++)
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < columns; j++) values[(b * rows + i) * columns + j] = Math.fround(value(b, i, j))
  return { values, dimensions }
}

/** Float32 rounds what is stored; nothing else may be lost. */
const unit = 2 ** -23

const rankOne = (_: number, i: number, j: number) => (1 + i) * (2 - j)
const shapes: readonly (readonly [string, Dimensions, ((b: number, i: number, j: number) => number) | undefined])[] = [
  ['random 1 x 1', [1, 1, 1], undefined],
  ['random 2 x 2', [1, 2, 2], undefined],
  ['random 7 x 7', [2, 7, 7], undefined],
  ['random 9 x 4', [3, 9, 4], undefined],
  ['random 4 x 9', [3, 4, 9], undefined],
  ['random 1 x 5', [1, 1, 5], undefined],
  ['random 5 x 1', [1, 5, 1], undefined],
  ['random 33 x 20', [1, 33, 20], undefined],
  ['zero', [1, 4, 6], () => 0],
  ['the identity', [1, 5, 5], (_, i, j) => (i === j ? 1 : 0)],
  ['of rank one', [1, 6, 5], rankOne],
  ['of equal rows', [1, 5, 8], (_, __, j) => Math.sin(1 + j)],
  ['badly scaled', [1, 6, 6], (_, i, j) => Math.cos(3 * i + 5 * j * j + 1) * 10 ** (3 * (i - 3))],
  ['huge', [1, 5, 4], (_, i, j) => Math.cos(3 * i + 5 * j) * 1e36],
  ['tiny', [1, 5, 4], (_, i, j) => Math.cos(3 * i + 5 * j) * 1e-36],
]

describe('QR factors', () => {
  describe.each(['qr', 'householder'] as const)('of %s', (name) => {
    it.each(shapes)('of %s are orthonormal, triangular and multiply to it', (_, dimensions, value) => {
      const operand = matrices(dimensions, value)
      for (const [q, r] of Object.values(both(name, [operand]))) {
        for (let b = 0; b < dimensions[0]; b++) {
          const [a, Q, R] = [operand, q!, r!].map((each) => rowsOf(each, b)) as [Matrix, Matrix, Matrix]
          expect(distance(times(transposed(Q), Q), identity(R.length))).toBeLessThan(4 * unit)
          expect(distance(times(Q, R), a)).toBeLessThanOrEqual(8 * unit * largest(a))
          R.forEach((row, i) => {
            if (name === 'qr') expect(row[i]!).toBeGreaterThanOrEqual(0)
            for (const below of row.slice(0, i)) expect(below).toBe(0)
          })
        }
      }
    })
  })

  it('by reflections have the signs of LAPACK', () => {
    // The first number of a column turns its sign, unless nothing stands below it.
    const upright = both('householder', [
      matrices(
        [1, 3, 2],
        (_, i, j) =>
          [
            [3, 1],
            [0, -2],
            [0, 0],
          ][i]![j]!,
      ),
    ])
    const leaning = both('householder', [
      matrices(
        [1, 2, 2],
        (_, i, j) =>
          [
            [3, 5],
            [4, -5],
          ][i]![j]!,
      ),
    ])
    for (const [, r] of Object.values(upright))
      expect(rowsOf(r!)).toEqual([
        [3, 1],
        [0, -2],
      ])
    for (const [q, r] of Object.values(leaning)) {
      expect(
        distance(rowsOf(r!), [
          [-5, 1],
          [0, -7],
        ]),
      ).toBeLessThan(1e-5)
      expect(
        distance(rowsOf(q!), [
          [-0.6, -0.8],
          [-0.8, 0.6],
        ]),
      ).toBeLessThan(1e-6)
    }
  })

  it('are those of the reference where columns are independent', () => {
    const { kernel, reference } = both('qr', [matrices([2, 30, 20])])
    kernel.forEach((found, index) => {
      expect(distance(rowsOf(found), rowsOf(reference[index]!))).toBeLessThan(1e-5)
    })
  })
})

const symmetric = shapes.map(([title, [batch, rows, columns], value]) => {
  const given = matrices([batch, rows, columns], value)
  const grams = Array.from({ length: batch }, (_, b) => times(rowsOf(given, b), transposed(rowsOf(given, b))))
  const scale = Math.max(...grams.map(largest)) || 1
  return [title, matrices([batch, rows, rows], (b, i, j) => grams[b]![i]![j]! / scale)] as const
})

describe('eigendecompositions', () => {
  const indefinite = matrices([1, 24, 24], (_, i, j) => Math.sin(i * j + i + j))
  const repeated = matrices([1, 12, 12], (_, i, j) => (i === j ? 2 : 0) + (i < 4 && j < 4 ? 1 : 0))
  const tridiagonal = matrices([1, 40, 40], (_, i, j) => (i === j ? 2 : Math.abs(i - j) === 1 ? -1 : 0))
  it.each([
    ...symmetric,
    ['an indefinite one', indefinite] as const,
    ['one of repeated values', repeated] as const,
    ['a tridiagonal one', tridiagonal] as const,
  ])('of the Gram matrix of %s, or of it, have orthonormal vectors and multiply to it', (_, operand) => {
    const { kernel, reference } = both('eigen', [operand])
    const [batch, order] = operand.dimensions
    for (const [values, vectors] of [kernel, reference]) {
      for (let b = 0; b < batch; b++) {
        const [a, v] = [rowsOf(operand, b), rowsOf(vectors!, b)]
        const own = rowsOf(values!, b)[0]!
        expect(distance(times(transposed(v), v), identity(order))).toBeLessThan(4 * unit)
        expect(distance(times(times(v, diagonal(own)), transposed(v)), a)).toBeLessThan(8 * unit * (largest(a) || 1))
        expect(own).toEqual([...own].sort((x, y) => x - y))
        for (const column of transposed(v)) {
          const most = Math.max(...column.map(Math.abs))
          expect(Math.max(...column)).toBeGreaterThan((1 - 4 * unit) * most)
        }
      }
    }
    const [found, expected] = [kernel[0]!.values, reference[0]!.values]
    const scale = Math.max(...expected.map(Math.abs))
    found.forEach((value, index) => {
      expect(Math.abs(value - expected[index]!)).toBeLessThanOrEqual(unit * scale)
    })
  })

  it('of a tridiagonal matrix have the values 2 - 2 cos(π k / (n + 1))', () => {
    const { kernel } = both('eigen', [tridiagonal])
    kernel[0]!.values.forEach((value, index) => {
      expect(value).toBeCloseTo(2 - 2 * Math.cos((Math.PI * (index + 1)) / 41), 6)
    })
  })

  it('of what is not finite are not numbers', () => {
    for (const hole of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const { kernel, reference } = both('eigen', [
        matrices([1, 5, 5], (_, i, j) => (i === 2 && j === 2 ? hole : i * j)),
      ])
      for (const { values } of [...kernel, ...reference]) expect([...values]).toEqual([...values].fill(Number.NaN))
    }
  })
})

describe('singular value decompositions', () => {
  it.each(shapes)('of %s are orthonormal and multiply to it', (_, dimensions, value) => {
    const operand = matrices(dimensions, value)
    const { kernel, reference } = both('svd', [operand])
    for (const [u, s, vt] of [kernel, reference]) {
      for (let b = 0; b < dimensions[0]; b++) {
        const [a, U, [values], V] = [operand, u!, s!, vt!].map((each) => rowsOf(each, b)) as [
          Matrix,
          Matrix,
          Matrix,
          Matrix,
        ]
        const rank = values!.length
        expect(distance(times(transposed(U), U), identity(rank))).toBeLessThan(4 * unit)
        expect(distance(times(V, transposed(V)), identity(rank))).toBeLessThan(4 * unit)
        expect(distance(times(times(U, diagonal(values!)), V), a)).toBeLessThanOrEqual(16 * unit * largest(a))
        expect(values).toEqual([...values!].sort((x, y) => y - x))
      }
    }
    const [found, expected] = [kernel[1]!.values, reference[1]!.values]
    const scale = Math.max(...expected)
    found.forEach((value, index) => {
      expect(Math.abs(value - expected[index]!)).toBeLessThanOrEqual(4 * unit * scale)
    })
  })

  it('have the vectors of the reference where values are apart', () => {
    for (const dimensions of [
      [1, 6, 10],
      [1, 10, 6],
      [1, 8, 8],
    ] as const) {
      const { kernel, reference } = both('svd', [matrices(dimensions)])
      kernel.forEach((found, index) => {
        expect(distance(rowsOf(found), rowsOf(reference[index]!))).toBeLessThan(1e-4)
      })
    }
  })
})

describe('Orthonormal columns', () => {
  const marked = (batch: number, marks: readonly number[]) =>
    matrices([batch, 1, marks.length], (_, __, j) => marks[j]!)

  it.each(shapes.filter(([, [, rows, columns]]) => rows >= columns))(
    'of %s, found some at a time, are those of QR factors',
    (title, dimensions, value) => {
      const [batch, rows, columns] = dimensions
      const given = matrices(dimensions, value)
      let [found, reference] = [given, given]
      for (let from = 0; from < columns; from += 2) {
        const marks = marked(
          batch,
          Array.from({ length: columns }, (_, j) => (j < from ? -1 : j < from + 2 ? 0 : 1)),
        )
        const untouched = rowsOf(found).map((row) => row.filter((_, j) => j < from || j >= from + 2))
        reference = { values: references.orthonormalization([reference, marks], asked)[0]!, dimensions }
        found = both('orthonormalization', [found, marks]).kernel[0]!
        expect(rowsOf(found).map((row) => row.filter((_, j) => j < from || j >= from + 2))).toEqual(untouched)
      }
      for (let b = 0; b < batch; b++) {
        for (const q of [rowsOf(found, b), rowsOf(reference, b)]) {
          expect(distance(times(transposed(q), q), identity(columns))).toBeLessThan(8 * unit)
        }
        // Where columns depend on others, rounding decides the direction.
        if (!/zero|rank one|equal|badly|huge|tiny/.test(title)) {
          const whole = rowsOf(both('qr', [given]).kernel[0]!, b)
          expect(distance(rowsOf(found, b), whole)).toBeLessThan(2e-4)
          expect(distance(rowsOf(reference, b), whole)).toBeLessThan(2e-4)
        }
      }
      expect(rows).toBeGreaterThanOrEqual(columns)
    },
  )

  it('are found in the order of their marks', () => {
    const given = matrices([1, 6, 4])
    const order = [2, 0, 3, 1]
    const inOrder = matrices([1, 6, 4], (_, i, j) => rowsOf(given)[i]![order[j]!]!)
    const marks = marked(1, [0.25, 0.75, 0, 0.5])
    const { kernel, reference } = both('orthonormalization', [given, marks])
    const whole = rowsOf(both('qr', [inOrder]).reference[0]!)
    for (const found of [kernel[0]!, reference[0]!]) {
      expect(
        distance(
          rowsOf(found).map((row) => order.map((j) => row[j]!)),
          whole,
        ),
      ).toBeLessThan(4 * unit)
    }
  })

  it('takes axes where there is nothing, from the column on', () => {
    const { kernel, reference } = both('orthonormalization', [
      matrices([1, 5, 5], (_, i, j) => (i === 3 && j === 0 ? -1 : 0)),
      marked(1, [-1, 1, 1, 0, 0]),
    ])
    for (const found of [kernel[0]!, reference[0]!]) {
      const last = rowsOf(found).map((row) => row.slice(3))
      expect(last).toEqual([0, 1, 2, 3, 4].map((i) => [i === 4 ? 1 : 0, i === 0 ? 1 : 0]))
    }
  })

  it('are not numbers where the matrix is not finite', () => {
    const broken = matrices([1, 3, 3], (_, i, j) => (i === 1 && j === 1 ? Number.NaN : i + j ** 2))
    const { kernel, reference } = both('orthonormalization', [broken, marked(1, [0, 0, 0])])
    for (const found of [kernel[0]!, reference[0]!]) for (const row of rowsOf(found)) expect(row[2]).toBeNaN()
  })
})

describe('Cholesky factors', () => {
  const positive = matrices([2, 20, 20], (_, i, j) => Math.exp(-((i - j) ** 2) / 4) + (i === j ? 0.1 : 0))

  it('multiply to the matrix, and are those of the reference', () => {
    const { kernel, reference } = both('cholesky', [positive])
    for (let b = 0; b < 2; b++) {
      const factor = rowsOf(kernel[0]!, b)
      expect(distance(times(factor, transposed(factor)), rowsOf(positive, b))).toBeLessThan(2 * unit)
      expect(distance(factor, rowsOf(reference[0]!, b))).toBeLessThan(unit)
      factor.forEach((row, i) => {
        for (const above of row.slice(i + 1)) expect(above).toBe(0)
      })
    }
  })

  it.each([
    ['an indefinite matrix', (_: number, i: number, j: number) => (i === j ? 1 - i : 0.1)],
    ['zero', () => 0],
    ['what is not a number', (_: number, i: number, j: number) => (i + j === 3 ? Number.NaN : i === j ? 1 : 0)],
  ])('of %s are not numbers', (_, value) => {
    const { kernel, reference } = both('cholesky', [matrices([1, 4, 4], value)])
    for (const { values } of [...kernel, ...reference]) expect([...values]).toEqual(new Array(16).fill(Number.NaN))
  })
})

describe.each(['solveLower', 'solveUpper'] as const)('%s', (name) => {
  it.each([1, 2, 7, 20])('gives what the triangle of %i rows multiplies to the right side', (order) => {
    const lower = name === 'solveLower'
    const full = matrices([2, order, order], (_, i, j) => (i === j ? 2 + Math.sin(i) : random() / order))
    const right = matrices([2, order, 5])
    const { kernel, reference } = both(name, [full, right])
    for (let b = 0; b < 2; b++) {
      const triangle = rowsOf(full, b).map((row, i) => row.map((value, j) => ((lower ? j <= i : j >= i) ? value : 0)))
      const x = rowsOf(kernel[0]!, b)
      expect(distance(times(triangle, x), rowsOf(right, b))).toBeLessThan(8 * unit * (1 + largest(x)))
      expect(distance(x, rowsOf(reference[0]!, b))).toBeLessThan(2 * unit * (1 + largest(x)))
    }
  })
})

describe('every matrix function', () => {
  it('says what it needs of its operands', () => {
    const failing: [RoutineName, Dimensions[], string][] = [
      ['eigen', [[1, 2, 3]], 'eigen: [1, 2, 3]'],
      ['cholesky', [[1, 2, 3]], 'cholesky: [1, 2, 3]'],
      [
        'solveLower',
        [
          [1, 3, 3],
          [1, 2, 3],
        ],
        'the right side must have as many rows',
      ],
    ]
    for (const [name, operands, message] of failing)
      expect(() => routines[name].results(operands, asked)).toThrow(message)
  })

  it('costs more the larger its operands are', () => {
    for (const name of names) {
      const cost = (n: number) =>
        routines[name].operations(
          [
            [1, n, n],
            [1, n, n],
          ],
          asked,
        )
      expect(cost(64)).toBeGreaterThan(6 * cost(32))
    }
  })
})
