/**
 * Functions that WebAssembly has no instructions for, computed for two float64 at a time. Kernels work in float32, and what
 * is rounded back to it is within 0.51 units in the last place of the true value.
 */

import type { ElementOperation } from '../../graph/node.ts'
import { FunctionBuilder, type Helpers, type Local, type PlainInstruction } from './assembler.ts'
import { single } from './names.ts'

/** Operations that call a function of their own, with the number of their operands. */
const transcendental = {
  exponential: 1,
  logarithm: 1,
  power: 2,
  sigmoid: 1,
  tanh: 1,
  softplus: 1,
  cosine: 1,
} as const satisfies Partial<Record<ElementOperation, number>>

export type Transcendental = keyof typeof transcendental

/** One or two pairs of float64. */
type Pairs = readonly Local[]

/** Writes straight-line code for pairs of float64; every result has locals of its own. Constants serve all pairs. */
class Writer {
  readonly f: FunctionBuilder
  private readonly count: number

  constructor(f: FunctionBuilder, count: number) {
    this.f = f
    this.count = count
  }

  constant(value: number): Pairs {
    const local = this.f.local('v128')
    this.f.pairOf(value).set(local)
    return new Array<Local>(this.count).fill(local)
  }

  op(name: PlainInstruction, ...operands: readonly (Pairs | number)[]): Pairs {
    const pairs = operands.map((operand) => (typeof operand === 'number' ? this.constant(operand) : operand))
    return this.each((pair) => {
      for (const operand of pairs) this.f.get(operand[pair]!)
      this.f.op(name)
    })
  }

  shift(name: 'i64x2.shl' | 'i64x2.shr_u', value: Pairs, bits: number): Pairs {
    return this.each((pair) => this.f.get(value[pair]!).i32(bits).op(name))
  }

  /** What `write` leaves on the stack for each pair. */
  each(write: (pair: number) => void): Pairs {
    return Array.from({ length: this.count }, (_, pair) => {
      const result = this.f.local('v128')
      write(pair)
      this.f.set(result)
      return result
    })
  }

  where(condition: Pairs, chosen: Pairs | number, otherwise: Pairs | number): Pairs {
    return this.op('v128.bitselect', chosen, otherwise, condition)
  }

  /** Horner's scheme, coefficients from the constant term up. */
  polynomial(x: Pairs, coefficients: readonly number[]): Pairs {
    return coefficients
      .slice(0, -1)
      .reduceRight<Pairs>(
        (sum, coefficient) => this.op('f64x2.add', this.op('f64x2.mul', sum, x), coefficient),
        this.constant(coefficients.at(-1)!),
      )
  }
}

/** The part of ln 2 whose multiples by exponents are exact, and the rest. */
const [lnTwoHigh, lnTwoLow] = [0.6931471803691238, 1.9082149292705877e-10]
/** Beyond these eˣ is infinite, or so small that it is given as 0. */
const [largestExponent, smallestExponent] = [709.782712893384, -708]

/** eˣ = 2ⁿ eʳ with |r| up to ln 2 / 2, where the Taylor polynomial of degree 9 errs by 7e-12. */
function exponential(w: Writer, x: Pairs): Pairs {
  // In this order pmin and pmax keep what is not a number.
  const bounded = w.op('f64x2.pmin', w.op('f64x2.pmax', x, smallestExponent), largestExponent)
  const n = w.op('f64x2.nearest', w.op('f64x2.mul', bounded, Math.LOG2E))
  const near = w.op('f64x2.sub', bounded, w.op('f64x2.mul', n, lnTwoHigh))
  const r = w.op('f64x2.sub', near, w.op('f64x2.mul', n, lnTwoLow))
  const taylor = [1]
  for (let k = 1; k <= 9; k++) taylor.push(taylor[k - 1]! / k)
  const whole = w.op('i64x2.extend_low_i32x4_s', w.op('i32x4.trunc_sat_f64x2_s_zero', n))
  const scaled = w.op('i64x2.add', w.polynomial(r, taylor), w.shift('i64x2.shl', whole, 52))
  const positive = w.where(w.op('f64x2.gt', x, largestExponent), Number.POSITIVE_INFINITY, scaled)
  return w.where(w.op('f64x2.lt', x, smallestExponent), 0, positive)
}

/** ln x = e ln 2 + 2 artanh s, s = (m - 1) / (m + 1), m from √½ to √2, where seven terms of the series err by 1e-12. */
function logarithm(w: Writer, x: Pairs): Pairs {
  // 2^52 + k has k in its lowest bits.
  const biased = w.op('v128.or', w.shift('i64x2.shr_u', x, 52), 2 ** 52)
  const mantissa = w.shift('i64x2.shr_u', w.shift('i64x2.shl', x, 12), 12)
  const upper = w.op('v128.or', mantissa, 1)
  const large = w.op('f64x2.gt', upper, Math.SQRT2)
  const m = w.where(large, w.op('f64x2.mul', upper, 0.5), upper)
  const exponent = w.op('f64x2.sub', biased, w.where(large, 2 ** 52 + 1022, 2 ** 52 + 1023))
  const s = w.op('f64x2.div', w.op('f64x2.sub', m, 1), w.op('f64x2.add', m, 1))
  const series = w.polynomial(
    w.op('f64x2.mul', s, s),
    [1, 3, 5, 7, 9, 11, 13].map((k) => 2 / k),
  )
  const sum = w.op('f64x2.add', w.op('f64x2.mul', exponent, Math.LN2), w.op('f64x2.mul', s, series))
  const negative = w.where(w.op('f64x2.lt', x, 0), Number.NaN, sum)
  const zero = w.where(w.op('f64x2.eq', x, 0), Number.NEGATIVE_INFINITY, negative)
  // Infinity and what is not a number stay.
  return w.where(w.op('f64x2.lt', x, Number.POSITIVE_INFINITY), zero, w.op('f64x2.add', x, x))
}

/** xʸ = exp(y ln x) for x from 0 up; x⁰ is 1. */
function power(w: Writer, x: Pairs, y: Pairs): Pairs {
  const value = exponential(w, w.op('f64x2.mul', y, logarithm(w, x)))
  return w.where(w.op('f64x2.eq', y, 0), 1, value)
}

function sigmoid(w: Writer, x: Pairs): Pairs {
  const decayed = exponential(w, w.op('f64x2.neg', x))
  return w.op('f64x2.div', w.constant(1), w.op('f64x2.add', decayed, 1))
}

/** Near 0 the Taylor polynomial, which errs by 1e-10 at 1/4; elsewhere 1 - 2 / (e²ˣ + 1). */
function tanh(w: Writer, x: Pairs): Pairs {
  const square = w.op('f64x2.mul', x, x)
  const taylor = [1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835, -1382 / 155925, 21844 / 6081075]
  const small = w.op('f64x2.mul', x, w.polynomial(square, taylor))
  const grown = exponential(w, w.op('f64x2.add', x, x))
  const large = w.op('f64x2.sub', w.constant(1), w.op('f64x2.div', w.constant(2), w.op('f64x2.add', grown, 1)))
  return w.where(w.op('f64x2.lt', square, 1 / 16), small, large)
}

/** max(x, 0) + ln(1 + y), y = e^-|x|; the quotient gives back what 1 + y rounds away. */
function softplus(w: Writer, x: Pairs): Pairs {
  const y = exponential(w, w.op('f64x2.neg', w.op('f64x2.abs', x)))
  const rounded = w.op('f64x2.add', y, 1)
  const kept = w.op('f64x2.sub', rounded, 1)
  const corrected = w.op('f64x2.mul', logarithm(w, rounded), w.op('f64x2.div', y, kept))
  const remainder = w.where(w.op('f64x2.eq', kept, 0), y, corrected)
  return w.op('f64x2.add', w.op('f64x2.pmax', x, 0), remainder)
}

/** cos x = (-1)ⁿ cos r, r = x - n π, |r| up to π / 2, where the Taylor polynomial of degree 16 errs by 5e-13. */
function cosine(w: Writer, x: Pairs): Pairs {
  const n = w.op('f64x2.nearest', w.op('f64x2.mul', x, 1 / Math.PI))
  const near = w.op('f64x2.sub', x, w.op('f64x2.mul', n, piHigh))
  const r = w.op('f64x2.sub', near, w.op('f64x2.mul', n, piLow))
  const taylor = [1]
  for (let k = 1; k <= 8; k++) taylor.push(-taylor[k - 1]! / (2 * k * (2 * k - 1)))
  const value = w.polynomial(w.op('f64x2.mul', r, r), taylor)
  const half = w.op('f64x2.mul', n, 0.5)
  const even = w.op('f64x2.eq', w.op('f64x2.nearest', half), half)
  return w.where(even, value, w.op('f64x2.neg', value))
}

/** π in two parts, the first with 27 zeros at its end. */
const [piHigh, piLow] = [3.1415926218032837, 3.178650954705639e-8]

const definitions: Readonly<Record<Transcendental, (w: Writer, x: Pairs, y: Pairs) => Pairs>> = {
  exponential,
  logarithm,
  power,
  sigmoid,
  tanh,
  softplus,
  cosine,
}

/** All functions that may be called, by name: for a pair of float64, and for four float32, which are two pairs. */
export const mathematicalFunctions: Helpers = /* @__PURE__ */ Object.fromEntries(
  /* @__PURE__ */ Object.keys(definitions).flatMap((name) => [
    [name, () => ofTwo(name as Transcendental)],
    [single(name), () => ofFour(name as Transcendental)],
  ]),
)

const parametersOf = (name: Transcendental) => new Array<'v128'>(transcendental[name]).fill('v128')

function ofTwo(name: Transcendental): FunctionBuilder {
  const f = new FunctionBuilder(name, parametersOf(name), ['v128'])
  const [x = [], y = []] = f.parameters.map((parameter) => [parameter])
  return f.get(definitions[name](new Writer(f, 1), x, y)[0]!)
}

function ofFour(name: Transcendental): FunctionBuilder {
  const f = new FunctionBuilder(single(name), parametersOf(name), ['v128'])
  const w = new Writer(f, 2)
  const [x = [], y = []] = f.parameters.map((parameter) =>
    w.each((half) => {
      f.get(parameter)
      if (half === 1) f.get(parameter).upperHalf()
      f.op('f64x2.promote_low_f32x4')
    }),
  )
  for (const result of definitions[name](w, x, y)) f.get(result).op('f32x4.demote_f64x2_zero')
  return f.lowerHalves()
}
