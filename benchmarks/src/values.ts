/** Uneven numbers between -scale and scale, none of them zero or tiny: the same for every contender. */
export function fill(array: Float32Array, scale: number): void {
  const period = Math.min(array.length, 1013)
  for (let index = 0; index < period; index++) array[index] = scale * (((index * 7919) % 1013) / 506 - 1.001)
  for (let filled = period; filled < array.length; filled *= 2) {
    array.copyWithin(filled, 0, Math.min(filled, array.length - filled))
  }
}

/** Scale of the parameters. */
export const parameterScale = 0.5
/** Scale of the gradients. */
export const gradientScale = 1e-2
