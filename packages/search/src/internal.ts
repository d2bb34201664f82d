/** What the other packages of this repository use; it may change at any time. */
export { sobol, sobolDimensions } from './samplers/parts/sobol.ts'
export { normalBelow, power, studentQuantile, studentTail } from './statistics/student.ts'
