import type { BaseOptimizer, DecayStyle, RuleResult, WrappedOptimizer } from '../language/definition.ts'
import { slotExists } from '../language/definition.ts'
import type { ParameterShape, Slot } from '../language/slots.ts'
import { Value, where } from '../language/value.ts'
import { type Dimensions, Graph, type Node, refuseMask } from './graph.ts'
import type { Output, Program, SlotStorage, Target, VariantTree } from './program.ts'
import type { ChainElement, HyperFacts, HyperStore } from './resolve.ts'

/** The largest float32: what is not at most this in absolute value is infinite or not a number. */
const largestFloat32 = 3.4028234663852886e38

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
}

export interface TracedParameter {
  readonly slots: readonly SlotStorage[]
  readonly variants: VariantTree
  /** Computes what to evaluate with; absent where that is the parameter. */
  readonly evaluation: Program | undefined
}

interface Cadence {
  readonly clock: string
  readonly period: number | string
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
  readonly decays: Decay[]
  readonly apply: RuleResult<string>['apply']
  readonly base: BaseOptimizer
  readonly element: ChainElement
  /** Changes to the new parameter, innermost first. */
  readonly parameterHooks: ((next: Value) => Value)[]
}

/** Traces the chain of one parameter into programs, one per combination of cadences. */
export function traceParameter(
  chain: readonly ChainElement[],
  shape: ParameterShape,
  settings: TraceSettings,
): TracedParameter {
  const slots = slotsOf(chain, shape, settings)
  const explore = (decisions: boolean[]): VariantTree => {
    const trace = new Trace(chain, shape, settings, slots, decisions)
    const program = trace.update()
    const open = trace.cadences[decisions.length]
    if (!open) return { program }
    return { ...open, held: explore([...decisions, false]), fired: explore([...decisions, true]) }
  }
  const variants = explore([])
  const evaluation = new Trace(chain, shape, settings, slots, []).evaluation()
  return { slots, variants, evaluation }
}

/** What a rule, its slots or its hooks may ask about one chain element. */
function factsOf(element: ChainElement, shape: ParameterShape, settings: TraceSettings) {
  return {
    shape,
    options: element.optimizer.kind === 'base' ? element.optimizer.options : {},
    disabled: (name: string) => settings.facts.record(settings.hyper, element.hyperPath, name),
  }
}

function slotsOf(chain: readonly ChainElement[], shape: ParameterShape, settings: TraceSettings): SlotStorage[] {
  const [batch, rows, columns] = matrixDimensions(shape.shape)
  const result: SlotStorage[] = []
  for (const element of chain) {
    const slots: [string, Slot][] = Object.entries(element.optimizer.definition.state ?? {})
    if (element.optimizer.kind === 'base' && element.optimizer.decay === 'corrected') {
      slots.push(['largestLearningRate', { kind: 'scalar', initial: 0 }])
    }
    for (const [name, slot] of slots) {
      if (!slotExists(slot, factsOf(element, shape, settings))) continue
      const key = `${element.path}.${name}`
      const shared = slot.kind === 'shared'
      const number = shared || slot.kind === 'scalar'
      const dimensions: Dimensions = number
        ? [1, 1, 1]
        : slot.kind === 'rows'
          ? [batch, rows, 1]
          : slot.kind === 'columns'
            ? [batch, 1, columns]
            : [batch, rows, columns]
      result.push({
        key,
        name,
        shared,
        dimensions,
        residency: !number ? 'array' : settings.deviceSlots.has(key) ? 'device' : 'host',
        initial: number ? slot.initial : slot.kind === 'copy' ? 'copy' : 'zeros',
      })
    }
  }
  return result
}

/** @throws Error when a hook of a transform did not return what it must. */
function checkHook(title: string, hook: string, result: unknown, name: string, otherwise = ''): void {
  const value = (result as Record<string, unknown> | undefined)?.[name]
  if (value instanceof Value) return
  throw new Error(`${title}: the hook ${hook} must return { ${name} } as a value${otherwise}, not ${String(value)}`)
}

class Trace {
  readonly cadences: Cadence[] = []
  private readonly graph = new Graph()
  private readonly outputs: Output[] = []
  private readonly hostOutputs: { key: string; node: Node }[] = []
  private readonly p: Value
  private readonly gradient: Value
  private clock = ''
  private reductions = 0
  private path = ''
  private readonly chain: readonly ChainElement[]
  private readonly shape: ParameterShape
  private readonly settings: TraceSettings
  private readonly slots: readonly SlotStorage[]
  private readonly decisions: readonly boolean[]

  constructor(
    chain: readonly ChainElement[],
    shape: ParameterShape,
    settings: TraceSettings,
    slots: readonly SlotStorage[],
    decisions: readonly boolean[],
  ) {
    this.chain = chain
    this.shape = shape
    this.settings = settings
    this.slots = slots
    this.decisions = decisions
    const dimensions = matrixDimensions(shape.shape)
    this.p = this.value(this.graph.parameter(dimensions))
    this.gradient = this.value(this.graph.gradient(dimensions))
  }

  /** The program of one update. */
  update(): Program {
    const { optimizer } = this.chain.at(-1)!
    const uphill = optimizer.kind === 'base' && optimizer.maximize
    const update = this.direction(0, uphill ? this.gradient.negated() : this.gradient)
    const next = update && this.finish(update)
    if (next) this.store({ kind: 'parameter' }, next, 'the new parameter')
    if (this.settings.telemetry) this.addTelemetry(next ?? this.p)
    return this.program()
  }

  /** The program that computes what to evaluate with, if that is not the parameter. */
  evaluation(): Program | undefined {
    const found = this.chain.filter((element) => element.optimizer.definition.evaluation)
    if (found.length > 1) {
      const titles = found.map((element) => element.optimizer.definition.title)
      throw new Error(`${titles.join(' and ')} each define what to evaluate with; use one of them`)
    }
    const element = found[0]
    if (!element) return undefined
    const { optimizer } = element
    const common = { p: this.p, state: this.stateOf(element) }
    const result =
      optimizer.kind === 'base'
        ? optimizer.definition.evaluation!({
            ...common,
            hyper: this.hyperOf(element),
            options: optimizer.options as never,
          })
        : optimizer.definition.evaluation!({ ...common, hyper: this.hyperOf(element) })
    this.store({ kind: 'evaluation' }, result, 'the evaluation parameter')
    return this.program()
  }

  private program(): Program {
    const arrays = this.slots.filter((slot) => slot.residency === 'array').map((slot) => slot.key)
    const { outputs, hostOutputs } = this
    return { dimensions: this.p.node.dimensions, outputs, arraySlots: new Set(arrays), hostOutputs }
  }

  /** Runs the wrappers from `index` inwards and the rule; `undefined` when a wrapper holds this step. */
  private direction(index: number, gradient: Value): Direction | undefined {
    const element = this.chain[index]!
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
    const found = this.direction(index + 1, inner)
    if (!found) return undefined
    this.clock = opened
    if (definition.decay && definition.decay !== 'coupled') this.addDecay(wrapper, found, context.hyper.weightDecay!)
    if (definition.direction) {
      const hook = definition.direction
      const result = this.within(element, () => hook({ ...context, g: inner, direction: found.direction }))
      checkHook(definition.title, 'direction', result, 'direction')
      this.storeState(element, result.state)
      found.direction = result.direction
    }
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
        const result = this.within(element, () => hook({ ...this.contextOf(element), next }))
        checkHook(definition.title, 'parameter', result, 'parameter')
        this.storeState(element, result.state)
        return result.parameter
      })
    }
    this.clock = clock
    return found
  }

  private rule(element: ChainElement & { optimizer: BaseOptimizer }, gradient: Value): Direction {
    const { optimizer } = element
    const { definition } = optimizer
    const hyper = this.hyperOf(element)
    const context = this.contextOf(element)
    const weightDecay = hyper.weightDecay
    let g = gradient
    if (weightDecay && optimizer.decay === 'coupled') g = g.plus(this.p.times(weightDecay))
    const zero = this.value(this.graph.constant(0))
    const result = this.within(element, () =>
      definition.rule({
        ...context,
        g,
        step: this.value(this.graph.count(this.clock, false)),
        options: optimizer.options as never,
        decay: optimizer.decay,
        disabled: (name) => this.settings.facts.record(this.settings.hyper, element.hyperPath, name),
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
      decays,
      apply: result.apply,
      base: optimizer,
      element,
      parameterHooks: [],
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
    const { direction, learningRate, element } = update
    if (update.apply) {
      const applied = this.within(element, () => update.apply!(direction))
      this.storeState(element, applied.state)
      return applied.parameter
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
    let next = (kept ? this.p.times(kept) : this.p).minus(direction.times(learningRate))
    if (shrink) next = next.over(shrink)
    for (const hook of update.parameterHooks) next = hook(next)
    return next
  }

  /** η² / η_max, with η_max the largest learning rate so far. */
  private correctedRate(element: ChainElement, learningRate: Value): Value {
    const largest = this.stateOf(element).largestLearningRate!.maximum(learningRate)
    this.storeState(element, { largestLearningRate: largest })
    return where(largest.isGreaterThan(0), learningRate.square().over(largest), 0)
  }

  private addTelemetry(next: Value): void {
    const telemetry = (name: 'gradientNorm' | 'updateNorm' | 'parameterNorm' | 'nonFinite', value: Value) =>
      this.outputs.push({ target: { kind: 'telemetry', name }, node: value.node })
    const finite = this.gradient.abs().isAtMost(largestFloat32)
    telemetry('gradientNorm', this.gradient.norm())
    telemetry('nonFinite', where(finite, 0, 1).sum())
    telemetry('parameterNorm', next.norm())
    if (next.node !== this.p.node) telemetry('updateNorm', next.minus(this.p).norm())
  }

  private contextOf(element: ChainElement) {
    return {
      p: this.p,
      t: this.value(this.graph.count(this.clock, true)),
      hyper: this.hyperOf(element),
      state: this.stateOf(element),
      shape: this.shape,
      every: <T, U>(period: Value | number, refreshed: () => T, held: U): T | U =>
        this.every(element, period, refreshed, held),
    }
  }

  private every<T, U>(element: ChainElement, period: Value | number, refreshed: () => T, held: U): T | U {
    const { title } = element.optimizer.definition
    const node = typeof period === 'number' ? this.graph.constant(period) : period.node
    if (node.operation !== 'constant' && node.operation !== 'hyper') {
      throw new Error(`${title}: the period of every() must be a number or a hyperparameter`)
    }
    const fixed = node.attributes.value
    if (fixed !== undefined && !(Number.isInteger(fixed) && fixed >= 1)) {
      throw new Error(`${title}: the period of every() must be a whole number from 1 up, not ${fixed}`)
    }
    const holds = (held as { hold?: unknown } | undefined)?.hold === true
    const opens = holds ? element.path : undefined
    const index = this.cadences.length
    this.cadences.push({ clock: this.clock, period: node.attributes.value ?? node.attributes.key!, opens })
    if (!this.decisions[index]) return held
    if (opens !== undefined) this.clock = opens
    return refreshed()
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
    const own = this.slots.filter((slot) => slot.key === `${element.path}.${slot.name}`)
    return Object.fromEntries(own.map((slot) => [slot.name, this.value(this.slotNode(slot))]))
  }

  private slotNode(slot: SlotStorage): Node {
    const space =
      slot.residency === 'array' ? 'array' : slot.residency === 'host' ? 'host' : slot.shared ? 'global' : 'tensor'
    return this.graph.slot(slot.key, space, slot.dimensions, !slot.shared)
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
      if (slot.residency === 'array')
        this.store({ kind: 'slot', key, shared: false }, value, `state '${name}' of ${title}`, slot.dimensions)
      else this.storeScalar(slot, value, title)
    }
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
    if (node.space === 'host' && slot.residency === 'host') this.hostOutputs.push({ key: slot.key, node })
    else {
      // The residency was guessed too low: note it, so that the next trace keeps this number on the device.
      this.settings.deviceSlots.add(slot.key)
      this.outputs.push({ target: { kind: 'slot', key: slot.key, shared: slot.shared }, node })
    }
  }

  private store(target: Target, value: Value, what: string, dimensions: Dimensions = this.p.node.dimensions): void {
    let { node } = value
    refuseMask(what, node)
    if (node.space === 'array') node = this.graph.view(node, dimensions)
    const [a, b] = [node.dimensions, dimensions]
    if (node.space === 'array' && (a[0] !== b[0] || a[1] !== b[1] || a[2] !== b[2])) {
      throw new Error(`${what} must have the dimensions [${b.join(', ')}], not [${a.join(', ')}]`)
    }
    this.outputs.push({ target, node })
  }

  /** Names global reductions by the element they belong to and their order in it. */
  private within<T>(element: ChainElement, action: () => T): T {
    const [path, reductions] = [this.path, this.reductions]
    this.path = element.path
    this.reductions = this.counts.get(element.path) ?? 0
    try {
      return action()
    } finally {
      this.counts.set(element.path, this.reductions)
      this.path = path
      this.reductions = reductions
    }
  }

  private readonly counts = new Map<string, number>()

  private readonly nameReduction = (): string => `${this.path}#${this.reductions++}`

  private value(node: Node): Value {
    return new Value(this.graph, node, this.nameReduction)
  }
}
