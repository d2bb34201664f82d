import { defaultDevice, jit, numpy as np, tree } from '@jax-js/jax'
import type {
  Backend,
  EvaluationRequest,
  HyperValue,
  LayoutChoice,
  Loaded,
  LoadOptions,
  NonFinitePolicy,
  Optimizer,
  Rebased,
} from 'fallline'
import {
  checkLayout,
  type FloatArray,
  isJoint,
  movedAlong,
  type Place,
  type StagedStorage,
  sizeOf,
} from 'fallline/internal'
import { compileFor, type Engine, type FusedOptions, KernelEngine, type TrainerPath } from './engine.ts'
import { type Found, read, release } from './evaluator.ts'
import { Host } from './host.ts'
import { type Asked, type Longer, type Loss, type LossInParts, Model, type ModelOptions } from './model.ts'
import { packBytes, unpackBytes } from './packed-state.ts'
import { type NamedArrays, nameArrays, shapesOf, type Tree } from './parameters.ts'
import { type Scalars, type State, StepReplay } from './replay.ts'
import { initialState, step, type TransformationOptions } from './transformation.ts'

export type { TrainerPath }

export interface TrainerOptions<Params extends Tree = Tree, Batch extends Tree[] = Tree[]>
  extends TransformationOptions,
    ModelOptions<Params, Batch> {
  /**
   * `fused`: jax-js computes the gradients and Fallline's kernels take the step; for every optimizer, also those that need the loss or
   * evaluate several times in a step. On `webgpu` they work on the arrays where jax-js has them, elsewhere on copies in their own memory,
   * from which the parameters go back. `graph`: the step is part of the jitted function. `auto` (default): `graph` when the default device
   * of jax-js is `webgl`, and on `webgpu` for what multiplies matrices, unless `nonFinite` or `backend` asks for more; else `fused`.
   */
  readonly path?: TrainerPath | 'auto'
  /** What to do when a gradient is not finite, as for `compile`: `throw` by default. The graph path does not check. */
  readonly nonFinite?: NonFinitePolicy
  /**
   * Where the fused step runs on copies of what jax-js has: `wasm()` (default, but on the device `webgpu`), also with threads, or
   * `reference()`.
   */
  readonly backend?: Backend
}

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
 * What optimizers declare as inputs is supplied, on both paths:
 *
 * - products with the Hessian (`hessianDiagonal`, `probe`, `hessianVectorProduct`), exact, at the point and with the batch of the gradient.
 *   A probe z has independent signs, also where a paper draws normal numbers: the mean of z ⊙ H z is the diagonal all the same, with less
 *   noise. It is a function of `seed`, the step and the parameter's name, and 0 for parameters that do not take part.
 * - statistics of dense layers ({@link layerStatistics} of `fallline`), for matrices that the loss multiplies with inputs in one place:
 *   `np.matmul(x, w)` and its like. Every row of the product is an example, and the loss is taken for the mean of their losses. With the
 *   labels of the data s is of the empirical Fisher information; for labels that are drawn pass functions as `inputs`.
 * - all else by functions of yours: see {@link ModelOptions.inputs}.
 *
 * Where a period says how often they are wanted, only those steps compute them.
 *
 * @param loss the mean loss of a batch, a scalar; a pure function, traced once for each set of batch shapes. Or its two parts,
 * `{ outputs, lossOfOutputs }`, as `differentiate` wants them for some methods.
 * @param optimizer any optimizer of Fallline, with wrappers, groups and schedules.
 * @param parameters a tree of float32 arrays; consumed. Names are the keys joined by `/`, for groups and checkpoints.
 * @throws Error when the rule does not fit the parameters, an option is unknown, or the optimizer needs an input that does not follow
 * from the loss and is not given.
 */
export async function createTrainer<
  Params extends Tree,
  Batch extends Tree[],
  H extends string = string,
  OfOutputs extends Tree[] = Batch,
>(
  loss: Loss<Params, Batch> | LossInParts<Params, OfOutputs, Batch>,
  optimizer: Optimizer<H>,
  parameters: Params,
  options: TrainerOptions<Params, Longer<Batch, OfOutputs>> = {},
): Promise<Trainer<Params, Longer<Batch, OfOutputs>, H>> {
  const named = nameArrays('createTrainer', parameters)
  const layout = options.layout ?? 'outputLast'
  checkLayout('createTrainer', layout)
  let host: Host | undefined
  const path = choosePath(options, () => {
    host = graphHost(optimizer, named, layout)
    return host?.matrices === true
  })
  const model = new Model('createTrainer', loss as never, named, layout, options as ModelOptions)
  try {
    const engine =
      path === 'fused'
        ? await fusedEngine(model, optimizer, named, { ...options, layout })
        : new GraphEngine(model, host ?? new Host(optimizer, shapesOf(named), layout, true), named)
    return new Trainer(engine, named.structure)
  } catch (error) {
    release([...named.arrays])
    throw error
  }
}

/** Kernels on the device of the arrays, where they can reach these, else on copies. */
async function fusedEngine(
  model: Model,
  optimizer: Optimizer,
  named: NamedArrays,
  options: FusedOptions,
): Promise<Engine> {
  const reached = named.arrays.every(({ device }) => device === 'webgpu') && named.arrays.length > 0
  // A vector of all parameters has no buffers of theirs.
  if (!reached || options.backend || isJoint(optimizer)) {
    return CopyingEngine.create(model, optimizer, named, options)
  }
  // Who does not train there does not load it.
  const { DeviceEngine } = await import('./device-engine.ts')
  return DeviceEngine.create(model, optimizer, named, options)
}

/** What takes the steps in the graph, if that can. */
function graphHost(optimizer: Optimizer, named: NamedArrays, layout: LayoutChoice): Host | undefined {
  try {
    return new Host(optimizer, shapesOf(named), layout, true)
  } catch {
    // What is wrong, if anything, the other path says.
    return undefined
  }
}

function choosePath(options: object, matrices: () => boolean): TrainerPath {
  const known = ['path', 'nonFinite', 'backend', 'layout', 'inputs', 'seed']
  const unknown = Object.keys(options).find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw new Error(`createTrainer: unknown option '${unknown}'; valid names are ${known.join(', ')}`)
  }
  const { path = 'auto', nonFinite, backend } = options as TrainerOptions
  if (!['auto', 'fused', 'graph'].includes(path)) {
    throw new Error(`createTrainer: path must be auto, fused or graph, not ${String(path)}`)
  }
  const device = defaultDevice()
  // On webgpu the products of jax-js are the faster ones.
  const free = (nonFinite ?? 'allow') === 'allow' && !backend
  const graph = device === 'webgl' || (device === 'webgpu' && free && matrices())
  const chosen = path === 'auto' ? (graph ? 'graph' : 'fused') : path
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
   * @throws Error when a gradient is not finite (fused path, policy `throw`), when the optimizer wants statistics of weights whose dense
   * layer cannot be found in the loss, or while another step or a `save` is not done; parameters and state are unchanged then.
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
class CopyingEngine extends KernelEngine {
  static async create(model: Model, optimizer: Optimizer, named: NamedArrays, options: FusedOptions) {
    const compiled = await compileFor(model, optimizer, named, options)
    for (const [index, name] of named.names.entries()) compiled.parameters[name]!.set(await read(named.arrays[index]!))
    return new CopyingEngine(model, named, compiled)
  }

  parameters(): np.Array[] {
    return this.evaluator.arrays(this.compiled.parameters)
  }

  evaluationParameters(): np.Array[] {
    return this.evaluator.arrays(this.compiled.evaluationParameters())
  }

  async save(): Promise<Uint8Array> {
    return this.compiled.save()
  }

  async rebase(parameters: readonly np.Array[]): Promise<Rebased> {
    const numbers = await Promise.all(parameters.map((array) => read(array.ref)))
    const { names } = this.evaluator.model
    return this.compiled.rebase(Object.fromEntries(names.map((name, index) => [name, numbers[index]!])))
  }

  finish(): void {
    this.compiled.finish()
  }

  protected evaluate(request: EvaluationRequest, batch: readonly Tree[]): Promise<Found> {
    return this.evaluator.evaluate(request, batch, this.steps + 1)
  }
}

/** Where state lies. */
type StatePlace = Extract<Place, { readonly key: string }>

/** A jitted step, and how to free it. */
type TrainStep = ((params: Tree, state: State, scalars: Scalars, ...rest: Tree[]) => Tree[]) & { dispose(): void }

/** The whole step as one jitted function; parameters and state stay in jax-js. */
class GraphEngine implements Engine {
  readonly path = 'graph'
  steps = 0
  private readonly host: Host
  private readonly structure: tree.JsTreeDef
  private params: Tree
  private state: State
  private readonly model: Model
  /** Steps by what they ask for besides gradients. */
  private readonly trains = new Map<string, TrainStep>()
  private readonly evaluate

  constructor(model: Model, host: Host, named: NamedArrays) {
    this.host = host
    model.check('createTrainer', this.host.needs)
    this.model = model
    this.structure = named.structure
    this.params = tree.unflatten(named.structure, named.arrays)
    this.state = initialState(this.host, named.arrays)
    const { structure } = this
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
    const { asked } = this.host
    const given = [scalars, this.model.probe(asked, count), ...batch]
    let result: Tree[]
    try {
      result = this.trainFor(asked)(this.params, this.state, ...(given as [Scalars, ...never[]]))
    } catch (error) {
      // It threw while it was traced: nothing was consumed.
      release(given)
      throw error
    }
    const [loss, params, state] = result as [np.Array, Tree, State]
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
    return this.host.save((places) => Promise.all(places.map((place) => this.read(place))))
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
    for (const train of this.trains.values()) train.dispose()
    this.evaluate.dispose()
  }

  /** The step that asks for some inputs. */
  private trainFor(asked: Asked): TrainStep {
    const key = JSON.stringify(asked)
    const known = this.trains.get(key)
    if (known) return known
    const { host, model } = this
    const train = jit((params: Tree, state: State, scalars: Scalars, probe: Tree, ...batch: Tree[]): Tree[] => {
      const { loss, gradients, inputs } = model.evaluate(asked, tree.ref(params), probe, batch)
      return [loss, ...step(host, gradients, params, state, scalars, inputs)]
    }) as unknown as TrainStep
    this.trains.set(key, train)
    return train
  }

  private replaceParameters(arrays: np.Array[]): void {
    tree.dispose(this.params)
    this.params = tree.unflatten(this.structure, arrays)
  }

  private writeState(place: StatePlace, values: ArrayLike<number>): void {
    const before = this.at(place)
    const next = place.kind === 'bytes' ? packBytes(Uint8Array.from(values)) : Float32Array.from(values)
    this.table(place)[place.key] = np.array(next, { shape: [...before.shape] })
    before.dispose()
  }

  /** The numbers that lie there, or the bytes. */
  private async read(place: Place): Promise<FloatArray> {
    const numbers = await read(this.at(place).ref)
    if (place.kind !== 'bytes') return numbers
    const { storage, dimensions } = this.host.slotAt(place)
    return unpackBytes(numbers, storage as StagedStorage, sizeOf(dimensions)) as ArrayLike<number> as FloatArray
  }

  /** The parameter or state that lies there. */
  private at(place: Place): np.Array {
    return 'key' in place ? this.table(place)[place.key]! : (tree.leaves(this.params)[place.tensor] as np.Array)
  }

  private table({ tensor, key }: Pick<StatePlace, 'tensor' | 'key'>): Record<string, np.Array> {
    const own = this.state.slots[this.host.parameters[tensor]!.name]
    return own && key in own ? own : this.state.shared
  }
}
