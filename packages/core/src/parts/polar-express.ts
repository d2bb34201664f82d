import type { QuinticCoefficients } from './newton-schulz.ts'

/** Beside the Frobenius norm: rounding must not make a singular value larger than 1. */
const normFactor = 1.01

/** Every polynomial but the last is taken at a value this much smaller, for the same reason. */
const safetyFactor = 1.01

/**
 * The coefficients for `newtonSchulz` that come nearest to singular values of 1 at every step, for values from 1e-3 of the largest on. Those
 * that the authors' code lists, with the factors that it puts in.
 *
 * Amsel, Persson, Musco, Gower 2025, The Polar Express: Optimal matrix sign methods and their application to the Muon
 * algorithm, arXiv 2505.16932.
 */
export const polarExpress: QuinticCoefficients = /* @__PURE__ */ withFactors([
  [8.28721201814563, -23.595886519098837, 17.300387312530933],
  [4.107059111542203, -2.9478499167379106, 0.5448431082926601],
  [3.9486908534822946, -2.908902115962949, 0.5518191394370137],
  [3.3184196573706015, -2.488488024314874, 0.51004894012372],
  [2.300652019954817, -1.6689039845747493, 0.4188073119525673],
  [1.891301407787398, -1.2679958271945868, 0.37680408948524835],
  [1.8750014808534479, -1.2500016453999487, 0.3750001645474248],
  [1.875, -1.25, 0.375],
])

function withFactors(coefficients: QuinticCoefficients): QuinticCoefficients {
  return coefficients.map(([a, b, c], step) => {
    const safe = step < coefficients.length - 1 ? safetyFactor : 1
    const factor = step === 0 ? safe * normFactor : safe
    return [a / factor, b / factor ** 3, c / factor ** 5]
  })
}
