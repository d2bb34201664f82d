/** The numbers that codes of few bits stand for, between -1 and 1: what a block's largest magnitude multiplies. */

const round = Math.fround

/**
 * Numbers from 0.1 to 1 at equal distances, with the roundings that published tables have: of sixteen, every eighth is found from
 * the nearer end and those behind it from that one; what fills no sixteen is found one by one.
 */
function evenlySpaced(count: number): number[] {
  const [from, step] = [round(0.1), round(round(1 - round(0.1)) / (count - 1))]
  const at = (index: number) =>
    round(index < Math.floor(count / 2) ? from + step * index : 1 - step * (count - 1 - index))
  const whole = count - (count % 16)
  return Array.from({ length: count }, (_, index) =>
    index < whole ? round(at(index - (index % 8)) + round(step * (index % 8))) : at(index),
  )
}

/**
 * The dynamic map of Dettmers, Lewis, Shleifer, Zettlemoyer 2022, 8-bit Optimizers via Block-wise Quantization, arXiv 2110.02861, as
 * the authors' library computes it in float32: in each decade the middles of equal parts, twice as many as in the decade below, with
 * 0 and 1. `signed` has both signs and half as many numbers for each. Ascending.
 */
export function dynamicMap(bits: number, signed: boolean): Float32Array {
  const decades = bits - 1
  const codes = [0, 1]
  for (let decade = 0; decade < decades; decade++) {
    const bounds = evenlySpaced(2 ** (decade + (signed ? 0 : 1)) + 1)
    for (let part = 1; part < bounds.length; part++) {
      const middle = round(round(bounds[part - 1]! + bounds[part]!) / 2)
      const code = round(round(10 ** (decade - decades + 1)) * middle)
      codes.push(code)
      if (signed) codes.push(-code)
    }
  }
  return Float32Array.from(codes).sort()
}

/** 1/n, 2/n, ... 1 without 0, so that nothing becomes 0 that is divided by (Li, Chen, Zhu 2023, arXiv 2309.01507). */
export function linearMap(bits: number): Float32Array {
  return Float32Array.from({ length: 2 ** bits }, (_, index) => (index + 1) / 2 ** bits)
}
