import type { Objective } from '../../src/index.ts'

/**
 * Problems of J. Moré, B. Garbow and K. Hillstrom, Testing Unconstrained Optimization Software, ACM Transactions on Mathematical Software
 * 7 (1981): sums of squares with standard starts.
 */
export interface SumOfSquares {
  readonly start: readonly number[]
  readonly residuals: (x: ArrayLike<number>) => number[]
  readonly jacobian: (x: ArrayLike<number>) => number[][]
}

/** f = Σ rᵢ², with the gradient 2 Jᵀr. */
export function sumOfSquares({ residuals, jacobian }: SumOfSquares): Required<Pick<Objective, 'value' | 'gradient'>> {
  return {
    value: (x) => residuals(x).reduce((sum, residual) => sum + residual * residual, 0),
    gradient: (x) => {
      const gradient = new Float64Array(x.length)
      const r = residuals(x)
      jacobian(x).forEach((row, i) => {
        row.forEach((element, j) => {
          gradient[j]! += 2 * element * r[i]!
        })
      })
      return gradient
    },
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => i + 1)

/** A row that is zero but for the columns given. */
function row(n: number, elements: Readonly<Record<number, number>>): number[] {
  return Array.from({ length: n }, (_, j) => elements[j] ?? 0)
}

const bardValues = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.1, 4.39]
const bardTerms = bardValues.map((y, i) => ({ y, u: i + 1, v: 15 - i, w: Math.min(i + 1, 15 - i) }))
const gaussianHalf = [0.0009, 0.0044, 0.0175, 0.054, 0.1295, 0.242, 0.3521]
const gaussianTerms = [...gaussianHalf, 0.3989, ...gaussianHalf.toReversed()].map((y, i) => ({ y, t: (7 - i) / 2 }))
const kowalikValues = [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246]
const kowalikPlaces = [4, 2, 1, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625]

function extendedRosenbrock(n: number): SumOfSquares {
  return {
    start: Array.from({ length: n }, (_, i) => (i % 2 ? 1 : -1.2)),
    residuals: (x) =>
      numbers(n / 2).flatMap((k) => {
        const [a, b] = [x[2 * k - 2]!, x[2 * k - 1]!]
        return [10 * (b - a * a), 1 - a]
      }),
    jacobian: (x) =>
      numbers(n / 2).flatMap((k) => [
        row(n, { [2 * k - 2]: -20 * x[2 * k - 2]!, [2 * k - 1]: 10 }),
        row(n, { [2 * k - 2]: -1 }),
      ]),
  }
}

function extendedPowell(n: number): SumOfSquares {
  return {
    start: Array.from({ length: n }, (_, i) => [3, -1, 0, 1][i % 4]!),
    residuals: (x) =>
      numbers(n / 4).flatMap((k) => {
        const [a, b, c, d] = [x[4 * k - 4]!, x[4 * k - 3]!, x[4 * k - 2]!, x[4 * k - 1]!]
        return [a + 10 * b, Math.sqrt(5) * (c - d), (b - 2 * c) ** 2, Math.sqrt(10) * (a - d) ** 2]
      }),
    jacobian: (x) =>
      numbers(n / 4).flatMap((k) => {
        const at = 4 * k - 4
        const [a, b, c, d] = [x[at]!, x[at + 1]!, x[at + 2]!, x[at + 3]!]
        return [
          row(n, { [at]: 1, [at + 1]: 10 }),
          row(n, { [at + 2]: Math.sqrt(5), [at + 3]: -Math.sqrt(5) }),
          row(n, { [at + 1]: 2 * (b - 2 * c), [at + 2]: -4 * (b - 2 * c) }),
          row(n, { [at]: 2 * Math.sqrt(10) * (a - d), [at + 3]: -2 * Math.sqrt(10) * (a - d) }),
        ]
      }),
  }
}

function variablyDimensioned(n: number): SumOfSquares {
  const weighted = (x: ArrayLike<number>) => numbers(n).reduce((sum, j) => sum + j * (x[j - 1]! - 1), 0)
  return {
    start: numbers(n).map((j) => 1 - j / n),
    residuals: (x) => [...numbers(n).map((j) => x[j - 1]! - 1), weighted(x), weighted(x) ** 2],
    jacobian: (x) => [
      ...numbers(n).map((i) => row(n, { [i - 1]: 1 })),
      numbers(n),
      numbers(n).map((j) => 2 * j * weighted(x)),
    ],
  }
}

function trigonometric(n: number): SumOfSquares {
  return {
    start: numbers(n).map(() => 1 / n),
    residuals: (x) => {
      const cosines = numbers(n).reduce((sum, j) => sum + Math.cos(x[j - 1]!), 0)
      return numbers(n).map((i) => n - cosines + i * (1 - Math.cos(x[i - 1]!)) - Math.sin(x[i - 1]!))
    },
    jacobian: (x) =>
      numbers(n).map((i) =>
        numbers(n).map((j) => {
          const [sine, cosine] = [Math.sin(x[j - 1]!), Math.cos(x[j - 1]!)]
          return sine + (i === j ? i * sine - cosine : 0)
        }),
      ),
  }
}

export const problems = {
  rosenbrock: extendedRosenbrock(2),
  freudensteinRoth: {
    start: [0.5, -2],
    residuals: ([x, y]: number[]) => [-13 + x! + ((5 - y!) * y! - 2) * y!, -29 + x! + ((y! + 1) * y! - 14) * y!],
    jacobian: ([, y]: number[]) => [
      [1, 10 * y! - 3 * y! ** 2 - 2],
      [1, 3 * y! ** 2 + 2 * y! - 14],
    ],
  },
  powellBadlyScaled: {
    start: [0, 1],
    residuals: ([x, y]: number[]) => [1e4 * x! * y! - 1, Math.exp(-x!) + Math.exp(-y!) - 1.0001],
    jacobian: ([x, y]: number[]) => [
      [1e4 * y!, 1e4 * x!],
      [-Math.exp(-x!), -Math.exp(-y!)],
    ],
  },
  brownBadlyScaled: {
    start: [1, 1],
    residuals: ([x, y]: number[]) => [x! - 1e6, y! - 2e-6, x! * y! - 2],
    jacobian: ([x, y]: number[]) => [
      [1, 0],
      [0, 1],
      [y!, x!],
    ],
  },
  beale: {
    start: [1, 1],
    residuals: ([x, y]: number[]) => [1.5, 2.25, 2.625].map((value, i) => value - x! * (1 - y! ** (i + 1))),
    jacobian: ([x, y]: number[]) => [1, 2, 3].map((i) => [y! ** i - 1, x! * i * y! ** (i - 1)]),
  },
  jennrichSampson: {
    start: [0.3, 0.4],
    residuals: ([x, y]: number[]) => numbers(10).map((i) => 2 + 2 * i - Math.exp(i * x!) - Math.exp(i * y!)),
    jacobian: ([x, y]: number[]) => numbers(10).map((i) => [-i * Math.exp(i * x!), -i * Math.exp(i * y!)]),
  },
  helicalValley: {
    start: [-1, 0, 0],
    residuals: ([x, y, z]: number[]) => {
      const angle = Math.atan(y! / x!) / (2 * Math.PI) + (x! < 0 ? 0.5 : 0)
      return [10 * (z! - 10 * angle), 10 * (Math.hypot(x!, y!) - 1), z!]
    },
    jacobian: ([x, y]: number[]) => {
      const radius = Math.hypot(x!, y!)
      const factor = 100 / (2 * Math.PI * radius ** 2)
      return [
        [factor * y!, -factor * x!, 10],
        [(10 * x!) / radius, (10 * y!) / radius, 0],
        [0, 0, 1],
      ]
    },
  },
  bard: {
    start: [1, 1, 1],
    residuals: ([x1, x2, x3]: number[]) => bardTerms.map(({ y, u, v, w }) => y - x1! - u / (v * x2! + w * x3!)),
    jacobian: ([, x2, x3]: number[]) =>
      bardTerms.map(({ u, v, w }) => {
        const square = (v * x2! + w * x3!) ** 2
        return [-1, (u * v) / square, (u * w) / square]
      }),
  },
  gaussian: {
    start: [0.4, 1, 0],
    residuals: ([x1, x2, x3]: number[]) =>
      gaussianTerms.map(({ y, t }) => x1! * Math.exp((-x2! * (t - x3!) ** 2) / 2) - y),
    jacobian: ([x1, x2, x3]: number[]) =>
      gaussianTerms.map(({ t }) => {
        const bell = Math.exp((-x2! * (t - x3!) ** 2) / 2)
        return [bell, (-x1! * bell * (t - x3!) ** 2) / 2, x1! * bell * x2! * (t - x3!)]
      }),
  },
  box: {
    start: [0, 10, 20],
    residuals: ([x1, x2, x3]: number[]) =>
      numbers(10).map((i) => {
        const t = i / 10
        return Math.exp(-t * x1!) - Math.exp(-t * x2!) - x3! * (Math.exp(-t) - Math.exp(-10 * t))
      }),
    jacobian: ([x1, x2]: number[]) =>
      numbers(10).map((i) => {
        const t = i / 10
        return [-t * Math.exp(-t * x1!), t * Math.exp(-t * x2!), Math.exp(-10 * t) - Math.exp(-t)]
      }),
  },
  powellSingular: extendedPowell(4),
  wood: {
    start: [-3, -1, -3, -1],
    residuals: ([a, b, c, d]: number[]) => [
      10 * (b! - a! ** 2),
      1 - a!,
      Math.sqrt(90) * (d! - c! ** 2),
      1 - c!,
      Math.sqrt(10) * (b! + d! - 2),
      (b! - d!) / Math.sqrt(10),
    ],
    jacobian: ([a, , c]: number[]) => [
      [-20 * a!, 10, 0, 0],
      [-1, 0, 0, 0],
      [0, 0, -2 * Math.sqrt(90) * c!, Math.sqrt(90)],
      [0, 0, -1, 0],
      [0, Math.sqrt(10), 0, Math.sqrt(10)],
      [0, 1 / Math.sqrt(10), 0, -1 / Math.sqrt(10)],
    ],
  },
  kowalikOsborne: {
    start: [0.25, 0.39, 0.415, 0.39],
    residuals: ([a, b, c, d]: number[]) =>
      kowalikValues.map((y, i) => {
        const u = kowalikPlaces[i]!
        return y - (a! * (u * u + u * b!)) / (u * u + u * c! + d!)
      }),
    jacobian: ([a, b, c, d]: number[]) =>
      kowalikPlaces.map((u) => {
        const [above, below] = [u * u + u * b!, u * u + u * c! + d!]
        return [-above / below, (-a! * u) / below, (a! * above * u) / below ** 2, (a! * above) / below ** 2]
      }),
  },
  brownDennis: {
    start: [25, 5, -5, -1],
    residuals: ([a, b, c, d]: number[]) =>
      numbers(20).map((i) => {
        const t = i / 5
        return (a! + t * b! - Math.exp(t)) ** 2 + (c! + d! * Math.sin(t) - Math.cos(t)) ** 2
      }),
    jacobian: ([a, b, c, d]: number[]) =>
      numbers(20).map((i) => {
        const t = i / 5
        const [first, second] = [2 * (a! + t * b! - Math.exp(t)), 2 * (c! + d! * Math.sin(t) - Math.cos(t))]
        return [first, first * t, second, second * Math.sin(t)]
      }),
  },
  trigonometric: trigonometric(10),
  extendedRosenbrock: extendedRosenbrock(100),
  extendedPowell: extendedPowell(100),
  variablyDimensioned: variablyDimensioned(10),
} as unknown as Readonly<Record<ProblemName, SumOfSquares>>

export type ProblemName =
  | 'rosenbrock'
  | 'freudensteinRoth'
  | 'powellBadlyScaled'
  | 'brownBadlyScaled'
  | 'beale'
  | 'jennrichSampson'
  | 'helicalValley'
  | 'bard'
  | 'gaussian'
  | 'box'
  | 'powellSingular'
  | 'wood'
  | 'kowalikOsborne'
  | 'brownDennis'
  | 'trigonometric'
  | 'extendedRosenbrock'
  | 'extendedPowell'
  | 'variablyDimensioned'
