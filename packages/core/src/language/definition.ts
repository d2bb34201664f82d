import type { Dimensions } from '../graph/node.ts'
import { type HyperValue, isSchedule } from '../schedules/schedule.ts'
import {
  checkOrder,
  type Hyperparameter,
  type HyperRange,
  type Ordered,
  type SearchRange,
  validateHyperparameter,
} from './hyperparameters.ts'
import type { Input } from './inputs.ts'
import type { ParameterShape, Slot, SlotFacts } from './slots.ts'
import { didYouMean } from './suggest.ts'
import type { Value } from './value.ts'

/** Where a method was published. */
export interface Paper {
  readonly title: string
  readonly authors: string
  readonly year: number
  /** The arXiv identifier. */
  readonly arxiv?: string
  /** A page, where there is no arXiv entry. */
  readonly url?: string
}

/**
 * How weight decay λ acts with learning rate η.
 * - `decoupled`: θ ← (1 - ηλ) θ before the step (Loshchilov and Hutter 2019).
 * - `independent`: θ ← (1 - λ) θ before the step, whatever the learning rate.
 * - `corrected`: θ ← (1 - λ η² / η_max) θ before the step, η_max the largest rate so far (Defazio 2025, AdamC).
 * - `proximal`: θ ← θ / (1 + ηλ) after the step (Adan).
 * - `coupled`: g ← g + λ θ before everything else (L2 regularization).
 * - `own`: the rule itself says where decay enters (LAMB puts it inside the trust ratio).
 */
export type DecayStyle = 'decoupled' | 'independent' | 'corrected' | 'proximal' | 'coupled' | 'own'

/** Families of optimizers, by what is peculiar about their step; each with its title for lists and pages. */
export const families = {
  momentum: 'Gradient descent and momentum',
  adaptive: 'A step size per element',
  sign: 'Signs and other maps of the momentum',
  layerwise: 'A step size per layer',
  stepSize: 'Find their own step size',
  averaging: 'Averages instead of schedules',
  matrix: 'Treat matrices as matrices',
  curvature: 'Use second derivatives',
  gradientFree: 'Work without gradients',
} as const

export type Family = keyof typeof families

export type HyperSpecification = Readonly<Record<string, Hyperparameter>>
export type OptionSpecification = Readonly<Record<string, boolean | string | number>>
export type SlotSpecification = Readonly<Record<string, Slot>>

/** A string option may take the values listed in `choices`; booleans and numbers widen to their type. */
type OptionValue<T> = T extends boolean ? boolean : T extends number ? number : T

/** Where random numbers come from: equal streams give equal numbers on every backend and with any number of threads. */
export interface RandomSettings {
  /** A hyperparameter, as declared by `seed()`. */
  readonly seed: Value
  /** Which of the arrays drawn in a step; default 0. */
  readonly draw?: number
  /** What changes the numbers from step to step; default the number of the step. */
  readonly step?: Value
  /** `[batch, rows, columns]`; default those of the parameter. */
  readonly dimensions?: Dimensions
  /** The same numbers in every tensor; default false. */
  readonly shared?: boolean
}

/** Arrays of random numbers, computed where they are used and never stored. */
export interface RandomArrays {
  /** N(0, 1). */
  normal(settings: RandomSettings): Value
  /** Between 0 and 1, both excluded. */
  uniform(settings: RandomSettings): Value
  /** -1 or 1. */
  sign(settings: RandomSettings): Value
}

/** What rules and the hooks of transforms are given alike: symbolic values and facts known while they are traced. */
export interface CommonContext<H extends string, O extends OptionSpecification, S extends string, I extends string> {
  /** The parameter θ. */
  readonly p: Value
  /** How many updates this tensor has had, this one included. Host value. */
  readonly t: Value
  /** How many steps the optimizer has taken, this one included; the same for all tensors. Host value. */
  readonly step: Value
  /** The hyperparameters, schedules evaluated at this step. Host values. */
  readonly hyper: Readonly<Record<H, Value>>
  /** The state before the step. */
  readonly state: Readonly<Record<S, Value>>
  /** The trace-time options: plain values to branch on. */
  readonly options: { readonly [K in keyof O]: OptionValue<O[K]> }
  /** What the definition declares as `inputs`: numbers are host values. */
  readonly inputs: Readonly<Record<I, Value>>
  /** The losses of the evaluations of this step so far, where they were wanted, in their order. Host values. */
  readonly losses: readonly Value[]
  readonly random: RandomArrays
  /** Name, shape, rank and size of the parameter: plain values to branch on. */
  readonly shape: ParameterShape
  /** True when the hyperparameter was set to the number 0 when the optimizer was made: a plain truth value to branch on. */
  readonly disabled: (name: H) => boolean
  /**
   * `refreshed()` on every `period`-th step of this tensor, `held` on the others. The host decides before the step, so
   * what is not refreshed costs nothing. `period` is a hyperparameter or a number. With `'first'` it begins with the first step: at
   * steps 1, 1 + period, 1 + 2 period and so on. Where what a matrix is factored into (`eigen`, `qr`, `svd`, `cholesky` and so on) is
   * refreshed and is not finite, `held` stays, as far as it has the same names and dimensions, and telemetry counts it.
   */
  readonly every: <T, U>(period: Value | number, refreshed: () => T, held: U, beginning?: 'first') => T | U
  /** `early()` in the first `count` updates of this tensor, `late` afterwards; decided on the host like `every`. */
  readonly firstSteps: <T, U>(count: Value | number, early: () => T, late: U) => T | U
}

/** What a rule is given. */
export interface RuleContext<
  H extends string,
  O extends OptionSpecification,
  S extends string,
  I extends string = string,
> extends CommonContext<H, O, S, I> {
  /** The gradient, after the gradient transforms around this optimizer. */
  readonly g: Value
  /** The weight decay the rule must apply itself: the hyperparameter when the style is `own`, else the number zero. */
  readonly ownWeightDecay: Value
  /** How weight decay acts here, for rules whose scale depends on it: a plain value to branch on. */
  readonly decay: DecayStyle
}

/** What an evaluation of the model gives: its loss, the gradient, or both. */
export type Want = 'loss' | 'gradient'

/** One evaluation of the model within a step, for methods that look at more than one point. */
export interface Evaluation<C, S extends string> {
  /** What is needed there. */
  readonly wants: readonly Want[]
  /**
   * The point to evaluate, from where the parameter stands (`p`) and the gradient of the evaluation before (`g`); absent:
   * where it stands. New state is working memory: it is kept even when the step fails later.
   */
  readonly at?: (context: C & { readonly g: Value }) => {
    readonly parameter: Value
    readonly state?: Readonly<Partial<Record<S, Value>>>
  }
}

/** What a rule returns. */
export interface RuleResult<S extends string> {
  /** What the learning rate multiplies: θ ← θ - η direction. */
  readonly direction: Value
  /** The step size, where it is more than the hyperparameter `learningRate` (Prodigy, Adafactor). */
  readonly learningRate?: Value
  /** The new state; a slot that is left out keeps its value. */
  readonly state?: Readonly<Partial<Record<S, Value>>>
  /**
   * For rules that move several sequences: turns the direction (after the wrappers that change it) into the new
   * parameter and more state. The rule then applies learning rate and weight decay itself. `project` is what projections around
   * do: the rule passes the sequence that takes the step through it before it averages.
   */
  readonly apply?: (
    direction: Value,
    project: (value: Value) => Value,
  ) => {
    readonly parameter: Value
    readonly state?: Readonly<Partial<Record<S, Value>>>
  }
}

type Inputs<I extends string, O extends OptionSpecification> =
  | Readonly<Record<I, Input>>
  | ((options: { readonly [K in keyof O]: OptionValue<O[K]> }) => Readonly<Record<I, Input>>)

type Evaluations<H extends string, O extends OptionSpecification, S extends string, I extends string> = (
  options: {
    readonly [K in keyof O]: OptionValue<O[K]>
  },
) => readonly Evaluation<CommonContext<H, O, S, I>, S>[]

/** An optimizer as data plus one function. */
export interface OptimizerDefinition<
  H extends string = string,
  O extends OptionSpecification = OptionSpecification,
  S extends string = string,
  I extends string = string,
> {
  /** The name in code, in the registry and on the command line. */
  readonly name: string
  /** The name in print. */
  readonly title: string
  /** Where lists and pages put it; every optimizer of the registry has one. */
  readonly family?: Family
  readonly paper: Paper
  readonly hyper: Readonly<Record<H, Hyperparameter>>
  /** Pairs of hyperparameters of which the first must not be above the second. */
  readonly ordered?: Ordered<NoInfer<H>>
  /** Trace-time choices with their defaults. */
  readonly options?: O
  /** For string options: what they may be. */
  readonly choices?: Readonly<Record<string, readonly string[]>>
  /** For counts: the least they may be, where that is not 1, and the most, where there is a limit. */
  readonly limits?: Readonly<Record<string, readonly [least: number, most?: number]>>
  readonly state: Readonly<Record<S, Slot>>
  /** What the rule needs besides the gradient; it may depend on the options. */
  readonly inputs?: Inputs<I, NoInfer<O>>
  /** How `weightDecay` acts unless the user says otherwise. */
  readonly decay: DecayStyle
  /** Where a tuner should look; `learningRate` at least. */
  readonly search: Readonly<Partial<Record<NoInfer<H>, SearchRange>>> & { readonly learningRate: SearchRange }
  /**
   * `constant` for rules that average or decay by themselves, or whose parameters shrink with the learning rate: they lose by
   * a schedule that falls to zero, so the race gives them none.
   */
  readonly schedule?: 'constant'
  /** Parameters this rule cannot take go to `fallback` (Muon: everything that is not a matrix). */
  readonly accepts?: (
    shape: ParameterShape,
    options: { readonly [K in keyof NoInfer<O>]: OptionValue<O[K]> },
  ) => boolean
  /** In words, what `accepts` asks for: `a matrix`. */
  readonly needs?: string
  /**
   * The optimizer for parameters that are not accepted, unless the user gives another. Its learning rate is best a
   * `relativeRate`, which follows the rate of this one; `options` is absent where the defaults are meant.
   */
  readonly fallback?: (options?: { readonly [K in keyof NoInfer<O>]: OptionValue<O[K]> }) => Optimizer
  /** Where the model is evaluated in a step, in order; default once, where the parameter stands, for the gradient. */
  readonly evaluations?: Evaluations<NoInfer<H>, NoInfer<O>, NoInfer<S>, NoInfer<I>>
  /** The parameter again, from the last point of `evaluations`: what the rule gets as `p`. */
  readonly origin?: (context: CommonContext<NoInfer<H>, NoInfer<O>, NoInfer<S>, NoInfer<I>>) => Value
  /**
   * For rules that square the gradient: the largest, in size, that the rule is given, because float32 cannot hold the square of a
   * much larger one. What the rule makes of it besides is then made of the same number. The float64 reference knows no limit.
   */
  readonly largestGradient?: number
  /**
   * True for rules that take all parameters as one vector, such as those with a preconditioner across them: the rule then sees the
   * parameters that it trains behind one another, in the order of the model, as one of shape `[n]`. A single parameter keeps its shape.
   */
  readonly joint?: boolean
  readonly rule: (context: RuleContext<NoInfer<H>, NoInfer<O>, NoInfer<S>, NoInfer<I>>) => RuleResult<NoInfer<S>>
  /** What to evaluate the model with, where that is not the parameter; `undefined` where with these options it is. */
  readonly average?: (
    context: Pick<RuleContext<NoInfer<H>, NoInfer<O>, NoInfer<S>>, 'p' | 'state' | 'hyper' | 'options'>,
  ) => Value | undefined
}

/** The settings of one optimizer: hyperparameters (numbers or schedules), its options, and what every optimizer takes. */
export type OptimizerSettings<H extends string, O extends OptionSpecification> = (string extends H
  ? { readonly [name: string]: HyperValue | boolean | string | Optimizer | undefined }
  : { readonly [K in H]?: HyperValue } & { readonly [K in keyof O]?: OptionValue<O[K]> }) & {
  /** How weight decay acts; each optimizer has its own default. */
  readonly decay?: Exclude<DecayStyle, 'own'>
  /** Go uphill: the gradient's sign is turned. Default false. */
  readonly maximize?: boolean
  /** The optimizer for the parameters that this one does not accept. */
  readonly fallback?: Optimizer
}

/** Makes optimizers of one kind; carries its definition. */
export interface OptimizerFactory<H extends string = string, O extends OptionSpecification = OptionSpecification> {
  (settings?: OptimizerSettings<H, O>): Optimizer<H>
  readonly definition: OptimizerDefinition
}

/** @internal hyperparameters as they were set; a group's overlay falls back to its parent */
export interface HyperSettings {
  readonly values: Map<string, HyperValue>
  readonly parent?: HyperSettings
}

/** A configured optimizer, perhaps wrapped and grouped: what `compile` takes. Immutable; compile it as often as needed. */
export type Optimizer<H extends string = string> = (BaseOptimizer | WrappedOptimizer | GroupedOptimizer) & {
  /** In types only: the names of its hyperparameters, for groups and `set`. A method, so that what wraps it may replace it. */
  [hyperNames]?(name: H): void
}

declare const hyperNames: unique symbol

export interface BaseOptimizer {
  readonly kind: 'base'
  readonly definition: OptimizerDefinition
  readonly hyper: Readonly<Record<string, HyperValue>>
  readonly options: Readonly<Record<string, boolean | string | number>>
  readonly decay: DecayStyle
  readonly maximize: boolean
  readonly fallback: Optimizer | undefined
}

export interface WrappedOptimizer {
  readonly kind: 'wrapped'
  readonly definition: TransformDefinition
  readonly hyper: Readonly<Record<string, HyperValue>>
  readonly options: Readonly<Record<string, boolean | string | number>>
  readonly inner: Optimizer
  /** For a switch: the optimizer that runs first. */
  readonly earlier?: Optimizer
}

/** Which parameters a group takes: a regular expression, a name with `*` for anything, or a function. */
export type ParameterMatch = RegExp | string | ((shape: ParameterShape) => boolean)

/** Parameters that are treated otherwise: with other hyperparameters, by another optimizer, or not at all. */
export interface ParameterGroup<H extends string = string> {
  /** For `set(values, { group })` and error messages; default `group 1`, `group 2`, ... */
  readonly name?: string
  readonly match: ParameterMatch
  /** Hyperparameters that differ from those of the default optimizer. */
  readonly hyper?: string extends H ? Readonly<Record<string, HyperValue>> : { readonly [K in H]?: HyperValue }
  readonly optimizer?: Optimizer
  readonly frozen?: boolean
}

export interface GroupedOptimizer {
  readonly kind: 'grouped'
  readonly base: Optimizer
  readonly groups: readonly (ParameterGroup & { readonly name: string })[]
}

function suggest(name: string, known: readonly string[]): string {
  return known.length > 0 ? `valid names are ${known.join(', ')}${didYouMean(name, known)}` : 'it takes none'
}

/** @internal checks one value, which may be a schedule */
export function checkHyper(owner: string, name: string, value: unknown, specification: HyperRange): void {
  if (typeof value === 'number') validateHyperparameter(owner, name, value, specification)
  else if (typeof value !== 'function' && !isSchedule(value)) {
    throw new Error(`${owner}: ${name} must be a number, a schedule or a function of the step, not ${String(value)}`)
  }
}

/** @internal checks a set of hyperparameter values against a definition */
export function checkHyperValues(
  definition: { readonly title: string; readonly hyper: HyperSpecification },
  values: Readonly<Record<string, unknown>>,
): void {
  for (const [name, value] of Object.entries(values)) {
    const specification = Object.hasOwn(definition.hyper, name) ? definition.hyper[name] : undefined
    if (!specification) {
      throw new Error(
        `${definition.title}: unknown hyperparameter '${name}'; ${suggest(name, Object.keys(definition.hyper))}`,
      )
    }
    checkHyper(definition.title, name, value, specification)
  }
}

/**
 * Defines an optimizer: data and one rule function over symbolic values. Returns its factory, typed by the names of
 * the hyperparameters and options.
 *
 * ```ts
 * import { defineOptimizer, ema, logUniform, nonNegative, decayRate, zeros } from 'fallline'
 *
 * export const signMomentum = defineOptimizer({
 *   name: 'signMomentum',
 *   title: 'Sign momentum',
 *   paper: { title: 'signSGD', authors: 'Bernstein, Wang, Azizzadenesheli, Anandkumar', year: 2018, arxiv: '1802.04434' },
 *   hyper: { learningRate: nonNegative(1e-3), momentum: decayRate(0.9), weightDecay: nonNegative(0) },
 *   state: { average: zeros() },
 *   decay: 'decoupled',
 *   search: { learningRate: logUniform(1e-5, 1e-2) },
 *   rule({ g, state, hyper }) {
 *     const average = ema(state.average, g, hyper.momentum)
 *     return { direction: average.sign(), state: { average } }
 *   },
 * })
 * ```
 *
 * @throws Error when a setting is unknown or out of range, naming the optimizer, the setting, and what is valid.
 */
export function defineOptimizer<
  const H extends string,
  const S extends string,
  const O extends OptionSpecification = Record<never, never>,
  const I extends string = never,
>(definition: OptimizerDefinition<H, O, S, I>): OptimizerFactory<H, O> {
  const erased = definition as unknown as OptimizerDefinition
  const common = ['decay', 'maximize', ...(definition.fallback ? ['fallback'] : [])]
  const factory = (settings: OptimizerSettings<H, O> = {} as OptimizerSettings<H, O>): Optimizer<H> => {
    if (typeof settings !== 'object' || settings === null) {
      throw new Error(
        `${definition.title}: settings must be an object such as { learningRate: 0.01 }, not ${String(settings)}`,
      )
    }
    const { hyper, options } = readSettings(erased, settings as Record<string, unknown>, common)
    const given = settings as { decay?: DecayStyle; maximize?: boolean; fallback?: Optimizer }
    if (given.maximize !== undefined && typeof given.maximize !== 'boolean') {
      throw new Error(`${definition.title}: maximize must be true or false, not ${String(given.maximize)}`)
    }
    if (given.fallback !== undefined) checkOptimizer(`${definition.title}: fallback`, given.fallback)
    const decay = given.decay ?? definition.decay
    if (given.decay !== undefined) {
      const styles = ['decoupled', 'independent', 'corrected', 'proximal', 'coupled']
      if (!styles.includes(given.decay)) {
        throw new Error(`${definition.title}: decay must be one of ${styles.join(', ')}, not ${String(given.decay)}`)
      }
      if (!('weightDecay' in definition.hyper)) {
        throw new Error(`${definition.title}: decay has no effect, this optimizer has no weightDecay`)
      }
    }
    return shown({
      kind: 'base',
      definition: erased,
      hyper,
      options,
      decay,
      maximize: given.maximize ?? false,
      fallback: given.fallback,
    })
  }
  return Object.assign(factory, { definition: erased })
}

type Configurable = Pick<OptimizerDefinition, 'title' | 'hyper' | 'ordered' | 'options' | 'choices' | 'limits'>

/** Sorts settings into hyperparameters and options, defaults included. */
function readSettings(
  definition: Configurable,
  settings: Readonly<Record<string, unknown>>,
  common: readonly string[],
) {
  const hyper: Record<string, HyperValue> = {}
  const options: Record<string, boolean | string | number> = { ...definition.options }
  for (const [name, range] of Object.entries<Hyperparameter>(definition.hyper)) hyper[name] = range.default
  for (const [name, value] of Object.entries(settings)) {
    if (value === undefined || common.includes(name)) continue
    if (Object.hasOwn(definition.hyper, name)) {
      checkHyper(definition.title, name, value, definition.hyper[name]!)
      hyper[name] = value as HyperValue
    } else if (Object.hasOwn(options, name)) {
      checkOption(definition, name, value)
      options[name] = value as boolean
    } else {
      const known = [...Object.keys(definition.hyper), ...Object.keys(options), ...common]
      throw new Error(`${definition.title}: unknown setting '${name}'; ${suggest(name, known)}`)
    }
  }
  checkOrder(definition, (name) => hyper[name]!)
  return { hyper, options }
}

function checkOption(definition: Configurable, name: string, value: unknown): void {
  const choices = definition.choices?.[name]
  const expected = typeof definition.options![name]
  const counts = expected === 'number'
  const [least, most] = countLimits(definition, name)
  const isCount = (count: number) => Number.isInteger(count) && count >= least && count <= most
  const fits = choices
    ? choices.includes(value as string)
    : counts
      ? isCount(value as number)
      : typeof value === expected
  if (!fits) {
    const valid = choices ? `one of ${choices.join(', ')}` : counts ? describeCount(definition, name) : `a ${expected}`
    throw new Error(`${definition.title}: ${name} must be ${valid}, not ${String(value)}`)
  }
}

/** @internal the least and the most that an option which counts may be */
export function countLimits({ limits }: Pick<Configurable, 'limits'>, name: string): [least: number, most: number] {
  const [least = 1, most = Number.POSITIVE_INFINITY] = limits?.[name] ?? []
  return [least, most]
}

/** @internal what an option that counts may be, in words */
export function describeCount(definition: Pick<Configurable, 'limits'>, name: string): string {
  const [least, most] = countLimits(definition, name)
  return `a whole number from ${least} ${Number.isFinite(most) ? `to ${most}` : 'up'}`
}

/** What a transform's hooks are given. */
export type TransformContext<
  H extends string,
  S extends string,
  O extends OptionSpecification = OptionSpecification,
  I extends string = string,
> = CommonContext<H, O, S, I>

type NewState<S extends string> = { readonly state?: Readonly<Partial<Record<S, Value>>> }

/**
 * A wrapper around any optimizer, as data plus hooks. The result is still one Program and one set of fused phases.
 * Hooks of nested wrappers run from the outermost to the innermost on the gradient, and back on the direction and the
 * parameter.
 */
export interface TransformDefinition<
  H extends string = string,
  S extends string = string,
  O extends OptionSpecification = OptionSpecification,
  I extends string = string,
> {
  readonly name: string
  readonly title: string
  readonly paper?: Paper
  readonly hyper: Readonly<Record<H, Hyperparameter>>
  /** Pairs of hyperparameters of which the first must not be above the second. */
  readonly ordered?: Ordered<NoInfer<H>>
  /** Trace-time choices with their defaults. */
  readonly options?: O
  /** For string options: what they may be. */
  readonly choices?: Readonly<Record<string, readonly string[]>>
  /** For counts: the least they may be, where that is not 1, and the most, where there is a limit. */
  readonly limits?: Readonly<Record<string, readonly [least: number, most?: number]>>
  readonly state?: Readonly<Record<S, Slot>>
  /** What the hooks need besides the gradient; it may depend on the options. */
  readonly inputs?: Inputs<I, NoInfer<O>>
  /** Where the model is evaluated in a step, in order; default once, where the parameter stands, for the gradient. */
  readonly evaluations?: Evaluations<NoInfer<H>, NoInfer<O>, NoInfer<S>, NoInfer<I>>
  /** The parameter again, from the last point of `evaluations`: what all hooks and the rule get as `p`. */
  readonly origin?: (context: TransformContext<NoInfer<H>, NoInfer<S>, NoInfer<O>, NoInfer<I>>) => Value
  /**
   * Changes the gradient before the optimizer sees it. `hold: true` says that nothing further happens this step: the
   * parameter and the inner state stay, and the inner step counts do not advance.
   */
  readonly gradient?: (
    context: TransformContext<NoInfer<H>, NoInfer<S>, NoInfer<O>, NoInfer<I>> & { readonly g: Value },
  ) => NewState<NoInfer<S>> & ({ readonly gradient: Value } | { readonly hold: true })
  /** The point that the wrapped optimizer moves, where that is not the parameter; `parameter` is then required. */
  readonly innerParameter?: (context: TransformContext<NoInfer<H>, NoInfer<S>, NoInfer<O>, NoInfer<I>>) => Value
  /** Changes the direction before learning rate and weight decay are applied. */
  readonly direction?: (
    context: TransformContext<NoInfer<H>, NoInfer<S>, NoInfer<O>, NoInfer<I>> & {
      readonly g: Value
      readonly direction: Value
      /** The learning rate that the direction will be multiplied by. */
      readonly learningRate: Value
    },
  ) => NewState<NoInfer<S>> & { readonly direction: Value }
  /** Changes the new parameter `next`; `p` is the parameter before the step. */
  readonly parameter?: (
    context: TransformContext<NoInfer<H>, NoInfer<S>, NoInfer<O>, NoInfer<I>> & {
      /** The gradient that the wrapped optimizer was given. */
      readonly g: Value
      readonly next: Value
      /** The learning rate of this step. */
      readonly learningRate: Value
      /** The new state of the optimizer inside, by slot. */
      readonly wrapped: Readonly<Record<string, Value>>
    },
  ) => NewState<NoInfer<S>> & {
    readonly parameter: Value
    /** State that the optimizer inside is to have instead. */
    readonly wrapped?: Readonly<Record<string, Value>>
  }
  /**
   * The nearest point of a convex set. The sequence that takes the step is projected, wherever the transform stands, and again
   * what becomes of it, the parameter and what to evaluate with, for what rounding adds. So are the points of `evaluations`: `at`
   * and `origin` are given the parameter as `at` left it before that.
   */
  readonly project?: (
    context: Pick<TransformContext<NoInfer<H>, NoInfer<S>, NoInfer<O>, NoInfer<I>>, 'hyper' | 'options' | 'shape'> & {
      readonly value: Value
    },
  ) => Value
  /** Adds weight decay of this style, with the hyperparameter `weightDecay`. */
  readonly decay?: Exclude<DecayStyle, 'own'>
  /** @internal how the state of what is wrapped is kept: see `quantized` */
  readonly keeping?: object
  /** What to evaluate the model with, where that is not the parameter. */
  readonly average?: (
    context: Pick<
      TransformContext<NoInfer<H>, NoInfer<S>, NoInfer<O>, NoInfer<I>>,
      'p' | 'hyper' | 'state' | 'options'
    >,
  ) => Value
}

/** Hyperparameters and options of a transform in one flat object. */
export type TransformSettings<H extends string, O extends OptionSpecification> = {
  readonly [K in H]?: HyperValue
} & { readonly [K in keyof O]?: OptionValue<O[K]> }

/** Makes wrapped optimizers; carries its definition. */
export interface TransformFactory<H extends string, O extends OptionSpecification = Record<never, never>> {
  <Inner extends string>(inner: Optimizer<Inner>, settings?: TransformSettings<H, O>): Optimizer<H | Inner>
  readonly definition: TransformDefinition
}

/**
 * Defines a transform: a wrapper that composes with any optimizer at trace time.
 *
 * ```ts
 * import { adamW, defineTransform, positive } from 'fallline'
 *
 * const scaleGradient = defineTransform({
 *   name: 'scaleGradient',
 *   title: 'Gradient scaling',
 *   hyper: { factor: positive(1) },
 *   gradient: ({ g, hyper }) => ({ gradient: g.times(hyper.factor) }),
 * })
 * export const optimizer = scaleGradient(adamW(), { factor: 0.5 })
 * ```
 *
 * @throws Error when a setting is unknown or out of range.
 */
export function defineTransform<
  const H extends string = never,
  const S extends string = never,
  const O extends OptionSpecification = Record<never, never>,
  const I extends string = never,
>(definition: TransformDefinition<H, S, O, I>): TransformFactory<H, O> {
  const erased = definition as unknown as TransformDefinition
  const factory = <Inner extends string>(
    inner: Optimizer<Inner>,
    settings: TransformSettings<H, O> = {} as TransformSettings<H, O>,
  ): Optimizer<H | Inner> => {
    checkOptimizer(`${definition.title}: the first argument`, inner)
    if (typeof settings !== 'object' || settings === null) {
      throw new Error(`${definition.title}: settings must be an object, not ${String(settings)}`)
    }
    return shown({
      kind: 'wrapped',
      definition: erased,
      ...readSettings(erased, settings as Record<string, unknown>, []),
      inner,
    })
  }
  return Object.assign(factory, { definition: erased })
}

/** Where TensorFlow.js looks for a method of its own; not on the optimizer itself, whose properties anybody may print. */
const askedByTensorFlow = Object.create(Object.prototype, {
  minimize: {
    get(): never {
      throw new Error(
        "this optimizer is of 'fallline'; model.compile of TensorFlow.js takes those of '@fallline/tfjs': import it from " +
          'there, or pass toTensorFlow(optimizer)',
      )
    },
  },
})

/** An optimizer that tells TensorFlow.js where its own are. */
function shown<T extends object>(optimizer: T): T {
  return Object.setPrototypeOf(optimizer, askedByTensorFlow)
}

/** @internal true for what factories and wrappers return */
export function isOptimizer(value: unknown): value is Optimizer {
  const kind = (value as { kind?: unknown } | null)?.kind
  return kind === 'base' || kind === 'wrapped' || kind === 'grouped'
}

/** @internal the inputs of an optimizer or transform with its options */
export function inputsOf({ definition, options }: BaseOptimizer | WrappedOptimizer): Readonly<Record<string, Input>> {
  const { inputs = {} } = definition
  return typeof inputs === 'function' ? inputs(options) : inputs
}

/**
 * Gives some parameters other hyperparameters, another optimizer, or freezes them. The first group that matches takes
 * a parameter; the rest go to `base`. Wrap the result to wrap all groups: `clipByGlobalNorm(groups(...))`.
 *
 * ```ts
 * import { adamW, groups, muon } from 'fallline'
 *
 * export const optimizer = groups(adamW({ learningRate: 1e-3 }), [
 *   { match: /bias|norm/, hyper: { weightDecay: 0 } },
 *   { name: 'matrices', match: ({ rank }) => rank === 2, optimizer: muon({ learningRate: 0.02 }) },
 *   { match: 'embedding/*', frozen: true },
 * ])
 * ```
 *
 * @throws Error for a group that says nothing or more than one thing, naming the group; `compile` throws for a group that
 * matches no parameter.
 */
export function groups<H extends string>(
  base: Optimizer<H>,
  list: readonly ParameterGroup<NoInfer<H>>[],
): Optimizer<H> {
  checkOptimizer('groups: the first argument', base)
  if (!Array.isArray(list)) throw new Error(`groups: the second argument must be a list of groups, not ${String(list)}`)
  const names = new Set<string>()
  const named = list.map((group, index) => {
    const name = group.name ?? `group ${index + 1}`
    if (name === '' || /[/@]/.test(name)) {
      throw new Error(
        `groups: the name '${name}' of a group must not be empty nor contain '/' or '@', which separate the names of groups`,
      )
    }
    if (names.has(name)) throw new Error(`groups: two groups are named '${name}'; names must differ`)
    names.add(name)
    const { match, optimizer } = group
    if (typeof match !== 'string' && typeof match !== 'function' && !(match instanceof RegExp)) {
      throw new Error(`groups: ${name}: match must be a regular expression, a name or a function, not ${String(match)}`)
    }
    if (optimizer !== undefined) checkOptimizer(`groups: ${name}: optimizer`, optimizer)
    const said = [group.hyper !== undefined, group.optimizer !== undefined, group.frozen === true]
    if (said.filter(Boolean).length !== 1) {
      throw new Error(
        `groups: ${name} (${String(group.match)}) must have exactly one of hyper, optimizer and frozen: true`,
      )
    }
    return { ...group, name }
  })
  return shown({ kind: 'grouped', base, groups: named as GroupedOptimizer['groups'] })
}

/** @internal @throws Error that names the argument when it is not an optimizer */
export function checkOptimizer(what: string, value: unknown): asserts value is Optimizer {
  if (isOptimizer(value)) return
  const definition = typeof value === 'function' ? (value as { definition?: { name: string } }).definition : undefined
  const given = definition
    ? `the function ${definition.name}; call it: ${definition.name}()`
    : typeof value === 'object' && value !== null
      ? `an object with ${Object.keys(value).join(', ') || 'nothing'}`
      : String(value)
  throw new Error(`${what} must be an optimizer such as adamW(), not ${given}`)
}

/**
 * An optimizer with its defaults, where a factory is given.
 * @internal
 * @throws Error for what is neither.
 */
export function optimizerOf(subject: Optimizer | OptimizerFactory): Optimizer {
  if (typeof subject === 'function' && 'definition' in subject) return subject()
  checkOptimizer('the argument', subject)
  return subject
}

/** @internal @throws Error when an argument object has a name that is not among the known ones */
export function checkNames(caller: string, given: object, known: readonly string[]): void {
  checkKnown(caller, given, known, didYouMean)
}

/** @internal the same, with what the message is to add to the valid names */
export function checkKnown(
  caller: string,
  given: object,
  known: readonly string[],
  suggestion: typeof didYouMean,
): void {
  if (typeof given !== 'object' || given === null)
    throw new Error(`${caller}: the options must be an object, not ${String(given)}`)
  const unknown = Object.keys(given).find((name) => !known.includes(name))
  if (unknown === undefined) return
  throw new Error(
    `${caller}: unknown option '${unknown}'; valid names are ${known.join(', ')}${suggestion(unknown, known)}`,
  )
}

/** @internal a slot exists unless its `when` says no */
export function slotExists(slot: Slot, facts: SlotFacts): boolean {
  return slot.when === undefined || slot.when(facts)
}
