import type { Task } from '../../src/task.ts'

/** One zero-filled array for every parameter of a task. */
export function zeros(task: Task): Record<string, Float32Array> {
  return Object.fromEntries(
    Object.entries(task.parameters).map(([name, shape]) => [
      name,
      new Float32Array(shape.reduce((product, size) => product * size, 1)),
    ]),
  )
}

/** The initial parameters of a task for a seed. */
export function initial(task: Task, seed: number): Record<string, Float32Array> {
  const parameters = zeros(task)
  task.initialize(parameters, seed)
  return parameters
}
