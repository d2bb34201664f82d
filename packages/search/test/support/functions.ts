import { type Definition, float } from '../../src/index.ts'

/** A function to minimize, with its smallest value. */
export interface TestFunction {
  readonly definition: Definition
  readonly minimum: number
  value(parameters: Readonly<Record<string, number>>): number
}

/** Branin (1972), three minima of the same value. */
export const branin: TestFunction = {
  definition: { x: float(-5, 10), y: float(0, 15) },
  minimum: 0.397887357729739,
  value: ({ x, y }) =>
    (y! - (5.1 / (4 * Math.PI ** 2)) * x! ** 2 + (5 / Math.PI) * x! - 6) ** 2 +
    10 * (1 - 1 / (8 * Math.PI)) * Math.cos(x!) +
    10,
}

const weights = [1, 1.2, 3, 3.2]
const scales = [
  [10, 3, 17, 3.5, 1.7, 8],
  [0.05, 10, 17, 0.1, 8, 14],
  [3, 3.5, 1.7, 10, 17, 8],
  [17, 8, 0.05, 10, 0.1, 14],
]
const centres = [
  [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
  [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
  [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.665],
  [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
]

/** Hartmann's function of six variables (Dixon and Szego 1978). */
export const hartmann6: TestFunction = {
  definition: Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`x${index}`, float(0, 1)])),
  minimum: -3.32236801141551,
  value: (parameters) =>
    -weights.reduce((sum, weight, term) => {
      const distance = scales[term]!.reduce(
        (total, scale, index) => total + scale * (parameters[`x${index}`]! - centres[term]![index]!) ** 2,
        0,
      )
      return sum + weight * Math.exp(-distance)
    }, 0),
}
