import type { FloatArray } from '../backends/backend.ts'
import { checkCounts } from '../language/check-options.ts'
import { checkNames } from '../language/definition.ts'
import type { CompiledOptimizer } from '../run/compiled-optimizer.ts'
import { evaluateSchedule, type HyperValue } from '../schedules/schedule.ts'

export interface TargetSurrogateOptions {
  /** Steps of the optimizer for each gradient of the loss, m; default 10. */
  readonly innerSteps?: number
  /** η, the length of the step in the outputs: a number, or a schedule over the outer steps, from 1; default 1. */
  readonly outputRate?: HyperValue
}

/** A model and a loss, on one batch. */
export interface TargetModel<Name extends string = string> {
  /** z(θ), what the model gives for the batch, all numbers behind one another. */
  readonly outputs: (at: { readonly parameters: Readonly<Record<Name, FloatArray>> }) => Outputs | Promise<Outputs>
  /** The loss of outputs and its derivatives by them: what is dear, asked for once in a step. */
  readonly lossGradient: (outputs: Float64Array) => OutputGradient | Promise<OutputGradient>
  /** Writes Jᵀ c into `gradients`, J the Jacobian of the outputs where the parameters stand. */
  readonly pullBack: (
    at: {
      readonly parameters: Readonly<Record<Name, FloatArray>>
      readonly gradients: Readonly<Record<Name, FloatArray>>
    },
    cotangent: Float64Array,
  ) => void | Promise<void>
}

type Outputs = ArrayLike<number>

/** A loss with its derivatives by the outputs of the model. */
export interface OutputGradient {
  readonly loss: number
  readonly gradient: ArrayLike<number>
}

export interface TargetSurrogateResult {
  /** The loss where the step began. */
  readonly loss: number
  /** What the surrogate was before each of the inner steps: 0 at first, and below while they help. */
  readonly surrogates: readonly number[]
}

/**
 * SSO, target-based surrogates: each gradient of the loss by the outputs z of the model makes a surrogate, on which a compiled
 * optimizer takes several cheap steps. It pays where the loss is dear (a simulator, an environment, labels to be asked for) and the
 * model is not.
 *
 * ```text
 * zₜ ← z(θ);  gₜ ← ∇ℓ(zₜ)                                       once
 * S(θ) = ⟨gₜ, z(θ) - zₜ⟩ + 1/(2η) ‖z(θ) - zₜ‖²
 * m times:  θ ← optimizer(θ, ∇S(θ)),   ∇S = J(θ)ᵀ (gₜ + (z(θ) - zₜ) / η)
 * ```
 *
 * ```ts
 * import { compile, sgd, targetSurrogate } from 'fallline'
 *
 * const driver = targetSurrogate(await compile(sgd({ learningRate: 0.1 }), { slope: [1] }), { innerSteps: 20 })
 * const xs = [1, 2]
 * for (let step = 0; step < 5; step++) {
 *   await driver.minimize({
 *     outputs: ({ parameters: { slope } }) => xs.map((x) => x * (slope[0] ?? 0)),
 *     lossGradient: (z) => ({ loss: (z[0]! - 3) ** 2 / 2 + (z[1]! - 6) ** 2 / 2, gradient: [z[0]! - 3, z[1]! - 6] }),
 *     pullBack({ gradients }, [a = 0, b = 0]) {
 *       gradients.slope[0] = a + 2 * b
 *     },
 *   })
 * }
 * console.log(driver.optimizer.parameters.slope[0]?.toFixed(3)) // 3.000
 * ```
 *
 * Where η is at most 1 / β for a loss with a β-smooth gradient by the outputs, S lies above the loss, so that steps which lower S lower
 * the loss. On batches let η fall, in proportion to 1 / √t: `outputRate: (t) => 1 / Math.sqrt(t)`.
 *
 * Lavington, Vaswani, Babanezhad, Schmidt, Le Roux 2023, Target-based Surrogates for Stochastic Optimization, arXiv 2302.02607.
 * The official code takes S times a constant, the mean over the outputs of ⟨gₜ, z⟩ / e + (z - zₜ)², so its e is 1 / (2 η), and its
 * inner optimizer is gradient descent with Armijo's line search; here it is any, with the learning rate that it has.
 *
 * @throws Error when an option is unknown or out of range.
 */
export function targetSurrogate<Name extends string>(
  optimizer: CompiledOptimizer<Name>,
  options: TargetSurrogateOptions = {},
): TargetSurrogate<Name> {
  return new TargetSurrogate(optimizer, options)
}

/** A compiled optimizer that takes several steps for each gradient of the loss. Made by `targetSurrogate`. */
export class TargetSurrogate<Name extends string = string> {
  readonly optimizer: CompiledOptimizer<Name>
  private readonly options: Required<TargetSurrogateOptions>
  private steps = 0

  /** @internal use `targetSurrogate` */
  constructor(optimizer: CompiledOptimizer<Name>, options: TargetSurrogateOptions) {
    checkNames('targetSurrogate', options, ['innerSteps', 'outputRate'])
    const { innerSteps = 10, outputRate = 1 } = options
    checkCounts('targetSurrogate', { innerSteps })
    this.optimizer = optimizer
    this.options = { innerSteps, outputRate }
    this.outputRate(1)
  }

  /**
   * One gradient of the loss, and m steps of the optimizer.
   * @throws Error when a function of the model throws, gives another number of outputs, or numbers that are not finite; parameters
   * and state are as they were then.
   */
  async minimize(model: TargetModel<Name>): Promise<TargetSurrogateResult> {
    const { optimizer, options } = this
    const rate = this.outputRate(this.steps + 1)
    const before = optimizer.save()
    try {
      const { outputs, loss, gradient } = await optimizer.exclusively('targetSurrogate.minimize', async () => {
        const first = Float64Array.from(await model.outputs(optimizer))
        return { outputs: first, ...(await model.lossGradient(first.slice())) }
      })
      checkOutputs(outputs.length, gradient)
      if (!Number.isFinite(loss)) {
        throw new Error(`targetSurrogate: the loss must be a finite number, not ${String(loss)}`)
      }
      const surrogates: number[] = []
      for (let inner = 0; inner < options.innerSteps; inner++) {
        await optimizer.minimize(async (request) => {
          const known = inner === 0 && request.evaluation === 0 && !optimizer.moves
          const at = known ? outputs : await model.outputs(request)
          checkOutputs(outputs.length, at)
          const distance = outputs.map((value, i) => at[i]! - value)
          const value = distance.reduce((sum, d, i) => sum + gradient[i]! * d + d ** 2 / (2 * rate), 0)
          if (request.evaluation === 0) surrogates.push(value)
          const cotangent = distance.map((d, i) => gradient[i]! + d / rate)
          if (request.wants.has('gradient')) await model.pullBack(request, cotangent)
          return value
        })
      }
      this.steps++
      return { loss, surrogates }
    } catch (error) {
      optimizer.load(before)
      throw error
    }
  }

  private outputRate(step: number): number {
    const rate = evaluateSchedule(this.options.outputRate, step)
    if (rate > 0 && Number.isFinite(rate)) return rate
    throw new Error(`targetSurrogate: outputRate must be a number above 0, not ${String(rate)}`)
  }
}

function checkOutputs(count: number, given: ArrayLike<number>): void {
  if (given.length === count && Array.from(given).every(Number.isFinite)) return
  throw new Error(`targetSurrogate: outputs and their gradient must be ${count} finite numbers in this step`)
}
