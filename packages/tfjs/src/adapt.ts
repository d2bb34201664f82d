import {
  groups as makeGroups,
  type Optimizer,
  type OptimizerFactory,
  type OptimizerSettings,
  type ParameterGroup,
  type TransformFactory,
  type TransformSettings,
} from 'fallline'
import type { OptionSpecification } from 'fallline/internal'
import { remember } from './config.ts'
import { TensorFlowOptimizer, type TensorFlowOptions } from './optimizer.ts'

/** An optimizer for TensorFlow.js or one of Fallline; only what it is made of counts, not what it has learnt. */
export type AnyOptimizer<H extends string = string> = Optimizer<H> | TensorFlowOptimizer<H>

type Settings<H extends string, O extends OptionSpecification> = {
  [K in keyof OptimizerSettings<H, O>]: K extends 'fallback' ? AnyOptimizer : OptimizerSettings<H, O>[K]
}

/** Makes optimizers of one kind for TensorFlow.js. */
export interface TensorFlowFactory<H extends string, O extends OptionSpecification> {
  (settings?: Settings<H, O>, options?: TensorFlowOptions): TensorFlowOptimizer<H>
  readonly definition: OptimizerFactory['definition']
}

/** Wraps optimizers of TensorFlow.js; the result keeps the options of what it wraps. */
export interface TensorFlowTransform<H extends string, O extends OptionSpecification> {
  <Inner extends string>(inner: AnyOptimizer<Inner>, settings?: TransformSettings<H, O>): TensorFlowOptimizer<H | Inner>
  readonly definition: TransformFactory<string>['definition']
}

/** What an optimizer is made of. An `instanceof` would not do: TensorFlow.js answers it by looking for methods. */
export function ruleOf<H extends string>(optimizer: AnyOptimizer<H>): Optimizer<H> {
  return isAdapted(optimizer) ? optimizer.rule : optimizer
}

/** False also for what is no optimizer at all, which is an error later. */
function isAdapted<H extends string>(optimizer: AnyOptimizer<H>): optimizer is TensorFlowOptimizer<H> {
  return typeof optimizer === 'object' && optimizer !== null && 'rule' in optimizer
}

/**
 * Any optimizer of Fallline, wrapped and grouped as you like, for TensorFlow.js.
 *
 * ```ts
 * import { defineOptimizer, logUniform, nonNegative } from 'fallline'
 * import { toTensorFlow } from '@fallline/tfjs'
 *
 * const signDescent = defineOptimizer({
 *   name: 'signDescent',
 *   title: 'Sign descent',
 *   paper: { title: 'signSGD', authors: 'Bernstein, Wang, Azizzadenesheli, Anandkumar', year: 2018, arxiv: '1802.04434' },
 *   family: 'sign',
 *   hyper: { learningRate: nonNegative(1e-3) },
 *   state: {},
 *   decay: 'decoupled',
 *   search: { learningRate: logUniform(1e-5, 1e-2) },
 *   rule: ({ g }) => ({ direction: g.sign() }),
 * })
 * export const optimizer = toTensorFlow(signDescent({ learningRate: 1e-2 }), { nonFinite: 'skip' })
 * ```
 */
export function toTensorFlow<H extends string>(
  optimizer: AnyOptimizer<H>,
  options?: TensorFlowOptions,
): TensorFlowOptimizer<H> {
  const inherited = isAdapted(optimizer) ? optimizer.options : {}
  return new TensorFlowOptimizer(ruleOf(optimizer), { ...inherited, ...options })
}

/** The factory of the same optimizer for TensorFlow.js. */
export function adaptOptimizer<H extends string, O extends OptionSpecification>(
  factory: OptimizerFactory<H, O>,
): TensorFlowFactory<H, O> {
  const { definition } = factory
  const adapted = (settings: Settings<H, O> = {} as Settings<H, O>, options?: TensorFlowOptions) => {
    remember(factory)
    const { fallback } = settings as { fallback?: AnyOptimizer }
    const given = fallback ? { ...settings, fallback: ruleOf(fallback) } : settings
    return new TensorFlowOptimizer(factory(given as OptimizerSettings<H, O>), options)
  }
  return Object.assign(adapted, { definition, core: factory })
}

/** The same wrapper for TensorFlow.js. */
export function adaptTransform<H extends string, O extends OptionSpecification>(
  factory: TransformFactory<H, O>,
): TensorFlowTransform<H, O> {
  const { definition } = factory
  const adapted = <Inner extends string>(inner: AnyOptimizer<Inner>, settings?: TransformSettings<H, O>) => {
    remember(factory)
    return toTensorFlow(factory(ruleOf(inner), settings), isAdapted(inner) ? inner.options : {})
  }
  return Object.assign(adapted, { definition, core: factory })
}

/** As in Fallline, but the optimizers may be those of TensorFlow.js. */
export type TensorFlowGroup<H extends string = string> = Omit<ParameterGroup<H>, 'optimizer'> & {
  readonly optimizer?: AnyOptimizer
}

/**
 * Gives some variables other hyperparameters, another optimizer, or freezes them. Names are those of the variables, such as
 * `dense_Dense1/kernel`; where such a name is taken, TensorFlow.js adds a number, as in `dense_Dense1/kernel_1`.
 *
 * ```ts
 * import { adamW, groups, muon } from '@fallline/tfjs'
 *
 * export const optimizer = groups(adamW({ learningRate: 1e-3 }), [
 *   { match: /bias/, hyper: { weightDecay: 0 } },
 *   { match: /kernel/, optimizer: muon({ learningRate: 0.02 }) },
 * ])
 * ```
 *
 * @throws Error for a group that says nothing or more than one thing; the first step throws for one that matches nothing.
 */
export function groups<H extends string>(
  base: AnyOptimizer<H>,
  list: readonly TensorFlowGroup<NoInfer<H>>[],
): TensorFlowOptimizer<H> {
  const inner = list.map(({ optimizer, ...group }) => (optimizer ? { ...group, optimizer: ruleOf(optimizer) } : group))
  return toTensorFlow(makeGroups(ruleOf(base), inner), isAdapted(base) ? base.options : {})
}

/**
 * Lets `tf.loadLayersModel` make these optimizers and wrappers again. Needed only in a program that loads a model saved with
 * `includeOptimizer: true` before it has made such an optimizer itself.
 *
 * ```ts
 * import { adan, clipByGlobalNorm, registerOptimizers } from '@fallline/tfjs'
 *
 * registerOptimizers(adan, clipByGlobalNorm)
 * ```
 *
 * With `registry` of `fallline` as arguments, `registerOptimizers(...registry)`, all optimizers are known.
 */
export function registerOptimizers(
  ...factories: readonly (Pick<OptimizerFactory, 'definition'> | Pick<TransformFactory<string>, 'definition'>)[]
): void {
  for (const factory of factories) remember('core' in factory ? (factory.core as typeof factory) : factory)
}
