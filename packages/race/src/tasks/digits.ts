import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { generator, permutation, stream } from './random.ts'

/** Pixels of one image: 8 x 8, row by row. */
export const pixels = 64

/** Number of classes: the digits 0 to 9. */
export const classes = 10

/** Images with their labels: `images` has `count` rows of 64 values in [0, 1]. */
export interface DigitSet {
  readonly count: number
  readonly images: Float32Array
  readonly labels: Uint8Array
  /** Line numbers of the images in the data file, counted from 0. */
  readonly rows: Int32Array
}

/** The three parts of the digits: 1,000 to train on, 400 to choose by, 397 to report. */
export interface Digits {
  readonly train: DigitSet
  readonly validation: DigitSet
  readonly test: DigitSet
}

let loaded: Digits | undefined

/**
 * The handwritten digits of Alpaydin and Kaynak (UCI Machine Learning Repository, 1998, CC BY 4.0), pixels divided by
 * 16, split 1,000 / 400 / 397 by one fixed permutation. Read once per process.
 */
export function loadDigits(): Digits {
  if (loaded === undefined) {
    const file = new URL('../../data/digits.csv.gz', import.meta.url)
    const lines = gunzipSync(readFileSync(file)).toString('utf8').trim().split('\n')
    const order = permutation(lines.length, generator(0, stream.split))
    loaded = {
      train: select(lines, order.subarray(0, 1000)),
      validation: select(lines, order.subarray(1000, 1400)),
      test: select(lines, order.subarray(1400)),
    }
  }
  return loaded
}

function select(lines: readonly string[], rows: Int32Array): DigitSet {
  const images = new Float32Array(rows.length * pixels)
  const labels = new Uint8Array(rows.length)
  rows.forEach((row, index) => {
    const values = lines[row]!.split(',').map(Number)
    for (let pixel = 0; pixel < pixels; pixel++) images[index * pixels + pixel] = values[pixel]! / 16
    labels[index] = values[pixels]!
  })
  return { count: rows.length, images, labels, rows }
}

/**
 * Copies the chosen images of a set one after the other into `images`, and their labels into `labels` when it is given.
 */
export function gather(set: DigitSet, chosen: Int32Array, images: Float32Array, labels?: Uint8Array): void {
  for (let row = 0; row < chosen.length; row++) {
    const source = chosen[row]!
    images.set(set.images.subarray(source * pixels, (source + 1) * pixels), row * pixels)
    if (labels) labels[row] = set.labels[source]!
  }
}
