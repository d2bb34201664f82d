import { type Node, sizeOf } from './graph/graph.ts'
import { checkOptimizer, inputsOf, type Optimizer, type OptimizerFactory } from './language/definition.ts'
import type { Input } from './language/inputs.ts'
import { mainChain, mainRule, visit } from './language/walk.ts'
import { traceModel } from './program/model.ts'
import { canonicalize, type Loop, type Plan, planTogether } from './program/plan.ts'
import { type Program, programsOf, type VariantTree } from './program/program.ts'
import { splitHyperKey } from './program/resolve.ts'
import { pointsOf, type TracedParameter } from './program/trace.ts'
import { evaluateSchedule, type HyperValue } from './schedules/schedule.ts'

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

interface Planned {
  readonly traced: TracedParameter
  readonly plans: ReadonlyMap<Program, Plan>
  readonly size: number
  readonly hyper: (key: string) => number
}

function optimizerOf(subject: Optimizer | OptimizerFactory): Optimizer {
  if (typeof subject === 'function' && 'definition' in subject) return subject()
  checkOptimizer('the argument', subject)
  return subject
}

function planFor(optimizer: Optimizer, shape: readonly number[]): Planned {
  const model = traceModel(optimizer, { parameter: shape }, false)
  const { traced, shape: facts } = model.parameters[0]!
  if (!traced) throw new Error('this optimizer freezes the parameter: there is nothing to explain')
  const programs = [...programsOf(traced.variants), ...pointsOf(traced)]
  const plans = planTogether(programs.map(canonicalize))
  const hyper = (key: string) => {
    const value = model.hyper.get(...splitHyperKey(key))
    return typeof value === 'number' ? value : evaluateSchedule(value, 1)
  }
  return { traced, plans: new Map(programs.map((program, index) => [program, plans[index]!])), size: facts.size, hyper }
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
  const all = [...plans.values()]
  const uses = (test: (node: Node) => boolean) => all.some((plan) => plan.program.nodes.some(test))
  const matrix = all.some((plan) => plan.matrices.length > 0)
  const global = uses((node) => node.operation === 'reduce' && node.space === 'global')
  const kind = matrix
    ? 'matrix'
    : global
      ? 'global'
      : uses((node) => node.operation === 'reduce')
        ? 'reduction'
        : 'elementwise'
  const state = traced.slots.reduce(
    (bytes, slot) => bytes + (slot.residency === 'array' ? 4 * sizeOf(slot.dimensions) : 8),
    0,
  )
  const points = traced.evaluations.flatMap(({ point }) => point ?? [])
  const perParameter = (cost: (plan: Plan) => number) => {
    const before = points.reduce((sum, program) => sum + cost(plans.get(program)!), 0)
    return (before + average(traced.variants, (program) => cost(plans.get(program)!), hyper)) / Math.max(size, 1)
  }
  const read = perParameter((plan) => plan.readBytes)
  const written = perParameter((plan) => plan.writtenBytes)
  const { name, title } = mainRule(optimizer).definition
  return {
    name,
    title,
    kind,
    stateBytesPerParameter: state / Math.max(size, 1),
    readBytesPerParameter: read,
    writtenBytesPerParameter: written,
    bytesPerParameter: read + written,
    phases: Math.max(...all.map((plan) => plan.loops.length + plan.matrices.length)),
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
    ...traced.slots.map((slot) => `  ${slot.name}: ${describeSlot(slot.residency, slot.dimensions, slot.shared)}`),
    ...(traced.slots.length === 0 ? ['  none'] : []),
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
    const plan = plans.get(program)!
    lines.push('', `Phases for shape [${shape.join(', ')}]${title}`, ...describePhases(plan))
    const per = (bytes: number) => round(bytes / Math.max(size, 1))
    lines.push(
      `  total: ${per(plan.readBytes)} bytes read and ${per(plan.writtenBytes)} written per parameter, ` +
        `${per(plan.readBytes + plan.writtenBytes)} in all`,
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

function describeSlot(residency: string, dimensions: readonly number[], shared: boolean): string {
  if (residency === 'array')
    return `[${dimensions.join(', ')}], ${sizeOf(dimensions as [number, number, number])} numbers`
  return `one number ${shared ? 'for all tensors' : 'per tensor'}, kept on the ${residency}`
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
  return [...variants(tree.held, `${title}, between`), ...variants(tree.fired, `${title}, every ${count} steps`)]
}

function describePhases(plan: Plan): string[] {
  const lines: string[] = []
  let phase = 0
  for (let level = 0; level < plan.levels; level++) {
    for (const { node } of plan.scalars.filter((step) => step.level === level && step.node.operation !== 'slot')) {
      if (node.operation !== 'reduce') lines.push(`  ${scalarName(plan, node)} = ${formula(plan, node)}`)
      else if (node.inputs[0]!.space !== 'array') {
        const kind = node.attributes.kind === 'sum' ? 'sum' : 'largest'
        lines.push(`  ${scalarName(plan, node)} = ${kind} of ${operand(plan, node.inputs[0]!)} over all tensors`)
      }
    }
    for (const loop of plan.loops.filter((candidate) => candidate.level === level)) {
      lines.push(
        `  phase ${++phase}: one pass over [${loop.domain.dimensions.join(', ')}]${loop.view ? ', row by row' : ''}`,
      )
      lines.push(...describeLoop(plan, loop))
    }
    for (const { node, operands, result } of plan.matrices.filter((operation) => operation.level === level)) {
      const shape = node.inputs.map((input) => `[${input.dimensions.join(', ')}]`).join(' by ')
      const what =
        node.operation === 'matmul' ? `${operands.map(arrayName).join(' · ')}` : `${arrayName(operands[0]!)} transposed`
      lines.push(`  phase ${++phase}: ${arrayName(result)} = ${what}   ${shape}`)
    }
  }
  for (const { target, node } of plan.scalarOutputs) {
    if (target.kind === 'slot') lines.push(`  store ${slotName(target.key)} ← ${operand(plan, node)}`)
  }
  return lines
}

function slotName(key: string): string {
  return key.slice(key.lastIndexOf('.') + 1)
}

function arrayName(name: string): string {
  if (name.startsWith('slot:')) return slotName(name)
  return name.startsWith('scratch:') ? `scratch${name.slice('scratch:'.length)}` : name.replace('input:', '')
}

function scalarName(plan: Plan, node: Node): string {
  return `s${plan.scalars.findIndex((step) => step.node === node)}`
}

function operand(plan: Plan, node: Node): string {
  if (node.space === 'host') return hostFormula(node)
  if (node.operation === 'slot') return slotName(node.attributes.key!)
  return scalarName(plan, node)
}

const symbols: Partial<Record<string, string>> = {
  add: '+',
  subtract: '-',
  multiply: '*',
  divide: '/',
  power: '^',
  equal: '=',
  less: '<',
  lessOrEqual: '≤',
  and: 'and',
}

const functions: Partial<Record<string, string>> = {
  absolute: 'abs',
  squareRoot: 'sqrt',
  exponential: 'exp',
  logarithm: 'log',
  select: 'where',
}

function join(operation: string, parts: readonly string[]): string {
  const symbol = symbols[operation]
  if (symbol) return `(${parts.join(` ${symbol} `)})`
  return `${functions[operation] ?? operation}(${parts.join(', ')})`
}

function formula(plan: Plan, node: Node): string {
  return join(
    node.operation,
    node.inputs.map((input) => operand(plan, input)),
  )
}

function hostFormula(node: Node): string {
  const { value, key } = node.attributes
  if (node.operation === 'constant') return String(value)
  if (node.operation === 'hyper' || node.operation === 'slot' || node.operation === 'input') return slotName(key!)
  if (node.operation === 'count') return node.perTensor ? 't' : 'step'
  return join(node.operation, node.inputs.map(hostFormula))
}

/** The body of a loop as assignments; what is used once is written where it is used. */
function describeLoop(plan: Plan, loop: Loop): string[] {
  const uses = new Array<number>(loop.body.length).fill(0)
  for (const { inputs } of loop.body) for (const input of inputs) uses[input]!++
  for (const { register } of loop.stores) uses[register]!++
  for (const { registers } of loop.reductions) for (const register of registers) uses[register]!++
  const lines: string[] = []
  const texts: string[] = []
  loop.body.forEach(({ operation, inputs, array, node }, register) => {
    if (operation === 'load') texts.push(arrayName(array!))
    else if (operation === 'broadcast') texts.push(`${arrayName(array!)} (repeated)`)
    else if (operation === 'scalar') texts.push(operand(plan, node!))
    else if (operation === 'random')
      texts.push(`random ${node!.attributes.kind} ${node!.attributes.draw} of ${hostFormula(node!.inputs[0]!)}`)
    else if (operation === 'index') texts.push('index')
    else if (operation === 'stride') texts.push(`(index mod ${node!.attributes.period} = 0)`)
    else {
      const text = join(
        operation,
        inputs.map((input) => texts[input]!),
      )
      if (uses[register]! > 1) {
        lines.push(`    r${register} = ${text}`)
        texts.push(`r${register}`)
      } else texts.push(text)
    }
  })
  const reads = new Set(loop.body.flatMap(({ array }) => (array === undefined ? [] : [arrayName(array)])))
  const head = `    read ${[...reads].join(', ') || 'nothing'}`
  for (const { array, register } of loop.stores) lines.push(`    write ${arrayName(array)} ← ${texts[register]!}`)
  for (const { node, registers } of loop.reductions) {
    const over = {
      columns: 'the columns of each row',
      rows: 'the rows of each column',
      tensor: 'the tensor',
      all: 'all tensors',
    }
    const name =
      node.space === 'array'
        ? arrayName(plan.scratch.find((array) => array.node === node)!.name)
        : scalarName(plan, node)
    const value = registers.map((register) => texts[register]!).join(' * ')
    lines.push(`    ${node.attributes.kind} ${name} ← ${value} over ${over[node.attributes.axis!]}`)
  }
  return [head, ...lines]
}
