/** What generates kernels that sum, follow rows or draw random numbers, and those of numbers: most plans need nothing of it. */
export { GatheringEntryLayout } from './gathering-entry.ts'
export { againName, GatheringLoopGenerator, isTakenAgain } from './gathering-loop.ts'
export { commitFunction, scalarFunction } from './scalars.ts'
export { loopAgain } from './sums.ts'
export { combineTotals } from './totals.ts'
