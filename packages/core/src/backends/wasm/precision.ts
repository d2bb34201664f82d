/** @internal which numbers the kernels compute with */
export const wasmPrecision = { arrays: 'float32', scalars: 'float64', sums: 'float64' } as const
