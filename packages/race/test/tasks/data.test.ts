import { describe, expect, it } from 'vitest'
import { alphabet, loadBook, tokenize } from '../../src/tasks/book.ts'
import { loadDigits } from '../../src/tasks/digits.ts'
import { epochBatches, fillUniform, generator, permutation } from '../../src/tasks/random.ts'

describe('digits', () => {
  const { train, validation, test } = loadDigits()

  it('are split 1,000 / 400 / 397 without overlap', () => {
    expect([train.count, validation.count, test.count]).toEqual([1000, 400, 397])
    const rows = new Set([...train.rows, ...validation.rows, ...test.rows])
    expect(rows.size).toBe(1797)
    expect(Math.min(...rows)).toBe(0)
    expect(Math.max(...rows)).toBe(1796)
  })

  it('hold pixels from 0 to 1 and every label in every part', () => {
    for (const { images, labels, count } of [train, validation, test]) {
      expect(images.length).toBe(count * 64)
      expect(Math.min(...images)).toBe(0)
      expect(Math.max(...images)).toBe(1)
      expect([...new Set(labels)].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    }
  })

  it('keep image and label together: the first line of the file is a zero', () => {
    const [part, at] = [train, validation, test].flatMap((set) => {
      const index = set.rows.indexOf(0)
      return index < 0 ? [] : ([set, index] as const)
    }) as [typeof train, number]
    expect(part.labels[at]).toBe(0)
    expect([...part.images.subarray(at * 64, at * 64 + 8)].map((pixel) => pixel * 16)).toEqual([
      0, 0, 5, 13, 9, 1, 0, 0,
    ])
  })
})

describe('book', () => {
  it('begins with the first chapter and is cut into 80, 10 and 10 percent', () => {
    const { train, validation, test } = loadBook()
    const text = [...train.subarray(0, 44)].map((token) => alphabet[token]).join('')
    expect(text).toBe('chapter . loomings. call me ishmael. some ye')
    const total = train.length + validation.length + test.length
    expect(total).toBeGreaterThan(300_000)
    expect(train.length / total).toBeCloseTo(0.8, 4)
    expect(validation.length / total).toBeCloseTo(0.1, 4)
  })

  it('turns any text into the characters of the alphabet', () => {
    const read = (text: string) => [...tokenize(text)].map((token) => alphabet[token]).join('')
    expect(read('The “Whale”—é\n\t 7 ‘x’')).toBe(`the "whale"-e  'x'`)
    expect(read('a b')).toBe('a b')
    expect(Math.max(...tokenize(alphabet))).toBe(alphabet.length - 1)
  })
})

describe('random order', () => {
  it('gives every example once in an epoch, less the remainder, in another order in each epoch and for each seed', () => {
    const batches = epochBatches(100, 16)
    const epoch = (seed: number, number: number) =>
      [1, 2, 3, 4, 5, 6].flatMap((step) => [...batches(seed, number * 6 + step)])
    for (const order of [epoch(1, 0), epoch(1, 1), epoch(2, 0)]) {
      expect(new Set(order).size).toBe(96)
      expect(Math.max(...order)).toBeLessThan(100)
    }
    expect(epoch(1, 0)).not.toEqual(epoch(1, 1))
    expect(epoch(1, 0)).not.toEqual(epoch(2, 0))
  })

  it('does not depend on which batches were asked for before', () => {
    const asked = epochBatches(50, 8)
    for (let seed = 0; seed < 60; seed++) asked(seed, 1 + seed * 7)
    for (const [seed, step] of [
      [3, 20],
      [0, 1],
      [59, 400],
    ] as const) {
      expect(asked(seed, step)).toEqual(epochBatches(50, 8)(seed, step))
    }
  })

  it('has uncorrelated generators for neighbouring keys', () => {
    const first = Array.from({ length: 2000 }, (_, seed) => (generator(seed, 1).next() >>> 0) / 2 ** 32 - 0.5)
    const mean = first.reduce((sum, value) => sum + value, 0) / first.length
    const lagged = first.slice(1).reduce((sum, value, index) => sum + value * first[index]!, 0) / first.length
    // Five standard errors of a mean of 2,000 uniform draws, and of their products.
    expect(Math.abs(mean)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(2000))
    expect(Math.abs(lagged)).toBeLessThan(5 / 12 / Math.sqrt(2000))
    expect(generator(1, 2).next()).not.toBe(generator(2, 1).next())
  })

  it('permutes and fills as asked', () => {
    expect([...permutation(9, generator(4))].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8])
    const values = new Float32Array(5000)
    fillUniform(values, 0.5, generator(4))
    expect(Math.max(...values)).toBeLessThan(0.5)
    expect(Math.min(...values)).toBeGreaterThanOrEqual(-0.5)
    const variance = values.reduce((sum, value) => sum + value * value, 0) / values.length
    expect(variance).toBeCloseTo(1 / 12, 2)
  })
})
