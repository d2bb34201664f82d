/** Modules of kernels, compiled once for each set of plans and kept for the next optimizer that needs the same. */

import type { Operation, Space } from '../../graph/graph.ts'
import { type CanonicalProgram, type Plan, planTogether } from '../../program/plan.ts'
import { assembleModule, type FunctionBuilder, type ImportedFunction } from './assembler.ts'
import { generateKernels } from './generate.ts'
import {
  checkFinite,
  combineTotals,
  driver,
  matmul,
  settle,
  sharedDriver,
  sharedImports,
  transpose,
} from './library.ts'
import { mathematicalFunctions } from './mathematics.ts'
import { randomFunctions } from './random.ts'

/** A compiled module with the plans it was generated from. */
export interface KernelSet {
  readonly plans: readonly Plan[]
  readonly module: WebAssembly.Module
  /** The table index of every kernel of every plan. */
  readonly indices: readonly ReadonlyMap<string, number>[]
  /** The table indices of the kernels that do not depend on a plan, those that the plans need. */
  readonly library: LibraryIndices
}

export type LibraryIndices = Readonly<Partial<Record<'sum' | 'maximum' | 'transpose' | 'matmul', number>>> & {
  readonly checkFinite: number
  readonly settle: number
}

let compilations = 0

/** How many WebAssembly modules this process has compiled. Changing hyperparameters never adds one. */
export function compilationCount(): number {
  return compilations
}

const cacheSize = 64
const cache = new Map<string, Promise<KernelSet>>()
const foreignCache = new Map<string, KernelSet>()

function remember<T>(known: Map<string, T>, key: string, made: T): T {
  known.set(key, made)
  if (known.size > cacheSize) known.delete(known.keys().next().value!)
  return made
}

const keyOf = (programs: readonly CanonicalProgram[], shared: boolean): string =>
  [shared, ...programs.map((program) => program.signature)].join('\n')

/** The kernels for programs that run in the same steps. */
export function kernelsFor(programs: readonly CanonicalProgram[], shared: boolean): Promise<KernelSet> {
  const key = keyOf(programs, shared)
  const known = cache.get(key)
  if (known) return known
  const made = compileKernels(programs, shared)
  made.catch(() => cache.delete(key))
  return remember(cache, key, made)
}

/** The same for one thread in a memory of someone else, shared among threads or not. Compiles at once. */
export function foreignKernelsFor(programs: readonly CanonicalProgram[], shared: boolean): KernelSet {
  const key = keyOf(programs, shared)
  const known = foreignCache.get(key)
  if (known) return known
  const { bytes, ...rest } = generateModule(programs, driver(), shared ? [] : undefined)
  const module = new WebAssembly.Module(bytes)
  compilations++
  return remember(foreignCache, key, { ...rest, module })
}

/** Generates the functions of a set of plans, without compiling them. */
export function generateFunctions(plans: readonly Plan[]): {
  functions: FunctionBuilder[]
  indices: Map<string, number>[]
  library: LibraryIndices
  helpers: FunctionBuilder[]
} {
  const functions = [checkFinite(), settle()]
  const add = (needed: boolean, make: () => FunctionBuilder) => (needed ? functions.push(make()) - 1 : undefined)
  const uses = (operation: Operation, space: Space, kind?: string) =>
    plans.some(({ program }) =>
      program.nodes.some(
        (node) =>
          node.operation === operation && node.space === space && (kind === undefined || node.attributes.kind === kind),
      ),
    )
  const optional = {
    sum: add(uses('reduce', 'global', 'sum'), () => combineTotals('sum')),
    maximum: add(uses('reduce', 'global', 'maximum'), () => combineTotals('maximum')),
    transpose: add(uses('transpose', 'array'), transpose),
    matmul: add(uses('matmul', 'array'), matmul),
  }
  const helpers: FunctionBuilder[] = []
  const indices = plans.map((plan, index) => {
    const table = new Map<string, number>()
    const generated = generateKernels(plan, `program_${index}`)
    helpers.push(...generated.helpers)
    for (const [name, builder] of generated.kernels) {
      table.set(name, functions.length)
      functions.push(builder)
    }
    return table
  })
  return { functions, indices, library: { ...(optional as LibraryIndices), checkFinite: 0, settle: 1 }, helpers }
}

async function compileKernels(programs: readonly CanonicalProgram[], shared: boolean): Promise<KernelSet> {
  const { bytes, ...rest } = generateModule(
    programs,
    shared ? sharedDriver() : driver(),
    shared ? sharedImports : undefined,
  )
  const module = await WebAssembly.compile(bytes)
  compilations++
  return { ...rest, module }
}

function generateModule(
  programs: readonly CanonicalProgram[],
  driver: FunctionBuilder,
  shared: readonly ImportedFunction[] | undefined,
): Omit<KernelSet, 'module'> & { bytes: Uint8Array<ArrayBuffer> } {
  const plans = planTogether(programs)
  const { functions, indices, library, helpers } = generateFunctions(plans)
  return {
    plans,
    indices,
    library,
    bytes: assembleModule(functions, driver, [...helpers, ...mathematicalFunctions(), ...randomFunctions()], shared),
  }
}
