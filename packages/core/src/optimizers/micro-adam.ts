import type { Dimensions } from '../graph/node.ts'
import { defineOptimizer } from '../language/definition.ts'
import { decayRate, fraction, logUniform, nonNegative, smallDivisor } from '../language/hyperparameters.ts'
import { gather, largestPlaces, scatter } from '../language/selection.ts'
import { type ParameterShape, type SlotFacts, shaped } from '../language/slots.ts'
import { biasCorrection, type Value, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { type Blocks, blocksOf, firstPlaces, inBlocks, outOfBlocks } from '../parts/blocks.ts'
import { largestSquared } from '../parts/ema-of-square.ts'
import { asCodes, codesOf, fourBitCodes } from '../parts/four-bit-codes.ts'

type Options = SlotFacts['options']

/**
 * MicroAdam: Adam from a window of the largest elements of the last gradients, with the rest as a 4-bit error that the next
 * gradient is given.
 *
 * ```text
 * a ← g + e,     e = code (largest - least) / 15 + least
 * I ← the places of the largest |a| in each block, V ← a[I];     row (t - 1) mod window of the window ← I, V
 * a[I] ← 0
 * least, largest ← min a, max a       of each block of errors
 * code ← ⌊(a - least) / ((largest - least) / 15) + 1/2⌋
 * m ← (1 - β1) Σ β1ʳ V of the row written r steps ago
 * v ← (1 - β2) Σ β2ʳ V² of the row written r steps ago
 * θ ← (1 - η λ) θ - η (m / (1 - β1ᵗ)) / (√(v / (1 - β2ᵗ)) + ε)
 * ```
 *
 * Of every block of `blockLength` elements, as they lie in memory, `keptPerThousand` in 1000 are kept, rounded up; the last block may be
 * shorter, and a tensor with fewer elements is one block. Of equal ones the first are kept. Defaults of the official code:
 * window 10, keptPerThousand 10, β (0.9, 0.999), ε 1e-8, λ 0; errorBlockLength 100000 is what its examples use, and blockLength 29056 what it
 * finds on a GPU. It leaves η to the caller; here it is 1e-3. State: `places` and `values`, of 1 % of the parameter's size for each row
 * of the window; `code`, four bits for each number of the parameter; `least` and `largest` of each block of errors. With the defaults that
 * is 1.3 bytes for each number of the parameter, where Adam has 8.
 *
 * m and v know nothing of what is older than the window, though their bias corrections go by t, so after more steps than it has rows
 * they are smaller than Adam's. An element that no row has stands still.
 *
 * `errorShare` α, 0 by default, is from the official code and not from the paper: α of the new error is taken as a step at once, beside
 * that of Adam, and only 1 - α of it is kept. What the code does for its α = -2, which takes away what rounding to codes loses, without the
 * learning rate, and which diverges, is not here. The authors keep places in 16 bits and values in bfloat16; here both are in float32.
 * In TensorFlow.js the codes take float32 too. A step works with a few arrays of the parameter's size beside.
 *
 * Modoranu, Safaryan, Malinovsky, Kurtic, Robert, Richtarik, Alistarh 2024, MicroAdam: Accurate Adaptive Optimization with Low Space
 * Overhead and Provable Convergence, arXiv 2405.15593.
 */
export const microAdam = defineOptimizer({
  name: 'microAdam',
  title: 'MicroAdam',
  family: 'adaptive',
  paper: {
    title: 'MicroAdam: Accurate Adaptive Optimization with Low Space Overhead and Provable Convergence',
    authors: 'Modoranu, Safaryan, Malinovsky, Kurtic, Robert, Richtarik, Alistarh',
    year: 2024,
    arxiv: '2405.15593',
  },
  hyper: {
    learningRate: nonNegative(1e-3),
    beta1: decayRate(0.9),
    beta2: decayRate(0.999),
    epsilon: smallDivisor(1e-8),
    weightDecay: nonNegative(0),
    errorShare: fraction(0),
  },
  options: { window: 10, keptPerThousand: 10, blockLength: 29056, errorBlockLength: 100000 },
  limits: { keptPerThousand: [1, 1000], blockLength: [1, 2 ** 24] },
  state: {
    places: shaped(windowDimensions),
    values: shaped(windowDimensions),
    code: fourBitCodes(({ size }) => [1, 1, size]),
    least: shaped(errorDimensions),
    largest: shaped(errorDimensions),
  },
  decay: 'decoupled',
  search: { learningRate: logUniform(1e-4, 3e-2) },
  largestGradient: largestSquared,
  rule({ g, t, state, hyper, options, shape, disabled }) {
    const { beta1, beta2, epsilon, errorShare } = hyper
    const blocks = blocksOf(shape.size, options.blockLength)
    const errorBlocks = blocksOf(shape.size, options.errorBlockLength)
    const accumulated = inBlocks(g.plus(decoded(state, errorBlocks, g)), blocks)
    const window = windowDimensions(shape, options)
    const count = window[2]
    const places = largestPlaces(accumulated, count)
    const found = gather(accumulated, places)
    const isKept = firstPlaces(found, blocks, count, keptOf(blocks.last, options))
    const kept = where(isKept, found, 0)
    const residual = outOfBlocks(accumulated.minus(scatter(kept, places, blocks.length)), blocks, g)
    const error = encoded(residual, errorBlocks)

    const newest = ageOf(t, options.window).minus(1)
    const row = state.values.rowIndex()
    const isNewest = row.equals(newest)
    const allPlaces = where(isNewest, places, state.places)
    const allValues = where(isNewest, kept, state.values)
    const age = newest.minus(row).plus(where(row.isGreaterThan(newest), options.window, 0))
    const average = (x: Value, beta: Value) => {
      const weight = beta.power(age).times(beta.negated().plus(1))
      const [batch, ...sides] = window
      const flat: Dimensions = [batch, 1, sides[0] * sides[1]]
      const sum = scatter(x.times(weight).as(flat), allPlaces.as(flat), blocks.length)
      return outOfBlocks(sum, blocks, g).over(biasCorrection(beta, t))
    }
    const m = average(allValues, beta1)
    const v = average(allValues.square(), beta2)
    const step = m.over(v.sqrt().plus(epsilon))
    const window1 = { places: allPlaces, values: allValues }
    if (disabled('errorShare')) return { direction: step, state: { ...window1, ...error } }
    const left = decoded(error, errorBlocks, g)
    return {
      direction: step.plus(left.times(errorShare)),
      state: { ...window1, ...encoded(left.times(errorShare.negated().plus(1)), errorBlocks) },
    }
  },
})

/** How many elements of a block of so many are kept. */
function keptOf(length: number, { keptPerThousand }: Options): number {
  return Math.ceil((length * (keptPerThousand as number)) / 1000)
}

/** Blocks, rows of the window, elements of each. */
function windowDimensions({ size }: Pick<ParameterShape, 'size'>, options: Options): Dimensions {
  const { count, length } = blocksOf(size, options.blockLength as number)
  return [count, options.window as number, keptOf(length, options)]
}

/** A number for each block of errors. */
function errorDimensions({ size }: ParameterShape, { errorBlockLength }: Options): Dimensions {
  return [blocksOf(size, errorBlockLength as number).count, 1, 1]
}

interface Encoded {
  readonly code: Value
  readonly least: Value
  readonly largest: Value
}

/** What codes stand for, like the gradient. */
function decoded({ code, least, largest }: Encoded, blocks: Blocks, like: Value): Value {
  const codes = inBlocks(codesOf(code), blocks)
  return outOfBlocks(codes.times(largest.minus(least).over(15)).plus(least), blocks, like)
}

/** The nearest of sixteen numbers from the least to the largest of each block. */
function encoded(x: Value, blocks: Blocks): Encoded {
  const values = inBlocks(x, blocks)
  const exists = firstPlaces(values, blocks, blocks.length, blocks.last)
  const of = (signed: Value) => where(exists, signed, Number.NEGATIVE_INFINITY).largest('columns')
  const [least, largest] = [of(values.negated()).negated(), of(values)]
  const unit = largest.minus(least).over(15)
  const code = values
    .minus(least)
    .over(where(unit.isGreaterThan(0), unit, 1))
    .plus(0.5)
    .floor()
    .minimum(15)
  return { code: asCodes(outOfBlocks(code, blocks, x)), least, largest }
}
