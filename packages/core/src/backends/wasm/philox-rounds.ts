/** Rounds of the generator that `philox.ts` defines, on four counters at a time. */

import { philoxIncrements, philoxMultipliers, philoxRounds } from '../../graph/philox.ts'
import type { FunctionBuilder, Local } from './assembler.ts'

/** A word of each of four counters, four times. */
export type Counters = readonly [Local, Local, Local, Local]

type Keys = readonly [Local, Local]

const constants = (f: FunctionBuilder, values: readonly [number, number]): Keys => {
  const constant = (value: number) => {
    const local = f.local('v128')
    f.fourOf(value | 0).set(local)
    return local
  }
  return [constant(values[0]), constant(values[1])]
}

/** A number four times. */
export function splat(f: FunctionBuilder, number: Local): Local {
  const local = f.local('v128')
  f.get(number).op('i32x4.splat').set(local)
  return local
}

function product(f: FunctionBuilder, a: Local, b: Local): [low: Local, high: Local] {
  const [left, right, low, high] = Array.from({ length: 4 }, () => f.local('v128')) as [Local, Local, Local, Local]
  f.get(a).get(b).op('i64x2.extmul_low_i32x4_u').set(left)
  f.get(a).get(b).op('i64x2.extmul_high_i32x4_u').set(right)
  f.get(left).get(right).words(0).set(low)
  f.get(left).get(right).words(1).set(high)
  return [low, high]
}

function mixed(f: FunctionBuilder, ...words: readonly Local[]): Local {
  const result = f.local('v128')
  words.forEach((word, index) => {
    f.get(word)
    if (index > 0) f.op('v128.xor')
  })
  f.set(result)
  return result
}

/** Appends what finds the keys of the next round. */
function nextKeys(f: FunctionBuilder, keys: Keys, increments: Keys, into: Keys): Keys {
  keys.forEach((key, index) => {
    f.get(key).get(increments[index]!).op('i32x4.add').set(into[index]!)
  })
  return into
}

/** Appends all rounds. */
export function philoxOf(f: FunctionBuilder, counters: Counters, seed: Local): Counters {
  const multipliers = constants(f, philoxMultipliers)
  const increments = constants(f, philoxIncrements)
  const keys: Keys = [splat(f, seed), f.local('v128')]
  f.zeroVector().set(keys[1])
  let [a, b, c, d] = counters
  for (let round = 0; round < philoxRounds; round++) {
    const [low0, high0] = product(f, a, multipliers[0])
    const [low1, high1] = product(f, c, multipliers[1])
    a = mixed(f, b, keys[0], high1)
    c = mixed(f, d, keys[1], high0)
    b = low1
    d = low0
    nextKeys(f, keys, increments, keys)
  }
  return [a, b, c, d]
}

/**
 * Appends, before a loop, what all places of a stream have in common: the keys, and of the first two rounds what needs no place.
 * @returns appends what is left of the rounds for four places.
 */
export function philoxOfStream(
  f: FunctionBuilder,
  seed: Local,
  step: Local,
  tensor: Local,
): (places: Local) => Counters {
  const multipliers = constants(f, philoxMultipliers)
  const increments = constants(f, philoxIncrements)
  const zero = f.local('v128')
  f.zeroVector().set(zero)
  const keys: Keys[] = [[splat(f, seed), zero]]
  for (let round = 1; round < philoxRounds; round++) {
    keys.push(nextKeys(f, keys[round - 1]!, increments, [f.local('v128'), f.local('v128')]))
  }
  const [low, high] = product(f, splat(f, tensor), multipliers[1])
  const [lowOfNext, highOfNext] = product(f, mixed(f, splat(f, step), keys[0]![0], high), multipliers[0])
  const [first, second, third] = [
    mixed(f, low, keys[1]![0]),
    mixed(f, highOfNext, keys[1]![1]),
    mixed(f, lowOfNext, keys[2]![1]),
  ]
  return (places) => {
    const [low0, high0] = product(f, places, multipliers[0])
    const [low1, high1] = product(f, high0, multipliers[1])
    let [a, b, c, d] = [mixed(f, first, high1), low1, mixed(f, second, low0), third]
    for (let round = 2; round < philoxRounds; round++) {
      const [lowOfA, highOfA] = product(f, a, multipliers[0])
      const [lowOfC, highOfC] = product(f, c, multipliers[1])
      a = mixed(f, b, keys[round]![0], highOfC)
      c = round === 2 ? mixed(f, d, highOfA) : mixed(f, d, keys[round]![1], highOfA)
      b = lowOfC
      d = lowOfA
    }
    return [a, b, c, d]
  }
}
