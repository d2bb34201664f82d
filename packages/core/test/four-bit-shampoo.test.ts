import { fileURLToPath } from 'node:url'
import { compile, type FloatArray, fourBitShampoo, reference, sgd, wasm } from 'fallline'
import { describe, expect, it } from 'vitest'
import { Fields } from '../golden/fields.ts'
import { readGolden } from '../golden/files.ts'
import { mappings } from '../golden/mapping.ts'
import { writeGradient, writeInitial } from '../golden/problem.ts'
import { relativeError } from '../golden/replay.ts'
import { fillAll, randomNumbers } from './support/random.ts'

const data = fileURLToPath(new URL('golden-data/shampoo_4bit.json.gz', import.meta.url))

interface Written {
  readonly what: 'eigenvectors' | 'root'
  readonly indices: readonly (readonly number[])[]
  readonly absmax: readonly number[]
  readonly diag?: readonly number[]
}

/** The numbers of the paper's equation 3. */
const numberOf = (code: number, bits: number) => {
  const root = -1 + (2 * code) / (2 ** bits - 1)
  return code === 2 ** (bits - 1) - 1 ? 0 : root * Math.abs(root)
}

type State = Readonly<Record<string, FloatArray>>

/** What is kept in codes for a tensor, as the file has it. */
function codesIn(state: State, bits: number): Written[] {
  const slots = ['basisCode1', 'basisCode2', 'rootCode1', 'rootCode2'].filter((slot) => state[slot])
  return slots.map((slot) => {
    const of = (suffix: string) => state[slot.replace('Code', suffix)]
    const [high, low] = [of('Code')!, of('LowCode')].map((codes) => codes && [...codes].map((value) => 16 * value - 1))
    const codes = bits === 8 ? high!.map((code, i) => 16 * code + low![i]!) : high!
    const order = Math.sqrt(codes.length)
    return {
      what: slot.startsWith('root') ? 'root' : 'eigenvectors',
      indices: Array.from({ length: order }, (_, i) => codes.slice(i * order, (i + 1) * order)),
      absmax: [...of('Scale')!],
      ...(slot.startsWith('root') ? { diag: [...of('Diagonal')!] } : {}),
    }
  })
}

function agree(a: Written, b: Written, bits: number): boolean {
  if (a.what !== b.what || a.indices.length !== b.indices.length) return false
  const numbers = [a, b].map(({ indices, absmax }) =>
    indices.flatMap((row, i) => row.map((code) => numberOf(code, bits) * absmax[i]!)),
  )
  const pairs = [numbers, [a.absmax, b.absmax], [a.diag ?? [], b.diag ?? []]]
  return pairs.every(([own, other]) => relativeError(own!, other!) < 1e-8)
}

describe('4-bit Shampoo', async () => {
  const file = await readGolden(data)
  const runs = file!.runs.filter(({ captured }) => (captured as { codes_written?: unknown } | undefined)?.codes_written)

  it.each(runs.map((run) => [run.config, run] as const))(
    'writes the codes of the official code, %s',
    async (_, run) => {
      const { step, codes_written: written } = run.captured as { step: number; codes_written: readonly Written[] }
      const bits = run.hyper.prec_bits as number
      const optimizer = mappings.shampoo_4bit!.optimizer(
        new Fields(run.hyper),
        run.shapes.map((shape) => shape.length),
      )
      const shapes = Object.fromEntries(run.shapes.map((shape, k) => [`t${k}`, shape]))
      const compiled = await compile(optimizer, shapes, { backend: reference() })
      compiled.names.forEach((name, k) => {
        writeInitial(compiled.parameters[name]!, k, 0)
      })
      // The run of every step holds what the last step writes too.
      const isOften = run.config === 'sgd_4bit_every_step'
      for (const last of isOften ? [step, 100] : [step]) {
        while (compiled.steps < last) {
          compiled.names.forEach((name, k) => {
            writeGradient(compiled.gradients[name]!, compiled.parameters[name]!, k, compiled.steps + 1, 0)
          })
          compiled.step()
        }
        const found = compiled.names.flatMap((name) => codesIn(compiled.state(name) as State, bits))
        const expected = found.filter(({ what }) => what === 'root' || isOften)
        expect(expected.length).toBeGreaterThan(1)
        for (const each of expected) expect(written.filter((other) => agree(each, other, bits))).toHaveLength(1)
      }
    },
  )

  it('takes in memory what it says', async () => {
    const shapes = { w: [256, 256] }
    const bytes = await Promise.all(
      [sgd(), fourBitShampoo(), fourBitShampoo({ storage: 'eightBit' }), fourBitShampoo({ storage: 'float32' })].map(
        async (rule) => {
          const optimizer = await compile(rule, shapes, { backend: wasm() })
          const { length } = optimizer.save()
          optimizer.dispose()
          return length
        },
      ),
    )
    const [, four, eight, full] = bytes.map((length) => (length - bytes[0]!) / 2 ** 16 - 4)
    // Two matrices for each of two sides, half a byte an element and a scale for every 64; eigenvalues and diagonals.
    expect(four).toBeCloseTo(4 / 2 + 16 / 64 + 16 / 256, 1)
    expect(eight).toBeCloseTo(4 + 16 / 64 + 16 / 256, 1)
    expect(full).toBeCloseTo(16 + 8 / 256, 1)
  })

  it('comes near to what it does in float32, the nearer the more bits', async () => {
    const shapes = { w: [80, 70] }
    const settings = { statisticsPeriod: 1, rootPeriod: 2 }
    const directions = await Promise.all(
      (['fourBit', 'eightBit', 'float32'] as const).map(async (storage) => {
        const optimizer = await compile(fourBitShampoo({ ...settings, storage, momentum: 0 }), shapes)
        const random = randomNumbers(3)
        for (let step = 1; step <= 6; step++) {
          fillAll(optimizer.gradients, random)
          optimizer.parameters.w.fill(0)
          optimizer.step()
        }
        return [...optimizer.parameters.w]
      }),
    )
    const size = (x: readonly number[]) => Math.hypot(...x)
    const [four, eight] = directions.slice(0, 2).map((x) => size(x.map((value, i) => value - directions[2]![i]!)))
    expect(eight! / size(directions[2]!)).toBeLessThan(0.02)
    expect(four! / size(directions[2]!)).toBeLessThan(0.3)
    expect(eight!).toBeLessThan(four! / 4)
  })
})
