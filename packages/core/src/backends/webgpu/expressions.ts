/** The WGSL of operations element by element, and of the functions that they call. */

import type { Distribution, ElementOperation } from '../../graph/node.ts'
import { philoxIncrements, philoxMultipliers, philoxRounds } from '../../graph/philox.ts'

/** The WGSL of functions by their names; what they call is found in it. */
export type Functions = Readonly<Record<string, string>>

type Expression = (a: string, b: string, c: string) => string

const call =
  (name: string): Expression =>
  (a, b) =>
    b === '' ? `${name}(${a})` : `${name}(${a}, ${b})`

/** Operands are names, so that none needs parentheses. Comparisons choose as the other backends do when one is not a number. */
const expressions: Readonly<Record<ElementOperation, Expression>> = {
  add: (a, b) => `${a} + ${b}`,
  subtract: (a, b) => `${a} - ${b}`,
  multiply: (a, b) => `${a} * ${b}`,
  divide: (a, b) => `${a} / ${b}`,
  maximum: (a, b) => `select(${a}, ${b}, ${a} < ${b})`,
  minimum: (a, b) => `select(${a}, ${b}, ${b} < ${a})`,
  absolute: (a) => `abs(${a})`,
  sign: (a) => `select(select(0f, -1f, ${a} < 0f), 1f, ${a} > 0f)`,
  squareRoot: (a) => `sqrt(${a})`,
  select: (a, b, c) => `select(${c}, ${b}, ${a})`,
  equal: (a, b) => `${a} == ${b}`,
  less: (a, b) => `${a} < ${b}`,
  lessOrEqual: (a, b) => `${a} <= ${b}`,
  and: (a, b) => `${a} && ${b}`,
  not: (a) => `!${a}`,
  floor: (a) => `floor(${a})`,
  power: call('power'),
  exponential: call('exponential'),
  logarithm: call('logarithm'),
  sigmoid: call('sigmoid'),
  tanh: call('hyperbolic_tangent'),
  softplus: call('softplus'),
  cosine: call('cosine'),
}

/** An operation on names. */
export function expression(operation: ElementOperation, [a = '', b = '', c = '']: readonly string[]): string {
  return expressions[operation](a, b, c)
}

/** The function that draws: `(place, seed, step, tensor, draw)` to a number. */
export const randomName = (distribution: Distribution) => `random_${distribution}`

const float = (value: number) => `${value}f`
const hexadecimal = (value: number) => `0x${value.toString(16)}u`

/** Horner's scheme, coefficients from the constant term up. */
function polynomial(x: string, coefficients: readonly number[]): string {
  const [first, ...rest] = [...coefficients].reverse().map(float)
  return rest.reduce((sum, coefficient) => `fma(${sum}, ${x}, ${coefficient})`, first!)
}

const factorials = (count: number) => {
  const list = [1]
  for (let k = 1; k < count; k++) list.push(list[k - 1]! * k)
  return list
}

const odd = (count: number) => Array.from({ length: count }, (_, k) => 2 / (2 * k + 1))

/** ln 2 and π in parts, the first with so few digits that small multiples are exact. */
const lnTwo = [0.693359375, -2.1219444e-4] as const
const pi = [3.140625, 9.675025939941406e-4, 1.5099579909783765e-7] as const

/**
 * Functions that WGSL has not, or promises little of. Errors are a few units in the last place; those of a power grow with its logarithm.
 */
export const mathematics: Functions = {
  infinity: `fn infinity() -> f32 {\n  return -bitcast<f32>(words[1]);\n}`,
  is_nan: `fn is_nan(x: f32) -> bool {\n  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;\n}`,
  exponential: `fn exponential(x: f32) -> f32 {
  if (is_nan(x)) { return x; }
  if (x > 88.72283f) { return infinity(); }
  if (x < -87.33654f) { return 0f; }
  let n = round(x * ${float(Math.LOG2E)});
  let r = fma(n, ${float(-lnTwo[1])}, fma(n, ${float(-lnTwo[0])}, x));
  let power = ${polynomial(
    'r',
    factorials(8).map((f) => 1 / f),
  )};
  return ldexp(ldexp(power, i32(n) / 2), i32(n) - i32(n) / 2);
}`,
  logarithm: `fn logarithm(x: f32) -> f32 {
  if (is_nan(x) || x == infinity()) { return x; }
  if (x == 0f) { return -infinity(); }
  if (x < 0f) { return infinity() - infinity(); }
  let small = bitcast<u32>(x) < 0x00800000u;
  let bits = bitcast<u32>(select(x, x * 8388608f, small));
  let upper = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
  let large = upper > ${float(Math.SQRT2)};
  let m = select(upper, upper * 0.5f, large);
  let e = f32(i32(bits >> 23u) - select(127, 126, large) - select(0, 23, small));
  let s = (m - 1f) / (m + 1f);
  let square = s * s;
  return fma(e, ${float(lnTwo[0])}, fma(e, ${float(lnTwo[1])}, s * ${polynomial('square', odd(5))}));
}`,
  power: `fn power(x: f32, y: f32) -> f32 {
  if (y == 0f) { return 1f; }
  return exponential(y * logarithm(x));
}`,
  sigmoid: `fn sigmoid(x: f32) -> f32 {\n  return 1f / (1f + exponential(-x));\n}`,
  hyperbolic_tangent: `fn hyperbolic_tangent(x: f32) -> f32 {
  let square = x * x;
  if (square < 0.0625f) { return x * ${polynomial('square', [1, -1 / 3, 2 / 15, -17 / 315, 62 / 2835])}; }
  return 1f - 2f / (exponential(x + x) + 1f);
}`,
  softplus: `fn softplus(x: f32) -> f32 {
  let y = exponential(-abs(x));
  let s = y / (2f + y);
  let square = s * s;
  return select(x, 0f, x < 0f) + s * ${polynomial('square', odd(8))};
}`,
  cosine: `fn cosine(x: f32) -> f32 {
  let n = round(x * ${float(1 / Math.PI)});
  let r = fma(n, ${float(-pi[2])}, fma(n, ${float(-pi[1])}, fma(n, ${float(-pi[0])}, x)));
  let square = r * r;
  let value = ${polynomial(
    'square',
    factorials(13)
      .filter((_, k) => k % 2 === 0)
      .map((f, k) => (k % 2 === 0 ? 1 : -1) / f),
  )};
  return select(value, -value, (i32(n) & 1) != 0);
}`,
  high_word: `fn high_word(a: u32, b: u32) -> u32 {
  let middle = (a >> 16u) * (b & 0xffffu) + (((a & 0xffffu) * (b & 0xffffu)) >> 16u);
  let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}`,
  random_words: `/// Philox4x32-10.
fn random_words(start: vec4u, seed: u32) -> vec4u {
  var c = start;
  var key = vec2u(seed, 0u);
  for (var round = 0u; round < ${philoxRounds}u; round++) {
    let low = c.xz * vec2u(${philoxMultipliers.map(hexadecimal).join(', ')});
    let high0 = high_word(c.x, ${hexadecimal(philoxMultipliers[0])});
    let high1 = high_word(c.z, ${hexadecimal(philoxMultipliers[1])});
    c = vec4u(high1 ^ c.y ^ key.x, low.y, high0 ^ c.w ^ key.y, low.x);
    key += vec2u(${philoxIncrements.map(hexadecimal).join(', ')});
  }
  return c;
}`,
  words_at: `/// The words of a place: sixteen places share four counters.
fn words_at(i: u32, seed: u32, step: u32, tensor: u32, draw: u32) -> vec4u {
  return random_words(vec4u((i >> 4u) * 4u + (i & 3u), step, tensor, draw), seed);
}`,
  unit: `/// A number strictly between 0 and 1 with 23 random bits.
fn unit(word: u32) -> f32 {
  return (f32(word >> 9u) + 0.5f) * ${float(2 ** -23)};
}`,
  random_uniform: `fn random_uniform(i: u32, seed: u32, step: u32, tensor: u32, draw: u32) -> f32 {
  return unit(words_at(i, seed, step, tensor, draw)[(i >> 2u) & 3u]);
}`,
  random_sign: `fn random_sign(i: u32, seed: u32, step: u32, tensor: u32, draw: u32) -> f32 {
  return select(1f, -1f, (words_at(i, seed, step, tensor, draw)[(i >> 2u) & 3u] >> 31u) == 1u);
}`,
  cosine_of_turns: `/// cos 2πv = sin 2π(|v - 1/2| - 1/4), whose angle is between -π/2 and π/2.
fn cosine_of_turns(v: f32) -> f32 {
  let angle = ${float(2 * Math.PI)} * (abs(v - 0.5f) - 0.25f);
  let square = angle * angle;
  return angle * ${polynomial(
    'square',
    factorials(14)
      .filter((_, k) => k % 2 === 1)
      .map((f, k) => (k % 2 === 0 ? 1 : -1) / f),
  )};
}`,
  random_normal: `/// Box and Muller: two words make two numbers.
fn random_normal(i: u32, seed: u32, step: u32, tensor: u32, draw: u32) -> f32 {
  let quarter = (i >> 2u) & 3u;
  let four = words_at(i, seed, step, tensor, draw);
  let two = select(four.zw, four.xy, quarter < 2u);
  let turns = unit(two.y);
  // sin 2πv = cos 2π(v - 1/4), and turns are between 0 and 1.
  let sine = select(turns - 0.25f, turns + 0.75f, turns < 0.25f);
  return sqrt(-2f * logarithm(unit(two.x))) * cosine_of_turns(select(sine, turns, (quarter & 1u) == 0u));
}`,
}
