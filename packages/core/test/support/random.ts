/** A seeded stream of numbers in [-1, 1) that float32 holds exactly, so that both backends start from the same bits. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 8) / 2 ** 23 - 1
  }
}

/** Fills all arrays in the order of their names; every `zeroEvery`-th number is exactly zero. */
export function fillAll(
  arrays: Readonly<Record<string, Float32Array | Float64Array>>,
  random: () => number,
  zeroEvery = Number.POSITIVE_INFINITY,
): void {
  let count = 0
  for (const array of Object.values(arrays)) {
    for (let index = 0; index < array.length; index++) array[index] = ++count % zeroEvery === 0 ? 0 : random()
  }
}

/** Copies arrays by name. */
export function copyAll(
  from: Readonly<Record<string, ArrayLike<number>>>,
  to: Readonly<Record<string, Float32Array | Float64Array>>,
): void {
  for (const [name, array] of Object.entries(to)) array.set(from[name]!)
}
