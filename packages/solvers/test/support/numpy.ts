/** NumPy's `default_rng(0).random()`: PCG64 (M. O'Neill 2014, XSL RR 128/64) from the state that seed 0 has. */
export function numpyRandom(): () => number {
  let state = 35399562948360463058890781895381311971n
  const increment = 87136372517582989555478159403783844777n
  const mask = (1n << 128n) - 1n
  return () => {
    state = (state * 0x2360ed051fc65da44385df649fccf645n + increment) & mask
    const mixed = (state >> 64n) ^ (state & ((1n << 64n) - 1n))
    const turn = state >> 122n
    const word = ((mixed >> turn) | (mixed << (64n - turn))) & ((1n << 64n) - 1n)
    return Number(word >> 11n) / 2 ** 53
  }
}
