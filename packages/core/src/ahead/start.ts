import { backendTensors, onHost } from '../backends/backend.ts'
import type { ProgramForm } from '../backends/forms.ts'
import { InstanceBuilder } from '../backends/wasm/builder.ts'
import type { KernelSet } from '../backends/wasm/kernels.ts'
import { wasmPrecision } from '../backends/wasm/precision.ts'
import { HyperFacts, HyperStore } from '../program/hyper-store.ts'
import type { RunModel } from '../program/model.ts'
import type { Program, VariantTree } from '../program/program.ts'
import { RunningOptimizer } from '../run/running-optimizer.ts'
import type { NonFinitePolicy } from '../run/step.ts'
import type { HyperValue } from '../schedules/schedule.ts'
import { type BuiltOptimizer, type BuiltTree, builtVersion, decodeBuilt } from './built.ts'

export interface StartOptions {
  /** What a step does when a gradient is not finite; see `compile`. Default `throw`. */
  readonly nonFinite?: NonFinitePolicy
}

/**
 * Starts an optimizer that `build` made ready: it instantiates the kernels and lays out the memory; nothing is traced, planned or
 * generated. What `build` writes calls it. One thread runs the kernels.
 *
 * @param text what `build` wrote.
 * @param schedules the schedules that it refers to, in order.
 * @throws Error when another version of Fallline has written it.
 */
export async function start<Name extends string = string, H extends string = string>(
  text: string,
  schedules: readonly HyperValue[] = [],
  { nonFinite = 'throw' }: StartOptions = {},
): Promise<RunningOptimizer<Name, H>> {
  const built = decodeBuilt(text)
  if (built.version !== builtVersion) {
    throw new Error(
      `start: this optimizer was built in form ${built.version}, and this release runs form ${builtVersion}; build it again`,
    )
  }
  const programs = built.programs.map(programOf)
  const model = modelOf(built, programs, schedules)
  const forms = new Map<Program, ProgramForm>(programs.map((program, place) => [program, built.programs[place]!]))
  const instance = await new InstanceBuilder({
    tensors: backendTensors(model),
    forms,
    kernels: await kernelsOf(built),
  }).build()
  return new RunningOptimizer<Name, H>(model, onHost(instance, wasmPrecision), {
    nonFinite,
    telemetry: built.telemetry,
  })
}

/** A program whose graph stayed where it was built: the kernels stand for its outputs. */
function programOf({ host, leaves }: BuiltOptimizer['programs'][number]): Program {
  return { dimensions: [1, 1, 1], outputs: [], arraySlots: new Set(), host, leaves }
}

async function kernelsOf({ kernels, plans, tables, library }: BuiltOptimizer): Promise<KernelSet> {
  const bytes = new Uint8Array(kernels.length)
  for (let index = 0; index < bytes.length; index++) bytes[index] = kernels.charCodeAt(index)
  return {
    plans,
    module: await moduleOf(bytes),
    tables: tables.map(({ loops, stages }) => ({ loops, stages: new Map(stages) })),
    library,
  }
}

/** At once, which engines do quickly since they compile each function when it is first called; some pages must wait. */
async function moduleOf(bytes: BufferSource): Promise<WebAssembly.Module> {
  try {
    return new WebAssembly.Module(bytes)
  } catch (error) {
    if (error instanceof RangeError) return WebAssembly.compile(bytes)
    throw error
  }
}

const namedShape = ({ name, shape }: Pick<BuiltOptimizer['parameters'][number], 'name' | 'shape'>) => ({
  name,
  shape,
  size: shape.reduce((product, size) => product * size, 1),
})

function modelOf(built: BuiltOptimizer, programs: readonly Program[], schedules: readonly HyperValue[]): RunModel {
  const treeOf = (tree: BuiltTree): VariantTree =>
    typeof tree === 'number'
      ? { program: programs[tree]! }
      : { ...tree, opens: tree.opens, held: treeOf(tree.held), fired: treeOf(tree.fired) }
  const program = (place: number | undefined) => (place === undefined ? undefined : programs[place])
  const hyper = new HyperStore()
  for (const { path, owner, values, parent, main } of built.hyper) {
    const given = Object.entries(values).map(
      ([name, value]) => [name, typeof value === 'number' ? value : schedules[value.schedule]!] as const,
    )
    hyper.entries.set(path, { owner: built.owners[owner]!, values: new Map(given), parent, main })
  }
  for (const [group, paths] of Object.entries(built.groups)) hyper.groups.set(group, [...paths])
  return {
    signature: (without) => (without ? built.statefulSignature : built.signature),
    wrappers: built.wrappers,
    hyper,
    facts: new HyperFacts(new Map(Object.entries(built.facts))),
    parameters: built.parameters.map(({ name, shape, parts, traced }) => ({
      shape: { ...namedShape({ name, shape }), ...(parts ? { parts: parts.map(namedShape) } : {}) },
      traced: traced && {
        slots: traced.slots,
        evaluations: traced.evaluations.map(({ point, wants }) => ({ point: program(point), wants })),
        origin: program(traced.origin),
        variants: treeOf(traced.variants),
        average: program(traced.average),
      },
    })),
  }
}
