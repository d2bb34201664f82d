// Runs the objective of a study module in a thread or process of its own.
import { answerTrials } from '@fallline/search/workers'
import { loadStudyModule } from './module.ts'

const { objective } = await loadStudyModule(process.argv.at(-1)!)
answerTrials(objective)
