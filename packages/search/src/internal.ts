/** What the other packages of this repository use; it may change at any time. */
export { normalBelow, power, studentQuantile, studentTail } from './statistics/student.ts'
