import { leastSquares } from '@fallline/solvers'

/**
 * The peaks of a spectrum: five of the shape of Gauss on a sloping base, by least squares within bounds. Some of the counts are wrong by far, as
 * where a cosmic ray has met the detector, so that a loss lets these count less.
 *
 * npx tsx --conditions=@fallline/source examples/spectrum.ts
 */

export interface Peak {
  readonly height: number
  readonly place: number
  readonly width: number
}

export interface Spectrum {
  readonly peaks: readonly Peak[]
  /** At place 0, and by how much it rises until place 100. */
  readonly base: readonly [number, number]
}

/** What is looked for: two of the peaks overlap. */
export const truth: Spectrum = {
  peaks: [
    { height: 80, place: 15, width: 2 },
    { height: 50, place: 32, width: 3 },
    { height: 120, place: 40, width: 2.5 },
    { height: 30, place: 63, width: 5 },
    { height: 60, place: 85, width: 1.5 },
  ],
  base: [20, -8],
}

/** Two for the base, and three for each peak. */
const pack = ({ peaks, base }: Spectrum) => [
  ...base,
  ...peaks.flatMap(({ height, place, width }) => [height, place, width]),
]

function unpack(x: Float64Array): Spectrum {
  const peaks = Array.from({ length: (x.length - 2) / 3 }, (_, i) => {
    const [height, place, width] = x.subarray(2 + 3 * i, 5 + 3 * i) as unknown as [number, number, number]
    return { height, place, width }
  })
  return { peaks, base: [x[0]!, x[1]!] }
}

/** The counts that a spectrum has at a place. */
export function countsAt({ peaks, base }: Spectrum, place: number): number {
  const shape = ({ height, place: middle, width }: Peak) => height * Math.exp(-(((place - middle) / width) ** 2) / 2)
  return peaks.reduce((sum, peak) => sum + shape(peak), base[0] + (base[1] * place) / 100)
}

/** Counts at places 0, 1/4, ..., 100 with noise of about one count, and every 50th of them hit by a ray. */
export function measure(spectrum: Spectrum, seed: number): readonly (readonly [place: number, counts: number])[] {
  let state = seed
  const uniform = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  return Array.from({ length: 401 }, (_, i) => {
    const noise = Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())
    return [i / 4, countsAt(spectrum, i / 4) + noise + (i % 50 === 30 ? 60 : 0)]
  })
}

/** Fits as many peaks as there are guesses of their places. */
export function fitSpectrum(
  data: readonly (readonly [place: number, counts: number])[],
  guesses: readonly number[],
  loss: 'linear' | 'softL1' = 'softL1',
) {
  const start: Spectrum = { peaks: guesses.map((place) => ({ height: 40, place, width: 3 })), base: [10, 0] }
  const around = guesses.flatMap((place) => [[0, null] as const, [place - 6, place + 6] as const, [0.5, 10] as const])
  const result = leastSquares((x) => data.map(([place, counts]) => countsAt(unpack(x), place) - counts), pack(start), {
    bounds: [[0, null], [null, null], ...around],
    loss,
    lossScale: 2,
  })
  return { ...result, spectrum: unpack(result.point) }
}

if (process.argv[1]?.endsWith('spectrum.ts')) {
  const { spectrum, evaluations, status } = fitSpectrum(measure(truth, 1), [12, 30, 43, 60, 88])
  console.log('height   place   width')
  for (const { height, place, width } of spectrum.peaks) {
    console.log([height, place, width].map((value) => value.toFixed(2).padStart(6)).join('  '))
  }
  console.log(
    `base ${spectrum.base.map((value) => value.toFixed(2)).join(', ')}; ${status.kind}, ${evaluations.values} evaluations`,
  )
}
