import type { numpy as np } from '@jax-js/jax'
import {
  type CompiledOptimizer,
  type CompileOptions,
  compile,
  type EvaluationRequest,
  type Loaded,
  type LoadOptions,
  type Optimizer,
  type Rebased,
} from 'fallline'
import { Evaluator, type Found, read, release } from './evaluator.ts'
import type { Model } from './model.ts'
import { type NamedArrays, shapesOf, type Tree } from './parameters.ts'

/** Where the update is computed: by Fallline's own kernel, or as jax-js operations. */
export type TrainerPath = 'fused' | 'graph'

/** What the fused path hands on to `compile`. */
export type FusedOptions = Pick<CompileOptions, 'nonFinite' | 'backend' | 'layout'>

/** A way of taking steps. */
export interface Engine {
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

/** Takes steps with the kernels of a compiled optimizer. */
export abstract class KernelEngine implements Engine {
  readonly path = 'fused'
  protected readonly compiled: CompiledOptimizer
  protected readonly evaluator: Evaluator

  constructor(model: Model, named: NamedArrays, compiled: CompiledOptimizer) {
    this.compiled = compiled
    this.evaluator = new Evaluator(model, named)
  }

  get hyperparameters(): CompiledOptimizer {
    return this.compiled
  }

  get steps(): number {
    return this.compiled.steps
  }

  async step(batch: readonly Tree[]): Promise<np.Array> {
    let first: np.Array | undefined
    /** What evaluations leave to be freed when the step is taken. */
    const kept: np.Array[] = []
    try {
      await this.compiled.minimize(async (request) => {
        const { loss, numbers } = await this.evaluate(request, batch, kept)
        if (request.evaluation === 0) first = loss
        else kept.push(loss)
        const value = request.wants.has('loss') ? (await read(loss.ref))[0]! : undefined
        return { inputs: numbers, ...(value !== undefined && { loss: value }) }
      })
    } catch (error) {
      if (first) release([first])
      throw error
    } finally {
      release([kept, ...batch])
    }
    return first!
  }

  load(bytes: Uint8Array, options: LoadOptions): Loaded {
    return this.compiled.load(bytes, options)
  }

  dispose(): void {
    this.evaluator.dispose()
    this.compiled.dispose()
  }

  abstract parameters(): np.Array[]
  abstract evaluationParameters(): np.Array[]
  abstract save(): Promise<Uint8Array>
  abstract rebase(parameters: readonly np.Array[]): Promise<Rebased>
  abstract finish(): void

  /** Leaves gradients where the kernels read them. */
  protected abstract evaluate(request: EvaluationRequest, batch: readonly Tree[], kept: np.Array[]): Promise<Found>
}

/**
 * Compiles for a model.
 * @throws Error when it cannot supply what the optimizer needs, or the rule does not fit the parameters.
 */
export async function compileFor(
  model: Model,
  optimizer: Optimizer,
  named: NamedArrays,
  { nonFinite, backend, layout }: FusedOptions,
): Promise<CompiledOptimizer> {
  const compiled = await compile(optimizer, shapesOf(named), {
    ...(layout && { layout }),
    ...(nonFinite && { nonFinite }),
    ...(backend && { backend }),
  })
  try {
    model.check('createTrainer', compiled.needs)
  } catch (error) {
    compiled.dispose()
    throw error
  }
  return compiled
}
