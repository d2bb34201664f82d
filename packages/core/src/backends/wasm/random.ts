/** Random numbers in kernels: four places at a time, as `philox.ts` defines them. */

import type { Distribution } from '../../graph/node.ts'
import { FunctionBuilder, type Helpers, type Local } from './assembler.ts'
import { randomFunction, sixteenFunction } from './names.ts'
import { philoxOf, splat } from './philox-rounds.ts'

/** The generator, `(counters, seed, step, tensor, draw)` to its four words for each of four counters. */
const wordsFunction = 'random_words'

/** The functions that draw, and the generator behind them. */
export const randomFunctions: Helpers = {
  [wordsFunction]: philox,
  logarithm_of_unit: logarithm,
  cosine_of_turns: cosineOfTurns,
  [sixteenFunction('sign')]: () => sixteen('sign', toSign),
  [sixteenFunction('uniform')]: () => sixteen('uniform', toUnit),
  [sixteenFunction('normal')]: sixteenNormal,
  [randomFunction('sign')]: () => four('sign'),
  [randomFunction('uniform')]: () => four('uniform'),
  [randomFunction('normal')]: () => four('normal'),
}

function start(name: string, results: number): FunctionBuilder {
  return new FunctionBuilder(name, ['v128', 'i32', 'i32', 'i32', 'i32'], new Array<'v128'>(results).fill('v128'))
}

function philox(): FunctionBuilder {
  const f = start(wordsFunction, 4)
  const [counters, seed, step, tensor, draw] = f.parameters as [Local, Local, Local, Local, Local]
  for (const word of philoxOf(f, [counters, splat(f, step), splat(f, tensor), splat(f, draw)], seed)) f.get(word)
  return f
}

/** Puts the four words of the generator into locals. */
function drawWords(f: FunctionBuilder): Local[] {
  const words = Array.from({ length: 4 }, () => f.local('v128'))
  for (const parameter of f.parameters) f.get(parameter)
  f.callHelper(wordsFunction)
  for (const word of [...words].reverse()) f.set(word)
  return words
}

function sixteen(kind: Distribution, convert: (f: FunctionBuilder) => FunctionBuilder): FunctionBuilder {
  const f = start(sixteenFunction(kind), 4)
  for (const word of drawWords(f)) convert(f.get(word))
  return f
}

/** The number of any place is one of the sixteen of its counter. */
function four(kind: Distribution): FunctionBuilder {
  const f = start(randomFunction(kind), 1)
  const [places, ...stream] = f.parameters as [Local, ...Local[]]
  const numbers = Array.from({ length: 4 }, () => f.local('v128'))
  const same = (value: number) => f.i32x4([value, value, value, value])
  f.get(places).i32(4).op('i32x4.shr_u').i32(2).op('i32x4.shl')
  f.get(places)
  same(3).op('v128.and', 'v128.or')
  for (const word of stream) f.get(word)
  f.callHelper(sixteenFunction(kind))
  for (const number of [...numbers].reverse()) f.set(number)
  f.get(numbers[0]!)
  for (let quarter = 1; quarter < 4; quarter++) {
    f.get(numbers[quarter]!).get(places)
    same(12).op('v128.and')
    same(4 * quarter).op('i32x4.ne', 'v128.bitselect')
  }
  return f
}

function toSign(f: FunctionBuilder): FunctionBuilder {
  return f
    .i32x4([-(2 ** 31), -(2 ** 31), -(2 ** 31), -(2 ** 31)])
    .op('v128.and')
    .f32(1)
    .op('f32x4.splat', 'v128.or')
}

/** Turns the words on the stack into numbers between 0 and 1. */
function toUnit(f: FunctionBuilder): FunctionBuilder {
  f.i32(9).op('i32x4.shr_u', 'f32x4.convert_i32x4_u')
  return f
    .f32(0.5)
    .op('f32x4.splat', 'f32x4.add')
    .f32(2 ** -23)
    .op('f32x4.splat', 'f32x4.mul')
}

/** √(-2 ln u) cos 2πv and √(-2 ln u) sin 2πv. */
function sixteenNormal(): FunctionBuilder {
  const f = start(sixteenFunction('normal'), 4)
  const words = drawWords(f)
  const [radius, turns] = [f.local('v128'), f.local('v128')]
  const number = (value: number) => f.f32(value).op('f32x4.splat')
  for (const pair of [0, 2]) {
    toUnit(f.get(words[pair]!)).callHelper('logarithm_of_unit')
    number(-2).op('f32x4.mul', 'f32x4.sqrt').set(radius)
    toUnit(f.get(words[pair + 1]!)).tee(turns)
    f.callHelper('cosine_of_turns').get(radius).op('f32x4.mul')
    // sin 2πv = cos 2π(v - ¼), and turns are between 0 and 1: v + ¾ where v is below ¼.
    f.get(turns)
    number(0.75).op('f32x4.add')
    f.get(turns)
    number(0.25).op('f32x4.sub')
    f.get(turns)
    number(0.25).op('f32x4.lt', 'v128.bitselect')
    f.callHelper('cosine_of_turns').get(radius).op('f32x4.mul')
  }
  return f
}

/**
 * ln u for normal float32 u between 0 and 1: u = 2ᵉ m with m between √½ and √2, and ln m = 2 artanh((m - 1) / (m + 1)) by its
 * series, which errs by 4e-9 here. The general logarithm computes in float64.
 */
function logarithm(): FunctionBuilder {
  const f = new FunctionBuilder('logarithm_of_unit', ['v128'], ['v128'])
  const [u] = f.parameters as [Local]
  const [m, above, s, square] = [f.local('v128'), f.local('v128'), f.local('v128'), f.local('v128')]
  const number = (value: number) => f.f32(value).op('f32x4.splat')
  const bits = (value: number) => f.i32x4([value, value, value, value])
  f.get(u)
  bits(0x007fffff).op('v128.and')
  bits(0x3f800000).op('v128.or').tee(m)
  number(Math.SQRT2).op('f32x4.gt').set(above)
  f.get(m)
  number(0.5).op('f32x4.mul').get(m).get(above).op('v128.bitselect').set(m)
  f.get(m)
  number(1).op('f32x4.sub').get(m)
  number(1).op('f32x4.add', 'f32x4.div').tee(s).get(s).op('f32x4.mul').set(square)
  number(2 / 9)
  for (const coefficient of [2 / 7, 2 / 5, 2 / 3, 2]) {
    f.get(square).op('f32x4.mul')
    number(coefficient).op('f32x4.add')
  }
  f.get(s).op('f32x4.mul')
  f.get(u).i32(23).op('i32x4.shr_u', 'f32x4.convert_i32x4_u')
  number(127).op('f32x4.sub').get(above)
  number(1).op('v128.and', 'f32x4.add')
  number(Math.LN2).op('f32x4.mul')
  return f.op('f32x4.add')
}

/** cos 2πv for v between 0 and 1, as a sine of an angle between -π/2 and π/2, of which the Taylor polynomial errs by 7e-10. */
function cosineOfTurns(): FunctionBuilder {
  const f = new FunctionBuilder('cosine_of_turns', ['v128'], ['v128'])
  const [angle, square] = [f.local('v128'), f.local('v128')]
  const number = (value: number) => f.f32(value).op('f32x4.splat')
  // cos 2πv = sin 2π(|v - ½| - ¼)
  f.get(f.parameters[0]!)
  number(0.5).op('f32x4.sub', 'f32x4.abs')
  number(0.25).op('f32x4.sub')
  number(2 * Math.PI)
    .op('f32x4.mul')
    .tee(angle)
  f.get(angle).get(angle).op('f32x4.mul').set(square)
  const coefficients = [1]
  for (let k = 1; k <= 6; k++) coefficients.push(-coefficients[k - 1]! / (2 * k * (2 * k + 1)))
  coefficients.reverse().forEach((coefficient, index) => {
    if (index > 0) f.get(square).op('f32x4.mul')
    number(coefficient)
    if (index > 0) f.op('f32x4.add')
  })
  return f.op('f32x4.mul')
}
