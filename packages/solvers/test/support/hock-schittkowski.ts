import type { Bounds, Constraint } from '../../src/index.ts'

/** A problem of W. Hock and K. Schittkowski, Test Examples for Nonlinear Programming Codes (1981), by its number. */
export interface ConstrainedProblem {
  readonly number: number
  readonly objective: (x: ArrayLike<number>) => number
  readonly start: readonly number[]
  readonly optimum: number
  readonly equalities?: (x: ArrayLike<number>) => number[]
  readonly inequalities?: (x: ArrayLike<number>) => number[]
  readonly bounds?: Bounds
}

type Given = (x: number[]) => number
type GivenList = (x: number[]) => number[]

interface Parts {
  readonly equalities?: GivenList
  readonly inequalities?: GivenList
  readonly bounds?: Bounds
}

function problem(number: number, start: readonly number[], optimum: number, objective: Given, parts: Parts) {
  return { number, start, optimum, objective, ...parts } as unknown as ConstrainedProblem
}

/** `count` pairs that are the same. */
const all = (count: number, lower: number, upper: number | null): Bounds =>
  Array.from({ length: count }, () => [lower, upper])
const squares = (x: readonly number[]) => x.reduce((sum, element) => sum + element * element, 0)
const root3 = Math.sqrt(3)

export const hockSchittkowski: readonly ConstrainedProblem[] = [
  problem(6, [-1.2, 1], 0, ([a]) => (1 - a!) ** 2, { equalities: ([a, b]) => [10 * (b! - a! ** 2)] }),
  problem(7, [2, 2], -root3, ([a, b]) => Math.log(1 + a! ** 2) - b!, {
    equalities: ([a, b]) => [(1 + a! ** 2) ** 2 + b! ** 2 - 4],
  }),
  problem(10, [-10, 10], -1, ([a, b]) => a! - b!, {
    inequalities: ([a, b]) => [-3 * a! ** 2 + 2 * a! * b! - b! ** 2 + 1],
  }),
  problem(11, [4.9, 0.1], -8.498464223, ([a, b]) => (a! - 5) ** 2 + b! ** 2 - 25, {
    inequalities: ([a, b]) => [-(a! ** 2) + b!],
  }),
  problem(12, [0, 0], -30, ([a, b]) => a! ** 2 / 2 + b! ** 2 - a! * b! - 7 * a! - 7 * b!, {
    inequalities: ([a, b]) => [25 - 4 * a! ** 2 - b! ** 2],
  }),
  problem(14, [2, 2], 9 - 2.875 * Math.sqrt(7), ([a, b]) => (a! - 2) ** 2 + (b! - 1) ** 2, {
    equalities: ([a, b]) => [a! - 2 * b! + 1],
    inequalities: ([a, b]) => [1 - a! ** 2 / 4 - b! ** 2],
  }),
  problem(21, [-1, -1], -99.96, ([a, b]) => 0.01 * a! ** 2 + b! ** 2 - 100, {
    inequalities: ([a, b]) => [10 * a! - b! - 10],
    bounds: [
      [2, 50],
      [-50, 50],
    ],
  }),
  problem(22, [2, 2], 1, ([a, b]) => (a! - 2) ** 2 + (b! - 1) ** 2, {
    inequalities: ([a, b]) => [2 - a! - b!, b! - a! ** 2],
  }),
  problem(24, [1, 0.5], -1, ([a, b]) => (((a! - 3) ** 2 - 9) * b! ** 3) / (27 * root3), {
    inequalities: ([a, b]) => [a! / root3 - b!, a! + root3 * b!, 6 - a! - root3 * b!],
    bounds: all(2, 0, null),
  }),
  problem(26, [-2.6, 2, 2], 0, ([a, b, c]) => (a! - b!) ** 2 + (b! - c!) ** 4, {
    equalities: ([a, b, c]) => [(1 + b! ** 2) * a! + c! ** 4 - 3],
  }),
  problem(28, [-4, 1, 1], 0, ([a, b, c]) => (a! + b!) ** 2 + (b! + c!) ** 2, {
    equalities: ([a, b, c]) => [a! + 2 * b! + 3 * c! - 1],
  }),
  problem(29, [1, 1, 1], -16 * Math.SQRT2, ([a, b, c]) => -a! * b! * c!, {
    inequalities: ([a, b, c]) => [48 - a! ** 2 - 2 * b! ** 2 - 4 * c! ** 2],
  }),
  problem(
    35,
    [0.5, 0.5, 0.5],
    1 / 9,
    ([a, b, c]) => 9 - 8 * a! - 6 * b! - 4 * c! + 2 * a! ** 2 + 2 * b! ** 2 + c! ** 2 + 2 * a! * b! + 2 * a! * c!,
    { inequalities: ([a, b, c]) => [3 - a! - b! - 2 * c!], bounds: all(3, 0, null) },
  ),
  problem(39, [2, 2, 2, 2], -1, ([a]) => -a!, {
    equalities: ([a, b, c, d]) => [b! - a! ** 3 - c! ** 2, a! ** 2 - b! - d! ** 2],
  }),
  problem(40, [0.8, 0.8, 0.8, 0.8], -0.25, ([a, b, c, d]) => -a! * b! * c! * d!, {
    equalities: ([a, b, c, d]) => [a! ** 3 + b! ** 2 - 1, a! ** 2 * d! - c!, d! ** 2 - b!],
  }),
  problem(
    43,
    [0, 0, 0, 0],
    -44,
    ([a, b, c, d]) => a! ** 2 + b! ** 2 + 2 * c! ** 2 + d! ** 2 - 5 * a! - 5 * b! - 21 * c! + 7 * d!,
    {
      inequalities: ([a, b, c, d]) => [
        8 - squares([a!, b!, c!, d!]) - a! + b! - c! + d!,
        10 - a! ** 2 - 2 * b! ** 2 - c! ** 2 - 2 * d! ** 2 + a! + d!,
        5 - 2 * a! ** 2 - b! ** 2 - c! ** 2 - 2 * a! + b! + d!,
      ],
    },
  ),
  problem(48, [3, 5, -3, 2, -2], 0, ([a, b, c, d, e]) => (a! - 1) ** 2 + (b! - c!) ** 2 + (d! - e!) ** 2, {
    equalities: ([a, b, c, d, e]) => [a! + b! + c! + d! + e! - 5, c! - 2 * (d! + e!) + 3],
  }),
  problem(65, [-5, 5, 0], 0.9535288567, ([a, b, c]) => (a! - b!) ** 2 + (a! + b! - 10) ** 2 / 9 + (c! - 5) ** 2, {
    inequalities: ([a, b, c]) => [48 - a! ** 2 - b! ** 2 - c! ** 2],
    bounds: [
      [-4.5, 4.5],
      [-4.5, 4.5],
      [-5, 5],
    ],
  }),
  problem(71, [1, 5, 5, 1], 17.0140173, ([a, b, c, d]) => a! * d! * (a! + b! + c!) + c!, {
    equalities: (x) => [squares([...x]) - 40],
    inequalities: ([a, b, c, d]) => [a! * b! * c! * d! - 25],
    bounds: all(4, 1, 5),
  }),
  problem(
    76,
    [0.5, 0.5, 0.5, 0.5],
    -4.681818182,
    ([a, b, c, d]) => a! ** 2 + b! ** 2 / 2 + c! ** 2 + d! ** 2 / 2 - a! * c! + c! * d! - a! - 3 * b! + c! - d!,
    {
      inequalities: ([a, b, c, d]) => [5 - a! - 2 * b! - c! - d!, 4 - 3 * a! - b! - 2 * c! + d!, b! + 4 * c! - 1.5],
      bounds: all(4, 0, null),
    },
  ),
  problem(
    77,
    [2, 2, 2, 2, 2],
    0.24150513,
    ([a, b, c, d, e]) => (a! - 1) ** 2 + (a! - b!) ** 2 + (c! - 1) ** 2 + (d! - 1) ** 4 + (e! - 1) ** 6,
    {
      equalities: ([a, b, c, d, e]) => [
        a! ** 2 * d! + Math.sin(d! - e!) - 2 * Math.SQRT2,
        b! + c! ** 4 * d! ** 2 - 8 - Math.SQRT2,
      ],
    },
  ),
  problem(78, [-2, 1.5, 2, -1, -1], -2.91970041, ([a, b, c, d, e]) => a! * b! * c! * d! * e!, {
    equalities: ([a, b, c, d, e]) => [squares([a!, b!, c!, d!, e!]) - 10, b! * c! - 5 * d! * e!, a! ** 3 + b! ** 3 + 1],
  }),
]

/** As `minimize` takes them. */
export function constraintsOf({ equalities, inequalities }: ConstrainedProblem): Constraint[] {
  return [
    ...(equalities ? [{ kind: 'equality', value: equalities } as const] : []),
    ...(inequalities ? [{ kind: 'inequality', value: inequalities } as const] : []),
  ]
}
