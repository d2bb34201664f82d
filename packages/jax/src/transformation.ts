import { jit, numpy as np, tree } from '@jax-js/jax'
import type { HyperValue, LayoutChoice, Optimizer } from 'fallline'
import { checkLayout, checkNames, startBytes, startOf } from 'fallline/internal'
import { type GradientTransformation, readCount } from './gradient-transformation.ts'
import { Host } from './host.ts'
import type { Inputs } from './model.ts'
import { packBytes } from './packed-state.ts'
import { type NamedArrays, nameArrays, shapesOf, type Tree } from './parameters.ts'
import { type Scalars, type State, StepReplay, slotShape } from './replay.ts'

export interface TransformationOptions {
  /**
   * Which dimensions of the parameters are outputs, for rules that treat outputs and inputs unlike, such as Muon: a layout for
   * all, or a function of name (keys joined by `/`) and shape. Default `outputLast`, as in JAX: `[in, out]` and
   * `[height, width, in, out]`. Tables of embeddings, `[words, width]`, are `outputFirst`.
   */
  readonly layout?: LayoutChoice
}

/** An optimizer of Fallline as a pair (init, update) for jax-js. Made by `gradientTransformation`. */
export interface FalllineTransformation extends GradientTransformation {
  init(params: Tree): State
  /** Inside of `jit` with the scalars of the step; outside it asks for them itself. */
  update<Params extends Tree>(updates: Params, state: State, params?: Params, scalars?: Scalars): [Params, State]
  /**
   * The hyperparameters, schedules, bias corrections and cadences of a step, counted from 1, computed on the host in
   * float64. Pass the result through your jitted function to `update`: it has the same shape at every step, so nothing
   * is traced again.
   */
  scalars(step: number): Scalars
  /** What to evaluate with (averages, schedule-free methods); a copy of the parameters without such a rule. */
  evaluationParameters<Params extends Tree>(params: Params, state: State): Params
  /** Changes hyperparameters of the scalars that are asked for from now on; see `CompiledOptimizer.set`. */
  set(values: Readonly<Record<string, HyperValue>>, options?: { readonly group?: string }): void
}

/**
 * Makes an optimizer of Fallline, with its wrappers, groups and schedules, a pair of pure functions for jax-js.
 *
 * ```ts
 * import { applyUpdates, gradientTransformation, type Scalars, type State } from '@fallline/jax'
 * import { init, jit, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
 * import { adamW, warmupCosine } from 'fallline'
 *
 * await init('wasm')
 * type Params = { slope: np.Array; offset: np.Array }
 * const loss = ({ slope, offset }: Params, x: np.Array, y: np.Array) => np.mean(np.square(x.mul(slope).add(offset).sub(y)))
 * const optimizer = gradientTransformation(adamW({ learningRate: warmupCosine({ peak: 0.1, warmup: 5, steps: 100 }) }))
 * const step = jit((params: Params, state: State, scalars: Scalars, x: np.Array, y: np.Array) => {
 *   const [value, gradients] = valueAndGrad(loss)(tree.ref(params), x, y)
 *   const [updates, next] = optimizer.update(gradients, state, tree.ref(params), scalars)
 *   return [value, applyUpdates(params, updates), next] as [np.Array, Params, State]
 * })
 *
 * let params: Params = { slope: np.array(0), offset: np.array(0) }
 * let state = optimizer.init(tree.ref(params))
 * for (let t = 1; t <= 100; t++) {
 *   const [x, y] = [np.array([0, 1, 2]), np.array([1, 3, 5])]
 *   const [value, ...next] = step(params, state, optimizer.scalars(t), x, y)
 *   value.dispose()
 *   ;[params, state] = next
 * }
 * ```
 *
 * The rule is traced once for the shapes of the first `init` and replayed as jax-js operations. All arithmetic on arrays
 * is float32, sums too. What is known before a step (hyperparameters, schedules, bias corrections, step counts) is not
 * part of the graph: `scalars` computes it on the host in float64. Outside of `jit`, `update` reads the step count from
 * the state and asks for them itself. Where a cadence decides between two programs (lookahead, accumulation), both are
 * computed and the host's choice is selected.
 *
 * A gradient that is not finite is not noticed here; wrap the loss or use `createTrainer`, which checks.
 *
 * @throws Error for an unknown option, from `init` for a rule that does not fit the parameters, and from every function for trees that differ
 * from those of the first `init`: make one transformation per model.
 */
export function gradientTransformation(
  optimizer: Optimizer,
  options: TransformationOptions = {},
): FalllineTransformation {
  checkNames('gradientTransformation', options, ['layout'])
  const { layout = 'outputLast' } = options
  checkLayout('gradientTransformation', layout)
  let bound: { readonly host: Host; readonly key: string } | undefined

  const hostFor = (named: NamedArrays): Host => {
    const shapes = shapesOf(named)
    const key = JSON.stringify(Object.entries(shapes))
    bound ??= { host: new Host(optimizer, shapes, layout), key }
    if (bound.key !== key) {
      throw new Error(
        `gradientTransformation: was made for the parameters ${bound.key} and given ${key}; make one for each model`,
      )
    }
    return bound.host
  }
  const boundHost = (caller: string): Host => {
    if (!bound) throw new Error(`${caller}: call init with the parameters first`)
    return bound.host
  }
  const scalars = (step: number): Scalars => {
    const host = boundHost('scalars')
    return { step: np.array(Int32Array.of(step), { shape: [] }), values: np.array(host.values(step)) }
  }
  // Outside of jit every operation would be a kernel of its own.
  const compiledStep = jit((gradients: Tree, state: State, params: Tree, given: Scalars) => {
    const [next, nextState] = step(hostFor(nameArrays('update', params)), gradients, params, state, given)
    return [next, nextState]
  })
  const compiledEvaluation = jit((params: Tree, state: State, { step, values }: Scalars) => {
    const named = nameArrays('evaluationParameters', params)
    const result = new StepReplay(hostFor(named), [], named.arrays, state, values).evaluate()
    step.dispose()
    values.dispose()
    tree.dispose(params)
    tree.dispose(state)
    return tree.unflatten(named.structure, result)
  })

  /** What moves the parameters alike wherever they stand can as well start at 0. */
  const withoutParams = <Params extends Tree>(updates: Params, state: State, given?: Scalars): [Params, State] => {
    const host = boundHost('update')
    const zeros = tree.map(({ shape }: np.Array) => np.zeros(shape), updates)
    const taken = given ?? scalars(readCount('update', state.count) + 1)
    host.leaveOutParameters()
    return compiledStep(updates, state, zeros, taken) as [Params, State]
  }

  return {
    init(params) {
      const named = nameArrays('init', params)
      const state = initialState(hostFor(named), named.arrays)
      tree.dispose(params)
      return state
    },
    update<Params extends Tree>(updates: Params, state: State, params?: Params, given?: Scalars): [Params, State] {
      if (params === undefined) return withoutParams(updates, state, given)
      const taken = given ?? scalars(readCount('update', state.count) + 1)
      const [next, nextState] = compiledStep(updates, state, tree.ref(params), taken) as [Tree, State]
      return [tree.map((after: np.Array, before: np.Array) => after.sub(before), next, params) as Params, nextState]
    },
    scalars,
    evaluationParameters<Params extends Tree>(params: Params, state: State): Params {
      const count = readCount('evaluationParameters', state.count)
      if (count > 0) return compiledEvaluation(params, state, scalars(count)) as Params
      tree.dispose(state)
      return params
    },
    set: (values, options = {}) => boundHost('set').set(values, options),
  }
}

/** The state before the first step; borrows the parameters. */
export function initialState(host: Host, parameters: readonly np.Array[]): State {
  const slots: State['slots'] = {}
  const shared: State['shared'] = {}
  host.parameters.forEach(({ name, shape, traced }, index) => {
    const own: Record<string, np.Array> = {}
    for (const slot of traced?.slots ?? []) {
      if (slot.space === 'host' || (slot.shared && slot.key in shared)) continue
      const target = slot.shared ? shared : own
      if (slot.space === 'array' && slot.storage !== 'float32') target[slot.key] = np.array(packBytes(startBytes(slot)))
      else if (slot.start === 'parameter') target[slot.key] = parameters[index]!.ref
      else if (slot.start === 'identity') {
        target[slot.key] = np.array(startOf(slot)).reshape(slotShape(slot, shape))
      } else target[slot.key] = np.full(slotShape(slot, shape), slot.start, { dtype: np.float32 })
    }
    if (Object.keys(own).length > 0) slots[name] = own
  })
  return { count: np.array(Int32Array.of(0), { shape: [] }), slots, shared }
}

/** The new parameters and state; consumes everything. */
export function step(
  host: Host,
  gradients: Tree,
  params: Tree,
  state: State,
  given: Scalars,
  inputs: Inputs = {},
): [Tree, State] {
  const own = nameArrays('update', params)
  const other = nameArrays('update', gradients)
  if (own.names.join() !== other.names.join()) {
    throw new Error(
      `update: the gradients are of ${other.names.join(', ')}, the parameters are ${own.names.join(', ')}`,
    )
  }
  const replay = new StepReplay(host, other.arrays, own.arrays, state, given.values, inputs)
  const { parameters, slots, shared } = replay.run()
  given.values.dispose()
  tree.dispose(gradients)
  tree.dispose(params)
  tree.dispose(state)
  tree.dispose(inputs as Tree)
  return [tree.unflatten(own.structure, parameters), { count: given.step, slots, shared }]
}

/** `params` plus `updates`, leaf by leaf. */
export function applyUpdates<Params extends Tree>(params: Params, updates: Params): Params {
  return tree.map((param: np.Array, update: np.Array) => param.add(update), params, updates) as Params
}
