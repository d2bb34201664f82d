import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { aims, judge, type Results, verdict } from '../src/aims.ts'
import { librarySection, report, webgpuSection } from '../src/report.ts'
import { effortFor, guessSeconds, type StepResult } from '../src/sections/steps.ts'
import { sizes } from '../src/sizes.ts'
import type { Summary } from '../src/statistics.ts'

const exactly = (median: number): Summary => ({ median, low: median, high: median, count: 9 })

const step: StepResult = {
  optimizer: 'adamW',
  size: '16 M',
  parameters: 4096 * 4096,
  kind: 'elementwise',
  bytesPerParameter: 28,
  seconds: { fallline: { median: 0.02, low: 0.019, high: 0.021, count: 30 } },
  ratios: {
    copy: exactly(1.1),
    unfused: exactly(6.5),
    handWritten: exactly(0.9),
    throw: exactly(0.8),
    telemetry: exactly(0.96),
    twoThreads: exactly(1.4),
  },
  failures: {},
}

describe('judge and verdict', () => {
  const atLeast = { title: 'speed', direction: 'at least', bound: 5, unit: 'times' } as const
  const atMost = { title: 'size', direction: 'at most', bound: 15, unit: 'kB' } as const

  it('says by how much an aim is met or missed', () => {
    expect(verdict(judge(atLeast, exactly(5.5)))).toBe('met, 10 % to spare')
    expect(verdict(judge(atLeast, exactly(4.75)))).toBe('missed by 5.0 %')
    expect(verdict(judge(atMost, { median: 12 }))).toBe('met, 20 % to spare')
    expect(verdict(judge(atMost, { median: 30 }))).toBe('missed by 100 %')
  })

  it('counts the bound itself as met', () => {
    expect(judge(atLeast, exactly(5)).met).toBe(true)
    expect(judge(atMost, { median: 15 }).met).toBe(true)
  })

  it('never calls met what was not measured', () => {
    expect(verdict(judge(atLeast, undefined, 'needs --peers'))).toBe('needs --peers')
    expect(judge(atLeast, undefined).met).toBeUndefined()
  })
})

describe('aims', () => {
  it('holds all of them against the results, those of the large size and the slowest compilation', () => {
    const results: Results = {
      steps: [{ ...step, size: '1 M', ratios: { handWritten: exactly(2) } }, step],
      cold: [
        { optimizer: 'adamW', small: exactly(4) },
        { optimizer: 'lamb', small: exactly(9) },
        { optimizer: 'lion', error: 'no' },
      ],
      sizes: [{ title: 'one', minified: 40_000, gzip: 14_000, brotli: 12_000, sources: {} }],
      peers: {
        versions: {},
        missing: {},
        results: [1, 2].map((threads) => ({
          optimizer: 'adan',
          size: '16 M',
          parameters: 1,
          peer: 'pytorch_optimizer',
          threads,
          ratio: exactly(4 + threads),
        })),
      },
    }
    const found = Object.fromEntries(aims(results).map((aim) => [aim.title, aim.measured?.median]))
    expect(found['AdamW beside the hand-written kernel, 16 M']).toBe(0.9)
    expect(found['AdamW beside a copy of as many bytes, 16 M']).toBe(1.1)
    expect(found['Adan beside pytorch_optimizer, 16 M, 2 threads']).toBe(6)
    expect(found['AdamW beside torch fused, 16 M, 1 thread']).toBeUndefined()
    expect(found['cold compilation of AdamW']).toBe(4)
    expect(found['cold compilation of the slowest, lamb']).toBe(9)
    expect(found['application with AdamW on wasm, gzip']).toBe(14)
  })
})

describe('effort', () => {
  it('expects matrix products to grow faster than the number of parameters', () => {
    const [small, large] = [sizes[0]!, sizes[1]!]
    expect(guessSeconds('elementwise', 0.001, small, large)).toBeCloseTo(0.016, 9)
    expect(guessSeconds('matrix', 1, small, large)).toBeCloseTo(64, 9)
  })

  it('takes a slow step only once', () => {
    const size = sizes[1]!
    expect(effortFor(size, undefined)).toMatchObject({ seconds: size.seconds })
    expect(effortFor(size, 0.1)).toMatchObject({ seconds: size.seconds })
    expect(effortFor(size, 30)).toBe('once')
  })
})

describe('report', () => {
  it('shows figures, failures and what was not run', () => {
    const text = stripVTControlCharacters(
      report({
        steps: [
          step,
          { ...step, optimizer: 'lamb', seconds: {}, ratios: {}, failures: { fallline: 'cannot compile' } },
          { ...step, optimizer: 'muon', seconds: {}, ratios: {}, note: 'not run: a step would take about 200 s' },
        ],
      }),
    )
    const row = text.split('\n').find((line) => line.startsWith('adamW'))!
    expect(row.split(/\s+/)).toEqual([
      'adamW',
      '28.0',
      '839',
      '5.0%',
      '23.5',
      '1.10',
      '6.50',
      '0.90',
      '+25%',
      '+4%',
      '1.40',
    ])
    expect(text).toContain('lamb, fallline: cannot compile')
    expect(text).toContain('* muon: not run: a step would take about 200 s')
    expect(text).toMatch(/hand-written kernel, 16 M\s+at least 0.97 times its speed\s+0.90.*missed by 7.2 %/)
    expect(text).toContain('needs --peers')
  })
})

describe('the section of every optimizer', () => {
  const instructions = { loads: 4, stores: 3, products: 7, sums: 7, comparisons: 0, roots: 1, quotients: 1 }
  const common = { parameters: 4096 * 4096, bytesPerParameter: 28, reason: 'sums', instructions }
  const text = (adamW: number) =>
    stripVTControlCharacters(
      librarySection([{ ...common, optimizer: 'lamb', kind: 'reduction', aim: 0.85, adamW: exactly(adamW) }]),
    )

  it('says how many operations an element takes where an aim is missed', () => {
    expect(text(0.8)).toContain('sums; 4 loads, 3 stores, 7 products, 7 sums, 1 root, 1 quotient')
    expect(text(0.9)).not.toContain('loads')
  })

  it('holds rules with sums against their aims', () => {
    const library = [{ ...common, optimizer: 'lamb', kind: 'reduction', aim: 0.85, adamW: exactly(0.8) }]
    const aim = aims({ library }).find(({ title }) => title === 'lamb beside AdamW, 16 M')
    expect(aim).toMatchObject({ bound: 0.85, met: false })
  })
})

describe('steps on WebGPU', () => {
  it('are told in bytes of the plan, beside a copy', () => {
    const text = stripVTControlCharacters(
      webgpuSection({
        adapter: 'vendor architecture',
        results: [
          {
            optimizer: 'adamW',
            parameters: 1_000_000,
            bytesPerParameter: 28,
            seconds: exactly(0.001),
            share: exactly(0.8),
            dispatches: 1,
            submits: 1,
          },
          { optimizer: 'muon', parameters: 1_000_000, error: 'too large' },
        ],
      }),
    )
    expect(text).toContain('Steps on WebGPU: vendor architecture')
    expect(text).toMatch(/adamW +1000000 +28\.0 +1\.00 +28\.0 +0\.80 +1 +1/)
    expect(text).toMatch(/muon +1000000.*too large/)
  })

  it('say why there are none', () => {
    expect(webgpuSection({ adapter: 'none', results: [], missing: 'no adapter' })).toContain('no adapter')
  })
})
