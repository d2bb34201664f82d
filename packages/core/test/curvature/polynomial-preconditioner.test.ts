import {
  compile,
  mezo,
  type Optimizer,
  type PolynomialPreconditionerOptions,
  polynomialPreconditioner,
  reference,
  sgd,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, snapshot } from '../support/compare.ts'
import { randomNumbers } from '../support/random.ts'

const size = 5

/** A symmetric positive definite matrix. */
const random = randomNumbers(12)
const factor = Array.from({ length: size }, (_, i) =>
  Array.from({ length: size }, () => (random() - 0.5) * (i === 0 ? 6 : 1)),
)
const matrix = factor.map((_, i) => factor.map((__, j) => factor.reduce((sum, row) => sum + row[i]! * row[j]!, 0)))
const multiply = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]) =>
  a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)))
const apply = (a: readonly (readonly number[])[], x: ArrayLike<number>) =>
  a.map((row) => row.reduce((sum, value, j) => sum + value * x[j]!, 0))
const trace = (a: readonly (readonly number[])[]) => a.reduce((sum, row, i) => sum + row[i]!, 0)
const product = (vector: Float64Array) => apply(matrix, vector)
const powers = [matrix]
while (powers.length < size) powers.push(multiply(powers.at(-1)!, matrix))
const gradient = [1, -0.5, 2, 0.3, -1]

async function start(options: PolynomialPreconditionerOptions, optimizer: Optimizer = sgd({ learningRate: 1 })) {
  return polynomialPreconditioner(await compile(optimizer, { a: [2], b: [3] }, { backend: reference() }), options)
}

/** The step that is taken for the gradient: the preconditioned gradient. */
async function direction(options: PolynomialPreconditionerOptions) {
  const driver = await start(options)
  await driver.minimize(({ gradients }) => {
    gradients.a!.set(gradient.slice(0, 2))
    gradients.b!.set(gradient.slice(2))
  }, product)
  return [...driver.base.parameters.a!, ...driver.base.parameters.b!].map((value) => -value)
}

/** The determinants of all principal minors of a size sum up to an elementary symmetric polynomial of the eigenvalues. */
function sigma(degree: number): number {
  const determinant = (m: readonly (readonly number[])[]): number =>
    m.length === 0
      ? 1
      : m[0]!.reduce(
          (sum, value, c) =>
            sum + (c % 2 ? -1 : 1) * value * determinant(m.slice(1).map((row) => row.filter((_, j) => j !== c))),
          0,
        )
  let sum = 0
  for (let subset = 0; subset < 2 ** size; subset++) {
    const chosen = matrix.map((_, i) => i).filter((i) => subset & (1 << i))
    if (chosen.length === degree) sum += determinant(chosen.map((i) => chosen.map((j) => matrix[i]![j]!)))
  }
  return sum
}

describe('polynomial preconditioning', () => {
  it.each([1, 2, 3, 4])('multiplies by the symmetric polynomial of the paper, degree %i', async (degree) => {
    // P₀ = I, Pτ = 1/τ Σ (-1)ⁱ⁻¹ Pτ₋ᵢ Uᵢ with Uᵢ = tr(Bⁱ) I - Bⁱ.
    const identity = matrix.map((_, i) => matrix.map((__, j) => Number(i === j)))
    const preconditioners = [identity]
    for (let tau = 1; tau <= degree; tau++) {
      let sum = identity.map((row) => row.map(() => 0))
      for (let i = 1; i <= tau; i++) {
        const power = powers[i - 1]!
        const u = identity.map((row, r) => row.map((value, c) => value * trace(power) - power[r]![c]!))
        const term = multiply(preconditioners[tau - i]!, u)
        sum = sum.map((row, r) => row.map((value, c) => value + ((i % 2 ? 1 : -1) * term[r]![c]!) / tau))
      }
      preconditioners.push(sum)
    }
    const expected = apply(preconditioners[degree]!, gradient).map((value) => value / sigma(degree))
    ;(await direction({ degree })).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 9)
    })
    const traces = powers.slice(0, degree).map(trace)
    ;(await direction({ degree, traces })).forEach((value, i) => {
      expect(value).toBeCloseTo(expected[i]!, 9)
    })
  })

  it.each([1, 2, 3])('finds the best direction of a Krylov space, degree %i', async (degree) => {
    const space = [gradient, ...powers.slice(0, degree).map((power) => apply(power, gradient))]
    const model = (d: readonly number[]) =>
      d.reduce((sum, value, i) => sum + value * (apply(matrix, d)[i]! / 2 - gradient[i]!), 0)
    const found = await direction({ degree, polynomial: 'krylov' })
    // Flat along every vector of the space, and within it: the rest is orthogonal to all that is orthogonal to the space.
    const slope = apply(matrix, found).map((value, i) => value - gradient[i]!)
    for (const vector of space) {
      const scale = Math.hypot(...vector) * Math.hypot(...gradient)
      expect(Math.abs(vector.reduce((sum, value, i) => sum + value * slope[i]!, 0)) / scale).toBeLessThan(1e-9)
    }
    let rest = [...found]
    const basis: number[][] = []
    for (const vector of space) {
      let v = [...vector]
      for (let pass = 0; pass < 2; pass++) {
        for (const each of basis) {
          const share = each.reduce((sum, value, i) => sum + value * v[i]!, 0)
          v = v.map((value, i) => value - share * each[i]!)
        }
      }
      basis.push(v.map((value) => value / Math.hypot(...v)))
    }
    for (const each of basis) {
      const share = each.reduce((sum, value, i) => sum + value * rest[i]!, 0)
      rest = rest.map((value, i) => value - share * each[i]!)
    }
    expect(Math.hypot(...rest)).toBeLessThan(1e-9 * Math.hypot(...found))
    expect(model(found)).toBeLessThan(0)
  })

  it('lets gradient descent take steps that a gap in the spectrum forbids', async () => {
    const curvatures = [100, 1, 1, 1, 1]
    const distance = async (learningRate: number, preconditioned: boolean) => {
      const driver = await start({ degree: 1 }, sgd({ learningRate }))
      driver.base.parameters.a!.fill(1)
      driver.base.parameters.b!.fill(1)
      const evaluate = ({ parameters, gradients }: Parameters<Parameters<typeof driver.minimize>[0]>[0]) => {
        parameters.a!.forEach((value, i) => {
          gradients.a![i] = value * curvatures[i]!
        })
        parameters.b!.forEach((value, i) => {
          gradients.b![i] = value * curvatures[i + 2]!
        })
      }
      for (let step = 0; step < 40; step++) {
        if (preconditioned) await driver.minimize(evaluate, (v) => v.map((value, i) => value * curvatures[i]!))
        else await driver.base.minimize(evaluate)
      }
      return Math.hypot(...driver.base.parameters.a!, ...driver.base.parameters.b!)
    }
    expect(await distance(0.0198, false)).toBeGreaterThan(0.5)
    expect(await distance(0.4, true)).toBeLessThan(1e-6)
  })

  it('measures traces by random vectors where told to, once', async () => {
    let products = 0
    const driver = await start({ degree: 2, probes: 3 })
    const step = () =>
      driver.minimize(
        ({ gradients }) => {
          gradients.a!.fill(1)
        },
        (vector) => {
          products++
          return vector.map((value) => 2 * value)
        },
      )
    await step()
    expect(products).toBe(3 * 2 + 2)
    await step()
    expect(products).toBe(3 * 2 + 2 + 2)
    // Signs give the traces of a multiple of the identity exactly; σ₂ of n - 1 equal numbers over that of n is (n - 2) / n.
    expect(driver.base.parameters.a![0]).toBeCloseTo((-2 * (size - 2)) / size, 10)
  })

  it('leaves everything as it was when something fails, and says what is wrong', async () => {
    const driver = await start({ degree: 1 })
    const before = snapshot(driver.base)
    const evaluate = () => {}
    await expect(driver.minimize(evaluate, () => [1])).rejects.toThrow('a product must be 5 finite numbers, not 1')
    await expect(driver.minimize(evaluate, (v) => v.map(() => 0))).rejects.toThrow(
      'the polynomial of degree 1 vanishes',
    )
    expect(changedBits(snapshot(driver.base), before)).toEqual([])
    await expect(start({ degree: 0 })).rejects.toThrow('degree must be a whole number from 1 up, not 0')
    await expect(start({ degree: 5 })).rejects.toThrow('degree must be below the number of parameters, 5, not 5')
    await expect(start({ degree: 2, traces: [1] })).rejects.toThrow('traces must be 2 numbers')
    await expect(start({}, mezo())).rejects.toThrow('the optimizer evaluates the model at points of its own')
  })
})
