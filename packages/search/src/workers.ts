/** Objectives in threads and processes of Node. */

export { answerTrials } from './workers/answer.ts'
export type { EvaluatorKind } from './workers/evaluators.ts'
export { type Beating, ObjectiveFailed, Workers, type WorkersOptions } from './workers/workers.ts'
