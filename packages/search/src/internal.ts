/** What the other packages of this repository use; it may change at any time. */
export { parameterOf } from './optimizers.ts'
export { type Random, random } from './random.ts'
export { sobol, sobolDimensions } from './samplers/parts/sobol.ts'
export { numberAt, placeOf, valueAt, widened } from './space/dimension.ts'
export { normalCumulative } from './statistics/normal.ts'
export { power, studentQuantile, studentTail } from './statistics/student.ts'
