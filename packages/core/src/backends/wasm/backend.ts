import { checkNames } from '../../language/definition.ts'
import { argumentsOf, type CanonicalProgram, canonicalize } from '../../plan/canonical.ts'
import type { Program } from '../../program/program.ts'
import { type Backend, type BackendTensor, type HostExecutor, onHost, programsOfTensor } from '../backend.ts'
import { InstanceBuilder, type ProgramForm } from './builder.ts'
import type { ForeignInstance } from './instance.ts'
import { foreignKernelsFor, kernelsFor } from './kernels.ts'
import { MemoryLayout } from './memory.ts'
import { wasmPrecision } from './precision.ts'
import { barrierFunctions, startThreads, ThreadsError, threadsAvailable } from './threads.ts'

export interface WasmOptions {
  /**
   * How many threads run the kernels, this one included. Default 1. More than one need `SharedArrayBuffer` and workers
   * (in pages: cross-origin isolation); without them one thread does the work. Where workers are there but do not start, as
   * under a content security policy that forbids them, so it does, and a warning says why. Results are the same to the bit.
   */
  readonly threads?: number
}

/**
 * The WebAssembly backend: one fused SIMD kernel per distinct plan. Parameters, gradients and state lie in one memory and
 * are handed out as Float32Array views.
 * @throws Error when `threads` is not a whole number from 1 up.
 */
export function wasm(options: WasmOptions = {}): Backend {
  checkNames('wasm', options, ['threads'])
  const { threads = 1 } = options
  if (!Number.isInteger(threads) || threads < 1)
    throw new Error(`wasm: threads must be a whole number from 1 up, not ${threads}`)
  const count = threadsAvailable() ? threads : 1
  return { name: 'wasm', create: async (tensors) => onHost(await createInstance(tensors, count), wasmPrecision) }
}

/** @internal memory that belongs to someone else and may grow; it holds the parameters and the gradients */
export interface ForeignMemory {
  readonly memory: WebAssembly.Memory
  /** Gives the address of that many bytes. */
  allocate(bytes: number): number
  free(address: number): void
}

/**
 * @internal An instance for one thread inside a memory that belongs to someone else: state and tables lie in one block
 * that the memory's owner allocates, parameters and gradients where `place` says. Everything happens at once.
 */
export function createForeignInstance(tensors: readonly BackendTensor[], foreign: ForeignMemory): ForeignInstance {
  const { forms, programs } = formsOf(tensors)
  const shared = typeof SharedArrayBuffer === 'function' && foreign.memory.buffer instanceof SharedArrayBuffer
  const kernels = foreignKernelsFor(programs, shared)
  const build = (start: number) =>
    new InstanceBuilder({ tensors, forms, kernels, layout: new MemoryLayout(start), foreign: true })
  const bytes = build(0).measure() + foreignAlignment
  const block = foreign.allocate(bytes)
  return build(Math.ceil(block / foreignAlignment) * foreignAlignment).buildWithin(foreign.memory, () =>
    foreign.free(block),
  )
}

/** Blocks of foreign memory come with less alignment than a cache line. */
const foreignAlignment = 64

/** The distinct programs of tensors, and what every program is to their kernels. */
export function formsOf(tensors: readonly BackendTensor[]) {
  const forms = new Map<Program, ProgramForm>()
  const programs: CanonicalProgram[] = []
  const places = new Map<string, number>()
  for (const program of tensors.flatMap(programsOfTensor)) {
    const canonical = canonicalize(program)
    const { signature, sizes } = canonical
    const plan = places.get(signature) ?? programs.push(canonical) - 1
    places.set(signature, plan)
    forms.set(program, { plan, sizes, computation: argumentsOf(canonical) })
  }
  return { forms, programs }
}

async function createInstance(tensors: readonly BackendTensor[], threads: number): Promise<HostExecutor> {
  const { forms, programs } = formsOf(tensors)
  const kernels = await kernelsFor(programs, threads > 1)
  const threading = threads > 1 ? { count: threads, functions: barrierFunctions, start: startThreads } : undefined
  try {
    return await new InstanceBuilder({ tensors, forms, kernels, threading }).build()
  } catch (error) {
    if (!(error instanceof ThreadsError)) throw error
    console.warn(`wasm: one thread does the work instead of ${threads}, worker threads did not start: ${error.message}`)
    return createInstance(tensors, 1)
  }
}
