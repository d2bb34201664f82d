/** Modules of kernels, compiled once for each set of plans and kept for the next optimizer that needs the same. */

import type { ReductionKind } from '../../graph/node.ts'
import type { CanonicalProgram } from '../../plan/canonical.ts'
import type { Plan } from '../../plan/plan.ts'
import { planTogether } from '../../plan/planner.ts'
import type { RoutineName } from '../../routines/table.ts'
import { assembleModule, type FunctionBuilder, type Helpers, type ImportedFunction } from './assembler.ts'
import { generateKernels, type KernelTable } from './generate.ts'
import { checkFinite, combineTotals, driver, settle, sharedDriver, sharedImports, transpose } from './library.ts'
import { mathematicalFunctions } from './mathematics.ts'
import { matmul } from './product.ts'
import { randomFunctions } from './random.ts'

/** A compiled module with the plans it was generated from. */
export interface KernelSet {
  readonly plans: readonly Plan[]
  readonly module: WebAssembly.Module
  /** The places of the kernels of every plan in the table of functions. */
  readonly tables: readonly KernelTable[]
  /** The table indices of the kernels that do not depend on a plan, those that the plans need. */
  readonly library: LibraryIndices
}

export interface LibraryIndices {
  readonly checkFinite: number
  readonly settle: number
  readonly totals: Readonly<Partial<Record<ReductionKind, number>>>
  readonly routines: Readonly<Partial<Record<RoutineName, number>>>
}

const routineKernels: Readonly<Record<RoutineName, () => FunctionBuilder>> = {
  gram: () => matmul(true),
  product: () => matmul(false),
  transposition: transpose,
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
  tables: KernelTable[]
  library: LibraryIndices
  helpers: Helpers
} {
  const functions: FunctionBuilder[] = []
  const add = (kernel: FunctionBuilder) => functions.push(kernel) - 1
  const finite = add(checkFinite())
  const settling = add(settle())
  const totals: Partial<Record<ReductionKind, number>> = {}
  for (const kind of ['sum', 'maximum'] as const) {
    const used = plans.some(({ scalars }) => scalars.some((s) => s.kind === 'total' && s.reduction === kind))
    if (used) totals[kind] = add(combineTotals(kind))
  }
  const routines: Partial<Record<RoutineName, number>> = {}
  for (const { routine } of plans.flatMap((plan) => plan.routines)) routines[routine] ??= add(routineKernels[routine]())
  const helpers: Record<string, () => FunctionBuilder> = {}
  const help = (helper: FunctionBuilder) => {
    helpers[helper.name] = () => helper
  }
  const tables = plans.map((plan, index) => generateKernels(plan, `program_${index}`, add, help))
  return { functions, tables, library: { checkFinite: finite, settle: settling, totals, routines }, helpers }
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

/** Plans programs and generates the module of their kernels, by default for one thread in a memory of its own. */
export function generateModule(
  programs: readonly CanonicalProgram[],
  run: FunctionBuilder = driver(),
  shared?: readonly ImportedFunction[],
): Omit<KernelSet, 'module'> & { bytes: Uint8Array<ArrayBuffer> } {
  const plans = planTogether(programs)
  const { functions, tables, library, helpers } = generateFunctions(plans)
  return {
    plans,
    tables,
    library,
    bytes: assembleModule(functions, run, { ...helpers, ...mathematicalFunctions, ...randomFunctions }, shared),
  }
}
