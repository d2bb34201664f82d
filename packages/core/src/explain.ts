import { sizeOf } from './graph/node.ts'
import { inputsOf, type Optimizer, type OptimizerFactory, optimizerOf } from './language/definition.ts'
import type { Input } from './language/inputs.ts'
import { mainChain, mainRule, visit } from './language/walk.ts'
import { argumentsOf, canonicalize } from './plan/canonical.ts'
import {
  dimensionsOf,
  type Instruction,
  type Loop,
  type LoopReduction,
  type NumberReference,
  type Plan,
  type Sizes,
} from './plan/plan.ts'
import { planTogether } from './plan/planner.ts'
import { type Traffic, trafficOf } from './plan/traffic.ts'
import { formulaOf, hostFormula, ownName } from './program/formula.ts'
import type { HostProgram } from './program/host.ts'
import { splitHyperKey } from './program/hyper-store.ts'
import { isParameterSlot, type Program, type SlotStorage, type VariantTree } from './program/program.ts'
import { programsOfStep, type TracedParameter } from './program/trace.ts'
import { traceModel } from './program/trace-model.ts'
import { routineOf } from './routines/table.ts'
import { evaluateSchedule, type HyperValue } from './schedules/schedule.ts'
import { bytesOf } from './storage/provided.ts'

/** The shape that `describe` and `explain` use unless told otherwise. */
const usualShape: readonly number[] = [1024, 1024]

/** What an optimizer costs and what it needs, read off its Plan. */
export interface Description {
  readonly name: string
  readonly title: string
  /**
   * `elementwise`: one pass. `reduction`: needs sums over a tensor, its rows or columns. `global`: needs sums over all
   * tensors. `matrix`: needs matrix products.
   */
  readonly kind: 'elementwise' | 'reduction' | 'global' | 'matrix'
  /** Bytes of state per parameter. */
  readonly stateBytesPerParameter: number
  /** Bytes read per parameter and step; on average over steps where some do more than others. */
  readonly readBytesPerParameter: number
  readonly writtenBytesPerParameter: number
  readonly bytesPerParameter: number
  /** Passes over arrays and matrix operations in one step, at most. */
  readonly phases: number
  /** What it needs besides gradients, by name. */
  readonly inputs: Readonly<Record<string, Input>>
  /** How many times it evaluates the model in a step. */
  readonly evaluations: number
}

/** A plan with what one program brings to it. */
interface Bound {
  readonly plan: Plan
  readonly sizes: Sizes
  readonly host: HostProgram
}

interface Planned {
  readonly traced: TracedParameter
  readonly plans: ReadonlyMap<Program, Bound>
  readonly size: number
  readonly hyper: (key: string) => number
}

function planFor(optimizer: Optimizer, shape: readonly number[]): Planned {
  const model = traceModel(optimizer, { parameter: shape }, false)
  const { traced, shape: facts } = model.parameters[0]!
  if (!traced) throw new Error('this optimizer freezes the parameter: there is nothing to explain')
  const programs = programsOfStep(traced)
  const canonical = programs.map(canonicalize)
  const bound = planTogether(canonical).map((plan, index) => ({
    plan,
    sizes: canonical[index]!.sizes,
    host: argumentsOf(canonical[index]!),
  }))
  const hyper = (key: string) => {
    const value = model.hyper.get(...splitHyperKey(key))
    return typeof value === 'number' ? value : evaluateSchedule(value, 1)
  }
  return { traced, plans: new Map(programs.map((program, index) => [program, bound[index]!])), size: facts.size, hyper }
}

/** The mean over steps of what programs of a tree cost, given how often each runs. */
function average(tree: VariantTree, cost: (program: Program) => number, hyper: (key: string) => number): number {
  if ('program' in tree) return cost(tree.program)
  const held = average(tree.held, cost, hyper)
  // The first steps of a long run do not count.
  if (tree.fires === 'upTo') return held
  if (tree.fires === 'after') return average(tree.fired, cost, hyper)
  const period = Math.max(1, Math.round(typeof tree.count === 'number' ? tree.count : hyper(tree.count)))
  return held + (average(tree.fired, cost, hyper) - held) / period
}

/**
 * What an optimizer costs, from its Plan for a parameter of the given shape (default 1024 x 1024).
 * @throws Error when the optimizer does not take such a parameter.
 */
export function describe(subject: Optimizer | OptimizerFactory, shape: readonly number[] = usualShape): Description {
  const optimizer = optimizerOf(subject)
  const { traced, plans, size, hyper } = planFor(optimizer, shape)
  const all = [...plans.values()].map(({ plan }) => plan)
  const kind = all.some(({ routines }) => routines.length > 0)
    ? 'matrix'
    : all.some(({ scalars }) => scalars.some((scalar) => scalar.kind === 'total'))
      ? 'global'
      : all.some(({ loops }) => loops.some(({ reductions }) => reductions.length > 0))
        ? 'reduction'
        : 'elementwise'
  const state = stateOf(traced).reduce(
    (bytes, slot) => bytes + (slot.space === 'array' ? bytesOf(slot.storage, sizeOf(slot.dimensions)) : 8),
    0,
  )
  const points = traced.evaluations.flatMap(({ point }) => point ?? [])
  const perParameter = (direction: keyof Traffic) => {
    const cost = (program: Program) => {
      const { plan, sizes } = plans.get(program)!
      return trafficOf(plan, sizes)[direction]
    }
    const before = points.reduce((sum, program) => sum + cost(program), 0)
    return (before + average(traced.variants, cost, hyper)) / Math.max(size, 1)
  }
  const read = perParameter('read')
  const written = perParameter('written')
  const { name, title } = mainRule(optimizer).definition
  return {
    name,
    title,
    kind,
    stateBytesPerParameter: state / Math.max(size, 1),
    readBytesPerParameter: read,
    writtenBytesPerParameter: written,
    bytesPerParameter: read + written,
    phases: Math.max(...all.map((plan) => plan.loops.length + plan.routines.length)),
    inputs: Object.fromEntries(mainChain(optimizer).flatMap((element) => Object.entries(inputsOf(element)))),
    evaluations: traced.evaluations.length,
  }
}

/**
 * A text for people: the rule, the phases that it becomes for a parameter of the given shape (default 1024 x 1024), and
 * the bytes they move.
 */
export function explain(subject: Optimizer | OptimizerFactory, shape: readonly number[] = usualShape): string {
  const optimizer = optimizerOf(subject)
  const { traced, plans, size } = planFor(optimizer, shape)
  const definition = mainRule(optimizer).definition
  const { paper } = definition
  const source = paper.arxiv ? `arXiv ${paper.arxiv}` : (paper.url ?? '')
  const lines = [
    `${describeChain(optimizer)}`,
    `${paper.authors} ${paper.year}: ${paper.title}${source ? `, ${source}` : ''}`,
    '',
    'Hyperparameters',
    ...describeSettings(optimizer),
    '',
    'Rule',
    ...indent(definition.rule.toString()),
    '',
    'State',
    ...stateOf(traced).map((slot) => `  ${slot.name}: ${describeSlot(slot)}`),
    ...(stateOf(traced).length === 0 ? ['  none'] : []),
    ...traced.slots.filter(isParameterSlot).flatMap(({ storage }) => ['', `Parameters are kept as ${storage}`]),
  ]
  const inputs = mainChain(optimizer).flatMap((element) => Object.entries(inputsOf(element)))
  if (inputs.length > 0) {
    lines.push(
      '',
      'Inputs besides the gradient',
      ...inputs.map(([name, { description }]) => `  ${name}: ${description}`),
    )
  }
  const points = traced.evaluations.flatMap(({ point }, index) =>
    point ? [{ title: `, to the point of evaluation ${index + 1}`, program: point }] : [],
  )
  for (const { title, program } of [...points, ...variants(traced.variants, '')]) {
    const bound = plans.get(program)!
    lines.push('', `Phases for shape [${shape.join(', ')}]${title}`, ...new PlanText(bound).phases())
    const { read, written } = trafficOf(bound.plan, bound.sizes)
    const per = (bytes: number) => round(bytes / Math.max(size, 1))
    lines.push(
      `  total: ${per(read)} bytes read and ${per(written)} written per parameter, ${per(read + written)} in all`,
    )
  }
  return lines.join('\n')
}

function round(value: number): string {
  return Number(value.toFixed(2)).toString()
}

function indent(text: string): string[] {
  const lines = text.split('\n')
  const depths = lines
    .slice(1)
    .filter((line) => line.trim() !== '')
    .map((line) => line.length - line.trimStart().length)
  const common = depths.length > 0 ? Math.min(...depths) : 0
  return lines.map((line, index) => `  ${index === 0 ? line : line.slice(common)}`)
}

/** The settings of the wrappers and of the optimizer inside, outermost first. */
function describeSettings(optimizer: Optimizer): string[] {
  return visit(optimizer, {
    base: ({ hyper, options, decay }) => {
      const fixed = Object.entries(options).map(([name, value]) => `${name} = ${value} (fixed when compiled)`)
      return [...describeHyper(hyper), ...fixed, `weight decay is ${decay}`].map((line) => `  ${line}`)
    },
    wrapped: ({ definition, hyper, inner, earlier }) => [
      ...(earlier ? describeSettings(earlier) : []),
      ...describeHyper(hyper).map((line) => `  ${definition.title}: ${line}`),
      ...describeSettings(inner),
    ],
    grouped: ({ base }) => describeSettings(base),
  })
}

function describeHyper(hyper: Readonly<Record<string, HyperValue>>): string[] {
  const show = (value: HyperValue) =>
    typeof value === 'object'
      ? `a schedule (${value.kind})`
      : typeof value === 'function'
        ? 'a function of the step'
        : value
  return Object.entries(hyper).map(([name, value]) => `${name} = ${show(value)}`)
}

function describeChain(optimizer: Optimizer): string {
  return visit(optimizer, {
    base: ({ definition }) => definition.title,
    wrapped: ({ definition, inner, earlier }) =>
      earlier
        ? `${describeChain(earlier)}, then ${describeChain(inner)}`
        : `${definition.title} around ${describeChain(inner)}`,
    grouped: ({ base, groups }) =>
      `${describeChain(base)}, with other settings for ${groups.map(({ name }) => name).join(', ')}`,
  })
}

/** The slots that hold no parameter. */
function stateOf({ slots }: TracedParameter): SlotStorage[] {
  return slots.filter((slot) => !isParameterSlot(slot))
}

function describeSlot({ space, dimensions, shared }: SlotStorage): string {
  if (space === 'array') return `[${dimensions.join(', ')}], ${sizeOf(dimensions)} numbers`
  return `one number ${shared ? 'for all tensors' : 'per tensor'}, kept on the ${space === 'host' ? 'host' : 'device'}`
}

function variants(tree: VariantTree, title: string): { title: string; program: Program }[] {
  if ('program' in tree) return [{ title, program: tree.program }]
  const count = typeof tree.count === 'number' ? tree.count : splitHyperKey(tree.count)[1]
  if (tree.fires === 'after') {
    return [...variants(tree.held, `${title}, up to step ${count}`), ...variants(tree.fired, `${title}, later`)]
  }
  if (tree.fires === 'upTo') {
    return [...variants(tree.fired, `${title}, up to step ${count}`), ...variants(tree.held, `${title}, later`)]
  }
  const beginning = tree.fires === 'fromFirst' ? ' from the first on' : ''
  const often = `${title}, every ${count} steps${beginning}`
  return [...variants(tree.held, `${title}, between`), ...variants(tree.fired, often)]
}

/** Writes a plan in words. */
class PlanText {
  private readonly plan: Plan
  private readonly sizes: Sizes
  private readonly host: HostProgram
  /** What scalars are called; what a loop gives to a total is called like the total. */
  private readonly names: string[] = []
  private readonly scratch: number[]

  constructor({ plan, sizes, host }: Bound) {
    this.plan = plan
    this.sizes = sizes
    this.host = host
    this.scratch = plan.arrays.flatMap(({ kind }, index) => (kind === 'scratch' ? [index] : []))
    const parts = plan.scalars.flatMap((scalar) =>
      scalar.kind === 'total' && scalar.part.kind === 'scalar' && plan.scalars[scalar.part.index]!.kind === 'reduced'
        ? [scalar.part.index]
        : [],
    )
    let count = 0
    plan.scalars.forEach((scalar, index) => {
      this.names[index] = scalar.kind === 'slot' ? ownName(scalar.key) : parts.includes(index) ? '' : `s${count++}`
      if (scalar.kind === 'total' && parts.includes(scalar.part.index))
        this.names[scalar.part.index] = this.names[index]!
    })
  }

  /** The order of work, a line for everything that is done. */
  phases(): string[] {
    const { plan } = this
    const lines: string[] = []
    let phase = 0
    for (const stage of plan.stages) {
      if (stage.kind === 'loops') {
        for (const index of stage.loops) {
          const loop = plan.loops[index]!
          const over = dimensionsOf(loop.extent, this.sizes).join(', ')
          lines.push(
            `  phase ${++phase}: one pass over [${over}]${loop.view ? ', row by row' : ''}`,
            ...this.loop(loop),
          )
        }
      } else if (stage.kind === 'routines') {
        for (const index of stage.routines) {
          const { routine, operands, results } = plan.routines[index]!
          const dimensions = operands.map(({ extent }) => dimensionsOf(extent, this.sizes))
          const shapes = dimensions.map((shape) => `[${shape.join(', ')}]`).join(' by ')
          const what = `${routineOf(routine).title} of ${operands.map(({ array }) => this.array(array)).join(' and ')}`
          const asked = dimensionsOf(plan.arrays[results[0]!]!.extent, this.sizes)
          const operations = routineOf(routine).operations(dimensions, asked)
          const cost = operations > 0 ? `, ${operations} operations` : ''
          lines.push(
            `  phase ${++phase}: ${results.map((array) => this.array(array)).join(', ')} = ${what}   ${shapes}${cost}`,
          )
        }
      } else if (stage.kind === 'commit') {
        for (const output of stage.outputs) {
          const { target, value } = plan.scalarOutputs[output]!
          if (target.kind === 'slot') lines.push(`  store ${ownName(target.key)} ← ${this.number(value)}`)
        }
      } else lines.push(...stage.scalars.flatMap((index) => this.scalar(index)))
    }
    return lines
  }

  private scalar(index: number): string[] {
    const scalar = this.plan.scalars[index]!
    const name = this.names[index]!
    if (scalar.kind === 'element') {
      return [
        `  ${name} = ${formulaOf(
          scalar.operation,
          scalar.inputs.map((input) => this.number(input)),
        )}`,
      ]
    }
    // What a loop gave to it says so where the loop is.
    if (scalar.kind !== 'total' || this.number(scalar.part) === name) return []
    const kind = scalar.reduction === 'sum' ? 'sum' : 'largest'
    return [`  ${name} = ${kind} of ${this.number(scalar.part)} over all tensors`]
  }

  private array(index: number): string {
    const array = this.plan.arrays[index]!
    if (array.kind === 'slot') return ownName(array.key)
    if (array.kind === 'input') return array.key
    return array.kind === 'scratch' ? `scratch${this.scratch.indexOf(index)}` : array.kind
  }

  private number({ kind, index }: NumberReference): string {
    return kind === 'scalar' ? this.names[index]! : hostFormula(this.host, this.host.results[index]!)
  }

  /** The body of a loop as assignments; what is used once is written where it is used. */
  private loop(loop: Loop): string[] {
    const uses = new Array<number>(loop.body.length).fill(0)
    for (const { inputs } of loop.body) for (const input of inputs) uses[input]!++
    for (const { register } of loop.stores) uses[register]!++
    for (const { registers } of loop.reductions) for (const register of registers) uses[register]!++
    const lines: string[] = []
    const texts: string[] = []
    loop.body.forEach((instruction, register) => {
      const text = this.instruction(instruction, texts)
      if (instruction.inputs.length > 0 && uses[register]! > 1) {
        lines.push(`    r${register} = ${text}`)
        texts.push(`r${register}`)
      } else texts.push(text)
    })
    const reads = new Set(loop.body.flatMap((use) => ('array' in use ? [this.array(use.array)] : [])))
    const head = `    read ${[...reads].join(', ') || 'nothing'}`
    for (const { array, register } of loop.stores) lines.push(`    write ${this.array(array)} ← ${texts[register]!}`)
    for (const reduction of loop.reductions) {
      const value = reduction.registers.map((register) => texts[register]!).join(' * ')
      lines.push(`    ${reduction.reduction} ${this.reduced(reduction)} ← ${value} over ${this.over(reduction)}`)
    }
    return [head, ...lines]
  }

  private instruction(instruction: Instruction, texts: readonly string[]): string {
    switch (instruction.operation) {
      case 'load':
        return this.array(instruction.array)
      case 'broadcast':
        return `${this.array(instruction.array)} (repeated)`
      case 'scalar':
        return this.number(instruction.value)
      case 'random':
        return `random ${instruction.distribution} ${instruction.draw} of ${this.number(instruction.stream[0])}`
      case 'scale': {
        const [times, over] = [instruction.times, instruction.over].map((list) =>
          list.map((value) => this.number(value)),
        )
        return `(${[texts[instruction.inputs[0]], ...times!].join(' * ')}${over!.map((number) => ` / ${number}`).join('')})`
      }
      case 'index':
        return 'index'
      case 'stride':
        return `(index mod ${instruction.period} = 0)`
      default:
        return formulaOf(
          instruction.operation,
          instruction.inputs.map((input) => texts[input]!),
        )
    }
  }

  private reduced(reduction: LoopReduction): string {
    return reduction.over === 'all' ? this.names[reduction.scalar]! : this.array(reduction.array)
  }

  private over(reduction: LoopReduction): string {
    if (reduction.over !== 'all') {
      return reduction.over === 'row' ? 'the columns of each row' : 'the rows of each column'
    }
    const total = this.plan.scalars.some(
      (scalar) => scalar.kind === 'total' && scalar.part.kind === 'scalar' && scalar.part.index === reduction.scalar,
    )
    return total ? 'all tensors' : 'the tensor'
  }
}
