import { leastSquares, minimize, root } from '@fallline/solvers'
import { levenbergMarquardt } from 'ml-levenberg-marquardt'
import { conjugateGradient, nelderMead } from './fmin.ts'
import type { SolverPart, Subject } from './problems.ts'

/** Counts and times what a solver asks for. */
export class Evaluations {
  values = 0
  gradients = 0
  seconds = 0

  value<A extends readonly unknown[], T>(of: (...given: A) => T): (...given: A) => T {
    return (...given) => {
      this.values++
      return this.#timed(() => of(...given))
    }
  }

  gradient<A extends readonly unknown[], T>(of: (...given: A) => T): (...given: A) => T {
    return (...given) => {
      this.gradients++
      return this.#timed(() => of(...given))
    }
  }

  #timed<T>(of: () => T): T {
    const start = performance.now()
    const result = of()
    this.seconds += (performance.now() - start) / 1000
    return result
  }
}

/** What one run has come to. */
export interface Outcome {
  /** Where it is missing the solver does not say. */
  readonly iterations?: number
  /** The sum of squares for residuals, the largest absolute one for equations. */
  readonly value: number
}

/** A solver beside others. */
export interface Contender {
  readonly part: SolverPart
  readonly library: 'fallline' | 'fmin' | 'ml-levenberg-marquardt'
  /** Those with the same method are compared. */
  readonly method: string
  readonly run: (subject: Subject, evaluations: Evaluations) => Outcome
}

/** With what the peer calls them. */
export const methods = {
  minimize: {
    bfgs: 'BFGS',
    'l-bfgs-b': 'L-BFGS-B',
    cg: 'CG',
    'nelder-mead': 'Nelder-Mead',
    'newton-cg': 'Newton-CG',
    dogleg: 'dogleg',
    'trust-ncg': 'trust-ncg',
    'trust-exact': 'trust-exact',
  },
  leastSquares: { levenbergMarquardt: 'lm', trustRegionReflective: 'trf' },
  root: { newton: 'hybr', broyden: 'broyden1' },
  large: { 'l-bfgs-b': 'L-BFGS-B' },
  fit: { trustRegionReflective: 'trf' },
} as const

/** Limits of both, so that a solver that has lost its way ends. */
export const mostIterations = 20_000

/** The sum of squares. */
export const squares = (residuals: ArrayLike<number>) => {
  let sum = 0
  for (let i = 0; i < residuals.length; i++) sum += residuals[i]! ** 2
  return sum
}

function minimizing(part: 'minimize' | 'large', method: keyof (typeof methods)['minimize']): Contender {
  return {
    part,
    library: 'fallline',
    method,
    run({ objective, start, bounds }, evaluations) {
      const counted = {
        value: evaluations.value(objective!.value),
        ...(method !== 'nelder-mead' && { gradient: evaluations.gradient(objective!.gradient) }),
      }
      return minimize(counted, start, {
        method,
        iterations: mostIterations,
        tolerances: { gradient: method === 'nelder-mead' ? 1e-4 : 1e-5 },
        ...(bounds && { bounds }),
      })
    },
  }
}

function fitting(part: 'leastSquares' | 'fit', method: keyof (typeof methods)['leastSquares']): Contender {
  return {
    part,
    library: 'fallline',
    method,
    run({ residuals, jacobian, start, bounds }, evaluations) {
      const { iterations, value } = leastSquares(evaluations.value(residuals!), start, {
        method,
        iterations: mostIterations,
        ...(jacobian && { jacobian: evaluations.gradient(jacobian) }),
        ...(bounds && { bounds }),
        // As the example has them.
        ...(part === 'fit' && { tolerances: { value: 1e-5, step: 1e-5, gradient: 1e-3 } }),
      })
      return { iterations, value: 2 * value }
    },
  }
}

function solving(method: keyof (typeof methods)['root']): Contender {
  return {
    part: 'root',
    library: 'fallline',
    method,
    run({ residuals, jacobian, start }, evaluations) {
      const given = { method, iterations: mostIterations, jacobian: evaluations.gradient(jacobian!) }
      const { iterations, residual } = root(evaluations.value(residuals!), start, given)
      return { iterations, value: residual }
    },
  }
}

const names = <Name extends string>(of: Readonly<Record<Name, string>>) => Object.keys(of) as Name[]

/** The residuals as a curve over their places, which is what the library fits. */
function curve(residuals: NonNullable<Subject['residuals']>) {
  return (parameters: readonly number[]) => {
    const all = residuals(Float64Array.from(parameters))
    return (place: number) => all[place]!
  }
}

function fittingCurves(part: 'leastSquares' | 'fit'): Contender {
  return {
    part,
    library: 'ml-levenberg-marquardt',
    method: part === 'fit' ? 'trustRegionReflective' : 'levenbergMarquardt',
    run({ residuals, jacobian, start, bounds }, evaluations) {
      const places = Array.from(residuals!(Float64Array.from(start)), (_, i) => i)
      const rows = jacobian && evaluations.gradient(jacobian)
      const { parameterValues, iterations } = levenbergMarquardt(
        { x: places, y: places.map(() => 0) },
        curve(evaluations.value(residuals!)),
        {
          initialValues: [...start],
          gradientDifference: Array.from(start, (element) => 1.5e-8 * (Math.abs(element) || 1)),
          maxIterations: 200,
          errorTolerance: 0,
          ...(bounds && {
            minValues: bounds.map(([lower]) => lower ?? -Infinity),
            maxValues: bounds.map(([, upper]) => upper ?? Infinity),
          }),
          ...(rows && {
            jacobianFunction: (parameters: number[]) => {
              const all = rows(Float64Array.from(parameters))
              return (place: number) => [...all[place]!]
            },
          }),
        },
      )
      return { iterations, value: squares(residuals!(Float64Array.from(parameterValues))) }
    },
  }
}

/** Every contender that runs in this process. */
export const contenders: readonly Contender[] = [
  ...names(methods.minimize).map((method) => minimizing('minimize', method)),
  {
    part: 'minimize',
    library: 'fmin',
    method: 'nelder-mead',
    run({ objective, start }, evaluations) {
      const value = evaluations.value((x: number[]) => objective!.value(x as unknown as Float64Array))
      const found = nelderMead(value, [...start], { maxIterations: mostIterations, minErrorDelta: 1e-4 })
      return { value: found.fx }
    },
  },
  {
    part: 'minimize',
    library: 'fmin',
    method: 'cg',
    run({ objective, start }, evaluations) {
      const value = evaluations.value(objective!.value)
      const slopes = evaluations.gradient(objective!.gradient)
      const both = (x: number[], gradient: number[]) => {
        slopes(x as unknown as Float64Array).forEach((slope: number, i: number) => {
          gradient[i] = slope
        })
        return value(x as unknown as Float64Array)
      }
      const found = conjugateGradient(both, [...start], { maxIterations: mostIterations })
      return { value: found.fx }
    },
  },
  ...names(methods.leastSquares).map((method) => fitting('leastSquares', method)),
  fittingCurves('leastSquares'),
  ...names(methods.root).map(solving),
  minimizing('large', 'l-bfgs-b'),
  fitting('fit', 'trustRegionReflective'),
  fittingCurves('fit'),
]
