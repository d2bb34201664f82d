import { Beyond, Graph, refuseMask } from '../graph/graph.ts'
import type { Dimensions, Node } from '../graph/node.ts'
import {
  type BaseOptimizer,
  type CommonContext,
  type DecayStyle,
  type OptionSpecification,
  type RuleResult,
  slotExists,
  type Want,
  type WrappedOptimizer,
} from '../language/definition.ts'
import { outputSide } from '../language/layout.ts'
import type { ParameterShape, Slot, SlotFacts } from '../language/slots.ts'
import { Value } from '../language/value.ts'
import { recordFact } from './declare-hyper.ts'
import type { HyperFacts, HyperStore } from './hyper-store.ts'
import {
  makeProgram,
  type Output,
  type Program,
  programsOf,
  type SlotStorage,
  type Target,
  type VariantTree,
} from './program.ts'
import type { ChainElement } from './resolve.ts'
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
  /** True where eigendecompositions that are refreshed now and then are those of the matrix at the refresh before. */
  readonly delaysEigendecompositions: boolean
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

/** The evaluation of most optimizers: where the parameter stands. */
export const ownGradient: TracedEvaluation = { point: undefined, wants: [] }

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

export interface Decay {
  readonly style: DecayStyle
  readonly amount: Value
}

/** What is known of an update between the rule and the new parameter. */
export interface Direction {
  direction: Value
  readonly learningRate: Value
  /** The point that is moved. */
  readonly from: Value
  readonly decays: Decay[]
  readonly apply: RuleResult<string>['apply']
  readonly base: BaseOptimizer
  readonly element: ChainElement
}

/** The programs that run before the update: to the points of evaluations, and back. */
export function pointsOf({ evaluations, origin }: TracedParameter): Program[] {
  return [...evaluations.flatMap(({ point }) => point ?? []), ...(origin ? [origin] : [])]
}

/** All programs that a step may run: to points, back, and updates. */
export function programsOfStep(traced: TracedParameter): Program[] {
  return [...programsOf(traced.variants), ...pointsOf(traced)]
}

/** What a rule, its slots or its hooks may ask about one chain element. */
export function factsOf(element: ChainElement, shape: ParameterShape, settings: TraceSettings) {
  return {
    shape,
    options: element.optimizer.options,
    disabled: (name: string) => recordFact(settings.facts, settings.hyper, element.hyperPath, name),
  }
}

/** How a piece of state is kept; nothing when the optimizer has it not here. */
export function slotStorage(
  element: ChainElement,
  [name, slot]: readonly [string, Slot],
  shape: ParameterShape,
  settings: TraceSettings,
): SlotStorage | undefined {
  if (!slotExists(slot, factsOf(element, shape, settings))) return undefined
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
  return {
    key,
    name,
    shared,
    dimensions,
    space: !number ? 'array' : !settings.deviceSlots.has(key) ? 'host' : shared ? 'global' : 'tensor',
    start,
    storage: settings.plainSlots ? 'float32' : storage,
    ...(exact ? { exact } : {}),
    ...(nonNegative ? { nonNegative } : {}),
  }
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

type FurtherContext = Pick<
  CommonContext<string, OptionSpecification, string, string>,
  'inputs' | 'losses' | 'random' | 'every' | 'firstSteps'
>

const refuse = (): never => {
  throw new Beyond()
}

const beyond: FurtherContext = {
  inputs: {},
  losses: [],
  random: { normal: refuse, uniform: refuse, sign: refuse },
  every: refuse,
  firstSteps: refuse,
}

/** Traces a rule that goes by the gradient alone. @throws Beyond when it turns out that it does not. */
export function traceRule(
  element: ChainElement & { readonly optimizer: BaseOptimizer },
  shape: ParameterShape,
  settings: TraceSettings,
): TracedParameter {
  const state = Object.entries<Slot>(element.optimizer.definition.state ?? {})
  const slots = state.flatMap((slot) => slotStorage(element, slot, shape, settings) ?? [])
  const program = new Trace(shape, settings, slots).alone(element)
  return { slots, variants: { program }, evaluations: [ownGradient], origin: undefined, average: undefined }
}

/** Tracing of one rule, which goes by the gradient alone. */
export class Trace {
  protected readonly graph: Graph
  protected readonly outputs: Output[] = []
  protected readonly hostOutputs: { key: string; node: Node }[] = []
  /** The parameter, or the point that the element being traced moves instead. */
  protected p: Value
  protected readonly gradient: Value
  protected clock = ''
  protected readonly shape: ParameterShape
  protected readonly settings: TraceSettings
  protected readonly slots: readonly SlotStorage[]

  constructor(
    shape: ParameterShape,
    settings: TraceSettings,
    slots: readonly SlotStorage[],
    graph = new Graph(outputSide(shape)),
  ) {
    this.shape = shape
    this.settings = settings
    this.slots = slots
    this.graph = graph
    const dimensions = matrixDimensions(shape.shape)
    this.p = this.value(this.graph.parameter(dimensions))
    this.gradient = this.value(this.graph.gradient(dimensions))
  }

  /** The program of an update by a rule without anything around it. */
  alone(element: ChainElement & { optimizer: BaseOptimizer }): Program {
    const { optimizer } = element
    const update = this.rule(element, optimizer.maximize ? this.gradient.negated() : this.gradient)
    if (update.apply) throw new Beyond()
    const next = this.moved(update)
    if (next !== this.p) this.storeParameter(next)
    return this.program(optimizer.definition.title, this.outputs)
  }

  protected storeParameter(next: Value): void {
    this.store({ kind: 'parameter' }, next, 'the new parameter')
  }

  /** @throws Error when a truth value leads nowhere: it stood where JavaScript takes any object for true. */
  private checkConditions(title: string): void {
    const { nodes, conditions } = this.graph
    const unused = nodes.find((node) => node.mask && !conditions.has(node))
    if (!unused) return
    throw new Error(
      `${title}: a truth value (${unused.operation}) is computed and nothing reads it. It cannot be the condition of if, ` +
        '?: or &&, which take every value for true: use where(condition, a, b)',
    )
  }

  /** @param title of the rule. */
  protected program(title: string, outputs: readonly Output[]): Program {
    this.checkConditions(title)
    const arrays = this.slots.filter((slot) => slot.space === 'array').map((slot) => slot.key)
    return makeProgram({ dimensions: this.p.node.dimensions, outputs, arraySlots: new Set(arrays) }, this.hostOutputs)
  }

  protected rule(element: ChainElement & { optimizer: BaseOptimizer }, gradient: Value): Direction {
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
    }
  }

  /** Learning rate and weight decay, once for every optimizer. */
  protected moved(update: Direction): Value {
    const { direction, learningRate, from } = update
    let kept: Value | undefined
    let shrink: Value | undefined
    const one = this.value(this.graph.constant(1))
    const multiply = (product: Value | undefined, factor: Value) => product?.times(factor) ?? factor
    for (const { style, amount } of update.decays) {
      if (style === 'proximal') shrink = multiply(shrink, one.plus(learningRate.times(amount)))
      else kept = multiply(kept, one.minus(this.rateOfDecay(style, update)?.times(amount) ?? amount))
    }
    const next = (kept ? from.times(kept) : from).minus(direction.times(learningRate))
    return shrink ? next.over(shrink) : next
  }

  /** What a decay in steps is multiplied with; nothing for one that is independent of the learning rate. */
  protected rateOfDecay(style: DecayStyle, { learningRate }: Direction): Value | undefined {
    return style === 'independent' ? undefined : learningRate
  }

  protected contextOf(element: ChainElement): CommonContext<string, OptionSpecification, string, string> {
    return {
      p: this.p,
      t: this.value(this.graph.count(this.clock, true)),
      step: this.value(this.graph.count(this.clock, false)),
      hyper: this.hyperOf(element),
      state: this.stateOf(element),
      options: element.optimizer.options,
      shape: this.shape,
      disabled: (name) => recordFact(this.settings.facts, this.settings.hyper, element.hyperPath, name),
      ...this.furtherContext(element),
    }
  }

  /** What only some rules ask for. */
  protected furtherContext(_element: ChainElement): FurtherContext {
    return beyond
  }

  protected hyperOf(element: ChainElement): Record<string, Value> {
    const names = Object.keys(element.optimizer.definition.hyper)
    return Object.fromEntries(
      names.map((name) => [
        name,
        this.value(this.graph.hyper(`${element.hyperPath}.${name}`, this.clock, element.overridden.has(name))),
      ]),
    )
  }

  protected stateOf(element: ChainElement): Record<string, Value> {
    const own = this.slots.filter((slot) => slot.key === `${element.path}.${slot.name}` && !slot.scales)
    return Object.fromEntries(own.map((slot) => [slot.name, this.value(this.slotNode(slot))]))
  }

  protected slotNode(slot: SlotStorage): Node {
    return this.graph.slot(slot.key, slot.space, slot.dimensions, !slot.shared, slot.storage)
  }

  protected storeState(element: ChainElement, state: Readonly<Partial<Record<string, Value>>> | undefined): void {
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

  protected storeScalar(slot: SlotStorage, value: Value, title: string): void {
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

  protected store(
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

  /** Does something in the name of an element. */
  protected within<T>(_element: ChainElement, action: () => T): T {
    return action()
  }

  /** Names reductions over all tensors. */
  protected nameReduction(): string {
    throw new Beyond()
  }

  protected value(node: Node): Value {
    return new Value(this.graph, node, this.named)
  }

  private readonly named = (): string => this.nameReduction()
}
