// Runs the objective of a module in a thread or process of its own.
import type { Objective } from '../study/optimize.ts'
import { answerTrials } from './answer.ts'

const url = process.argv.at(-1)!
const { objective } = (await import(url)) as { objective?: Objective<never> }
if (typeof objective !== 'function') throw new TypeError(`${url} must export 'objective', a function of a trial`)
answerTrials(objective)
