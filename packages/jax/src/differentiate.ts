import { numpy as np, valueAndGrad, vjp } from '@jax-js/jax'
import type {
  Evaluate,
  EvaluationRequest,
  FloatArray,
  Linearize,
  ParameterArrays,
  Shapes,
  SymmetricProduct,
  TargetModel,
} from 'fallline'
import { checkLayout, checkNames, joined, spread } from 'fallline/internal'
import { Evaluator, read, release } from './evaluator.ts'
import { type LinearizedBatch, linearizationOf } from './linearization.ts'
import { type Longer, type Loss, type LossInParts, Model, type ModelOptions, refs } from './model.ts'
import { nameArrays, shapesOf, type Tree } from './parameters.ts'
import type { TransformationOptions } from './transformation.ts'

/**
 * Makes a loss written with jax-js what the curvature methods of Fallline, which drive themselves, ask for: gradients, products with the
 * Hessian, and, of a loss in two parts, Jacobians of single examples and products with them.
 *
 * ```ts
 * import { differentiate } from '@fallline/jax'
 * import { init, numpy as np } from '@jax-js/jax'
 * import { egn } from 'fallline'
 *
 * await init('wasm')
 * type Params = { line: np.Array }
 * const model = await differentiate(
 *   {
 *     outputs: ({ line }: Params, x: np.Array) => np.matmul(np.stack([x.ref, np.onesLike(x)], 1), line),
 *     lossOfOutputs: (z: np.Array, x: np.Array, y: np.Array) => np.mean(np.square(z.sub(y))).mul(0.5),
 *   },
 *   { line: np.zeros([2]) },
 * )
 * const optimizer = egn(model.parameters, { damping: 1e-6 })
 * const batch = model.on(np.array([0, 1, 2]), np.array([1, 3, 5]))
 * for (let step = 0; step < 3; step++) await optimizer.minimize(batch.linearize)
 * console.log(Array.from(model.parameters.line!, (value) => value.toFixed(2)).join(' ')) // 2.00 1.00
 * batch.dispose()
 * model.dispose()
 * ```
 *
 * | method | takes of `const batch = model.on(...)` |
 * | --- | --- |
 * | `lBfgs` | `minimize(batch.evaluate)` |
 * | `fosi`, `polynomialPreconditioner` | `minimize(batch.evaluate, batch.product(base.parameters))` |
 * | `lazyNewton` | `minimize(batch.evaluate, batch.product(model.parameters))` |
 * | `egn` | `minimize(batch.linearize, batch.evaluate)`, of a loss in two parts |
 * | `targetSurrogate` | `minimize(batch.target)`, of a loss in two parts |
 * | `lanczos`, `LanczosLearner` | `batch.product(model.parameters)` as the product |
 * | `compile`, with `layout: 'outputLast'` | `minimize(batch.evaluate)`, with inputs, as in a trainer |
 *
 * Products with the Hessian H are the derivatives of ⟨∇L, v⟩, reverse over forward, and exact up to float32. Every operation that jax-js
 * takes a gradient of it also takes a directional derivative of, so nothing else is needed.
 *
 * For {@link egn} an output of an example is differentiated on that example alone, all of them side by side: `outputs` is traced with a
 * batch of one, so the first axis of every array of the batch must be the examples. Residuals are the derivatives of an example's own loss,
 * which is as many times that of the mean as there are examples; `outputHessians` are its second derivatives, exact for every loss that is
 * a mean over examples.
 *
 * @param loss as for `createTrainer`: a function, or `{ outputs, lossOfOutputs }`.
 * @param parameters a tree of float32 arrays; consumed. Names are the keys joined by `/`.
 * @throws Error for an unknown option, or parameters that are no float32 arrays.
 */
export async function differentiate<Params extends Tree, Batch extends Tree[], OfOutputs extends Tree[] = Batch>(
  loss: Loss<Params, Batch> | LossInParts<Params, OfOutputs, Batch>,
  parameters: Params,
  options: TransformationOptions & ModelOptions<Params, Longer<Batch, OfOutputs>> = {},
): Promise<DifferentiableModel<Params, Longer<Batch, OfOutputs>>> {
  checkNames('differentiate', options, ['layout', 'inputs', 'seed'])
  const { layout = 'outputLast' } = options
  checkLayout('differentiate', layout)
  const named = nameArrays('differentiate', parameters)
  const model = new Model('differentiate', loss as never, named, layout, options as ModelOptions)
  const values: Record<string, Float32Array> = {}
  for (const [index, name] of named.names.entries()) values[name] = Float32Array.from(await read(named.arrays[index]!))
  const parts = typeof loss === 'function' ? undefined : (loss as unknown as LossInParts)
  return new DifferentiableModel(new Evaluator(model, named), shapesOf(named), values, parts)
}

/** A loss with parameters in arrays of the host. Made by `differentiate`. */
export class DifferentiableModel<Params extends Tree, Batch extends Tree[]> {
  /** The parameters that were given, by name: for methods that move arrays. */
  readonly parameters: Readonly<Record<string, Float32Array>>
  /** Their shapes, for `compile`. */
  readonly shapes: Shapes
  private readonly evaluator: Evaluator
  private readonly parts: LossInParts | undefined
  private batches = 0

  /** @internal use `differentiate` */
  constructor(
    evaluator: Evaluator,
    shapes: Shapes,
    parameters: Readonly<Record<string, Float32Array>>,
    parts: LossInParts | undefined,
  ) {
    this.evaluator = evaluator
    this.shapes = shapes
    this.parameters = parameters
    this.parts = parts
  }

  /** The model on a batch, which it keeps until `dispose`. */
  on(...batch: Batch): ModelOnBatch {
    return new ModelOnBatch(this.evaluator, this.parts, batch, ++this.batches)
  }

  /** Numbers by parameter name, such as the parameters of an optimizer, as a tree of jax-js arrays, which belong to the caller. */
  tree(values: Readonly<Record<string, ArrayLike<number>>> = this.parameters): Params {
    return this.evaluator.tree(values) as Params
  }

  /** Frees what was compiled. */
  dispose(): void {
    this.evaluator.dispose()
  }
}

/** A model on one batch: functions for the `minimize` of optimizers, to be passed as they are. Made by `DifferentiableModel.on`. */
export class ModelOnBatch {
  private readonly evaluator: Evaluator
  private readonly parts: LossInParts | undefined
  private readonly batch: readonly Tree[]
  private readonly place: number
  /** The shape of the outputs, since they were asked for. */
  private outputShape: readonly number[] | undefined

  /** @internal use `DifferentiableModel.on` */
  constructor(evaluator: Evaluator, parts: LossInParts | undefined, batch: readonly Tree[], place: number) {
    this.evaluator = evaluator
    this.parts = parts
    this.batch = batch
    this.place = place
  }

  /** Loss, gradients and inputs, as `minimize` of a compiled optimizer asks for them. Probes are drawn anew for every batch. */
  readonly evaluate: Evaluate = async (request: EvaluationRequest) => {
    const { loss, numbers } = await this.evaluator.evaluate(request, this.batch, this.place)
    return { loss: (await read(loss))[0]!, inputs: numbers }
  }

  /**
   * The Hessian of the loss times a vector of all parameters behind one another, in the order of their names here.
   * @param at where: read when a product is asked for.
   */
  product(at: ParameterArrays): SymmetricProduct {
    return async (vector) => {
      const names = Object.keys(at)
      const values = Object.fromEntries(names.map((name) => [name, new Float64Array(at[name]!.length)]))
      spread(names, vector, values)
      const given = [this.evaluator.tree(at), this.evaluator.tree(values), ...refs(this.batch)]
      const { model } = this.evaluator
      const product = (params: Tree, direction: Tree, ...batch: Tree[]) => model.product(params, direction, batch)
      const found = this.evaluator.call('product', () => product as never, given)
      await this.evaluator.write(found, values)
      return joined(names, values)
    }
  }

  /** Residuals, Jacobian and second derivatives of the loss by the outputs, for `egn`. @throws Error without a loss in two parts. */
  readonly linearize: Linearize = async ({ parameters }) => {
    const parts = this.inParts('linearize')
    const order = Object.keys(parameters).map((name) => this.evaluator.model.names.indexOf(name))
    const linearized = (params: Tree, ...batch: Tree[]) => linearizationOf(parts, order, params, batch)
    const given = [this.evaluator.tree(parameters), ...refs(this.batch)]
    const found = this.evaluator.call(`linearize ${order}`, () => linearized, given) as LinearizedBatch
    const [examples] = found.residuals.shape
    return {
      residuals: await read(found.residuals),
      jacobian: await read(found.jacobian),
      outputHessians: await read(found.outputHessians),
      ...(examples !== undefined && { examples }),
    }
  }

  /** The model for `targetSurrogate`. @throws Error, from its functions, without a loss in two parts. */
  readonly target: TargetModel = {
    outputs: async ({ parameters }) => read(this.outputsAt(parameters)),
    lossGradient: async (values) => {
      const { lossOfOutputs } = this.inParts('target')
      const outputs = np.array(Float32Array.from(values), { shape: [...(this.outputShape ?? [values.length])] })
      const found = this.evaluator.call('output gradient', () => valueAndGrad(lossOfOutputs) as never, [
        outputs,
        ...refs(this.batch),
      ])
      const [loss, gradient] = found as [np.Array, np.Array]
      return { loss: (await read(loss))[0]!, gradient: await read(gradient) }
    },
    pullBack: async ({ parameters, gradients }, cotangent) => {
      const { outputs } = this.inParts('target')
      const pulled = (params: Tree, slope: np.Array, ...batch: Tree[]) => {
        const [value, pull] = vjp(((at: Tree) => outputs(at, ...refs(batch))) as never, [params] as never)
        const [result] = (pull as unknown as (slope: np.Array) => Tree[])(slope.reshape((value as np.Array).shape))
        return result!
      }
      const given = [this.evaluator.tree(parameters), np.array(Float32Array.from(cotangent)), ...refs(this.batch)]
      const found = this.evaluator.call('vector-Jacobian product', () => pulled as never, given)
      await this.evaluator.write(found, gradients as Readonly<Record<string, FloatArray>>)
    },
  }

  /** Frees the batch. */
  dispose(): void {
    release(this.batch)
  }

  private outputsAt(parameters: ParameterArrays): np.Array {
    const { outputs } = this.inParts('target')
    const given = [this.evaluator.tree(parameters), ...refs(this.batch)]
    const found = this.evaluator.call('outputs', () => outputs as never, given) as np.Array
    this.outputShape = found.shape
    return found
  }

  private inParts(caller: string): LossInParts {
    if (this.parts) return this.parts
    throw new Error(
      `${caller}: the outputs of the model are needed apart from the loss: give differentiate { outputs, lossOfOutputs } in place of a function`,
    )
  }
}
