import { type HyperValue, scaledValue } from '../schedules/schedule.ts'
import { type BaseOptimizer, checkNames, checkOptimizer, groups, type Optimizer } from './definition.ts'

/** Where a matrix stands: only its outputs grow with the width, its inputs and outputs, or only its inputs. */
export type LayerPlace = 'input' | 'hidden' | 'output'

/** What a layer's hyperparameters are multiplied by when the width is. */
export interface WidthFactors {
  /** Of the standard deviation of the initial weights. */
  readonly initialDeviation: number
  readonly learningRate: number
  /** Of K-FAC's damping γ. */
  readonly damping?: number
  /** Of K-FAC's π. */
  readonly dampingRatio?: number
}

const places: readonly LayerPlace[] = ['input', 'hidden', 'output']
/** Exponents of width / baseWidth. */
const exponents = {
  kfac: {
    input: { initialDeviation: 0, learningRate: 0, damping: -1, dampingRatio: 1 / 2 },
    hidden: { initialDeviation: -1 / 2, learningRate: 0, damping: 0, dampingRatio: 1 },
    output: { initialDeviation: -1, learningRate: 0, damping: 1, dampingRatio: 1 / 2 },
  },
  shampoo: {
    input: { initialDeviation: 0, learningRate: 1 / 2 },
    hidden: { initialDeviation: -1 / 2, learningRate: 0 },
    output: { initialDeviation: -1, learningRate: -1 / 2 },
  },
} as const

/**
 * The factors of the maximal update parameterization (μP) for K-FAC and Shampoo: what the hyperparameters of a layer are multiplied by when
 * all layers become r times as wide, so that features go on moving as much in a step, however wide they are.
 *
 * | | | input | hidden | output |
 * | --- | --- | ---: | ---: | ---: |
 * | both | standard deviation of the initial weights | 1 | r^(-1/2) | r⁻¹ |
 * | K-FAC | learning rate | 1 | 1 | 1 |
 * | | what is added to A, π √γ | 1 | r | r |
 * | | what is added to S, √γ / π | r⁻¹ | r⁻¹ | 1 |
 * | Shampoo without grafting | learning rate | r^(1/2) | 1 | r^(-1/2) |
 *
 * The exponents are those of the first author's code (riverstone496/classmup, `set_mup.py` and `damping.py`); γ and π follow from what is added
 * to A and S. Shampoo's ε is relative to the largest eigenvalue here, which grows as the paper's damping should, so it has no factor.
 *
 * Ishikawa, Karakida 2023, On the Parameterization of Second-Order Optimization Effective Towards the Infinite Width,
 * arXiv 2312.12226.
 *
 * @throws Error for another optimizer or place, or a width that is not above 0.
 */
export function widthFactors(
  optimizer: 'kfac' | 'shampoo',
  place: LayerPlace,
  { width, baseWidth }: { readonly width: number; readonly baseWidth: number },
): WidthFactors {
  if (!(optimizer in exponents))
    throw new Error(`widthFactors: the optimizer must be kfac or shampoo, not ${String(optimizer)}`)
  if (!places.includes(place))
    throw new Error(`widthFactors: the place must be one of ${places.join(', ')}, not ${String(place)}`)
  for (const [name, value] of Object.entries({ width, baseWidth })) {
    if (!(Number.isFinite(value) && value > 0))
      throw new Error(`widthFactors: ${name} must be above 0, not ${String(value)}`)
  }
  const entries = Object.entries(exponents[optimizer][place])
  return Object.fromEntries(
    entries.map(([name, exponent]) => [name, (width / baseWidth) ** exponent]),
  ) as unknown as WidthFactors
}

/** Arguments of {@link scaleByWidth}. */
export interface WidthScalingArguments {
  /** How wide the layers are. */
  readonly width: number
  /** How wide they were where the hyperparameters of the optimizer were found. */
  readonly baseWidth: number
  /** Matches the weights of the layer that takes the data. */
  readonly input: RegExp
  /** Matches the weights of the layer that gives the predictions. */
  readonly output: RegExp
}

/**
 * K-FAC or Shampoo with hyperparameters that were found at one width, for another: `widthFactors` applied to the groups `input` and `output`, and to
 * all else as hidden layers. Draw the initial weights by `widthFactors` too.
 *
 * ```ts
 * import { kfac, scaleByWidth } from 'fallline'
 *
 * const found = kfac({ learningRate: 0.03, damping: 1e-3, dampingRatio: 1, klClip: 0 })
 * export const optimizer = scaleByWidth(found, { width: 1024, baseWidth: 64, input: /^first/, output: /^last/ })
 * ```
 *
 * K-FAC needs a `dampingRatio`: with 0, π follows the traces, which have other exponents. Shampoo needs `graft: 'none'`: with another its
 * step is as long as that of a simpler optimizer, which has factors of its own.
 *
 * @throws Error for another optimizer, a wrapped one (wrap the result), these settings, or an argument that does not make sense; `compile` throws
 * where `input` or `output` matches no parameter.
 */
export function scaleByWidth<H extends string>(optimizer: Optimizer<H>, settings: WidthScalingArguments): Optimizer<H> {
  checkOptimizer('scaleByWidth: the first argument', optimizer)
  checkNames('scaleByWidth', settings, ['width', 'baseWidth', 'input', 'output'])
  const base = optimizer as Optimizer as BaseOptimizer
  const name = base.kind === 'base' ? base.definition.name : base.kind
  if (name !== 'kfac' && name !== 'shampoo') {
    throw new Error(
      `scaleByWidth: the optimizer must be kfac or shampoo, not ${name}; wrap the result instead of the optimizer`,
    )
  }
  if (name === 'kfac' && base.hyper.dampingRatio === 0) {
    throw new Error('scaleByWidth: kfac needs a dampingRatio above 0, such as 1: with 0 damping follows the traces')
  }
  if (name === 'shampoo' && base.options.graft !== 'none') {
    throw new Error(`scaleByWidth: shampoo needs graft: 'none', not '${String(base.options.graft)}'`)
  }
  const { input, output } = settings
  for (const [which, value] of Object.entries({ input, output })) {
    if (!(value instanceof RegExp))
      throw new Error(`scaleByWidth: ${which} must be a regular expression, not ${String(value)}`)
  }
  const scaled = (place: LayerPlace) => {
    const { initialDeviation: _, ...factors } = widthFactors(name, place, settings)
    const entries = Object.entries(factors) as [string, number][]
    return Object.fromEntries(
      entries.map(([key, factor]): [string, HyperValue] => [
        key,
        scaledValue(base.hyper[key]!, factor, 'scaleByWidth'),
      ]),
    )
  }
  return groups({ ...base, hyper: { ...base.hyper, ...scaled('hidden') } } as unknown as Optimizer<string>, [
    { name: 'input', match: input, hyper: scaled('input') },
    { name: 'output', match: output, hyper: scaled('output') },
  ]) as Optimizer<H>
}
