/** A problem of J. J. Moré, B. S. Garbow, K. E. Hillstrom (1981), Testing Unconstrained Optimization Software. */
export interface ResidualProblem {
  readonly name: string
  readonly start: readonly number[]
  /** The least sum of squares. */
  readonly least: number
  /** Evaluations of the residuals that MINPACK needs, Jacobians apart. */
  readonly calls: number
  readonly residuals: (x: Float64Array) => number[]
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i + 1)
const repeated = (block: readonly number[], times: number) => range(times).flatMap(() => block)
const { exp, sin, cos, sqrt } = Math

const bard = [0.14, 0.18, 0.22, 0.25, 0.29, 0.32, 0.35, 0.39, 0.37, 0.58, 0.73, 0.96, 1.34, 2.1, 4.39]
const gaussian = [
  0.0009, 0.0044, 0.0175, 0.054, 0.1295, 0.242, 0.3521, 0.3989, 0.3521, 0.242, 0.1295, 0.054, 0.0175, 0.0044, 0.0009,
]
const kowalik = [
  [0.1957, 4],
  [0.1947, 2],
  [0.1735, 1],
  [0.16, 0.5],
  [0.0844, 0.25],
  [0.0627, 0.167],
  [0.0456, 0.125],
  [0.0342, 0.1],
  [0.0323, 0.0833],
  [0.0235, 0.0714],
  [0.0246, 0.0625],
] as const

/** Rosenbrock's valley for each pair of variables. */
const valleys = (x: Float64Array) =>
  range(x.length / 2).flatMap((i) => [10 * (x[2 * i - 1]! - x[2 * i - 2]! ** 2), 1 - x[2 * i - 2]!])
/** Powell's singular function for each four variables. */
const singular = (x: Float64Array) =>
  range(x.length / 4).flatMap((i) => {
    const [a, b, c, d] = x.subarray(4 * i - 4, 4 * i) as unknown as [number, number, number, number]
    return [a + 10 * b, sqrt(5) * (c - d), (b - 2 * c) ** 2, sqrt(10) * (a - d) ** 2]
  })
const of = (formula: (...x: number[]) => number[]) => (x: Float64Array) => formula(...x)

export const residualProblems: readonly ResidualProblem[] = [
  { name: 'Rosenbrock', start: [-1.2, 1], least: 0, calls: 21, residuals: valleys },
  {
    name: 'Freudenstein and Roth',
    start: [0.5, -2],
    least: 48.98425,
    calls: 21,
    residuals: of((a, b) => [-13 + a! + ((5 - b!) * b! - 2) * b!, -29 + a! + ((b! + 1) * b! - 14) * b!]),
  },
  {
    name: 'Powell, badly scaled',
    start: [0, 1],
    least: 0,
    calls: 19,
    residuals: of((a, b) => [1e4 * a! * b! - 1, exp(-a!) + exp(-b!) - 1.0001]),
  },
  {
    name: 'Brown, badly scaled',
    start: [1, 1],
    least: 0,
    calls: 16,
    residuals: of((a, b) => [a! - 1e6, b! - 2e-6, a! * b! - 2]),
  },
  {
    name: 'Beale',
    start: [1, 1],
    least: 0,
    calls: 10,
    residuals: of((a, b) => [1.5, 2.25, 2.625].map((y, i) => y - a! * (1 - b! ** (i + 1)))),
  },
  {
    name: 'Jennrich and Sampson',
    start: [0.3, 0.4],
    least: 124.3622,
    calls: 28,
    residuals: of((a, b) => range(10).map((i) => 2 + 2 * i - exp(i * a!) - exp(i * b!))),
  },
  {
    name: 'helical valley',
    start: [-1, 0, 0],
    least: 0,
    calls: 12,
    residuals: of((a, b, c) => {
      const turns = Math.atan(b! / a!) / (2 * Math.PI) + (a! < 0 ? 0.5 : 0)
      return [10 * (c! - 10 * turns), 10 * (Math.hypot(a!, b!) - 1), c!]
    }),
  },
  {
    name: 'Bard',
    start: [1, 1, 1],
    least: 8.214877e-3,
    calls: 7,
    residuals: of((a, b, c) =>
      bard.map((y, i) => {
        const [u, v] = [i + 1, 15 - i]
        return y - (a! + u / (v * b! + Math.min(u, v) * c!))
      }),
    ),
  },
  {
    name: 'Gaussian',
    start: [0.4, 1, 0],
    least: 1.127933e-8,
    calls: 5,
    residuals: of((a, b, c) => gaussian.map((y, i) => a! * exp((-b! * ((7 - i) / 2 - c!) ** 2) / 2) - y)),
  },
  {
    name: 'Box, three variables',
    start: [0, 10, 20],
    least: 0,
    calls: 8,
    residuals: of((a, b, c) =>
      range(10).map((i) => exp(-0.1 * i * a!) - exp(-0.1 * i * b!) - c! * (exp(-0.1 * i) - exp(-i))),
    ),
  },
  { name: 'Powell, singular', start: [3, -1, 0, 1], least: 0, calls: 45, residuals: singular },
  {
    name: 'Wood',
    start: [-3, -1, -3, -1],
    least: 0,
    calls: 70,
    residuals: of((a, b, c, d) => [
      10 * (b! - a! ** 2),
      1 - a!,
      sqrt(90) * (d! - c! ** 2),
      1 - c!,
      sqrt(10) * (b! + d! - 2),
      (b! - d!) / sqrt(10),
    ]),
  },
  {
    name: 'Kowalik and Osborne',
    start: [0.25, 0.39, 0.415, 0.39],
    least: 3.075056e-4,
    calls: 28,
    residuals: of((a, b, c, d) => kowalik.map(([y, u]) => y - (a! * (u * u + u * b!)) / (u * u + u * c! + d!))),
  },
  {
    name: 'Brown and Dennis',
    start: [25, 5, -5, -1],
    least: 85822.2,
    calls: 346,
    residuals: of((a, b, c, d) =>
      range(20).map((i) => (a! + (i / 5) * b! - exp(i / 5)) ** 2 + (c! + d! * sin(i / 5) - cos(i / 5)) ** 2),
    ),
  },
  {
    name: 'trigonometric, ten variables',
    start: range(10).map(() => 0.1),
    least: 2.79506e-5,
    calls: 37,
    residuals(x) {
      const sum = x.reduce((total, element) => total + cos(element), 0)
      return Array.from(x, (element, i) => x.length - sum + (i + 1) * (1 - cos(element)) - sin(element))
    },
  },
  { name: 'Rosenbrock, a hundred variables', start: repeated([-1.2, 1], 50), least: 0, calls: 22, residuals: valleys },
  {
    name: 'Powell, a hundred variables',
    start: repeated([3, -1, 0, 1], 25),
    least: 0,
    calls: 542,
    residuals: singular,
  },
  {
    name: 'variably dimensioned, ten variables',
    start: range(10).map((i) => 1 - i / 10),
    least: 0,
    calls: 11,
    residuals(x) {
      const sum = x.reduce((total, element, i) => total + (i + 1) * (element - 1), 0)
      return [...Array.from(x, (element) => element - 1), sum, sum ** 2]
    },
  },
]
