import { type CompiledOptimizer, compile, type OptimizerFactory, reference } from 'fallline'
import { parameterShape } from 'fallline/internal'
import { valueAt } from '../src/search/space.ts'
import { enter } from '../src/training/contenders.ts'

/** A function of two numbers to go down. */
export interface Surface {
  readonly title: string
  readonly start: Point
  readonly minimum: Point
  /** What the picture shows. */
  readonly x: readonly [number, number]
  readonly y: readonly [number, number]
  readonly steps: number
  readonly value: (x: number, y: number) => number
  readonly gradient: (x: number, y: number) => Point
  /** The second derivatives: by x twice, by x and y, by y twice. */
  readonly hessian: (x: number, y: number) => readonly [xx: number, xy: number, yy: number]
}

export type Point = readonly [x: number, y: number]

const angle = Math.PI / 6
const [cosine, sine] = [Math.cos(angle), Math.sin(angle)]
const [steep, flat] = [25, 0.5]

export const surfaces: readonly Surface[] = [
  {
    title: 'Curved valley (Rosenbrock)',
    start: [-1.5, -0.4],
    minimum: [1, 1],
    x: [-2.1, 2.1],
    y: [-1, 3],
    steps: 200,
    value: (x, y) => (1 - x) ** 2 + 100 * (y - x * x) ** 2,
    gradient: (x, y) => [-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)],
    hessian: (x, y) => [2 - 400 * (y - 3 * x * x), -400 * x, 200],
  },
  {
    title: 'Tilted bowl, condition 50',
    start: [-1.7, 1.4],
    minimum: [0, 0],
    x: [-2.1, 2.1],
    y: [-2, 2],
    steps: 100,
    value: (x, y) => (steep * (sine * x + cosine * y) ** 2 + flat * (cosine * x - sine * y) ** 2) / 2,
    gradient(x, y) {
      const [u, v] = [steep * (sine * x + cosine * y), flat * (cosine * x - sine * y)]
      return [sine * u + cosine * v, cosine * u - sine * v]
    },
    hessian: () => [
      steep * sine ** 2 + flat * cosine ** 2,
      (steep - flat) * sine * cosine,
      steep * cosine ** 2 + flat * sine ** 2,
    ],
  },
]

/** The way of an optimizer down a surface. */
export interface Trajectory {
  readonly learningRate: number
  /** The starting point and the point to evaluate with after every step. */
  readonly points: readonly Point[]
  /** The value at the point to evaluate with after the last step. */
  readonly final: number
  /** Mean logarithm of the value on the way: smaller is faster and steadier. */
  readonly score: number
}

/** How many learning rates are tried on every surface. */
const rates = 21

/**
 * The way with the best of 21 learning rates, from a tenth of the smallest that the race searches to a thousand times the largest,
 * because surfaces have another scale than networks; the schedule is that of the race, all else is as it is by default,
 * without weight decay.
 */
export async function descend(factory: OptimizerFactory, surface: Surface): Promise<Trajectory | undefined> {
  const { learningRate: range } = factory.definition.search
  const [low, high] =
    range.scale === 'choice' ? [Math.min(...range.values), Math.max(...range.values)] : [range.minimum, range.maximum]
  const wide = { scale: 'log', minimum: low / 10, maximum: high * 1000 } as const
  let best: Trajectory | undefined
  for (let trial = 0; trial < rates; trial++) {
    const found = await walk(factory, surface, valueAt(wide, trial / (rates - 1)))
    if (found && found.score < (best?.score ?? Number.POSITIVE_INFINITY)) best = found
  }
  return best
}

async function walk(
  factory: OptimizerFactory,
  surface: Surface,
  learningRate: number,
): Promise<Trajectory | undefined> {
  const [entry] = enter([{ name: factory.definition.name, optimizer: factory }])
  const setting = { learningRate, ...('weightDecay' in factory.definition.hyper ? { weightDecay: 0 } : {}) }
  const optimizer = await compile(
    entry!.create(setting, surface.steps),
    { point: shapeFor(factory) },
    { backend: reference() },
  )
  optimizer.parameters.point!.set(surface.start)
  // Asking for what to evaluate with costs a copy, and mostly it is the parameter itself.
  const { average } = factory.definition
  const current = () => (average ? optimizer.evaluationParameters() : optimizer.parameters).point!
  const points: Point[] = [surface.start]
  try {
    for (let step = 1; step <= surface.steps; step++) {
      await advance(optimizer, surface)
      const [x, y] = current()
      points.push([x!, y!])
    }
  } catch (error) {
    if (error instanceof Error && /finite/.test(error.message)) return undefined
    throw error
  }
  // The small number keeps the last digits near the minimum from outweighing the way to it.
  const logarithms = points.map((point) => Math.log(surface.value(...point) + 1e-4))
  const score = logarithms.reduce((sum, logarithm) => sum + logarithm, 0) / logarithms.length
  return Number.isFinite(score) ? { learningRate, points, final: surface.value(...points.at(-1)!), score } : undefined
}

/** Two numbers, or a matrix of one row for rules that take nothing else. */
function shapeFor({ definition }: OptimizerFactory): number[] {
  const shape = parameterShape('point', [2])
  return definition.accepts?.(shape, { ...definition.options }) === false ? [1, 2] : [2]
}

/** One step, with everything that an optimizer may ask for. */
async function advance(optimizer: CompiledOptimizer, surface: Surface): Promise<void> {
  await optimizer.minimize(({ parameters, gradients, inputs, wants }) => {
    const [x, y] = parameters.point as unknown as [number, number]
    gradients.point!.set(surface.gradient(x, y))
    const [xx, xy, yy] = surface.hessian(x, y)
    // Signs that agree at one step and differ at the next.
    const probe = [1, optimizer.steps % 2 === 0 ? 1 : -1] as const
    const known: Readonly<Record<string, Point>> = {
      probe,
      hessianVectorProduct: [xx * probe[0] + xy * probe[1], xy * probe[0] + yy * probe[1]],
      hessianDiagonal: [xx, yy],
    }
    for (const name of wants) if (known[name]) inputs[name]!.point!.set(known[name])
    return surface.value(x, y)
  })
}
