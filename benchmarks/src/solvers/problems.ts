import type { Bounds, Objective } from '@fallline/solvers'
import {
  initial,
  learner,
  bounds as memoryBounds,
  memoryResiduals,
  simulate,
} from '../../../examples/spaced-repetition.ts'
import { problems, sumOfSquares } from '../../../packages/solvers/test/support/more-garbow-hillstrom.ts'
import { dataSets } from '../../../packages/solvers/test/support/nist.ts'
import { rosenbrock } from '../../../packages/solvers/test/support/problems.ts'

/** Parts of the section. */
export const solverParts = ['minimize', 'leastSquares', 'root', 'large', 'fit'] as const

export type SolverPart = (typeof solverParts)[number]

type Vector = ArrayLike<number>

/** What solvers are compared on: an objective, or residuals. */
export interface Subject {
  /** Also what the peer knows it by. */
  readonly name: string
  readonly start: readonly number[] | Float64Array
  readonly bounds?: Bounds
  readonly objective?: Required<Pick<Objective, 'value' | 'gradient'>>
  readonly residuals?: (x: Float64Array) => readonly number[] | Float64Array
  /** Rows; finite differences where it is missing. */
  readonly jacobian?: (x: Float64Array) => readonly (readonly number[] | Float64Array)[]
}

/** How many variables the large problems have. */
export const largeSize = 100_000

/** Rosenbrock's valley for each pair of variables, as Moré, Garbow and Hillstrom extend it, without rows for a Jacobian. */
export const valleys = {
  value(x: Vector): number {
    let sum = 0
    for (let i = 0; i < x.length; i += 2) sum += 100 * (x[i + 1]! - x[i]! * x[i]!) ** 2 + (1 - x[i]!) ** 2
    return sum
  },
  gradient(x: Vector): Float64Array {
    const gradient = new Float64Array(x.length)
    for (let i = 0; i < x.length; i += 2) {
      const rest = x[i + 1]! - x[i]! * x[i]!
      gradient[i] = -400 * x[i]! * rest - 2 * (1 - x[i]!)
      gradient[i + 1] = 200 * rest
    }
    return gradient
  },
}

const chain = (n: number) => Array.from({ length: n }, (_, i) => (i % 2 ? 1 : -1.2))

const sums = Object.entries(problems).map(([name, problem]) => ({ name, ...problem }))

/** The problems of a part. */
export function subjectsOf(part: SolverPart, size = largeSize): readonly Subject[] {
  switch (part) {
    case 'minimize':
      return [
        { name: 'chain of 10', start: chain(10), objective: rosenbrock },
        ...sums.map((problem) => ({ name: problem.name, start: problem.start, objective: sumOfSquares(problem) })),
      ]
    case 'leastSquares':
      return [
        ...sums.map(({ name, start, residuals, jacobian }) => ({ name, start, residuals, jacobian })),
        ...dataSets.map(({ name, starts, residuals }) => ({ name, start: starts[1]!, residuals })),
      ]
    case 'root':
      // As many equations as variables, with a zero.
      return sums
        .filter(({ name, start, residuals }) => residuals(start).length === start.length && !rootless.includes(name))
        .map(({ name, start, residuals, jacobian }) => ({ name, start, residuals, jacobian }))
    case 'large': {
      const start = Float64Array.from(chain(size))
      const below = Array.from(start, (_, i) => (i % 2 ? ([null, null] as const) : ([-2, 0.5] as const)))
      return [
        { name: 'valleys', start, objective: valleys },
        { name: 'valleys within bounds', start, bounds: below, objective: valleys },
      ]
    }
    case 'fit': {
      const { value, jacobian } = memoryResiduals(simulate(200, learner, 2))
      return [{ name: 'memory', start: initial, bounds: memoryBounds, residuals: value, jacobian }]
    }
  }
}

/** From their starts these end where the sum of squares is smallest, not zero. */
const rootless = ['freudensteinRoth', 'trigonometric']

/** Whether a method is tried on a problem: a simplex in a hundred variables takes minutes and comes to nothing. */
export function isTried(method: string, { start }: Pick<Subject, 'start'>): boolean {
  return method !== 'nelder-mead' || start.length <= 20
}
