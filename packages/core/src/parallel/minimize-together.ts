import type { FloatArray } from '../backends/backend.ts'
import type { CompiledOptimizer } from '../run/compiled-optimizer.ts'
import type { StepResult } from '../run/step.ts'

/** The parameters of one point at which the loss is wanted, by name: arrays of its own, which anybody may keep or send away. */
export type Point = Readonly<Record<string, FloatArray>>

/**
 * A step of a method that compares losses alone, such as {@link evolutionStrategies}, {@link randomizedSmoothing} or
 * {@link mezo}, with all its points at once: evaluate them side by side, on workers, on devices, or as one batch.
 *
 * ```ts
 * import { compile, evolutionStrategies, minimizeTogether, sgd } from 'fallline'
 *
 * const optimizer = await compile(evolutionStrategies(sgd({ learningRate: 0.1 }), { pairs: 4 }), { x: [2] })
 * optimizer.parameters.x?.set([1, -2])
 * const loss = async ({ x = new Float32Array() }: { readonly x?: ArrayLike<number> }) => (x[0] ?? 0) ** 2 + (x[1] ?? 0) ** 2
 * const { step } = await minimizeTogether(optimizer, (points) => Promise.all(points.map(loss)))
 * console.log(step) // 1
 * ```
 *
 * The step is that of `minimize`, to the bit. It costs the ways to the points twice, beside which evaluations are dear.
 *
 * @param evaluate gives the losses in the order of the points, which all are of the same batch.
 * @throws Error when the optimizer asks for more than losses, for its points then follow from the answers, when a point does so
 * all the same, or when there are not as many losses as points; parameters and state are as they were then.
 */
export async function minimizeTogether<Name extends string>(
  optimizer: CompiledOptimizer<Name>,
  evaluate: (points: readonly Point[]) => readonly number[] | Promise<readonly number[]>,
): Promise<StepResult<Name>> {
  const points: Point[] = []
  const start = copies(optimizer.parameters)
  const known = new Error('all points are known')
  // There and back again rounds.
  const restore = () => {
    for (const name of optimizer.names) optimizer.parameters[name].set(start[name]!)
  }
  try {
    await optimizer.minimize(({ parameters, wants, evaluation, evaluations }) => {
      const more = [...wants].filter((want) => want !== 'loss')
      if (more.length > 0) {
        throw new Error(
          `minimizeTogether: the optimizer asks for ${more.join(', ')}, so its points follow from the answers; use minimize`,
        )
      }
      points.push(copies(parameters))
      if (evaluation === evaluations - 1) throw known
      return 0
    })
  } catch (error) {
    if (error !== known) throw error
  } finally {
    restore()
  }
  const losses = await evaluate(points)
  if (losses.length !== points.length) {
    throw new Error(`minimizeTogether: ${losses.length} losses were given for ${points.length} points`)
  }
  try {
    return await optimizer.minimize(({ parameters, evaluation }) => {
      const point = points[evaluation]!
      for (const name of optimizer.names) {
        if (!point[name]!.every((value, i) => Object.is(value, parameters[name][i]))) {
          throw new Error(`minimizeTogether: point ${evaluation + 1} follows from the losses before it; use minimize`)
        }
      }
      return losses[evaluation]!
    })
  } catch (error) {
    restore()
    throw error
  }
}

function copies(arrays: Readonly<Record<string, FloatArray>>): Record<string, FloatArray> {
  return Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, array.slice()]))
}
