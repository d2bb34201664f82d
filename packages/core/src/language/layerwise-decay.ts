import { scaledValue } from '../schedules/schedule.ts'
import { type BaseOptimizer, checkNames, checkOptimizer, groups, type Optimizer } from './definition.ts'
import { visit } from './walk.ts'

/** Arguments of {@link layerwiseDecay}. */
export interface LayerwiseDecayArguments {
  /** Matches the names of what is inside a layer; its first group is the number of the layer, from 0. */
  readonly layer: RegExp
  /** How many layers there are, 1 or more. */
  readonly layers: number
  /** Factor of the learning rate per layer, above 0 and at most 1. Default: 0.75. */
  readonly decay?: number
  /** Matches what comes before the layers, such as embeddings. */
  readonly first?: RegExp
  /** Matches what comes after the layers. When it is given, a parameter that fits nowhere is an error. */
  readonly last?: RegExp
}

/**
 * Layer-wise decay of the learning rate by depth, for fine-tuning: the nearer to the input, the smaller the steps (Howard and
 * Ruder 2018, Universal Language Model Fine-tuning for Text Classification, arXiv 1801.06146; with a geometric decay as
 * in ELECTRA and BEiT).
 *
 * ```text
 * first        η · decay^(layers + 1)
 * layer i      η · decay^(layers − i)          i = 0, …, layers − 1
 * the rest     η                               what follows the layers, such as the head
 * ```
 *
 * It is `groups` with a learning rate of their own: `first`, `layer 0`, `layer 1`, ... η is the learning rate of the
 * optimizer, and a schedule is scaled as a whole. `set` changes the rate of one group, not of all. Default: decay 0.75 (BEiT
 * uses 0.65 to 0.9). Name `last` too where you can: without it a name that is not recognized gets the full rate.
 *
 * ```ts
 * import { adamW, clipByGlobalNorm, layerwiseDecay, warmupCosine } from 'fallline'
 *
 * const learningRate = warmupCosine({ peak: 1e-3, warmup: 100, steps: 1000 })
 * export const optimizer = clipByGlobalNorm(
 *   layerwiseDecay(adamW({ learningRate }), {
 *     first: /^embedding/,
 *     layer: /^blocks\.(\d+)\./,
 *     layers: 12,
 *     last: /^head/,
 *   }),
 * )
 * ```
 *
 * @throws Error when an argument does not make sense, for a wrapped optimizer (wrap the result) and for one that hands
 * parameters to another optimizer (its rate is another one); `compile` throws for a layer without parameters, for a layer number that
 * is too high, and with `last` for a parameter that fits nowhere.
 */
export function layerwiseDecay<H extends string>(
  optimizer: Optimizer<H>,
  options: LayerwiseDecayArguments,
): Optimizer<H> {
  checkOptimizer('layerwiseDecay: the first argument', optimizer)
  checkNames('layerwiseDecay', options, ['layer', 'layers', 'decay', 'first', 'last'])
  const { layer, layers, decay = 0.75, first, last } = options
  for (const [name, value] of Object.entries({ layer, first, last })) {
    if (value instanceof RegExp || (value === undefined && name !== 'layer')) continue
    throw new Error(`layerwiseDecay: ${name} must be a regular expression, not ${String(value)}`)
  }
  if (!Number.isSafeInteger(layers) || layers < 1) {
    throw new Error(`layerwiseDecay: layers must be a whole number from 1 up, not ${String(layers)}`)
  }
  if (!(typeof decay === 'number' && decay > 0 && decay <= 1)) {
    throw new Error(`layerwiseDecay: decay must be a number above 0 and at most 1, not ${String(decay)}`)
  }
  const learningRate = baseOf(optimizer).hyper.learningRate!
  /** The depth of a parameter: 0 is `first`, i + 1 is layer i, and `layers + 1` is the rest. */
  const depthOf = (name: string): number => {
    if (first && name.search(first) >= 0) return 0
    // A global or sticky expression remembers where it stopped; matching must not depend on that.
    const found = new RegExp(layer.source, layer.flags.replace(/[gy]/g, '')).exec(name)
    if (!found) {
      if (!last || name.search(last) >= 0) return layers + 1
      throw new Error(`layerwiseDecay: parameter '${name}' matches none of first, layer (${layer}) and last (${last})`)
    }
    const number = Number(found[1] ?? Number.NaN)
    if (Number.isInteger(number) && number >= 0 && number < layers) return number + 1
    throw new Error(
      `layerwiseDecay: ${layer} finds layer '${found[1]}' in parameter '${name}'; with layers: ${layers} it must be a number from 0 to ${layers - 1}`,
    )
  }
  const depths = Array.from({ length: layers + 1 }, (_, depth) => depth).slice(first ? 0 : 1)
  return groups<string>(
    optimizer,
    depths.map((depth) => ({
      name: depth === 0 ? 'first' : `layer ${depth - 1}`,
      match: ({ name }) => depthOf(name) === depth,
      hyper: { learningRate: scaledValue(learningRate, decay ** (layers + 1 - depth), 'layerwiseDecay') },
    })),
  )
}

/** The optimizer whose learning rate is scaled. */
function baseOf(optimizer: Optimizer): BaseOptimizer {
  return visit(optimizer, {
    base: (base) => {
      const { title, accepts } = base.definition
      if (!accepts) return base
      throw new Error(
        `layerwiseDecay: ${title} leaves some parameters to another optimizer with another rate; use groups`,
      )
    },
    wrapped: ({ definition: { name } }) => {
      throw new Error(`layerwiseDecay: wrap the result instead: ${name}(layerwiseDecay(...))`)
    },
    grouped: ({ base, groups }) => {
      const other = groups.find((group) => group.optimizer || group.hyper?.learningRate !== undefined)
      if (!other) return baseOf(base)
      throw new Error(`layerwiseDecay: group '${other.name}' has a learning rate of its own; scale it there`)
    },
  })
}
