/** Tracing of chains: wrappers, cadences, evaluations, inputs, random numbers, and all else that a rule may ask for. */

import { DelayingGraph } from '../graph/delaying-graph.ts'
import { type Dimensions, type Distribution, formatDimensions, type Node, sameDimensions } from '../graph/node.ts'
import { hashName } from '../graph/philox.ts'
import { WholeGraph } from '../graph/whole-graph.ts'
import {
  type BaseOptimizer,
  type CommonContext,
  type DecayStyle,
  type Evaluation,
  inputsOf,
  type OptionSpecification,
  type RandomArrays,
  type RandomSettings,
  type TransformDefinition,
  type Want,
  type WrappedOptimizer,
} from '../language/definition.ts'
import type { Input } from '../language/inputs.ts'
import { outputSide } from '../language/layout.ts'
import { type ParameterShape, type Slot, scalar, zeros } from '../language/slots.ts'
import { Value, where } from '../language/value.ts'
import { routines } from '../routines/table.ts'
import { provided } from '../storage/provided.ts'
import {
  type Firing,
  isParameterSlot,
  nodesOf,
  type Program,
  type SlotStorage,
  type Target,
  type TelemetryName,
  type VariantTree,
} from './program.ts'
import { type ChainElement, elementsOf } from './resolve.ts'
import {
  type Direction,
  isLoss,
  type Keeping,
  lossKey,
  matrixDimensions,
  ownGradient,
  slotStorage,
  Trace,
  type TracedParameter,
  type TraceSettings,
} from './trace.ts'

/** The largest float32: what is not at most this in absolute value is infinite or not a number. */
const largestFloat32 = 3.4028234663852886e38

interface Cadence {
  readonly clock: string
  readonly fires: Firing
  readonly count: number | string
  readonly opens: string | undefined
}

interface ChainDirection extends Direction {
  /** Changes to the new parameter, innermost first. */
  readonly parameterHooks: ((next: Value) => Value)[]
  /** Projections of the sequence that takes the step, innermost first. */
  readonly projections: Projection[]
}

type Projection = (value: Value) => Value

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
  const trace = (decisions: readonly boolean[] = []) => new ChainTrace(chain, shape, settings, slots, decisions, clock)
  const totals = new Map<string, number>()
  const delayed = new Map<string, SlotStorage>()
  const explore = (decisions: readonly boolean[]): VariantTree => {
    const own = trace(decisions)
    const program = own.update()
    for (const [path, count] of own.totals) totals.set(path, Math.max(count, totals.get(path) ?? 0))
    for (const slot of own.delayed) delayed.set(slot.key, slot)
    const open = own.cadences[decisions.length]
    if (!open) return { program }
    return { ...open, held: explore([...decisions, false]), fired: explore([...decisions, true]) }
  }
  let variants = explore([])
  // Which matrices wait shows only when the rule has been traced.
  if (delayed.size > 0) return traceWith(chain, shape, settings, [...slots, ...delayed.values()])
  // The way to the points and back goes by the count of wrappers that skip steps, which the first exploration shows.
  if (evaluating) clock = clockAround(evaluating.path, variants)
  if (clock !== '') variants = explore([])
  checkTotals(totals, shape, settings)
  const points = evaluating ? evaluationsOf(evaluating) : []
  const evaluations = points.map(({ wants }, index) => ({ wants, point: trace().point(evaluating!, points, index) }))
  const returns = evaluating?.optimizer.definition.origin || unprojectedOf(evaluating, slots)
  const origin = returns ? trace().originProgram() : undefined
  return {
    slots,
    variants,
    average: trace().average(),
    evaluations: evaluations.length > 0 ? evaluations : [ownGradient],
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

function slotsOf(chain: readonly ChainElement[], shape: ParameterShape, settings: TraceSettings): SlotStorage[] {
  return chain.flatMap((element) => {
    const slots: [string, Slot][] = Object.entries(element.optimizer.definition.state ?? {})
    if (element.optimizer.kind === 'base' && element.optimizer.decay === 'corrected') {
      slots.push(['largestLearningRate', scalar(0)])
    }
    if (chain.some(projects) && evaluationsOf(element).some(({ at }) => at))
      slots.push([unprojected, zeros({ exact: true })])
    return slots.flatMap((slot) => slotStorage(element, slot, shape, settings) ?? [])
  })
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

/** Traces a chain of wrappers and a rule, in one of the ways that cadences can turn out. */
class ChainTrace extends Trace {
  readonly cadences: Cadence[] = []
  /** State for matrices that wait for the next refresh, where it is not among the slots yet. */
  readonly delayed: SlotStorage[] = []
  /** What was wanted at the evaluations that lie behind. */
  private evaluated: readonly (readonly Want[])[]
  private readonly evaluations: number
  /** For every refresh of what is factored, 1 where it failed. */
  private readonly failures: Value[] = []
  private reductions = 0
  private path = ''
  private readonly chain: readonly ChainElement[]
  private readonly keeping: Keeping | undefined
  private readonly decisions: readonly boolean[]
  private readonly evaluatingClock: string
  private readonly delaying: DelayingGraph | undefined

  constructor(
    chain: readonly ChainElement[],
    shape: ParameterShape,
    settings: TraceSettings,
    slots: readonly SlotStorage[],
    decisions: readonly boolean[],
    evaluatingClock: string,
  ) {
    const graph = settings.delaysEigendecompositions ? new DelayingGraph(outputSide(shape)) : undefined
    super(shape, settings, slots, graph ?? new WholeGraph(outputSide(shape)))
    this.delaying = graph
    this.evaluatingClock = evaluatingClock
    this.chain = chain
    this.keeping = keepingOf(elementsOf(chain))
    this.decisions = decisions
    const kept = this.keptParameter()
    if (kept) this.p = this.value(this.slotNode(kept))
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
    if (next !== stands) this.storeParameter(next)
    if (this.settings.telemetry) this.addTelemetry(next)
    return this.chainProgram()
  }

  /** The program that moves the parameter to where an evaluation is to be made. */
  point(element: ChainElement, evaluations: Evaluations, index: number): Program | undefined {
    const { at } = evaluations[index]!
    if (!at) return undefined
    this.evaluated = this.evaluated.slice(0, index)
    const { title } = element.optimizer.definition
    if (this.keptParameter()) throw new Error(`${title} ${provided().parameters.pointsRefused}`)
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
    return this.chainProgram()
  }

  /** The program that undoes the points of a step. */
  originProgram(): Program {
    this.returnToOrigin()
    this.store({ kind: 'parameter' }, this.p, 'the origin')
    return this.chainProgram()
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
    return this.chainProgram()
  }

  /** A point at which the model is evaluated, within the sets that the wrappers ask for. */
  private projected(point: Value): Value {
    const projections = this.chain.filter(projects).map((wrapper) => this.projection(wrapper))
    return joined(projections.reverse())(point)
  }

  private chainProgram(): Program {
    const { graph, keeping, slots, outputs } = this
    const title = this.chain.at(-1)!.optimizer.definition.title
    return this.program(title, keeping ? keeping.write(graph, slots, outputs) : outputs)
  }

  /** Runs the wrappers from the outermost inwards and the rule; `undefined` when a wrapper holds this step. */
  private direction(chain: readonly ChainElement[], gradient: Value): ChainDirection | undefined {
    const element = chain[0]!
    if (element.optimizer.kind === 'base') {
      const found = this.rule(element as ChainElement & { optimizer: BaseOptimizer }, gradient)
      return { ...found, parameterHooks: [], projections: [] }
    }
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

  private addDecay(
    wrapper: ChainElement & { optimizer: WrappedOptimizer },
    found: ChainDirection,
    amount: Value,
  ): void {
    const { definition } = wrapper.optimizer
    if (found.apply) {
      throw new Error(
        `${definition.title} cannot act on ${found.base.definition.title}, which applies weight decay itself; ` +
          `set its weightDecay instead: ${found.base.definition.name}({ weightDecay: ... })`,
      )
    }
    found.decays.push({ style: definition.decay!, amount })
  }

  /** The new parameter, or what the rule itself makes of its direction. */
  private finish(update: ChainDirection): Value {
    const { direction, element } = update
    const project = joined(update.projections)
    if (update.apply) {
      const applied = this.within(element, () => update.apply!(direction, project))
      this.storeState(element, applied.state)
      return project(applied.parameter)
    }
    let next = project(this.moved(update))
    for (const hook of update.parameterHooks) next = hook(next)
    return project(next)
  }

  protected override rateOfDecay(style: DecayStyle, update: Direction): Value | undefined {
    return style === 'corrected'
      ? this.correctedRate(update.element, update.learningRate)
      : super.rateOfDecay(style, update)
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

  protected override furtherContext(element: ChainElement): ReturnType<Trace['furtherContext']> {
    const losses = this.evaluated.flatMap((wants, index) =>
      wants.includes('loss') ? [this.numberInput(lossKey(this.evaluations - 1 - index))] : [],
    )
    return {
      inputs: this.inputsOf(element),
      losses,
      random: this.randomOf(element),
      every: <T, U>(period: Value | number, refreshed: () => T, held: U, beginning?: 'first'): T | U =>
        this.branch(
          element,
          beginning === 'first' ? 'fromFirst' : 'multiples',
          period,
          () => this.orHeld(this.delaying ? this.delay(element, this.delaying, refreshed) : refreshed(), held),
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

  /** What is refreshed with the eigendecompositions of the matrices that the refresh before has left, if there was one. */
  private delay<T>({ path }: ChainElement, graph: DelayingGraph, refreshed: () => T): T {
    const name = `waiting${this.cadences.length}`
    const began = `${path}.${name}.began`
    const outside = graph.instead
    const waiting = new Map<Node, Node>()
    graph.instead = (matrix) => {
      const known = waiting.get(matrix)
      if (known) return known
      const { dimensions } = matrix
      const kept = { space: 'array', dimensions, start: 0, exact: true, delayed: began } as const
      const slot = this.waitingSlot(path, `${name}.matrix${waiting.size + 1}`, kept)
      const number = this.waitingSlot(path, `${name}.began`, { space: 'host', dimensions: [1, 1, 1], start: 0 })
      const hasBegun = graph.element('less', [graph.constant(0), this.slotNode(number)])
      const taken = graph.element('select', [hasBegun, this.slotNode(slot), matrix])
      if (waiting.size === 0) this.hostOutputs.push({ key: began, node: graph.constant(1) })
      this.outputs.push({ target: { kind: 'slot', key: slot.key, shared: false }, node: matrix })
      waiting.set(matrix, taken)
      return taken
    }
    const fresh = refreshed()
    graph.instead = outside
    return fresh
  }

  private waitingSlot(
    path: string,
    name: string,
    kept: Pick<SlotStorage, 'space' | 'dimensions' | 'start' | 'exact' | 'delayed'>,
  ): SlotStorage {
    const key = `${path}.${name}`
    const known = this.slots.find((slot) => slot.key === key)
    if (known) return known
    const slot: SlotStorage = { key, name, shared: false, storage: 'float32', ...kept }
    this.delayed.push(slot)
    return slot
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

  /** The slot that holds the parameter, where it is not in float32. */
  private keptParameter(): SlotStorage | undefined {
    return this.slots.find(isParameterSlot)
  }

  protected override store(target: Target, ...rest: [value: Value, what: string, slot?: SlotStorage]): void {
    const kept = target.kind === 'parameter' && this.keptParameter()
    super.store(kept ? { kind: 'slot', key: kept.key, shared: false } : target, ...rest)
  }

  protected override slotNode(slot: SlotStorage): Node {
    return slot.sharesOf ? this.keeping!.read(this.graph, slot) : super.slotNode(slot)
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

  /** Names global reductions by the element they belong to and their order in it. */
  protected override within<T>(element: ChainElement, action: () => T): T {
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

  protected override nameReduction(): string {
    return `${this.path}#${this.reductions++}`
  }
}
