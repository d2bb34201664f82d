import { compile, scalar, shaped, sharedScalar } from 'fallline'
import { describe, expect, it } from 'vitest'
import { randomNumbers } from '../support/random.ts'
import { optimizerOf } from '../support/rules.ts'
import { hasWebgpu, newBackend } from '../support/webgpu.ts'

/** Half of what float32 rounds 1 by. */
const unit = 2 ** -24

/** What a sum may be off by, in units of the sum of the sizes of what was added. */
const bounds = { rows: 12, columns: 12, all: 36, squares: 36, everything: 38 }

const shapes = { long: [2, 60_000], tall: [8000, 3], plane: [300, 200] } as const

const keepsSums = optimizerOf(
  ({ g, p }) => ({
    direction: p.times(0),
    state: {
      rows: g.sum('columns'),
      columns: g.sum('rows'),
      all: g.sum(),
      squares: g.square().sum(),
      everything: g.sum('all'),
    },
  }),
  {
    rows: shaped(({ matrix: [batch, rows] }) => [batch, rows, 1]),
    columns: shaped(({ matrix: [batch, , columns] }) => [batch, 1, columns]),
    all: scalar(0),
    squares: scalar(0),
    everything: sharedScalar(0),
  },
)

function error(found: number, values: Iterable<number>): number {
  let [sum, sizes] = [0, 0]
  for (const each of values) {
    sum += each
    sizes += Math.abs(each)
  }
  return Math.abs(found - sum) / sizes / unit
}

const largest = (errors: Iterable<number>) => [...errors].reduce((a, b) => Math.max(a, b))

const random = randomNumbers(8)
const inputs: [string, (i: number) => number][] = [
  ['equal numbers', () => 1.1],
  ['a huge number at first, and what is lost beside it', (i) => (i === 0 ? 2 ** 24 : 1)],
  ['huge numbers here and there, and what is lost beside them', (i) => (i % 3000 < 3 ? 2 ** 24 : 1)],
  ['numbers that cancel', (i) => (i % 2 === 0 ? 1 : -1) * (1e6 + i)],
  ['random numbers', () => random()],
]

describe.runIf(hasWebgpu)('sums on WebGPU', async () => {
  const optimizer = hasWebgpu ? await compile(keepsSums, shapes, { backend: await newBackend() }) : undefined

  it.each(inputs)('are as near as is said, however many numbers there are: %s', async (_, value) => {
    const make = ([rows, columns]: readonly [number, number]) =>
      Float32Array.from({ length: rows * columns }, (_, i) => value(i))
    const gradients = { long: make(shapes.long), tall: make(shapes.tall), plane: make(shapes.plane) }
    optimizer!.step({ gradients })
    for (const [name, [rows, columns]] of Object.entries(shapes)) {
      const g = gradients[name as 'long']
      const state = (await optimizer!.readState(name as 'long')) as Readonly<Record<string, number & Float32Array>>
      const column = (place: number) => Array.from({ length: rows }, (_, row) => g[row * columns + place]!)
      const row = (place: number) => g.subarray(place * columns, (place + 1) * columns)
      // Of columns of two numbers some are enough.
      const errors = {
        rows: largest(Array.from(state.rows!, (found, place) => error(found, row(place)))),
        columns: largest(Array.from(state.columns!.slice(0, 200), (found, place) => error(found, column(place)))),
        all: error(state.all!, g),
        squares: error(
          state.squares!,
          Array.from(g, (each) => each * each),
        ),
        everything: error(
          state.everything!,
          Object.values(gradients).flatMap((each) => [...each]),
        ),
      }
      for (const [kind, bound] of Object.entries(bounds)) {
        expect([name, kind, errors[kind as 'all'] <= bound]).toEqual([name, kind, true])
      }
    }
  })

  it('over many tensors lose nothing beside a huge one', async () => {
    const names = Array.from({ length: 200 }, (_, place) => `number ${place}`)
    const model = Object.fromEntries(names.map((name) => [name, [1, 1]]))
    const many = await compile(keepsSums, model, { backend: await newBackend() })
    const values = names.map((_, place) => (place === 0 ? 2 ** 24 : 1))
    many.step({ gradients: Object.fromEntries(names.map((name, place) => [name, [values[place]!]])) })
    const { everything } = await many.readState(names[0]!)
    expect(error(everything as number, values)).toBeLessThanOrEqual(1)
    many.dispose()
  })

  it('of what float32 cannot hold are infinite, and of what is not a number none', async () => {
    const sums = await compile(keepsSums, { plane: [2, 2] }, { backend: await newBackend(), nonFinite: 'allow' })
    sums.step({ gradients: { plane: [1e20, 1e20, 1, 2] } })
    expect(await sums.readState('plane')).toMatchObject({ squares: Infinity, all: Math.fround(2e20) })
    sums.step({ gradients: { plane: [Number.NaN, 1, 3e38, 3e38] } })
    const { rows, columns, all } = await sums.readState('plane')
    expect([rows, columns, all]).toEqual([
      Float32Array.of(Number.NaN, Infinity),
      Float32Array.of(Number.NaN, 3e38),
      Number.NaN,
    ])
    sums.dispose()
  })
})
