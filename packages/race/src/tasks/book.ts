import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'

/** The characters the model knows; a character's token is its place here. */
export const alphabet = `abcdefghijklmnopqrstuvwxyz .,;:!?'"-`

/** A book as tokens, cut into three runs of text that follow each other. */
export interface Book {
  readonly train: Int32Array
  readonly validation: Int32Array
  readonly test: Int32Array
}

let loaded: Book | undefined

/**
 * Chapters 1 to 40 of Herman Melville's "Moby-Dick" (1851, public domain), in lower case and the characters of
 * `alphabet`: the first 80 % to train on, then 10 % to choose by, then 10 % to report. Read once per process.
 */
export function loadBook(): Book {
  if (loaded === undefined) {
    const file = new URL('../../data/moby-dick.txt.gz', import.meta.url)
    const text = gunzipSync(readFileSync(file)).toString('utf8')
    const tokens = tokenize(text)
    const first = Math.floor(tokens.length * 0.8)
    const second = Math.floor(tokens.length * 0.9)
    loaded = {
      train: tokens.slice(0, first),
      validation: tokens.slice(first, second),
      test: tokens.slice(second),
    }
  }
  return loaded
}

/**
 * Text to tokens: lower case, plain quotes, apostrophes and dashes, one space for any run of white space; other
 * characters are dropped.
 */
export function tokenize(text: string): Int32Array {
  const plain = text
    .normalize('NFD')
    .toLowerCase()
    .replace(/[‘’]/g, "'")
    .replace(/[“”]/g, '"')
    .replace(/[–—]/g, '-')
    .replace(/\s+/g, ' ')
  return Int32Array.from([...plain].map((character) => alphabet.indexOf(character)).filter((token) => token >= 0))
}
