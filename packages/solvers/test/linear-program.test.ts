import { describe, expect, it } from 'vitest'
import { linearProgram } from '../src/index.ts'

describe('linearProgram', () => {
  // The example of SciPy's documentation of linprog: min -x + 4 y, -3 x + y ≤ 6, x + 2 y ≤ 4, y ≥ -3; optimum (10, -3), -22.
  const example = {
    costs: [-1, 4],
    upperMatrix: [
      [-3, 1],
      [1, 2],
    ],
    upperBounds: [6, 4],
    bounds: [
      [null, null],
      [-3, null],
    ],
  } as const

  it.each(['simplex', 'interior-point', 'first-order'] as const)(
    'solves the example of SciPy by %s',
    async (method) => {
      const { point, value, multipliers, reducedCosts, status } = await linearProgram(example, { method })
      expect(status).toEqual({ kind: 'converged', test: 'optimal' })
      expect(point[0]).toBeCloseTo(10, 4)
      expect(point[1]).toBeCloseTo(-3, 4)
      expect(value).toBeCloseTo(-22, 3)
      expect(multipliers[1]).toBeCloseTo(-1, 4)
      expect(reducedCosts[1]).toBeCloseTo(6, 4)
    },
  )

  it('solves a mixed-integer program', async () => {
    const { point, value } = await linearProgram({
      costs: [-5, -4, -3],
      upperMatrix: [
        [2, 3, 1],
        [4, 1, 2],
        [3, 4, 2],
      ],
      upperBounds: [5, 11, 8],
      integer: [true, true, true],
    })
    expect(value).toBeCloseTo(-13, 9)
    expect([...point]).toEqual([2, 0, 1])
  })

  it('proves that nothing is feasible', async () => {
    // x + y ≥ 3 in the unit square, and x - y = 2.
    for (const integer of [undefined, [true, false]]) {
      const { status } = await linearProgram({
        costs: [1, 1],
        upperMatrix: [[-1, -1]],
        upperBounds: [-3],
        equalMatrix: [[1, -1]],
        equalBounds: [0.5],
        bounds: [
          [0, 1],
          [0, 1],
        ],
        ...(integer ? { integer } : {}),
      })
      if (status.kind !== 'infeasible') throw new Error(status.kind)
      const [y, z] = status.certificate as unknown as [number, number]
      expect(y).toBeLessThanOrEqual(0)
      const slopes = [-y + z, -y - z]
      const reach = slopes.reduce((sum, slope) => sum + Math.max(0, slope), 0)
      expect(reach).toBeLessThan(-3 * y + 0.5 * z)
    }
  })

  it('says that only whole numbers are missing', async () => {
    const { status } = await linearProgram({
      costs: [1],
      equalMatrix: [[2]],
      equalBounds: [1],
      integer: [true],
    })
    expect(status).toEqual({ kind: 'infeasible', certificate: new Float64Array(0) })
  })

  it('gives the ray along which a value falls without end', async () => {
    const program = { costs: [-1, 0], upperMatrix: [[1, -1]], upperBounds: [3] }
    const { value, ray, status } = await linearProgram(program)
    expect(status).toEqual({ kind: 'unbounded' })
    expect(value).toBe(-Infinity)
    expect(ray![0]).toBeGreaterThan(0)
    expect(ray![0]! - ray![1]!).toBeLessThanOrEqual(1e-12)
  })

  it('takes no variables, no constraints and bounds that coincide', async () => {
    expect(await linearProgram({ costs: [] })).toMatchObject({ value: 0, status: { kind: 'converged' } })
    const { status } = await linearProgram({ costs: [], upperMatrix: [[]], upperBounds: [-1] })
    expect(status).toEqual({ kind: 'infeasible', certificate: Float64Array.of(-1) })
    expect((await linearProgram({ costs: [2] })).value).toBe(0)
    const { point, value } = await linearProgram({ costs: [-3], bounds: [[2, 2]] })
    expect([...point, value]).toEqual([2, -6])
  })

  it('names what is wrong', async () => {
    await expect(linearProgram({ costs: [1], upperMatrix: [[1, 2]], upperBounds: [0] })).rejects.toThrow(
      'upperMatrix[0]: 2 numbers were given for 1 variables',
    )
    await expect(linearProgram({ costs: [Number.NaN] })).rejects.toThrow('costs[0]: NaN')
    await expect(linearProgram({ costs: [1], bounds: [[2, 1]] })).rejects.toThrow('bounds[0]: the lower bound 2')
  })
})
