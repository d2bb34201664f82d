import { defaultDevice, jit, numpy as np, tree, valueAndGrad } from '@jax-js/jax'
import {
  type Backend,
  type CompiledOptimizer,
  compile,
  type HyperValue,
  type LayoutChoice,
  type Loaded,
  type LoadOptions,
  type NonFinitePolicy,
  type Optimizer,
  type Rebased,
  type Shapes,
} from 'fallline'
import { checkLayout, movedAlong, type Place } from 'fallline/internal'
import { Host } from './host.ts'
import { type NamedArrays, nameArrays, shapesOf, type Tree } from './parameters.ts'
import { type Scalars, type State, StepReplay } from './replay.ts'
import { initialState, step, type TransformationOptions } from './transformation.ts'

/** Where the update is computed: by Fallline's own kernel, or as jax-js operations. */
export type TrainerPath = 'fused' | 'graph'

export interface TrainerOptions extends TransformationOptions {
  /**
   * `fused`: jax-js computes the gradients, Fallline's kernel takes the step on copies in its own memory, and the
   * parameters go back; for every optimizer, also those that need the loss or evaluate several times in a step. `graph`:
   * the step is part of the jitted function and everything stays where jax-js has it. `auto` (default): `fused` when the
   * default device of jax-js is `wasm` or `cpu`, else `graph`.
   */
  readonly path?: TrainerPath | 'auto'
  /** What to do when a gradient is not finite, as for `compile`: `throw` by default. The graph path does not check. */
  readonly nonFinite?: NonFinitePolicy
  /** Where the fused step runs: `wasm()` (default), also with threads, or `reference()`. */
  readonly backend?: Backend
}

/** The two ways of taking a step. */
interface Engine {
  readonly path: TrainerPath
  readonly hyperparameters: Pick<CompiledOptimizer, 'hyperOf' | 'set'>
  readonly steps: number
  step(batch: readonly Tree[]): Promise<np.Array>
  parameters(): np.Array[]
  evaluationParameters(): np.Array[]
  save(): Promise<Uint8Array>
  load(bytes: Uint8Array, options: LoadOptions): Loaded
  rebase(parameters: readonly np.Array[]): Promise<Rebased>
  finish(): void
  dispose(): void
}

type Loss = (params: Tree, ...batch: Tree[]) => np.Array

/**
 * Trains the parameters of a loss written with jax-js. Differentiates and jits the loss, and takes each step the faster way
 * for the device.
 *
 * ```ts
 * import { createTrainer } from '@fallline/jax'
 * import { init, numpy as np } from '@jax-js/jax'
 * import { adan, cosine } from 'fallline'
 *
 * await init('wasm')
 * const trainer = await createTrainer(
 *   ({ slope, offset }: { slope: np.Array; offset: np.Array }, x: np.Array, y: np.Array) =>
 *     np.mean(np.square(x.mul(slope).add(offset).sub(y))),
 *   adan({ learningRate: cosine({ from: 0.2, to: 0, steps: 300 }) }),
 *   { slope: np.array(0), offset: np.array(0) },
 * )
 * for (let step = 1; step <= 300; step++) {
 *   const loss = await trainer.step(np.array([0, 1, 2]), np.array([1, 3, 5]))
 *   if (step % 100 === 0) console.log(step, loss.item())
 *   else loss.dispose()
 * }
 * const { slope, offset } = trainer.parameters()
 * console.log(slope.item().toFixed(1), offset.item().toFixed(1)) // 2.0 1.0
 * trainer.dispose()
 * ```
 *
 * @param loss the mean loss of a batch, a scalar; a pure function, traced once for each set of batch shapes.
 * @param optimizer any optimizer of Fallline, with wrappers, groups and schedules.
 * @param parameters a tree of float32 arrays; consumed. Names are the keys joined by `/`, for groups and checkpoints.
 * @throws Error when the rule does not fit the parameters, or an option is unknown.
 */
export async function createTrainer<Params extends Tree, Batch extends Tree[], H extends string = string>(
  loss: (params: Params, ...batch: Batch) => np.Array,
  optimizer: Optimizer<H>,
  parameters: Params,
  options: TrainerOptions = {},
): Promise<Trainer<Params, Batch, H>> {
  const path = choosePath(options)
  const named = nameArrays('createTrainer', parameters)
  const compute = loss as unknown as Loss
  const layout = options.layout ?? 'outputLast'
  checkLayout('createTrainer', layout)
  const engine =
    path === 'fused'
      ? await FusedEngine.create(compute, optimizer, named, { ...options, layout })
      : new GraphEngine(compute, optimizer, named, layout)
  return new Trainer(engine, named.structure)
}

function choosePath(options: TrainerOptions): TrainerPath {
  const known = ['path', 'nonFinite', 'backend', 'layout']
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw new Error(`createTrainer: unknown option '${unknown}'; valid names are ${known.join(', ')}`)
  }
  const { path = 'auto', nonFinite, backend } = options
  if (!['auto', 'fused', 'graph'].includes(path)) {
    throw new Error(`createTrainer: path must be auto, fused or graph, not ${String(path)}`)
  }
  const device = defaultDevice()
  const chosen = path === 'auto' ? (device === 'wasm' || device === 'cpu' ? 'fused' : 'graph') : path
  if (chosen === 'graph' && ((nonFinite ?? 'allow') !== 'allow' || backend)) {
    const option = backend ? 'backend' : `nonFinite: '${nonFinite}'`
    throw new Error(`createTrainer: ${option} needs the fused path; on the device ${device} the path is ${chosen}`)
  }
  return chosen
}

/** Parameters in training, with their optimizer. Made by `createTrainer`. */
export class Trainer<Params extends Tree, Batch extends Tree[], H extends string = string> {
  private readonly engine: Engine
  private readonly structure: tree.JsTreeDef
  /** What is being done, in words, as long as nothing else may be. */
  private busy: string | undefined
  private disposed = false
  private finished = false

  /** @internal use `createTrainer` */
  constructor(engine: Engine, structure: tree.JsTreeDef) {
    this.engine = engine
    this.structure = structure
  }

  /** How steps are taken here. */
  get path(): TrainerPath {
    return this.engine.path
  }

  /** Steps taken. */
  get steps(): number {
    return this.engine.steps
  }

  /** The hyperparameters of the default group, schedules evaluated at the last step. */
  get hyper(): Readonly<Record<H, number>> {
    return this.engine.hyperparameters.hyperOf('') as Readonly<Record<H, number>>
  }

  /** The hyperparameters of a group, schedules evaluated at the last step. */
  hyperOf(group: string): Readonly<Record<string, number>> {
    return this.engine.hyperparameters.hyperOf(group)
  }

  /** Changes hyperparameters from the next step on; nothing is traced or compiled again. See `CompiledOptimizer.set`. */
  set(values: { readonly [K in H]?: HyperValue }): void
  set(values: Readonly<Record<string, HyperValue>>, options: { readonly group?: string }): void
  set(values: { readonly [name: string]: HyperValue | undefined }, options: { readonly group?: string } = {}): void {
    this.refuseWhileBusy('set')
    this.engine.hyperparameters.set(values as Readonly<Record<string, HyperValue>>, options)
  }

  /**
   * Takes one step on a batch, which is consumed. Until it is taken everything else but reading hyperparameters throws: await
   * one step before the next.
   * @returns the loss where the parameters stood (of the first evaluation, for optimizers that evaluate several times): an
   * array that belongs to the caller.
   * @throws Error when a gradient is not finite (fused path, policy `throw`), or while another step or a `save` is not done;
   * parameters and state are unchanged then.
   */
  async step(...batch: Batch): Promise<np.Array> {
    try {
      this.refuseWhileBusy('step')
      this.refuseAfterFinish('step')
    } catch (error) {
      release(batch)
      throw error
    }
    return this.exclusively('a step is being taken', () => this.engine.step(batch))
  }

  /** The parameters now: arrays that belong to the caller. */
  parameters(): Params {
    this.refuseWhileBusy('parameters')
    return tree.unflatten(this.structure, this.engine.parameters()) as Params
  }

  /** What to evaluate with (averages, schedule-free methods); else the parameters. The arrays belong to the caller. */
  evaluationParameters(): Params {
    this.refuseWhileBusy('evaluationParameters')
    return tree.unflatten(this.structure, this.engine.evaluationParameters()) as Params
  }

  /**
   * Parameters, state and step counts as the bytes of a safetensors file, the same as of `CompiledOptimizer.save`: a
   * checkpoint of one path can be continued on the other.
   */
  async save(): Promise<Uint8Array> {
    this.refuseWhileBusy('save')
    this.refuseAfterFinish('save')
    return this.exclusively('save is reading the state', () => this.engine.save())
  }

  /**
   * Continues from what `save` gave. With `take: 'fitting'` it takes what fits of another model's or optimizer's checkpoint, with
   * `take: 'parameters'` parameters alone: see `CompiledOptimizer.load`.
   * @returns what was taken, what the file lacks and what it holds in excess, by name.
   * @throws Error when the bytes are of another model or optimizer (unless `take` was given), of another version, or damaged, or in
   * the middle of a step; nothing is changed then.
   */
  load(bytes: Uint8Array, options: LoadOptions = {}): Loaded {
    this.refuseWhileBusy('load')
    const loaded = this.engine.load(bytes, options)
    this.finished = false
    return loaded
  }

  /**
   * Goes on from other parameters, such as an average over several machines or a clipped copy, with the state that there is.
   * Copies of a parameter in the state (the slow weights of lookahead, z of schedule-free methods, the start of Prodigy and DoG,
   * averages) move along by as much as the parameter does; state made of gradients, numbers and counts stay.
   * @param parameters all of them, as `parameters()` gives them; consumed.
   * @returns the names of the state that moved and of what stayed.
   * @throws Error for another tree or another shape, in the middle of a step, or after `finish`; nothing is changed then.
   */
  async rebase(parameters: Params): Promise<Rebased> {
    try {
      this.refuseWhileBusy('rebase')
      this.refuseAfterFinish('rebase')
      const [given, structure] = tree.flatten(parameters as Tree)
      if (structure.toString() !== this.structure.toString()) {
        throw new Error(`rebase: the parameters must be the tree ${this.structure}, not ${structure}`)
      }
      const own = this.engine.parameters()
      try {
        for (const [index, { shape }] of own.entries()) {
          const { shape: other } = given[index] as np.Array
          if (String(other) !== String(shape))
            throw new Error(
              `rebase: a parameter has shape [${shape.join(', ')}], so it cannot become [${other.join(', ')}]`,
            )
        }
      } finally {
        release(own)
      }
      return await this.exclusively('rebase is reading the state', () => this.engine.rebase(given as np.Array[]))
    } finally {
      release([parameters])
    }
  }

  /**
   * Ends training in place: the parameters become what `evaluationParameters` gives, as they are to be used and stored. Training
   * cannot go on from there, so `step`, `save` and `rebase` throw from now on; `load` begins again.
   * @throws Error in the middle of a step.
   */
  finish(): void {
    this.refuseWhileBusy('finish')
    if (this.finished) return
    this.engine.finish()
    this.finished = true
  }

  /**
   * Frees everything; the trainer cannot be used afterwards. A second call does nothing.
   * @throws Error in the middle of a step.
   */
  dispose(): void {
    if (this.disposed) return
    this.refuseWhileBusy('dispose')
    this.disposed = true
    this.engine.dispose()
  }

  private async exclusively<T>(busy: string, action: () => Promise<T>): Promise<T> {
    this.busy = busy
    try {
      return await action()
    } finally {
      this.busy = undefined
    }
  }

  private refuseAfterFinish(caller: string): void {
    if (!this.finished) return
    throw new Error(
      `${caller}: finish has put what to evaluate with into the parameters, and training cannot go on from there; load a ` +
        'checkpoint, or create a trainer anew',
    )
  }

  /** @throws Error while something is being done that others would disturb, and after `dispose`. */
  private refuseWhileBusy(caller: string): void {
    if (this.disposed) throw new Error(`${caller}: this trainer has been disposed; create a new one`)
    if (this.busy !== undefined) throw new Error(`${caller}: ${this.busy}; await that first`)
  }
}

/** Gradients out of jax-js, one step of Fallline's kernel, parameters in. */
class FusedEngine implements Engine {
  readonly path = 'fused'
  private readonly compiled: CompiledOptimizer
  private readonly named: Pick<NamedArrays, 'names' | 'structure'>
  private readonly shapes: Shapes
  private readonly valueAndGradient: ReturnType<typeof jit<(params: Tree, ...batch: Tree[]) => Tree[]>>
  private readonly value: ReturnType<typeof jit<Loss>>

  private constructor(loss: Loss, { names, structure }: NamedArrays, shapes: Shapes, compiled: CompiledOptimizer) {
    this.named = { names, structure }
    this.shapes = shapes
    this.compiled = compiled
    this.valueAndGradient = jit(valueAndGrad(loss) as (params: Tree, ...batch: Tree[]) => Tree[])
    this.value = jit(loss)
  }

  static async create(
    loss: Loss,
    optimizer: Optimizer,
    named: NamedArrays,
    { nonFinite, backend, layout = 'outputLast' }: TrainerOptions,
  ): Promise<FusedEngine> {
    const shapes = shapesOf(named)
    const compiled = await compile(optimizer, shapes, {
      layout,
      ...(nonFinite && { nonFinite }),
      ...(backend && { backend }),
    })
    for (const [index, name] of named.names.entries()) compiled.parameters[name]!.set(await read(named.arrays[index]!))
    return new FusedEngine(loss, named, shapes, compiled)
  }

  get hyperparameters(): CompiledOptimizer {
    return this.compiled
  }

  get steps(): number {
    return this.compiled.steps
  }

  async step(batch: readonly Tree[]): Promise<np.Array> {
    let first: np.Array | undefined
    try {
      await this.compiled.minimize(async ({ wants, evaluation }) => {
        const loss = await this.evaluate(wants, batch)
        const value = wants.has('loss') ? (await read(loss.ref))[0]! : undefined
        if (evaluation === 0) first = loss
        else loss.dispose()
        return value
      })
    } catch (error) {
      if (first) release([first])
      throw error
    } finally {
      release(batch)
    }
    return first!
  }

  parameters(): np.Array[] {
    return this.arrays(this.compiled.parameters)
  }

  evaluationParameters(): np.Array[] {
    return this.arrays(this.compiled.evaluationParameters())
  }

  async save(): Promise<Uint8Array> {
    return this.compiled.save()
  }

  load(bytes: Uint8Array, options: LoadOptions): Loaded {
    return this.compiled.load(bytes, options)
  }

  async rebase(parameters: readonly np.Array[]): Promise<Rebased> {
    const numbers = await Promise.all(parameters.map((array) => read(array.ref)))
    return this.compiled.rebase(Object.fromEntries(this.named.names.map((name, index) => [name, numbers[index]!])))
  }

  finish(): void {
    this.compiled.finish()
  }

  dispose(): void {
    this.valueAndGradient.dispose()
    this.value.dispose()
    this.compiled.dispose()
  }

  /** The loss of a batch, which stays; gradients go to the optimizer. */
  private async evaluate(wants: ReadonlySet<string>, batch: readonly Tree[]): Promise<np.Array> {
    const unknown = [...wants].find((want) => want !== 'gradient' && want !== 'loss')
    if (unknown !== undefined) {
      throw new Error(
        `the optimizer needs '${unknown}', which a trainer cannot compute; use compile of fallline and its minimize`,
      )
    }
    const given = [tree.unflatten(this.named.structure, this.parameters()), ...batch.map((part) => tree.ref(part))]
    try {
      if (!wants.has('gradient')) return this.value(...(given as [never]))
      const [loss, gradients] = this.valueAndGradient(...(given as [never])) as [np.Array, Tree]
      for (const [index, gradient] of (tree.leaves(gradients) as np.Array[]).entries()) {
        this.compiled.gradients[this.named.names[index]!]!.set(await read(gradient))
      }
      return loss
    } catch (error) {
      // The loss threw while it was traced: nothing was consumed.
      release(given)
      throw error
    }
  }

  private arrays(values: Readonly<Record<string, Float32Array | Float64Array>>): np.Array[] {
    return this.named.names.map((name) => {
      const value = values[name]!
      // The reference backend computes in float64.
      const numbers = value instanceof Float32Array ? value : Float32Array.from(value)
      // Its types leave out memory that threads share, which it copies like any other.
      return np.array(numbers as Float32Array<ArrayBuffer>, { shape: [...this.shapes[name]!] })
    })
  }
}

/** The whole step as one jitted function; parameters and state stay in jax-js. */
class GraphEngine implements Engine {
  readonly path = 'graph'
  steps = 0
  private readonly host: Host
  private readonly structure: tree.JsTreeDef
  private params: Tree
  private state: State
  private readonly train
  private readonly evaluate

  constructor(loss: Loss, optimizer: Optimizer, named: NamedArrays, layout: LayoutChoice) {
    this.host = new Host(optimizer, shapesOf(named), layout)
    this.structure = named.structure
    this.params = tree.unflatten(named.structure, named.arrays)
    this.state = initialState(this.host, named.arrays)
    const { host, structure } = this
    this.train = jit((params: Tree, state: State, scalars: Scalars, ...batch: Tree[]) => {
      const differentiated = valueAndGrad(loss) as (params: Tree, ...batch: Tree[]) => Tree[]
      const [value, gradients] = differentiated(tree.ref(params), ...batch)
      return [value!, ...step(host, gradients!, params, state, scalars)]
    })
    this.evaluate = jit((params: Tree, state: State, values: np.Array) => {
      const result = new StepReplay(host, [], tree.leaves(params) as np.Array[], state, values).evaluate()
      tree.dispose([params, state, values])
      return tree.unflatten(structure, result)
    })
  }

  get hyperparameters(): Host {
    return this.host
  }

  async step(batch: readonly Tree[]): Promise<np.Array> {
    const count = this.steps + 1
    const scalars = {
      step: np.array(Int32Array.of(count), { shape: [] }),
      values: np.array(this.host.values(count)),
    }
    const [loss, params, state] = this.train(this.params, this.state, scalars, ...(batch as never[])) as [
      np.Array,
      Tree,
      State,
    ]
    this.params = params
    this.state = state
    this.steps = count
    // Without waiting, steps would queue up on a device that works at its own pace.
    return loss.blockUntilReady()
  }

  parameters(): np.Array[] {
    return tree.leaves(tree.ref(this.params)) as np.Array[]
  }

  evaluationParameters(): np.Array[] {
    if (this.steps === 0) return this.parameters()
    const values = np.array(this.host.values(this.steps))
    return tree.leaves(this.evaluate(tree.ref(this.params), tree.ref(this.state), values)) as np.Array[]
  }

  async save(): Promise<Uint8Array> {
    return this.host.save((places) => Promise.all(places.map((place) => read(this.at(place).ref))))
  }

  load(bytes: Uint8Array, options: LoadOptions): Loaded {
    const parameters = tree.leaves(this.params) as np.Array[]
    const loaded = this.host.load(bytes, options, (place, values) => {
      if ('key' in place) this.writeState(place, values)
      else {
        const before = parameters[place.tensor]!
        parameters[place.tensor] = np.array(Float32Array.from(values), { shape: [...before.shape] })
        before.dispose()
      }
    })
    this.params = tree.unflatten(this.structure, parameters)
    this.steps = this.host.steps
    this.state.count.dispose()
    this.state.count = np.array(Int32Array.of(this.steps), { shape: [] })
    return loaded
  }

  async rebase(given: readonly np.Array[]): Promise<Rebased> {
    const { moved, kept, copies } = this.host.copies()
    const before = await Promise.all(this.parameters().map((array) => read(array)))
    const target = await Promise.all(given.map((array) => read(array.ref)))
    const state = await Promise.all(copies.map((place) => read(this.at(place).ref)))
    copies.forEach((place, index) => {
      this.writeState(place, movedAlong(state[index]!, before[place.tensor]!, target[place.tensor]!))
    })
    this.replaceParameters(given.map((array) => array.ref))
    return { moved, kept }
  }

  finish(): void {
    this.replaceParameters(this.evaluationParameters())
  }

  dispose(): void {
    tree.dispose([this.params, this.state])
    this.train.dispose()
    this.evaluate.dispose()
  }

  private replaceParameters(arrays: np.Array[]): void {
    tree.dispose(this.params)
    this.params = tree.unflatten(this.structure, arrays)
  }

  private writeState(place: { readonly tensor: number; readonly key: string }, values: ArrayLike<number>): void {
    const before = this.at(place as Place)
    this.table(place)[place.key] = np.array(Float32Array.from(values), { shape: [...before.shape] })
    before.dispose()
  }

  /** The parameter or state that lies there. */
  private at(place: Place): np.Array {
    return 'key' in place ? this.table(place)[place.key]! : (tree.leaves(this.params)[place.tensor] as np.Array)
  }

  private table({ tensor, key }: { readonly tensor: number; readonly key: string }): Record<string, np.Array> {
    const own = this.state.slots[this.host.parameters[tensor]!.name]
    return own && key in own ? own : this.state.shared
  }
}

/** Frees what is left of the arrays of some trees. */
function release(trees: readonly Tree[]): void {
  for (const array of tree.leaves(trees as Tree[]) as np.Array[]) if (array.refCount > 0) array.dispose()
}

/** The numbers of an array, which is consumed. Waiting lets jax-js use its threads, which only some pages have. */
function read(array: np.Array): Promise<Float32Array> | Float32Array {
  const threads = globalThis.crossOriginIsolated === true && typeof Worker === 'function'
  const synchronous = !threads && (array.device === 'wasm' || array.device === 'cpu')
  return (synchronous ? array.dataSync() : array.data()) as Promise<Float32Array> | Float32Array
}
