import { loadTask } from '../src/load-task.ts'
import { createLogisticRegression, createNoisyQuadratic } from '../src/tasks/synthetic.ts'
import { record } from './record.ts'

const directory = '.fallline/recording'
for (const name of process.argv.slice(2)) {
  const task =
    name === 'noisy-quadratic'
      ? createNoisyQuadratic()
      : name === 'logistic-regression'
        ? createLogisticRegression()
        : await loadTask(name)
  await record(task, directory, (text) => console.log(text))
}
