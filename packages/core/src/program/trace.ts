import { Graph, refuseMask } from '../graph/graph.ts'
import { type Dimensions, type Distribution, formatDimensions, type Node, sameDimensions } from '../graph/node.ts'
import { hashName } from '../graph/philox.ts'
import {
  type BaseOptimizer,
  type CommonContext,
  type DecayStyle,
  type Evaluation,
  inputsOf,
  type OptionSpecification,
  type RandomArrays,
  type RandomSettings,
  type RuleResult,
  slotExists,
  type TransformDefinition,
  type Want,
  type WrappedOptimizer,
} from '../language/definition.ts'
import type { Input } from '../language/inputs.ts'
import { outputSide } from '../language/layout.ts'
import { type ParameterShape, type Slot, type SlotFacts, scalar, zeros } from '../language/slots.ts'
import { Value, where } from '../language/value.ts'
import { routines } from '../routines/table.ts'
import { recordFact } from './declare-hyper.ts'
import type { HyperFacts, HyperStore } from './hyper-store.ts'
import {
  type Firing,
  makeProgram,
  nodesOf,
  type Output,
  type Program,
  programsOf,
  type SlotStorage,
  type Target,
  type TelemetryName,
  type VariantTree,
} from './program.ts'
import { type ChainElement, elementsOf } from './resolve.ts'

/** The largest float32: what is not at most this in absolute value is infinite or not a number. */
const largestFloat32 = 3.4028234663852886e38

/** The host value that holds the loss of an evaluation within a step, counted from the last one (0) back. */
export const lossKey = (fromEnd: number) => `loss ${fromEnd} evaluations before the last`

/** True for the loss as an input, and for the losses of evaluations within a step; an input may begin with that word too. */
export function isLoss(input: string): boolean {
  return input === 'loss' || /^loss \d+ evaluations before the last$/.test(input)
}

/** A parameter as a batch of matrices: rows and columns are the last two dimensions. */
export function matrixDimensions(shape: readonly number[]): Dimensions {
  const columns = shape.at(-1) ?? 1
  const rows = shape.at(-2) ?? 1
  const batch = shape.slice(0, -2).reduce((product, size) => product * size, 1)
  return [batch, rows, columns]
}

/** What tracing a chain needs to know besides the rule. */
export interface TraceSettings {
  readonly hyper: HyperStore
  readonly facts: HyperFacts
  readonly telemetry: boolean
  /** Keys of scalar slots known to depend on reductions; grows until it is complete. */
  readonly deviceSlots: Set<string>
  /** The wrappers that change the gradient: what they pass it on to, and whether that reads it. */
  readonly gradientReaders: Map<WrappedOptimizer, { reader: BaseOptimizer | WrappedOptimizer; reads: boolean }>
  /** The names that random numbers follow, of parameters where it is not their own. */
  readonly streams: ReadonlyMap<string, string>
  /** True where the backend keeps in float32 what could be kept exactly in less. */
  readonly plainSlots: boolean
  /** How many sums and maxima over all tensors each element takes, and for which parameter that was seen first. */
  readonly totals: Map<string, { readonly parameter: string; readonly count: number }>
}

/** An evaluation of the model within a step: how to get to its point, and what is wanted there. */
export interface TracedEvaluation {
  /** Absent where the parameter stays. */
  readonly point: Program | undefined
  readonly wants: readonly Want[]
}

export interface TracedParameter {
  readonly slots: readonly SlotStorage[]
  /** What happens before the update: one evaluation, where the parameter stands, for most optimizers. */
  readonly evaluations: readonly TracedEvaluation[]
  /** Brings the parameter back from the last point when the step fails; absent where it stays. */
  readonly origin: Program | undefined
  readonly variants: VariantTree
  /** Computes what to evaluate with; absent where that is the parameter. */
  readonly average: Program | undefined
}

/** How wrappers have the state of what they wrap kept in memory. */
export interface Keeping {
  /**
   * All slots as they are to be kept.
   * @param elements all optimizers and wrappers of a parameter.
   * @param traced what they are with all state in float32.
   */
  slots(
    elements: readonly ChainElement[],
    shape: ParameterShape,
    settings: TraceSettings,
    traced: TracedParameter,
  ): readonly SlotStorage[]
  /** The value of a slot that is kept with others. */
  read(graph: Graph, slot: SlotStorage): Node
  /** All that is stored for new values. */
  write(graph: Graph, slots: readonly SlotStorage[], outputs: readonly Output[]): readonly Output[]
}

interface Cadence {
  readonly clock: string
  readonly fires: Firing
  readonly count: number | string
  readonly opens: string | undefined
}

interface Decay {
  readonly style: DecayStyle
  readonly amount: Value
}

/** What is known of an update between the rule and the new parameter. */
interface Direction {
  direction: Value
  readonly learningRate: Value
  /** The point that is moved. */
  readonly from: Value
  readonly decays: Decay[]
  readonly apply: RuleResult<string>['apply']
  readonly base: BaseOptimizer
  readonly element: ChainElement
  /** Changes to the new parameter, innermost first. */
  readonly parameterHooks: ((next: Value) => Value)[]
  /** Projections of the sequence that takes the step, innermost first. */
  readonly projections: Projection[]
}

type Projection = (value: Value) => Value

/** The programs that run before the update: to the points of evaluations, and back. */
export function pointsOf({ evaluations, origin }: TracedParameter): Program[] {
  return [...evaluations.flatMap(({ point }) => point ?? []), ...(origin ? [origin] : [])]
}

/** All programs that a step may run: to points, back, and updates. */
export function programsOfStep(traced: TracedParameter): Program[] {
  return [...programsOf(traced.variants), ...pointsOf(traced)]
}

/** One projection after the other. */
function joined(projections: readonly Projection[]): Projection {
  return (value) => projections.reduce((projected, project) => project(projected), value)
}

/** Traces the chain of one parameter into programs, one per combination of cadences. */
export function traceParameter(
  chain: readonly ChainElement[],
  shape: ParameterShape,
  settings: TraceSettings,
): TracedParameter {
  checkSwitches(chain)
  const elements = elementsOf(chain)
  checkInputs(elements, shape)
  const traced = traceWith(chain, shape, settings, slotsOf(elements, shape, settings))
  const kept = keepingOf(elements)?.slots(elements, shape, settings, traced)
  return kept ? traceWith(chain, shape, settings, kept) : traced
}

/** How state is kept that is not in float32: all wrappers that say so do it alike. */
function keepingOf(elements: readonly ChainElement[]): Keeping | undefined {
  return elements.map(({ optimizer }) => (optimizer.definition as TransformDefinition).keeping as Keeping).find(Boolean)
}

function traceWith(
  chain: readonly ChainElement[],
  shape: ParameterShape,
  settings: TraceSettings,
  slots: readonly SlotStorage[],
): TracedParameter {
  const evaluating = evaluatingElement(chain)
  let clock = ''
  const trace = (decisions: readonly boolean[] = []) => new Trace(chain, shape, settings, slots, decisions, clock)
  const totals = new Map<string, number>()
  const explore = (decisions: readonly boolean[]): VariantTree => {
    const own = trace(decisions)
    const program = own.update()
    for (const [path, count] of own.totals) totals.set(path, Math.max(count, totals.get(path) ?? 0))
    const open = own.cadences[decisions.length]
    if (!open) return { program }
    return { ...open, held: explore([...decisions, false]), fired: explore([...decisions, true]) }
  }
  let variants = explore([])
  // The way to the points and back goes by the count of wrappers that skip steps, which the first exploration shows.
  if (evaluating) clock = clockAround(evaluating.path, variants)
  if (clock !== '') variants = explore([])
  checkTotals(totals, shape, settings)
  const points = evaluating ? evaluationsOf(evaluating) : []
  const evaluations = points.map(({ wants }, index) => ({ wants, point: trace().point(evaluating!, points, index) }))
  const returns = evaluating?.optimizer.definition.origin || unprojectedOf(evaluating, slots)
  const origin = returns ? trace().originProgram() : undefined
  const single: TracedEvaluation[] = [{ point: undefined, wants: [] }]
  return {
    slots,
    variants,
    average: trace().average(),
    evaluations: evaluations.length > 0 ? evaluations : single,
    origin,
  }
}

/**
 * What is taken over all tensors meets by its place among what its rule takes.
 * @throws Error when that is another number for this tensor than for those before, unless it is none.
 */
function checkTotals(totals: ReadonlyMap<string, number>, { name }: ParameterShape, settings: TraceSettings): void {
  for (const [path, count] of totals) {
    if (count === 0) continue
    const known = settings.totals.get(path)
    settings.totals.set(path, known ?? { parameter: name, count })
    if (known && known.count !== count) {
      throw new Error(
        `${count} sums and maxima over all tensors here but ${known.count} for '${known.parameter}', so that different ones ` +
          'would be added up; take the same for every tensor, or none',
      )
    }
  }
}

/** The clock of an element: that of the innermost wrapper around it that skips steps. */
function clockAround(path: string, tree: VariantTree): string {
  if ('program' in tree) return ''
  const around = [tree.opens ?? '', clockAround(path, tree.held), clockAround(path, tree.fired)]
  const own = around.filter((opens) => path.startsWith(`${opens}/`))
  return own.reduce((longest, opens) => (opens.length > longest.length ? opens : longest), '')
}

type Evaluations = readonly Evaluation<CommonContext<string, OptionSpecification, string, string>, string>[]

function evaluationsOf({ optimizer }: ChainElement): Evaluations {
  return optimizer.definition.evaluations?.(optimizer.options) ?? []
}

/** True for what keeps the parameter within a set. */
function projects({ optimizer }: ChainElement): boolean {
  return optimizer.kind === 'wrapped' && optimizer.definition.project !== undefined
}

/** The state from which an element whose points are projected goes on, and finds its way back. */
const unprojected = 'unprojected'

function unprojectedOf(element: ChainElement | undefined, slots: readonly SlotStorage[]): SlotStorage | undefined {
  return slots.find(({ key }) => key === `${element?.path}.${unprojected}`)
}

/** @throws Error when a side of a switch does what cannot come or go in the middle of a run. */
function checkSwitches(chain: readonly ChainElement[]): void {
  chain.forEach((element, index) => {
    if (!element.earlier) return
    const sides = [element.earlier, chain.slice(index + 1)]
    for (const side of sides.flatMap(elementsOf)) {
      const { title, average } = side.optimizer.definition
      if (average) throw new Error(`${title} has a point of its own to evaluate at and cannot be switched to or from`)
      if (evaluationsOf(side).length > 0)
        throw new Error(`${title} evaluates the model itself; put it around the switch`)
    }
    if (isUphill(sides[0]!) !== isUphill(sides[1]!)) {
      throw new Error(`${element.optimizer.definition.title}: both optimizers must maximize, or none`)
    }
    checkSwitches(element.earlier)
  })
}

function isUphill(chain: readonly ChainElement[]): boolean {
  const { optimizer } = chain.at(-1)!
  return optimizer.kind === 'base' && optimizer.maximize
}

/** The element that says where the model is evaluated in a step. */
function evaluatingElement(chain: readonly ChainElement[]): ChainElement | undefined {
  const found = chain.filter((element) => evaluationsOf(element).length > 0)
  if (found.length > 1) {
    const titles = found.map((element) => element.optimizer.definition.title)
    throw new Error(`${titles.join(' and ')} each evaluate the model several times in a step; use one of them`)
  }
  return found[0]
}

/** The dimensions of an array that the user supplies; nothing for a number. */
function inputDimensions(
  { kind, dimensions }: Input,
  shape: ParameterShape,
  { options }: BaseOptimizer | WrappedOptimizer,
): Dimensions | undefined {
  if (kind === 'number') return undefined
  return dimensions ? dimensions(shape, options) : matrixDimensions(shape.shape)
}

/** @throws Error when an input has no dimensions, or other ones for one element than for another. */
function checkInputs(elements: readonly ChainElement[], shape: ParameterShape): void {
  const found = new Map<string, { readonly text: string; readonly title: string }>()
  for (const { optimizer } of elements) {
    const { title } = optimizer.definition
    for (const [name, input] of Object.entries(inputsOf(optimizer))) {
      const dimensions = inputDimensions(input, shape, optimizer)
      const fits = dimensions?.length === 3 && dimensions.every((size) => Number.isInteger(size) && size >= 0)
      if (dimensions && !fits) {
        throw new Error(
          `${title}: the dimensions of the input '${name}' must be batch, rows and columns, whole numbers from 0 up, not ` +
            `[${String(dimensions)}]`,
        )
      }
      const text = dimensions ? `an array of ${formatDimensions(dimensions)}` : 'a number'
      const other = found.get(name)
      if (other && other.text !== text) {
        throw new Error(`the input '${name}' is ${other.text} for ${other.title}, but ${text} for ${title}; rename one`)
      }
      found.set(name, { text, title })
    }
  }
}

/** What a rule, its slots or its hooks may ask about one chain element. */
function factsOf(element: ChainElement, shape: ParameterShape, settings: TraceSettings) {
  return {
    shape,
    options: element.optimizer.options,
    disabled: (name: string) => recordFact(settings.facts, settings.hyper, element.hyperPath, name),
  }
}

function slotsOf(chain: readonly ChainElement[], shape: ParameterShape, settings: TraceSettings): SlotStorage[] {
  const result: SlotStorage[] = []
  for (const element of chain) {
    const slots: [string, Slot][] = Object.entries(element.optimizer.definition.state ?? {})
    if (element.optimizer.kind === 'base' && element.optimizer.decay === 'corrected') {
      slots.push(['largestLearningRate', scalar(0)])
    }
    if (chain.some(projects) && evaluationsOf(element).some(({ at }) => at))
      slots.push([unprojected, zeros({ exact: true })])
    for (const [name, slot] of slots) {
      if (!slotExists(slot, factsOf(element, shape, settings))) continue
      const key = `${element.path}.${name}`
      const { extent, start, exact, nonNegative, storage = 'float32' } = slot
      const number = extent === 'number'
      const shared = slot.scope === 'allTensors'
      const { title } = element.optimizer.definition
      if (number ? typeof start !== 'number' : shared) {
        const what = number ? `starts as ${start}` : 'is an array for all tensors'
        throw new Error(`${title}: state '${name}' ${what}; numbers start at numbers, and only they can be shared`)
      }
      const dimensions = slotDimensions(slot, shape, element.optimizer.options)
      result.push({
        key,
        name,
        shared,
        dimensions,
        space: !number ? 'array' : !settings.deviceSlots.has(key) ? 'host' : shared ? 'global' : 'tensor',
        start,
        storage: settings.plainSlots ? 'float32' : storage,
        ...(exact ? { exact } : {}),
        ...(nonNegative ? { nonNegative } : {}),
      })
    }
  }
  return result
}

function slotDimensions({ extent }: Slot, shape: ParameterShape, options: SlotFacts['options']): Dimensions {
  if (typeof extent === 'function') return extent(shape, options)
  const [batch, rows, columns] = matrixDimensions(shape.shape)
  switch (extent) {
    case 'elements':
      return [batch, rows, columns]
    case 'rows':
      return [batch, rows, 1]
    case 'columns':
      return [batch, 1, columns]
    case 'outputs':
    case 'inputs':
      return (extent === 'outputs') === (outputSide(shape) === 'rows')
        ? [1, shape.matrix[1], 1]
        : [1, 1, shape.matrix[2]]
    case 'number':
      return [1, 1, 1]
  }
}

/** The values in a structure of arrays and records, each with the one at its place in another, where that has the same dimensions. */
function collectPairs(fresh: unknown, held: unknown, pairs: Map<Value, Value>): void {
  if (typeof fresh !== 'object' || fresh === null || typeof held !== 'object' || held === null) return
  if (fresh instanceof Value) {
    if (held instanceof Value && sameDimensions(fresh.node.dimensions, held.node.dimensions)) pairs.set(fresh, held)
    return
  }
  for (const [key, value] of Object.entries(fresh)) {
    collectPairs(value, (held as Readonly<Record<string, unknown>>)[key], pairs)
  }
}

/** A structure of arrays and records with other values. */
function replaced<T>(structure: T, change: (value: Value) => Value): T {
  if (structure instanceof Value) return change(structure) as T
  if (Array.isArray(structure)) return structure.map((each) => replaced(each, change)) as T
  if (typeof structure !== 'object' || structure === null) return structure
  const entries = Object.entries(structure).map(([key, value]) => [key, replaced(value, change)])
  return Object.fromEntries(entries) as T
}

/** @throws Error when a hook of a transform did not return what it must. */
function checkHook(title: string, hook: string, result: unknown, name: string, otherwise = ''): void {
  const value = (result as Record<string, unknown> | undefined)?.[name]
  if (value instanceof Value) return
  throw new Error(`${title}: the hook ${hook} must return { ${name} } as a value${otherwise}, not ${String(value)}`)
}

class Trace {
  readonly cadences: Cadence[] = []
  private readonly graph: Graph
  private readonly outputs: Output[] = []
  private readonly hostOutputs: { key: string; node: Node }[] = []
  /** The parameter, or the point that the element being traced moves instead. */
  private p: Value
  private readonly gradient: Value
  /** What was wanted at the evaluations that lie behind. */
  private evaluated: readonly (readonly Want[])[]
  private readonly evaluations: number
  /** For every refresh of what is factored, 1 where it failed. */
  private readonly failures: Value[] = []
  private clock = ''
  private reductions = 0
  private path = ''
  private readonly chain: readonly ChainElement[]
  private readonly shape: ParameterShape
  private readonly settings: TraceSettings
  private readonly slots: readonly SlotStorage[]
  private readonly keeping: Keeping | undefined
  private readonly decisions: readonly boolean[]
  private readonly evaluatingClock: string

  constructor(
    chain: readonly ChainElement[],
    shape: ParameterShape,
    settings: TraceSettings,
    slots: readonly SlotStorage[],
    decisions: readonly boolean[],
    evaluatingClock: string,
  ) {
    this.evaluatingClock = evaluatingClock
    this.chain = chain
    this.shape = shape
    this.settings = settings
    this.slots = slots
    this.keeping = keepingOf(elementsOf(chain))
    this.decisions = decisions
    this.graph = new Graph(outputSide(shape))
    const dimensions = matrixDimensions(shape.shape)
    this.p = this.value(this.graph.parameter(dimensions))
    this.gradient = this.value(this.graph.gradient(dimensions))
    const evaluating = evaluatingElement(chain)
    this.evaluated = evaluating ? evaluationsOf(evaluating).map(({ wants }) => wants) : []
    this.evaluations = this.evaluated.length
  }

  /** The program of one update. */
  update(): Program {
    const stands = this.p
    this.returnToOrigin()
    const update = this.direction(this.chain, this.uphill())
    const next = update ? this.finish(update) : this.p
    if (next !== stands) this.store({ kind: 'parameter' }, next, 'the new parameter')
    if (this.settings.telemetry) this.addTelemetry(next)
    return this.program()
  }

  /** The program that moves the parameter to where an evaluation is to be made. */
  point(element: ChainElement, evaluations: Evaluations, index: number): Program | undefined {
    const { at } = evaluations[index]!
    if (!at) return undefined
    this.evaluated = this.evaluated.slice(0, index)
    const { title } = element.optimizer.definition
    this.clock = this.evaluatingClock
    const moved = unprojectedOf(element, this.slots)
    if (moved && evaluations.slice(0, index).some((before) => before.at)) this.p = this.value(this.slotNode(moved))
    const result = this.within(element, () => at({ ...this.contextOf(element), g: this.uphill() }))
    if (!(result?.parameter instanceof Value)) {
      throw new Error(`${title}: at() of an evaluation must return { parameter } as a value`)
    }
    if (this.cadences.length > 0) throw new Error(`${title}: every() has no place in at() of an evaluation`)
    this.storeState(element, result.state)
    if (moved) this.storeState(element, { [unprojected]: result.parameter })
    this.clock = ''
    this.store({ kind: 'parameter' }, this.projected(result.parameter), 'the point of an evaluation')
    if (this.hostOutputs.length > 0) {
      throw new Error(`${title}: at() of an evaluation cannot change a number that is kept on the host`)
    }
    return this.program()
  }

  /** The program that undoes the points of a step. */
  originProgram(): Program {
    this.returnToOrigin()
    this.store({ kind: 'parameter' }, this.p, 'the origin')
    return this.program()
  }

  /** The gradient of what is minimized. */
  private uphill(): Value {
    return isUphill(this.chain) ? this.gradient.negated() : this.gradient
  }

  private returnToOrigin(): void {
    const element = evaluatingElement(this.chain)
    const origin = element?.optimizer.definition.origin
    const moved = unprojectedOf(element, this.slots)
    if (moved) this.p = this.value(this.slotNode(moved))
    if (!origin) return
    this.clock = this.evaluatingClock
    this.p = this.within(element!, () => origin(this.contextOf(element!)))
    this.clock = ''
  }

  /** The program that computes what to evaluate with, if that is not the parameter. */
  average(): Program | undefined {
    const found = this.chain.flatMap((element) => {
      const { definition, options } = element.optimizer
      const context = { p: this.p, state: this.stateOf(element), options, hyper: this.hyperOf(element) }
      const value = definition.average?.(context)
      return value ? [{ optimizer: element.optimizer, value }] : []
    })
    if (found.length > 1) {
      const titles = found.map((element) => element.optimizer.definition.title)
      throw new Error(`${titles.join(' and ')} each define what to evaluate with; use one of them`)
    }
    if (!found[0]) return undefined
    this.store({ kind: 'average' }, this.projected(found[0].value), 'the average to evaluate with')
    return this.program()
  }

  /** A point at which the model is evaluated, within the sets that the wrappers ask for. */
  private projected(point: Value): Value {
    const projections = this.chain.filter(projects).map((wrapper) => this.projection(wrapper))
    return joined(projections.reverse())(point)
  }

  /** @throws Error when a truth value leads nowhere: it stood where JavaScript takes any object for true. */
  private checkConditions(): void {
    const { nodes, conditions } = this.graph
    const unused = nodes.find((node) => node.mask && !conditions.has(node))
    if (!unused) return
    const title = this.chain.at(-1)!.optimizer.definition.title
    throw new Error(
      `${title}: a truth value (${unused.operation}) is computed and nothing reads it. It cannot be the condition of if, ` +
        '?: or &&, which take every value for true: use where(condition, a, b)',
    )
  }

  private program(): Program {
    this.checkConditions()
    const arrays = this.slots.filter((slot) => slot.space === 'array').map((slot) => slot.key)
    const { graph, keeping, hostOutputs } = this
    const outputs = keeping ? keeping.write(graph, this.slots, this.outputs) : this.outputs
    return makeProgram({ dimensions: this.p.node.dimensions, outputs, arraySlots: new Set(arrays) }, hostOutputs)
  }

  /** Runs the wrappers from the outermost inwards and the rule; `undefined` when a wrapper holds this step. */
  private direction(chain: readonly ChainElement[], gradient: Value): Direction | undefined {
    const element = chain[0]!
    if (element.optimizer.kind === 'base')
      return this.rule(element as ChainElement & { optimizer: BaseOptimizer }, gradient)
    const wrapper = element as ChainElement & { optimizer: WrappedOptimizer }
    const { definition } = wrapper.optimizer
    const context = this.contextOf(element)
    const { clock } = this
    let inner = gradient
    if (definition.gradient) {
      const result = this.within(element, () => definition.gradient!({ ...context, g: gradient }))
      const holds = (result as { hold?: unknown } | undefined)?.hold === true
      if (!holds) checkHook(definition.title, 'gradient', result, 'gradient', ' or { hold: true }')
      this.storeState(element, result.state)
      if ('hold' in result) return undefined
      inner = result.gradient
    }
    if (definition.decay === 'coupled') inner = inner.plus(context.p.times(context.hyper.weightDecay!))
    const opened = this.clock
    const outer = this.p
    if (definition.innerParameter) {
      const moved = this.within(element, () => definition.innerParameter!(context))
      if (!(moved instanceof Value)) throw new Error(`${definition.title}: the hook innerParameter must return a value`)
      this.p = moved
    }
    const later = chain.slice(1)
    if (definition.gradient || definition.decay === 'coupled') inner = this.watched(inner, wrapper.optimizer, later)
    const { earlier } = element
    const chosen = earlier ? this.branch(element, 'after', context.hyper.steps!, () => later, earlier) : later
    const found = this.direction(chosen, inner)
    this.p = outer
    if (!found) return undefined
    this.clock = opened
    if (definition.decay && definition.decay !== 'coupled') this.addDecay(wrapper, found, context.hyper.weightDecay!)
    if (definition.direction) {
      const hook = definition.direction
      const result = this.within(element, () =>
        hook({ ...context, g: inner, direction: found.direction, learningRate: found.learningRate }),
      )
      checkHook(definition.title, 'direction', result, 'direction')
      this.storeState(element, result.state)
      found.direction = result.direction
    }
    if (definition.project) found.projections.push(this.projection(element))
    if (definition.parameter) {
      if (found.apply) {
        throw new Error(
          `${definition.title} changes the new parameter, but ${found.base.definition.title} moves several sequences itself ` +
            `and averages them; put wrappers that change gradients or directions around it, such as ` +
            `cautious(${found.base.definition.name}()), and leave ${definition.name} out`,
        )
      }
      const hook = definition.parameter
      found.parameterHooks.push((next) => {
        this.clock = clock
        this.p = outer
        const { learningRate } = found
        const wrapped = this.newState(found.element)
        const given = { ...this.contextOf(element), g: inner, next, learningRate, wrapped }
        const result = this.within(element, () => hook(given))
        checkHook(definition.title, 'parameter', result, 'parameter')
        this.storeState(element, result.state)
        this.replaceState(found.element, result.wrapped)
        return result.parameter
      })
    }
    this.clock = clock
    return found
  }

  /** The gradient that a wrapper passes on, which notes when something is computed with it. */
  private watched(gradient: Value, wrapper: WrappedOptimizer, later: readonly ChainElement[]): Value {
    const { gradientReaders } = this.settings
    const { optimizer } = later.find(
      (element) => element.optimizer.kind === 'base' || element.optimizer.definition.gradient,
    )!
    const use = gradientReaders.get(wrapper) ?? { reader: optimizer, reads: false }
    gradientReaders.set(wrapper, use)
    const read = () => {
      use.reads = true
      return gradient.node
    }
    return Object.create(gradient, { node: { get: read } }) as Value
  }

  private rule(element: ChainElement & { optimizer: BaseOptimizer }, gradient: Value): Direction {
    const { optimizer } = element
    const { definition } = optimizer
    const hyper = this.hyperOf(element)
    const context = this.contextOf(element)
    const weightDecay = hyper.weightDecay
    let g = gradient
    if (weightDecay && optimizer.decay === 'coupled') g = g.plus(this.p.times(weightDecay))
    if (definition.largestGradient !== undefined) g = g.limitedInSize(definition.largestGradient)
    const zero = this.value(this.graph.constant(0))
    const result = this.within(element, () =>
      definition.rule({
        ...context,
        g,
        decay: optimizer.decay,
        ownWeightDecay: optimizer.decay === 'own' && weightDecay ? weightDecay : zero,
      }),
    )
    if (!(result?.direction instanceof Value)) {
      throw new Error(
        `${definition.title}: the rule must return { direction } as a value, not ${String(result?.direction)}`,
      )
    }
    this.storeState(element, result.state)
    const learningRate = result.learningRate ?? hyper.learningRate
    if (!learningRate) throw new Error(`${definition.title}: the hyperparameters must include learningRate`)
    const decays: Decay[] = []
    if (weightDecay && optimizer.decay !== 'own' && optimizer.decay !== 'coupled' && !result.apply) {
      decays.push({ style: optimizer.decay, amount: weightDecay })
    }
    if (result.apply && optimizer.decay !== 'own' && optimizer.decay !== 'coupled') {
      throw new Error(
        `${definition.title} applies weight decay itself; leave decay out or use decay: 'coupled', not '${optimizer.decay}'`,
      )
    }
    return {
      direction: result.direction,
      learningRate,
      from: this.p,
      decays,
      apply: result.apply,
      base: optimizer,
      element,
      parameterHooks: [],
      projections: [],
    }
  }

  private addDecay(wrapper: ChainElement & { optimizer: WrappedOptimizer }, found: Direction, amount: Value): void {
    const { definition } = wrapper.optimizer
    if (found.apply) {
      throw new Error(
        `${definition.title} cannot act on ${found.base.definition.title}, which applies weight decay itself; ` +
          `set its weightDecay instead: ${found.base.definition.name}({ weightDecay: ... })`,
      )
    }
    found.decays.push({ style: definition.decay!, amount })
  }

  /** Learning rate and weight decay, once for every optimizer. */
  private finish(update: Direction): Value {
    const { direction, learningRate, element, from } = update
    const project = joined(update.projections)
    if (update.apply) {
      const applied = this.within(element, () => update.apply!(direction, project))
      this.storeState(element, applied.state)
      return project(applied.parameter)
    }
    let kept: Value | undefined
    let shrink: Value | undefined
    const one = this.value(this.graph.constant(1))
    const multiply = (product: Value | undefined, factor: Value) => product?.times(factor) ?? factor
    for (const { style, amount } of update.decays) {
      if (style === 'decoupled') kept = multiply(kept, one.minus(learningRate.times(amount)))
      else if (style === 'independent') kept = multiply(kept, one.minus(amount))
      else if (style === 'corrected')
        kept = multiply(kept, one.minus(this.correctedRate(element, learningRate).times(amount)))
      else if (style === 'proximal') shrink = multiply(shrink, one.plus(learningRate.times(amount)))
    }
    let next = (kept ? from.times(kept) : from).minus(direction.times(learningRate))
    if (shrink) next = next.over(shrink)
    next = project(next)
    for (const hook of update.parameterHooks) next = hook(next)
    return project(next)
  }

  /** What is projected already stays as it is. */
  private projection(element: ChainElement): Projection {
    const { definition, options } = element.optimizer as WrappedOptimizer
    const done = new Set<Node>()
    return (value) => {
      if (done.has(value.node)) return value
      const context = { value, hyper: this.hyperOf(element), options, shape: this.shape }
      const result = this.within(element, () => definition.project!(context))
      done.add(result.node)
      return result
    }
  }

  /** η² / η_max, with η_max the largest learning rate so far. */
  private correctedRate(element: ChainElement, learningRate: Value): Value {
    const largest = this.stateOf(element).largestLearningRate!.maximum(learningRate)
    this.storeState(element, { largestLearningRate: largest })
    return where(largest.isGreaterThan(0), learningRate.square().over(largest), 0)
  }

  private addTelemetry(next: Value): void {
    const telemetry = (name: TelemetryName, value: Value) =>
      this.outputs.push({ target: { kind: 'telemetry', name }, node: value.node })
    const finite = this.gradient.abs().isAtMost(largestFloat32)
    telemetry('gradientNorm', this.gradient.norm())
    telemetry('nonFinite', where(finite, 0, 1).sum())
    telemetry('parameterNorm', next.norm())
    if (next.node !== this.p.node) telemetry('updateNorm', next.minus(this.p).norm())
    if (this.failures.length > 0)
      telemetry(
        'failedFactorizations',
        this.failures.reduce((sum, each) => sum.plus(each)),
      )
  }

  private contextOf(element: ChainElement): CommonContext<string, OptionSpecification, string, string> {
    const losses = this.evaluated.flatMap((wants, index) =>
      wants.includes('loss') ? [this.numberInput(lossKey(this.evaluations - 1 - index))] : [],
    )
    return {
      p: this.p,
      t: this.value(this.graph.count(this.clock, true)),
      step: this.value(this.graph.count(this.clock, false)),
      hyper: this.hyperOf(element),
      state: this.stateOf(element),
      options: element.optimizer.options,
      inputs: this.inputsOf(element),
      losses,
      random: this.randomOf(element),
      shape: this.shape,
      disabled: (name) => recordFact(this.settings.facts, this.settings.hyper, element.hyperPath, name),
      every: <T, U>(period: Value | number, refreshed: () => T, held: U, beginning?: 'first'): T | U =>
        this.branch(
          element,
          beginning === 'first' ? 'fromFirst' : 'multiples',
          period,
          () => this.orHeld(refreshed(), held),
          held,
        ),
      firstSteps: <T, U>(count: Value | number, early: () => T, late: U): T | U =>
        this.branch(element, 'upTo', count, early, late),
    }
  }

  private inputsOf({ optimizer }: ChainElement): Record<string, Value> {
    const value = (name: string, input: Input) => {
      const dimensions = inputDimensions(input, this.shape, optimizer)
      return dimensions ? this.value(this.graph.input(name, dimensions)) : this.numberInput(name)
    }
    const entries = Object.entries(inputsOf(optimizer))
    return Object.fromEntries(entries.map(([name, input]) => [name, value(name, input)]))
  }

  /** A number that the user supplies; losses are of what is minimized. */
  private numberInput(name: string): Value {
    const value = this.value(this.graph.input(name, undefined))
    return isLoss(name) && isUphill(this.chain) ? value.negated() : value
  }

  private randomOf(element: ChainElement): RandomArrays {
    const draw = (kind: Distribution) => (settings: RandomSettings) => {
      const step = settings.step?.node ?? this.graph.count(this.clock, false)
      for (const node of [settings.seed.node, step]) {
        if (node.space === 'host') continue
        const { title } = element.optimizer.definition
        throw new Error(
          `${title}: seed and step of random numbers must be known before the step, not ${node.space} values`,
        )
      }
      // From here inwards: neither groups nor wrappers around change the numbers.
      const all = elementsOf(this.chain)
      const names = all.slice(all.indexOf(element)).map(({ optimizer }) => optimizer.definition.name)
      const { name } = this.shape
      const owner = settings.shared ? names : [this.settings.streams.get(name) ?? name, ...names]
      const tensor = this.graph.constant(hashName(owner.join('/')))
      const dimensions = settings.dimensions ?? matrixDimensions(this.shape.shape)
      return this.value(this.graph.random(kind, settings.draw ?? 0, [settings.seed.node, step, tensor], dimensions))
    }
    return { normal: draw('normal'), uniform: draw('uniform'), sign: draw('sign') }
  }

  private branch<T, U>(
    element: ChainElement,
    fires: Cadence['fires'],
    count: Value | number,
    fired: () => T,
    held: U,
  ): T | U {
    const { title } = element.optimizer.definition
    const [what, name] = fires === 'upTo' || fires === 'after' ? ['the count', 'firstSteps'] : ['the period', 'every']
    const node = typeof count === 'number' ? this.graph.constant(count) : count.node
    if (node.operation !== 'constant' && node.operation !== 'hyper') {
      throw new Error(`${title}: ${what} of ${name}() must be a number or a hyperparameter`)
    }
    const fixed = node.operation === 'constant' ? node.value : undefined
    if (fixed !== undefined && !(Number.isInteger(fixed) && fixed >= 1)) {
      throw new Error(`${title}: ${what} of ${name}() must be a whole number from 1 up, not ${fixed}`)
    }
    const holds = (held as { hold?: unknown } | undefined)?.hold === true
    const opens = holds || fires === 'after' ? element.path : undefined
    // What fires at every step needs no program for the others.
    if (fixed === 1 && opens === undefined && fires !== 'upTo') return fired()
    const index = this.cadences.length
    this.cadences.push({
      clock: this.clock,
      fires,
      count: node.operation === 'constant' ? node.value : node.key,
      opens,
    })
    if (!this.decisions[index]) return held
    if (opens !== undefined) this.clock = opens
    return fired()
  }

  /** What was refreshed, but what was there before where matrices were factored for it and the result is not finite. */
  private orHeld<T>(fresh: T, held: unknown): T {
    const pairs = new Map<Value, Value>()
    collectPairs(fresh, held, pairs)
    const [before, after] = [[...pairs.values()], [...pairs.keys()]].map(nodesOf) as [Set<Node>, Set<Node>]
    const calls = [...after].filter(
      (node) => !before.has(node) && node.operation === 'routine' && routines[node.routine].factors,
    )
    if (calls.length === 0) return fresh
    const failed = new Set(calls)
    for (const node of after) if (node.inputs.some((input) => failed.has(input))) failed.add(node)
    const counts = [...pairs.keys()]
      .filter(({ node }) => failed.has(node))
      .map((value) => {
        const wrong = where(value.abs().isAtMost(largestFloat32), 0, 1)
        return value.node.space === 'array' ? wrong.sum() : wrong
      })
    const fails = counts.reduce((sum, count) => sum.plus(count)).isGreaterThan(0)
    this.failures.push(where(fails, 1, 0))
    return replaced(fresh, (value) => {
      const old = pairs.get(value)
      return old && value.node.space !== 'host' ? where(fails, old, value) : value
    })
  }

  private hyperOf(element: ChainElement): Record<string, Value> {
    const names = Object.keys(element.optimizer.definition.hyper)
    return Object.fromEntries(
      names.map((name) => [
        name,
        this.value(this.graph.hyper(`${element.hyperPath}.${name}`, this.clock, element.overridden.has(name))),
      ]),
    )
  }

  private stateOf(element: ChainElement): Record<string, Value> {
    const own = this.slots.filter((slot) => slot.key === `${element.path}.${slot.name}` && !slot.scales)
    return Object.fromEntries(own.map((slot) => [slot.name, this.value(this.slotNode(slot))]))
  }

  private slotNode(slot: SlotStorage): Node {
    if (slot.sharesOf) return this.keeping!.read(this.graph, slot)
    return this.graph.slot(slot.key, slot.space, slot.dimensions, !slot.shared, slot.storage)
  }

  private storeState(element: ChainElement, state: Readonly<Partial<Record<string, Value>>> | undefined): void {
    for (const [name, value] of Object.entries(state ?? {})) {
      const key = `${element.path}.${name}`
      const slot = this.slots.find((candidate) => candidate.key === key)
      const { title } = element.optimizer.definition
      if (!slot) {
        const known = this.slots.filter((candidate) => candidate.key.startsWith(`${element.path}.`)).map((s) => s.name)
        throw new Error(
          `${title}: the rule returns state '${name}', which it does not declare here; declared: ${known.join(', ')}`,
        )
      }
      if (!(value instanceof Value))
        throw new Error(`${title}: the new state '${name}' must be a value, not ${String(value)}`)
      if (slot.space === 'array')
        this.store({ kind: 'slot', key, shared: false }, value, `state '${name}' of ${title}`, slot)
      else this.storeScalar(slot, value, title)
    }
  }

  /** The new state of an element, as far as it is on the device. */
  private newState(element: ChainElement): Record<string, Value> {
    const result: Record<string, Value> = {}
    for (const { target, node } of this.outputs) {
      if (target.kind !== 'slot' || !target.key.startsWith(`${element.path}.`)) continue
      result[target.key.slice(element.path.length + 1)] = this.value(node)
    }
    return result
  }

  /** Replaces new state that was to be stored. */
  private replaceState(element: ChainElement, state: Readonly<Partial<Record<string, Value>>> | undefined): void {
    const names = Object.keys(state ?? {})
    if (names.length === 0) return
    const kept = this.outputs.filter(
      ({ target }) => target.kind !== 'slot' || !names.some((name) => target.key === `${element.path}.${name}`),
    )
    this.outputs.splice(0, this.outputs.length, ...kept)
    this.storeState(element, state)
  }

  private storeScalar(slot: SlotStorage, value: Value, title: string): void {
    const { node } = value
    refuseMask(`state '${slot.name}' of ${title}`, node)
    if (node.space === 'array' || (slot.shared && (node.space === 'tensor' || node.perTensor))) {
      throw new Error(
        `${title}: state '${slot.name}' is one number ${slot.shared ? 'for all tensors' : 'per tensor'}, ` +
          `but its new value is ${node.space === 'array' ? 'an array' : "one tensor's own (use step, not t, sums over 'all', and hyperparameters that no group sets)"}`,
      )
    }
    if (node.space === 'host' && slot.space === 'host') this.hostOutputs.push({ key: slot.key, node })
    else {
      // The space was guessed too low: note it, so that the next trace keeps this number on the device.
      this.settings.deviceSlots.add(slot.key)
      this.outputs.push({ target: { kind: 'slot', key: slot.key, shared: slot.shared }, node })
    }
  }

  private store(
    target: Target,
    value: Value,
    what: string,
    { dimensions, storage }: Pick<SlotStorage, 'dimensions' | 'storage'> = { ...this.p.node, storage: 'float32' },
  ): void {
    let { node } = value
    refuseMask(what, node)
    if (node.space === 'array') node = this.graph.view(node, dimensions)
    const [a, b] = [node.dimensions, dimensions]
    if (node.space === 'array' && (a[0] !== b[0] || a[1] !== b[1] || a[2] !== b[2])) {
      throw new Error(`${what} must have the dimensions [${b.join(', ')}], not [${a.join(', ')}]`)
    }
    this.outputs.push({ target, node, ...(storage === 'float32' ? {} : { storage }) })
  }

  /** Names global reductions by the element they belong to and their order in it. */
  private within<T>(element: ChainElement, action: () => T): T {
    const [path, reductions] = [this.path, this.reductions]
    this.path = element.path
    this.reductions = this.totals.get(element.path) ?? 0
    try {
      return action()
    } finally {
      this.totals.set(element.path, this.reductions)
      this.path = path
      this.reductions = reductions
    }
  }

  /** How many sums and maxima over all tensors were taken, by element. */
  readonly totals = new Map<string, number>()

  private readonly nameReduction = (): string => `${this.path}#${this.reductions++}`

  private value(node: Node): Value {
    return new Value(this.graph, node, this.nameReduction)
  }
}
