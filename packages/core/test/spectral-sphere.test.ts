import { compile, spectralSphere } from 'fallline'
import { describe, expect, it } from 'vitest'
import { type Matrix, matrixOf, times, transposed } from './support/matrices.ts'
import { randomNumbers } from './support/random.ts'
import { everything } from './support/sample.ts'

const inner = (a: Matrix, b: Matrix) => a.flat().reduce((total, value, i) => total + value * b.flat()[i]!, 0)

/** The largest singular value with its vectors, to the end. */
function leading(matrix: Matrix) {
  const unit = (x: Matrix) => x.map(([value]) => [value! / Math.hypot(...x.flat())])
  let right: Matrix = matrix[0]!.map(() => [1])
  for (let step = 0; step < 300; step++) right = unit(times(transposed(matrix), times(matrix, right)))
  const left = unit(times(matrix, right))
  return { value: Math.hypot(...times(matrix, right).flat()), outer: times(left, transposed(right)) }
}

describe('a step along the spectral sphere', () => {
  const sizes = [
    [9, 9],
    [12, 8],
    [8, 12],
  ] as const
  it.each(sizes.slice(0, everything ? 3 : 1))(
    'of %i x %i leaves the largest singular value as it is, and comes back to the sphere',
    async (outputs, inputs) => {
      const learningRate = 1e-3
      const optimizer = await compile(spectralSphere({ learningRate }), { w: [outputs, inputs] })
      const radius = Math.sqrt(outputs / inputs)
      const random = randomNumbers(outputs)
      const read = () => matrixOf(optimizer.parameters.w, outputs, inputs)
      optimizer.parameters.w.forEach((_, i, values) => {
        // One singular value is far above the others, so that power iteration finds it.
        values[i] = 1 + random()
      })
      for (let step = 0; step < 2; step++) {
        const { value, outer } = leading(read())
        const before = read()
        optimizer.gradients.w.forEach((_, i, values) => {
          values[i] = random()
        })
        optimizer.step()
        const after = read()
        const moved = before.map((row, i) => row.map((x, j) => ((radius / value) * x - after[i]![j]!) / learningRate))
        // Float32 keeps parameters to 6e-8, a thousandth of which is the step.
        expect(Math.abs(inner(outer, moved)) / radius).toBeLessThan(2e-3)
        expect(leading(moved).value / radius).toBeLessThan(1.01)
        // So the largest singular value changes by the square of the rate.
        expect(Math.abs(leading(after).value / radius - 1)).toBeLessThan(1e-5)
      }
    },
  )

  it('goes back to the sphere and nowhere else where the gradient is all across it', async () => {
    const optimizer = await compile(spectralSphere({ learningRate: 0.1 }), { w: [1, 3] })
    optimizer.parameters.w.set([2, 0, 0])
    optimizer.gradients.w.set([1, 0, 0])
    optimizer.step()
    expect(optimizer.parameters.w[0]).toBeCloseTo(Math.sqrt(1 / 3), 6)
    expect([...optimizer.parameters.w.subarray(1)]).toEqual([0, 0])
  })

  it('leaves a matrix of zeros with a gradient of zeros where it is', async () => {
    const optimizer = await compile(spectralSphere({ learningRate: 0.1 }), { w: [4, 3] })
    optimizer.step()
    expect([...optimizer.parameters.w]).toEqual(new Array(12).fill(0))
  })
})
