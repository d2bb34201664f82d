import { onHost } from '../backends/backend.ts'
import { fill, finish } from '../backends/wasm/instantiate.ts'
import { createMemory } from '../backends/wasm/memory.ts'
import { wasmPrecision } from '../backends/wasm/precision.ts'
import type { LaidOut, SlotMemory, TensorMemory } from '../backends/wasm/prepared.ts'
import { type ListWork, listApart } from '../backends/wasm/work-list.ts'
import type { HostComputation } from '../program/host.ts'
import { HyperFacts, type HyperOwner, HyperStore } from '../program/hyper-store.ts'
import type { RunModel } from '../program/model.ts'
import type { Program, VariantTree } from '../program/program.ts'
import { noInputs } from '../run/no-inputs.ts'
import { RunningOptimizer, type RunSettings } from '../run/running-optimizer.ts'
import type { NonFinitePolicy } from '../run/step.ts'
import type { HyperValue } from '../schedules/schedule.ts'
import {
  type BuiltNumbers,
  type BuiltOptimizer,
  type BuiltTree,
  builtVersion,
  bytesOfText,
  countedOut,
  relocated,
  usualOwner,
  usualRange,
} from './built.ts'

export interface StartOptions {
  /** What a step does when a gradient is not finite; see `compile`. Default `throw`. */
  readonly nonFinite?: NonFinitePolicy
}

/** What only some optimizers need, so that the others do not carry it. */
export interface StartParts {
  /** For those that take something besides gradients, or evaluate the model at points of their own. */
  readonly declaredInputs?: RunSettings['inputs']
  /** For those whose tensors wait for each other. */
  readonly listTogether?: ListWork
}

/**
 * Starts an optimizer that `build` made ready: it instantiates the kernels and fills their memory; nothing is traced, planned,
 * generated or laid out. What `build` writes calls it. One thread runs the kernels.
 *
 * @param built what `build` wrote.
 * @param schedules the schedules that it refers to, in order.
 * @param parts what only some optimizers need, as far as this one does.
 * @throws Error when another version of Fallline has written it.
 */
export async function start<Name extends string = string, H extends string = string>(
  built: BuiltOptimizer,
  schedules: readonly HyperValue[] = [],
  { nonFinite = 'throw' }: StartOptions = {},
  { declaredInputs: inputs = () => noInputs, listTogether: listWork = listApart }: StartParts = {},
): Promise<RunningOptimizer<Name, H>> {
  const { version, kernels, telemetry } = built
  if (version !== builtVersion) {
    throw new Error(
      `start: this optimizer was built in form ${version}, and this release runs form ${builtVersion}; build it again`,
    )
  }
  const programs = built.programs.map(programOf)
  const model = modelOf(built, programs, schedules)
  const laidOut = laidOutOf(built)
  const memory = createMemory(laidOut.end, false)
  fill(
    memory,
    laidOut,
    model.parameters.map(({ traced }) => ({ slots: traced?.slots ?? [] })),
  )
  const { exports } = await WebAssembly.instantiate(await moduleOf(bytesOfText(kernels)), { env: { memory } })
  const computations = built.programs.map(({ numbers }) => computationOf(numbers))
  const prepared = built.parameters.map(
    ({ origins, runs }) =>
      new Map(
        Object.entries(runs).map(([place, run]) => {
          const group = Number(place)
          const relocatedRun = relocated(run, (number) => countedOut(origins, number))
          return [programs[group]!, { ...relocatedRun, computation: computations[group]!, group }]
        }),
      ),
  )
  const instance = finish({ memory, exports, workers: undefined, laidOut, prepared, listWork, release: () => {} })
  return new RunningOptimizer<Name, H>(model, onHost(instance, wasmPrecision), { nonFinite, telemetry, inputs })
}

const computationOf = (numbers: BuiltNumbers): HostComputation => ({
  evaluate(environment, target, offset = 0) {
    const found = numbers(environment)
    for (const [index, number] of found.entries()) target[offset + index] = number
    return found.length
  },
})

/** A program whose graph stayed where it was built: the kernels stand for its outputs. */
function programOf({ host, leaves }: BuiltOptimizer['programs'][number]): Program {
  const { keys, numbers } = host ?? { keys: [], numbers: () => [] }
  const update = { keys, computation: computationOf(numbers) }
  return { dimensions: [1, 1, 1], outputs: [], arraySlots: new Set(), host: update, leaves }
}

function laidOutOf({ bytes, tables, regions, totals, library, parameters }: BuiltOptimizer): LaidOut {
  const shared = new Map<string, number>()
  const tensors = parameters.map(({ shape, traced, origins, addresses, slots, settling, inputs }): TensorMemory => {
    const out = (number: number) => countedOut(origins, number)
    const [parameter, gradient, average, finiteEntry] = addresses.map(out) as [number, number, number, number]
    const size = elementsOf(shape)
    const arrays = new Map<string, SlotMemory>()
    const numbers = new Map<string, number>()
    traced?.slots.forEach(({ key, space, shared: ofAll, dimensions, storage }, index) => {
      const address = out(slots[index]!)
      if (space === 'array') arrays.set(key, { address, size: elementsOf(dimensions), storage })
      else if (address > 0) (ofAll ? shared : numbers).set(key, address)
    })
    const floats = [...arrays.values()].filter(({ storage }) => storage === 'float32')
    return {
      parameter,
      gradient,
      average,
      finiteEntry,
      flag: finiteEntry + 8,
      size,
      arrays,
      numbers,
      inputs: new Map(
        Object.entries(inputs).map(([name, [address, length]]) => [name, { address: out(address), size: length }]),
      ),
      settling: settling.map((entry, index) => ({
        entry: out(entry),
        size: index === 0 ? size : floats[index - 1]!.size,
      })),
      pointers: { parameter: [], gradient: [] },
    }
  })
  return {
    end: bytes,
    words: parameters.flatMap(({ origins, words }) =>
      words.map((run) => {
        const [address, ...values] = run.map((number) => countedOut(origins, number))
        return { address: address!, values }
      }),
    ),
    tables: new Map(tables),
    tensors,
    regions,
    shared,
    totals: new Map(Object.entries(totals)),
    block: 0,
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

const elementsOf = (sizes: readonly number[]) => sizes.reduce((product, size) => product * size, 1)

const namedShape = ({ name, shape }: Pick<BuiltOptimizer['parameters'][number], 'name' | 'shape'>) => ({
  name,
  shape,
  size: elementsOf(shape),
})

function modelOf(built: BuiltOptimizer, programs: readonly Program[], schedules: readonly HyperValue[]): RunModel {
  const treeOf = (tree: BuiltTree): VariantTree =>
    typeof tree === 'number'
      ? { program: programs[tree]! }
      : { ...tree, opens: tree.opens, held: treeOf(tree.held), fired: treeOf(tree.fired) }
  const program = (place: number | undefined) => (place === undefined ? undefined : programs[place])
  const owners = built.owners.map((owner): HyperOwner => {
    const ranges = Object.entries(owner.hyper).map(([name, range]) => [name, { ...usualRange, ...range }] as const)
    return { ...usualOwner, ...owner, hyper: Object.fromEntries(ranges) }
  })
  const hyper = new HyperStore()
  for (const { path, owner, values, parent, main } of built.hyper) {
    const given = Object.entries(values).map(
      ([name, value]) => [name, typeof value === 'number' ? value : schedules[value.schedule]!] as const,
    )
    hyper.entries.set(path, { owner: owners[owner]!, values: new Map(given), parent, main })
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
