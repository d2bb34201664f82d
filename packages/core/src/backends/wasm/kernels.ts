/** Modules of kernels, compiled once for each set of plans and kept for the next optimizer that needs the same. */

import type { ReductionKind } from '../../graph/node.ts'
import type { CanonicalProgram } from '../../plan/canonical.ts'
import { FlatPlanner, isFlat } from '../../plan/flat-planner.ts'
import type { Plan } from '../../plan/plan.ts'
import type { RoutineName } from '../../routines/table.ts'
import { assembleModule, type FunctionBuilder, type Helpers } from './assembler.ts'
import { type Gathering, gathers, generateKernels, type KernelTable } from './generate.ts'
import { checkFinite, driver, settle } from './library.ts'
import { isRandomFunction } from './names.ts'

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

/** What only some plans need: the kernels of matrix functions, and functions that kernels call. */
export interface Parts {
  readonly gathering?: Gathering | undefined
  readonly routines: Readonly<Partial<Record<RoutineName, () => FunctionBuilder>>>
  readonly helpers: Helpers
}

/** All that any plans need, and what plans. */
export interface AllParts extends Parts {
  readonly planTogether: (programs: readonly CanonicalProgram[]) => Plan[]
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

const keyOf = (programs: readonly CanonicalProgram[], ...options: readonly boolean[]): string =>
  [...options, ...programs.map((program) => program.signature)].join('\n')

export interface KernelOptions {
  /** Whether several threads share the memory. */
  readonly shared: boolean
  /** Whether products of matrices may multiply and add at once, where the engine can. */
  readonly fused: boolean
}

/** The kernels for programs that run in the same steps. */
export function kernelsFor(programs: readonly CanonicalProgram[], options: KernelOptions): Promise<KernelSet> {
  const key = keyOf(programs, options.shared, options.fused)
  const known = cache.get(key)
  if (known) return known
  const made = compileKernels(programs, options)
  made.catch(() => cache.delete(key))
  return remember(cache, key, made)
}

/** The same for one thread in a memory of someone else, shared among threads or not, with all parts at hand. Compiles at once. */
export function foreignKernelsFor(programs: readonly CanonicalProgram[], shared: boolean, parts: AllParts): KernelSet {
  const key = keyOf(programs, shared)
  const known = foreignCache.get(key)
  if (known) return known
  const { bytes, ...rest } = generateModule(programs, parts, shared)
  const module = new WebAssembly.Module(bytes)
  compilations++
  return remember(foreignCache, key, { ...rest, module })
}

/** Plans programs and generates the module of their kernels, for one thread. */
export function generateModule(
  programs: readonly CanonicalProgram[],
  parts: AllParts,
  shared = false,
): Omit<KernelSet, 'module'> & { bytes: Uint8Array<ArrayBuffer> } {
  const plans = parts.planTogether(programs)
  const { functions, helpers, ...rest } = functionsOf(plans, parts)
  const bytes = assembleModule(functions, driver(), { ...helpers, ...parts.helpers }, shared ? [] : undefined)
  return { plans, ...rest, bytes }
}

/** Generates the functions of a set of plans, without compiling them. */
export function functionsOf(plans: readonly Plan[], parts: Parts): Generated {
  return withRoutines(generateLoops(plans, parts.gathering), plans, parts)
}

/** Functions of kernels, not yet a module. */
export interface Generated {
  readonly functions: readonly FunctionBuilder[]
  readonly tables: readonly KernelTable[]
  readonly library: LibraryIndices
  readonly helpers: Helpers
}

/** All kernels of plans but those of matrix functions. */
function generateLoops(plans: readonly Plan[], gathering: Gathering | undefined): Generated {
  const functions: FunctionBuilder[] = []
  // Plans that differ in how they are extended only, as those of matrices and of biases, have kernels alike.
  const places = new Map<string, number>()
  const add = (kernel: FunctionBuilder) => {
    const { locals, code, calls, constants } = kernel
    const text = JSON.stringify([locals, code, calls, constants])
    const place = places.get(text) ?? functions.push(kernel) - 1
    places.set(text, place)
    return place
  }
  const finite = add(checkFinite())
  const settling = add(settle())
  const totals: Partial<Record<ReductionKind, number>> = {}
  for (const kind of ['sum', 'maximum'] as const) {
    const used = plans.some(({ scalars }) => scalars.some((s) => s.kind === 'total' && s.reduction === kind))
    if (used) totals[kind] = add(gathering!.combineTotals(kind))
  }
  const helpers: Record<string, () => FunctionBuilder> = {}
  const help = (helper: FunctionBuilder) => {
    helpers[helper.name] = () => helper
  }
  const tables = plans.map((plan, index) => generateKernels(plan, `program_${index}`, add, help, gathering))
  return { functions, tables, library: { checkFinite: finite, settle: settling, totals, routines: {} }, helpers }
}

function withRoutines(generated: Generated, plans: readonly Plan[], parts: Parts): Generated {
  const functions = [...generated.functions]
  const routines: Partial<Record<RoutineName, number>> = {}
  for (const { routine } of plans.flatMap((plan) => plan.routines)) {
    routines[routine] ??= functions.push(parts.routines[routine]!()) - 1
  }
  return { ...generated, functions, library: { ...generated.library, routines } }
}

/** Loads what kernels of plans need besides themselves; most plans need nothing. */
async function partsFor({ functions, helpers }: Generated, plans: readonly Plan[], fused: boolean): Promise<Parts> {
  const all = [...functions, ...Object.values(helpers).map((make) => make())]
  const called = all.flatMap(({ calls }) => calls.map(({ name }) => name))
  const missing = [...new Set(called)].filter((name) => !Object.hasOwn(helpers, name))
  const [routines, random, mathematics] = await Promise.all([
    plans.some((plan) => plan.routines.length > 0) ? routineParts(fused) : undefined,
    missing.some(isRandomFunction) ? import('./random.ts') : undefined,
    missing.some((name) => !isRandomFunction(name)) ? import('./mathematics.ts') : undefined,
  ])
  return {
    routines: routines?.routines ?? {},
    helpers: { ...routines?.helpers, ...random?.randomFunctions, ...mathematics?.mathematicalFunctions },
  }
}

async function routineParts(fused: boolean): Promise<Parts> {
  const [{ routineFunctions, routineKernels }, { multipliesAndAdds }] = await Promise.all([
    import('./routines/kernels.ts'),
    import('./fused.ts'),
  ])
  return { routines: routineKernels(fused && multipliesAndAdds()), helpers: routineFunctions }
}

/** Most programs are planned by what is here. */
async function plansOf(programs: readonly CanonicalProgram[]): Promise<Plan[]> {
  if (programs.every(isFlat)) return programs.map((program) => new FlatPlanner(program).plan())
  const { planTogether } = await import('../../plan/planner.ts')
  return planTogether(programs)
}

async function compileKernels(
  programs: readonly CanonicalProgram[],
  { shared, fused }: KernelOptions,
): Promise<KernelSet> {
  const plans = await plansOf(programs)
  const gathering = plans.some(gathers) ? await import('./gathering.ts') : undefined
  const loops = generateLoops(plans, gathering)
  const parts = await partsFor(loops, plans, fused)
  const { functions, helpers, ...rest } = withRoutines(loops, plans, parts)
  const several = shared ? await import('./shared-driver.ts') : undefined
  const run = several?.sharedDriver() ?? driver()
  const bytes = assembleModule(functions, run, { ...helpers, ...parts.helpers }, several?.sharedImports)
  const module = await WebAssembly.compile(bytes)
  compilations++
  return { plans, ...rest, module }
}
