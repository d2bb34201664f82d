import { lanczos } from 'fallline'
import { describe, expect, it } from 'vitest'

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, index) => sum + value * b[index]!, 0)

/** `Q diag(values) Q` for a reflection Q: a full matrix with a known spectrum. */
function withSpectrum(values: readonly number[]) {
  const normal = values.map((_, index) => Math.sin(1.3 * index + 1))
  const square = dot(normal, normal)
  const reflect = (vector: ArrayLike<number>) => {
    const factor = (2 * dot(vector, normal)) / square
    return Array.from(vector, (value, index) => value - factor * normal[index]!)
  }
  return { product: (vector: Float64Array) => reflect(reflect(vector).map((value, i) => value * values[i]!)), reflect }
}

describe('Lanczos iteration', () => {
  it('finds a whole small spectrum', async () => {
    const values = [-3, -0.5, 0, 1.25, 2, 7]
    const found = await lanczos(withSpectrum(values).product, 6, { tolerance: 0 })
    expect(found.products).toBe(6)
    found.values.forEach((value, index) => {
      expect(value).toBeCloseTo(values[index]!, 10)
    })
    expect(found.largest).toBeCloseTo(7, 10)
    expect(found.smallest).toBeCloseTo(-3, 10)
    expect(found.weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(1, 10)
  })

  it('finds the largest eigenvalue of a large matrix and its vector in few products', async () => {
    const values = Array.from({ length: 500 }, (_, index) => (index === 137 ? 12 : index / 500))
    const { product, reflect } = withSpectrum(values)
    const { largest, error, vector, products } = await lanczos(product, 500, { tolerance: 1e-6 })
    expect(products).toBeLessThan(15)
    expect(Math.abs(largest - 12)).toBeLessThan(12 * 1e-6)
    expect(error).toBeLessThanOrEqual(12 * 1e-6)
    const unit = reflect(values.map((_, index) => (index === 137 ? 1 : 0)))
    expect(Math.abs(dot(vector, unit))).toBeCloseTo(1, 8)
    expect(dot(vector, vector)).toBeCloseTo(1, 10)
  })

  it('gives an error that holds, from below', async () => {
    const values = Array.from({ length: 300 }, (_, index) => Math.sqrt(index))
    const top = Math.sqrt(299)
    for (const products of [2, 4, 8, 16]) {
      const { largest, error } = await lanczos(withSpectrum(values).product, 300, { products, tolerance: 0 })
      expect(largest).toBeLessThanOrEqual(top + 1e-10)
      expect(values.some((value) => Math.abs(value - largest) <= error + 1e-10)).toBe(true)
    }
  })

  it('weighs eigenvalues as the start vector does: their density, on average over starts', async () => {
    const values = Array.from({ length: 400 }, (_, index) => (index < 300 ? 1 : 5))
    let share = 0
    for (let seed = 0; seed < 40; seed++) {
      const found = await lanczos(withSpectrum(values).product, 400, { seed, tolerance: 0 })
      expect(found.products).toBe(2)
      share += found.weights.at(-1)! / 40
    }
    // A quarter of the eigenvalues are 5; the mean of 40 shares has a standard error of about 0.005.
    expect(Math.abs(share - 0.25)).toBeLessThan(0.025)
  })

  it('stops where the start vector is exhausted', async () => {
    const same = await lanczos((vector) => vector.map((value) => 3 * value), 50)
    expect([same.products, same.error < 1e-12]).toEqual([1, true])
    expect(same.largest).toBeCloseTo(3, 12)
    const nothing = await lanczos((vector) => new Float64Array(vector.length), 50)
    expect([nothing.largest, nothing.products]).toEqual([0, 1])
    const one = await lanczos((vector) => [-2 * vector[0]!], 1)
    expect(one.largest).toBeCloseTo(-2, 14)
  })

  it('waits for products and gives the same for the same seed', async () => {
    const { product } = withSpectrum([1, 2, 3, 4, 10])
    const later = (vector: Float64Array) => Promise.resolve(product(vector))
    expect(await lanczos(later, 5, { seed: 3 })).toEqual(await lanczos(product, 5, { seed: 3 }))
    expect((await lanczos(product, 5, { seed: 4, products: 2 })).largest).not.toBe(
      (await lanczos(product, 5, { seed: 3, products: 2 })).largest,
    )
  })

  it('starts where it is told to, and does not see what lies beside', async () => {
    const diagonal = (vector: Float64Array) => vector.map((value, i) => value * [7, 5, 2][i]!)
    const found = await lanczos(diagonal, 3, { start: [0, 3, 4], tolerance: 0 })
    expect(found.values.map((value) => value.toFixed(10))).toEqual(['2.0000000000', '5.0000000000'])
    expect(found.weights.map((value) => value.toFixed(10))).toEqual(['0.6400000000', '0.3600000000'])
    await expect(lanczos(diagonal, 3, { start: [0, 0, 0] })).rejects.toThrow('lanczos: start must be 3 numbers')
    await expect(lanczos(diagonal, 3, { start: [1] })).rejects.toThrow('lanczos: start must be 3 numbers')
  })

  it('names what is wrong', async () => {
    const { product } = withSpectrum([1, 2])
    await expect(lanczos(product, 0)).rejects.toThrow('lanczos: size must be a whole number from 1 up, not 0')
    await expect(lanczos(product, 2, { products: 1.5 })).rejects.toThrow('products must be a whole number')
    await expect(lanczos(product, 2, { tolerance: -1 })).rejects.toThrow('tolerance must be a number from 0 up, not -1')
    await expect(lanczos(product, 2, { steps: 3 } as never)).rejects.toThrow(/unknown option 'steps'/)
    await expect(lanczos(() => [1], 2)).rejects.toThrow('a product has 1 numbers, not 2')
    await expect(lanczos(() => [Number.NaN, 1], 2)).rejects.toThrow('product 1 is not finite')
  })
})
