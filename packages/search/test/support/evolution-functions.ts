import { openStudy, type Sampler, type Space, type TrialRecord } from '../../src/index.ts'

type Vector = readonly number[]

export const sphere = (x: Vector) => x.reduce((sum, value) => sum + value * value, 0)

export const ellipsoid = (x: Vector) =>
  x.reduce((sum, value, index) => sum + 10 ** ((6 * index) / Math.max(1, x.length - 1)) * value * value, 0)

export const cigar = ([first = 0, ...others]: Vector) => first * first + 1e6 * sphere(others)

export const rosenbrock = (x: Vector) =>
  x.slice(1).reduce((sum, value, index) => sum + 100 * (value - x[index]! ** 2) ** 2 + (1 - x[index]!) ** 2, 0)

export const rastrigin = (x: Vector) =>
  x.reduce((sum, value) => sum + 10 + value * value - 10 * Math.cos(2 * Math.PI * value), 0)

/** Zitzler, Deb, Thiele 2000: the front is `f2 = 1 - sqrt(f1)` where all but the first are 0. */
export const zdt1 = (x: Vector): number[] => {
  const g = 1 + (9 * x.slice(1).reduce((sum, value) => sum + value, 0)) / (x.length - 1)
  return [x[0]!, g * (1 - Math.sqrt(x[0]! / g))]
}

/** The front is `f2 = 1 - f1^2`. */
export const zdt2 = (x: Vector): number[] => {
  const g = 1 + (9 * x.slice(1).reduce((sum, value) => sum + value, 0)) / (x.length - 1)
  return [x[0]!, g * (1 - (x[0]! / g) ** 2)]
}

/** Deb, Thiele, Laumanns, Zitzler 2002: the front is the unit sphere where all but the first two are 0.5. */
export const dtlz2 = (x: Vector): number[] => {
  const g = x.slice(2).reduce((sum, value) => sum + (value - 0.5) ** 2, 0)
  const [a, b] = [(x[0]! * Math.PI) / 2, (x[1]! * Math.PI) / 2]
  return [(1 + g) * Math.cos(a) * Math.cos(b), (1 + g) * Math.cos(a) * Math.sin(b), (1 + g) * Math.sin(a)]
}

/** Runs a study of a sampler on numbers of its parameters. */
export async function run<Values>(
  sampler: Sampler,
  space: Space<Values>,
  objective: (values: Values) => number | readonly number[],
  {
    trials,
    seed = 1,
    parallel = 1,
    objectives = 1,
  }: { trials: number; seed?: number; parallel?: number; objectives?: number },
): Promise<readonly TrialRecord[]> {
  const names = Array.from({ length: objectives }, (_, index) => [`f${index + 1}`, 'minimize'] as const)
  const study = await openStudy({
    space,
    sampler,
    seed,
    ...(objectives > 1 && { objectives: Object.fromEntries(names) }),
  })
  await study.optimize(({ parameters }) => objective(parameters), { trials, parallel, deterministic: parallel > 1 })
  return study.trials()
}

/** The smallest first value of complete trials. */
export function least(trials: readonly TrialRecord[]): number {
  return Math.min(...trials.flatMap(({ values }) => values?.slice(0, 1) ?? []))
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.floor((sorted.length - 1) / 2)]! + sorted[Math.ceil((sorted.length - 1) / 2)]!) / 2
}
