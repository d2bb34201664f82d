import { checkNames } from '../../language/definition.ts'
import { type Backend, type BackendTensor, type HostExecutor, onHost } from '../backend.ts'
import { formsOf } from '../forms.ts'
import { InstanceBuilder, isPlain } from './builder.ts'
import { kernelsFor } from './kernels.ts'
import { wasmPrecision } from './precision.ts'

export interface WasmOptions {
  /**
   * How many threads run the kernels, this one included. Default 1. More than one need `SharedArrayBuffer` and workers
   * (in pages: cross-origin isolation); without them one thread does the work. Where workers are there but do not start, as
   * under a content security policy that forbids them, so it does, and a warning says why. Results are the same to the bit.
   */
  readonly threads?: number
  /**
   * Whether products of matrices multiply and add with one rounding, about twice as fast, where the engine has such instructions
   * (relaxed SIMD). Default true. Without them, and with `false`, results are the same to the bit on every engine.
   */
  readonly fusedMultiplyAdd?: boolean
}

/**
 * The WebAssembly backend: one fused SIMD kernel per distinct plan. Parameters, gradients and state lie in one memory and
 * are handed out as Float32Array views.
 * @throws Error when `threads` is not a whole number from 1 up, or `fusedMultiplyAdd` no truth value.
 */
export function wasm(options: WasmOptions = {}): Backend {
  checkNames('wasm', options, ['threads', 'fusedMultiplyAdd'])
  const { threads = 1, fusedMultiplyAdd: fused = true } = options
  if (!Number.isInteger(threads) || threads < 1)
    throw new Error(`wasm: threads must be a whole number from 1 up, not ${threads}`)
  if (typeof fused !== 'boolean') throw new Error(`wasm: fusedMultiplyAdd must be true or false, not ${String(fused)}`)
  return {
    name: 'wasm',
    create: async (tensors, memory) =>
      onHost(await createInstance(tensors, threads, fused, memory?.gradients === 'oneAtATime'), wasmPrecision),
  }
}

async function createInstance(
  tensors: readonly BackendTensor[],
  count: number,
  fused: boolean,
  oneGradient: boolean,
): Promise<HostExecutor> {
  const { forms, programs } = formsOf(tensors)
  const threads = count > 1 ? await import('./threads.ts') : undefined
  const threading = threads?.threadingOf(count)
  const kernels = await kernelsFor(programs, { shared: threading !== undefined, fused })
  const Builder = kernels.plans.every(isPlain)
    ? InstanceBuilder
    : (await import('./gathering-builder.ts')).GatheringBuilder
  try {
    return await new Builder({ tensors, forms, kernels, threading, oneGradient }).build(kernels.module)
  } catch (error) {
    if (!threads || !(error instanceof threads.ThreadsError)) throw error
    console.warn(`wasm: one thread does the work instead of ${count}, worker threads did not start: ${error.message}`)
    return createInstance(tensors, 1, fused, oneGradient)
  }
}
