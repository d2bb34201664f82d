import { studentQuantile } from '../statistics/student.ts'
import type { Report } from '../study/trial.ts'
import { bestComplete } from './parts/curve.ts'
import type { Pruner } from './pruner.ts'

/** How sure `curveExtrapolation` has to be. */
export interface ExtrapolationOptions {
  /** The chance that a curve ends better than the optimistic end, if its law and evenly scattered errors are right. Default: 0.05. */
  readonly level?: number
  /** So many finite reports are needed. Default: 6. */
  readonly least?: number
  /** The step to extrapolate to. Default: the maximum of the study's resource; without one the last step of the best trial. */
  readonly horizon?: number
}

/** An extrapolated end: the best estimate, and how good it might be. */
export interface Extrapolation {
  readonly end: number
  readonly optimistic: number
}

/**
 * Stops a trial whose curve, extrapolated to the end of the resource, is worse there than the best complete trial even if it goes well.
 *
 * Two laws are fitted by least squares, the power law a + b t^-c and the exponential a + b exp(-c t / T), with 200 values of the rate c
 * each. Every law and rate that explains the reports about as well as the best does (whose residual sum of squares is within a factor of
 * 1 + q^2 / (n - 3)) has a prediction interval from its residuals; the optimistic end is the lowest of these intervals, where q is the
 * quantile of Student's t for `level` on one side. The idea is that of Domhan, Springenberg and Hutter 2015 (Speeding Up Automatic
 * Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning Curves, IJCAI), who sample eleven laws; the best
 * report so far is never undercut by an optimistic end above it.
 *
 * Reports that are not finite are left out.
 *
 * @throws RangeError for a level that is not between 0 and 0.5, and for fewer than 4 reports
 */
export function curveExtrapolation({ level = 0.05, least = 6, horizon }: ExtrapolationOptions = {}): Pruner {
  if (!(level > 0 && level < 0.5)) throw new RangeError(`curveExtrapolation: level must be in (0, 0.5), not ${level}`)
  if (!(least >= 4)) throw new RangeError(`curveExtrapolation: least must be 4 reports or more, not ${least}`)
  return {
    name: 'curveExtrapolation',
    decide({ ended, resource }, trial) {
      const best = bestComplete(ended.filter(({ number }) => number !== trial.number))
      const finite = trial.reports.filter(({ value }) => Number.isFinite(value))
      const end = horizon ?? resource?.maximum ?? best?.reports.at(-1)?.step
      if (!best || end === undefined || finite.length < least || finite.at(-1)!.step >= end) return 'continue'
      const { optimistic } = extrapolated(finite, end, level)
      const reached = Math.min(...finite.map(({ value }) => value))
      return Math.min(optimistic, reached) > best.losses![0]! ? 'stop' : 'continue'
    },
  }
}

const rates = 200

/** The end of a curve at a step by the laws of `curveExtrapolation`; needs 4 finite reports. */
export function extrapolated(reports: readonly Report[], horizon: number, level: number): Extrapolation {
  const fits = Array.from({ length: rates }, (_, index) => 0.02 * (20 / 0.02) ** (index / (rates - 1))).flatMap(
    (rate) => [
      fit(reports, horizon, (step) => (step / horizon) ** (-rate / 5)),
      fit(reports, horizon, (step) => Math.exp((-rate * step) / horizon)),
    ],
  )
  const best = fits.reduce((a, b) => (b.residual < a.residual ? b : a))
  const degrees = reports.length - 3
  const quantile = studentQuantile(2 * level, degrees)
  const limit = best.residual * (1 + quantile ** 2 / degrees)
  const optimistic = fits
    .filter(({ residual }) => residual <= limit)
    .map(({ end, spread, residual }) => end - quantile * Math.sqrt((residual / degrees) * spread))
  return { end: best.end, optimistic: Math.min(...optimistic) }
}

/** Least squares of a + b x, x a function of the step: the value at the horizon, the residual sum of squares and 1 + x' (X'X)^-1 x. */
function fit(reports: readonly Report[], horizon: number, law: (step: number) => number) {
  const count = reports.length
  const xs = reports.map(({ step }) => law(step))
  const meanX = xs.reduce((sum, x) => sum + x, 0) / count
  const meanY = reports.reduce((sum, { value }) => sum + value, 0) / count
  let [squares, products] = [0, 0]
  for (const [index, { value }] of reports.entries()) {
    squares += (xs[index]! - meanX) ** 2
    products += (xs[index]! - meanX) * (value - meanY)
  }
  const slope = squares > 0 ? products / squares : 0
  const away = law(horizon) - meanX
  const residual = reports.reduce(
    (sum, { value }, index) => sum + (value - meanY - slope * (xs[index]! - meanX)) ** 2,
    0,
  )
  return {
    end: meanY + slope * away,
    residual,
    spread: 1 + 1 / count + (squares > 0 ? away ** 2 / squares : 0),
  }
}
