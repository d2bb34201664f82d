import { numpy as np, tree } from '@jax-js/jax'
import { type GradientTransformation, readCount } from './gradient-transformation.ts'
import type { Tree } from './parameters.ts'

/** A number for every update, from how many updates came before it: 0 at the first, as in optax. */
export type CountSchedule = (count: number) => number

/**
 * Applies transformations one after the other, as `chain` of optax does. The state is the list of their states, and
 * `scalars(step)` the list of their scalars; those that need none have an empty list.
 *
 * ```ts
 * import { addDecayedWeights, chain, clipByGlobalNorm, gradientTransformation } from '@fallline/jax'
 * import { adan } from 'fallline'
 *
 * export const optimizer = chain(clipByGlobalNorm(1), gradientTransformation(adan({ learningRate: 1e-3 })))
 * ```
 *
 * An optimizer of Fallline gives finished updates, so it comes last. Fallline's own wrappers do the same within one rule:
 * `gradientTransformation(clipByGlobalNorm(adan(), { maximumNorm: 1 }))` with `clipByGlobalNorm` of `fallline`.
 */
export function chain(
  ...transformations: readonly GradientTransformation[]
): GradientTransformation & Required<Pick<GradientTransformation, 'scalars'>> {
  return {
    init(params) {
      const states = transformations.map((transformation) => transformation.init(tree.ref(params)))
      tree.dispose(params)
      return states
    },
    update<Params extends Tree>(updates: Params, state: Tree, params?: Params, scalars?: Tree): [Params, Tree] {
      let current = updates
      const states = transformations.map((transformation, index) => {
        const own = scalars === undefined ? undefined : (scalars as Tree[])[index]!
        const [next, nextState] = transformation.update(
          current,
          (state as Tree[])[index]!,
          params && tree.ref(params),
          own,
        )
        current = next
        return nextState
      })
      if (params !== undefined) tree.dispose(params)
      return [current, states]
    },
    scalars: (step) => transformations.map((transformation) => transformation.scalars?.(step) ?? []),
  }
}

/**
 * Scales all updates by one factor so that their norm over all arrays is at most `maxNorm`, as in optax: updates whose
 * norm is below stay as they are, to the bit. No state.
 */
export function clipByGlobalNorm(maxNorm: number): GradientTransformation {
  return {
    init: withoutState,
    update<Params extends Tree>(updates: Params, state: Tree, params?: Params): [Params, Tree] {
      tree.dispose(params)
      const squares = tree.leaves(tree.ref(updates)).map((leaf) => np.sum(np.square(leaf as np.Array)))
      const norm = np.sqrt(squares.reduce((sum, square) => sum.add(square), np.array(0)))
      const clip = (leaf: np.Array) => np.where(norm.ref.less(maxNorm), leaf.ref, leaf.ref.div(norm.ref).mul(maxNorm))
      const clipped = tree.map((leaf: np.Array) => consume(leaf, clip), updates) as Params
      norm.dispose()
      return [clipped, state]
    },
  }
}

/**
 * Adds `weightDecay` times the parameters to the updates, as in optax. `mask` has 1 or 0 (or true or false) for every
 * parameter, or is a function that makes such a tree from the updates. `weightDecay` may be a schedule of the count.
 */
export function addDecayedWeights({
  weightDecay = 0,
  mask = null,
}: {
  readonly weightDecay?: number | CountSchedule
  readonly mask?: Tree | ((updates: Tree) => Tree) | null
} = {}): GradientTransformation {
  const add = (updates: Tree, params: Tree, amount: np.Array | number): Tree => {
    const masks = mask && (typeof mask === 'function' ? mask(tree.ref(updates)) : tree.ref(mask))
    const chosen =
      masks === null ? params : tree.map((param: np.Array, kept: np.Array) => param.mul(kept), params, masks)
    const share = (param: np.Array) => param.mul(typeof amount === 'number' ? amount : amount.ref)
    const result = tree.map((update: np.Array, param: np.Array) => update.add(share(param)), updates, chosen)
    if (typeof amount !== 'number') amount.dispose()
    return result
  }
  const checked = (params: Tree | undefined): Tree => {
    if (params === undefined)
      throw new Error('addDecayedWeights: the third argument of update, the parameters, is missing')
    return params
  }
  if (typeof weightDecay === 'function') {
    return counted('addDecayedWeights', weightDecay, (updates, params, amount) => add(updates, checked(params), amount))
  }
  return {
    init: withoutState,
    update<Params extends Tree>(updates: Params, state: Tree, params?: Params): [Params, Tree] {
      return [add(updates, checked(params), weightDecay) as Params, state]
    },
  }
}

/**
 * Multiplies the updates by `schedule(count)`, as in optax; the count is 0 at the first update. Unlike there it works
 * inside `jit`, when `scalars(step)` is passed to `update`; outside it reads the count from its state.
 */
export function scaleBySchedule(schedule: CountSchedule): GradientTransformation {
  return counted('scaleBySchedule', schedule, (updates, params, factor) => {
    tree.dispose(params)
    const scaled = tree.map((update: np.Array) => update.mul(factor.ref), updates)
    factor.dispose()
    return scaled
  })
}

/** A transformation by a number that changes with the count. */
function counted(
  name: string,
  schedule: CountSchedule,
  transform: (updates: Tree, params: Tree | undefined, value: np.Array) => Tree,
): GradientTransformation {
  const scalars = (step: number) => {
    const value = schedule(step - 1)
    if (!Number.isFinite(value))
      throw new Error(`${name}: the schedule gave ${value} at count ${step - 1}; it must be finite`)
    return {
      step: np.array(Int32Array.of(step), { shape: [] }),
      value: np.array(Float32Array.of(value), { shape: [] }),
    }
  }
  return {
    init(params) {
      tree.dispose(params)
      return { count: np.array(Int32Array.of(0), { shape: [] }) }
    },
    update<Params extends Tree>(updates: Params, state: Tree, params?: Params, given?: Tree): [Params, Tree] {
      const { count } = state as { count: np.Array }
      const { step, value } = (given ?? scalars(readCount(name, count) + 1)) as ReturnType<typeof scalars>
      count.dispose()
      return [transform(updates, params, value) as Params, { count: step }]
    },
    scalars,
  }
}

function withoutState(params: Tree): Tree {
  tree.dispose(params)
  return []
}

function consume<T>(array: np.Array, use: (array: np.Array) => T): T {
  const result = use(array)
  array.dispose()
  return result
}
