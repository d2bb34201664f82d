// The package is loaded as a module and has no exports as one: it leaves its functions in the global object.
import 'fmin'

interface Found {
  readonly x: number[]
  readonly fx: number
}

interface Fmin {
  nelderMead(
    value: (x: number[]) => number,
    start: number[],
    parameters?: { readonly maxIterations?: number; readonly minErrorDelta?: number },
  ): Found
  /** The function writes the gradient into its second argument. */
  conjugateGradient(
    value: (x: number[], gradient: number[]) => number,
    start: number[],
    parameters?: { readonly maxIterations?: number },
  ): Found
}

export const { nelderMead, conjugateGradient } = (globalThis as unknown as { readonly fmin: Fmin }).fmin
