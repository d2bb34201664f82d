import { columns, compile, rows, scalar, sharedScalar, wasm, where } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'
import { optimizerOf } from '../support/rules.ts'

/** The bound that `src/backends/wasm/sums.ts` states, of the sum of magnitudes, and what float32 state rounds. */
const bound = (19 * 2 ** -24) / (1 - 19 * 2 ** -24)
const rounding = 2 ** -24

const largest = (2 - 2 ** -23) * 2 ** 127

/** Every shape of reduction: of arrays, of products, and of a product with a parameter that the same pass overwrites. */
const everySum = optimizerOf(
  ({ g, p }) => ({
    direction: g,
    state: {
      sum: g.sum(),
      squares: g.square().sum(),
      product: g.times(p).sum(),
      moved: p.minus(g).square().sum(),
      largest: g.abs().largest(),
      signed: where(g.isLessThan(0), -1, 1).sum(),
      // Counts whose elements need no look, or a second one, since their squares are summed beside.
      tooLarge: where(g.abs().isAtMost(largest), 0, 1).sum(),
      small: where(g.abs().isAtMost(0.5), 2, 1).sum(),
      everywhere: g.abs().sum('all'),
      ofRows: g.sum('columns'),
      squaresOfRows: g.square().sum('columns'),
      ofColumns: g.sum('rows'),
      squaresOfColumns: g.square().sum('rows'),
      largestOfColumns: g.largest('rows'),
    },
  }),
  {
    sum: scalar(0),
    squares: scalar(0),
    product: scalar(0),
    moved: scalar(0),
    largest: scalar(0),
    signed: scalar(0),
    tooLarge: scalar(0),
    small: scalar(0),
    everywhere: sharedScalar(0),
    ofRows: rows(),
    squaresOfRows: rows(),
    ofColumns: columns(),
    squaresOfColumns: columns(),
    largestOfColumns: columns(),
  },
)

/** Sums of loops that go through several rows at once. */
const sumsSideBySide = optimizerOf(
  ({ g }) => ({
    direction: g,
    state: {
      sum: g.sum(),
      squares: g.square().sum(),
      everywhere: g.abs().sum('all'),
      ofRows: g.sum('columns'),
      squaresOfRows: g.square().sum('columns'),
      ofColumns: g.sum('rows'),
      largestOfColumns: g.largest('rows'),
    },
  }),
  {
    sum: scalar(0),
    squares: scalar(0),
    everywhere: sharedScalar(0),
    ofRows: rows(),
    squaresOfRows: rows(),
    ofColumns: columns(),
    largestOfColumns: columns(),
  },
)

interface Sum {
  readonly value: number
  /** Of the magnitudes of the summands. */
  readonly magnitude: number
}

function sumOf(count: number, summand: (index: number) => number): Sum {
  let [value, magnitude] = [0, 0]
  for (let index = 0; index < count; index++) {
    const x = summand(index)
    value += x
    magnitude += Math.abs(x)
  }
  return { value, magnitude }
}

/** What is wrong with a sum: nothing, or a line. */
function wrong(name: string, found: number, { value, magnitude }: Sum, allowed: number): string[] {
  const good = Object.is(found, value) || Math.abs(found - value) <= allowed * magnitude
  return good
    ? []
    : [`${name}: ${found} instead of ${value}, off by ${Math.abs(found - value) / magnitude} of the magnitudes`]
}

const rules = { 'every sum': everySum, 'sums side by side': sumsSideBySide }
const compiled = new Map<string, ReturnType<typeof compileFor>>()
const compileFor = (rule: keyof typeof rules, p: readonly [number, number]) =>
  compile(rules[rule], { p }, { backend: wasm(), nonFinite: 'allow' })

/** Takes one step with those gradients, where all parameters are 0.75, and says which sums are not within the bound. */
async function faults(
  rule: keyof typeof rules,
  shape: readonly [number, number],
  gradient: ArrayLike<number>,
): Promise<string[]> {
  const [height, width] = shape
  const key = `${rule} ${shape}`
  const known = compiled.get(key) ?? compileFor(rule, shape)
  compiled.set(key, known)
  const optimizer = await known
  optimizer.parameters.p!.fill(0.75)
  optimizer.gradients.p!.set(gradient)
  const g = Float32Array.from(gradient)
  optimizer.step()
  const state = optimizer.state('p') as Record<string, number & Float32Array>
  const ofAll = (summand: (x: number) => number) => sumOf(g.length, (index) => summand(g[index]!))
  const stored = ({ value, magnitude }: Sum): Sum => ({ value: Math.fround(value), magnitude })
  const largestOf = (count: number, element: (index: number) => number): number => {
    let most = Number.NEGATIVE_INFINITY
    for (let index = 0; index < count; index++) most = Math.max(most, element(index))
    return most
  }
  const ofRow = (row: number) => (column: number) => g[row * width + column]!
  const ofColumn = (column: number) => (row: number) => g[row * width + column]!
  const total = (summand: (x: number) => number, allowed: number) => (name: string) =>
    wrong(name, state[name]!, ofAll(summand), allowed)
  const each = (count: number, sum: (place: number) => Sum) => (name: string) =>
    Array.from({ length: count }, (_, place) =>
      wrong(`${name} ${place}`, state[name]![place]!, stored(sum(place)), bound + rounding),
    ).flat()
  const same = (name: string, found: number, most: number) =>
    Object.is(found, most) ? [] : [`${name}: ${found} instead of ${most}`]
  const squared = (element: (index: number) => number) => (index: number) => element(index) ** 2
  const checks: Record<string, (name: string) => string[]> = {
    sum: total((x) => x, bound),
    squares: total((x) => x * x, bound),
    product: total((x) => 0.75 * x, bound),
    moved: total((x) => Math.fround(0.75 - x) ** 2, bound),
    signed: total((x) => (x < 0 ? -1 : 1), 0),
    tooLarge: total((x) => (Math.abs(x) <= largest ? 0 : 1), 0),
    small: total((x) => (Math.abs(x) <= 0.5 ? 2 : 1), 0),
    everywhere: total(Math.abs, bound),
    largest: (name) =>
      same(
        name,
        state[name]!,
        largestOf(g.length, (index) => Math.abs(g[index]!)),
      ),
    ofRows: each(height, (row) => sumOf(width, ofRow(row))),
    squaresOfRows: each(height, (row) => sumOf(width, squared(ofRow(row)))),
    ofColumns: each(width, (column) => sumOf(height, ofColumn(column))),
    squaresOfColumns: each(width, (column) => sumOf(height, squared(ofColumn(column)))),
    largestOfColumns: (name) =>
      Array.from({ length: width }, (_, column) =>
        same(`${name} ${column}`, state[name]![column]!, largestOf(height, ofColumn(column))),
      ).flat(),
  }
  return Object.keys(state)
    .flatMap((name) => checks[name]!(name))
    .slice(0, 5)
}

/** Short rows, blocks with something left over, columns over several blocks of rows and slices, and more than a chunk. */
const shapes = [
  [3, 5],
  [37, 131],
  [5, 1023],
  [300, 259],
  [1, 66_001],
] as const

/** Rows that go side by side by fours and some that are left over, in one slice and in several, in one block and in several. */
const shapesSideBySide = [
  [7, 275],
  [75, 1040],
  [1041, 300],
] as const

const random = randomNumbers(5)
const numbers = Float32Array.from({ length: 300 * 259 }, random)

const inputs: Record<string, (index: number) => number> = {
  'of all signs': (index) => numbers[index]!,
  'that are equal': () => 0.1,
  'that cancel': (index) => (index % 2 === 0 ? 1 : -1) * (1 + numbers[index >> 1]! / 8),
  'that nearly cancel': (index) => (index % 2 === 0 ? 1e4 : -1e4) + numbers[index]!,
  'of all sizes': (index) => numbers[index]! * 10 ** (-8 + (index % 17)),
  'with a huge one': (index) => (index === 11 ? 1e20 : numbers[index]!),
  'that are huge': (index) => 1e38 * numbers[index]!,
  'whose sums are too large for float32': (index) => (1 + Math.abs(numbers[index]!)) * 1.6e38,
  'whose squares are too small for float32': (index) => 1e-25 * numbers[index]!,
  'of which some have squares that are too small': (index) => (index % 300 < 150 ? 1e-24 : 1e-15) * numbers[index]!,
  'that are tiny': (index) => 1e-30 * numbers[index]!,
  'that are subnormal': (index) => 1e-40 * numbers[index]!,
  'that are zero but for one': (index) => (index === 13 ? 1e-22 : 0),
  'that are zero': () => 0,
  'with an infinity': (index) => (index === 14 ? Number.POSITIVE_INFINITY : numbers[index]!),
  'with infinities of both signs': (index) => (index === 2 ? -1 / 0 : index === 12 ? 1 / 0 : numbers[index]!),
  'with one that is not a number': (index) => (index === 1 ? Number.NaN : numbers[index]!),
}

describe.each(Object.entries(inputs))('sums of numbers %s', (_, input) => {
  it.each(shapes)('are within the bound for %d rows of %d', async (height, width) => {
    const gradient = Float32Array.from({ length: height * width }, (_, index) => input(index))
    expect(await faults('every sum', [height, width], gradient)).toEqual([])
  })

  it('are within the bound where rows go side by side', async () => {
    for (const [height, width] of shapesSideBySide) {
      const gradient = Float32Array.from({ length: height * width }, (_, index) => input(index % numbers.length))
      expect(await faults('sums side by side', [height, width], gradient)).toEqual([])
    }
  })
})

it('maxima are not a number wherever an element is none', async () => {
  const [height, width] = [3, 23]
  const rule = optimizerOf(
    ({ g }) => ({
      direction: g,
      state: { all: g.largest(), ofRows: g.largest('columns'), ofColumns: g.largest('rows') },
    }),
    { all: scalar(0), ofRows: rows(), ofColumns: columns() },
  )
  const optimizer = await compile(rule, { p: [height, width] }, { nonFinite: 'allow' })
  for (let place = 0; place < height * width; place++) {
    optimizer.gradients.p!.set(numbers.subarray(0, height * width))
    optimizer.gradients.p![place] = Number.NaN
    optimizer.step()
    const { all, ofRows, ofColumns } = optimizer.state('p') as { all: number } & Record<string, Float32Array>
    expect(all).toBeNaN()
    const [row, column] = [Math.floor(place / width), place % width]
    const largestOf = (values: Float32Array) => values.reduce((most, value) => Math.max(most, value))
    const inRow = (each: number) => numbers.subarray(each * width, (each + 1) * width)
    const inColumn = (each: number) => numbers.subarray(0, height * width).filter((_, at) => at % width === each)
    const expectedOf = (count: number, without: number, values: (each: number) => Float32Array) =>
      Array.from({ length: count }, (_, each) => (each === without ? Number.NaN : largestOf(values(each))))
    expect([...ofRows!]).toEqual(expectedOf(height, row, inRow))
    expect([...ofColumns!]).toEqual(expectedOf(width, column, inColumn))
  }
  optimizer.dispose()
})

describe('sums', () => {
  it('of columns of long rows are within the bound', async () => {
    const gradient = Float32Array.from({ length: 130 * 9001 }, (_, index) => numbers[index % 77_699]!)
    expect(await faults('every sum', [130, 9001], gradient)).toEqual([])
  })

  it('count 2^24 equal numbers', async () => {
    const size = 2 ** 24
    const optimizer = await compile(
      optimizerOf(({ g }) => ({ direction: g, state: { a: g.sum(), b: g.square().sum() } }), {
        a: scalar(0),
        b: scalar(0),
      }),
      { p: [size] },
    )
    optimizer.gradients.p!.fill(0.1)
    optimizer.step()
    const [x, { a, b }] = [Math.fround(0.1), optimizer.state('p') as Record<string, number>]
    expect(Math.abs(a! - size * x)).toBeLessThan(bound * size * x)
    expect(Math.abs(b! - size * x * x)).toBeLessThan(bound * size * x * x)
    optimizer.dispose()
  })

  it.each(Object.entries(rules))(
    'are the same bits for several threads when blocks are taken again: %s',
    async (_, rule) => {
      const shape = [300, 259] as const
      const gradient = numbers.map((x, index) => (index % 1000 < 400 ? 1e-30 : index % 1000 < 410 ? 1e19 : 1) * x)
      const states: string[] = []
      for (const threads of [1, 2, 3]) {
        const optimizer = await compile(rule, { p: shape }, { backend: wasm({ threads }) })
        optimizer.parameters.p!.fill(0.75)
        optimizer.gradients.p!.set(gradient)
        optimizer.step()
        states.push(
          JSON.stringify(optimizer.state('p'), (_, value) =>
            ArrayBuffer.isView(value) ? [...(value as Float32Array)] : value,
          ),
        )
        optimizer.dispose()
      }
      expect(states[1]).toBe(states[0])
      expect(states[2]).toBe(states[0])
    },
  )
})
