/** Rosenbrock's valley (1960), as a chain in any dimension. */
export const rosenbrock = {
  value(x: Float64Array): number {
    let sum = 0
    for (let i = 0; i + 1 < x.length; i++) sum += 100 * (x[i + 1]! - x[i]! ** 2) ** 2 + (1 - x[i]!) ** 2
    return sum
  },
  gradient(x: Float64Array): Float64Array {
    const gradient = new Float64Array(x.length)
    for (let i = 0; i + 1 < x.length; i++) {
      const rest = x[i + 1]! - x[i]! ** 2
      gradient[i]! += -400 * x[i]! * rest - 2 * (1 - x[i]!)
      gradient[i + 1]! += 200 * rest
    }
    return gradient
  },
}
