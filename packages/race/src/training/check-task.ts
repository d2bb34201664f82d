import { compile, sgd } from 'fallline'
import type { Task } from '../task.ts'
import type { Arrays } from './evaluate.ts'

/** A task that does not keep its promises, so that nothing it measures would mean anything. */
export class BrokenTaskError extends Error {
  override readonly name = 'BrokenTaskError'
}

/**
 * Checks that a task gives the same numbers for the same arguments: initial values, loss and gradient of step 1 before and after another
 * step, the loss alone, and the metric. A gradient that draws random numbers of its own would let luck win.
 *
 * @throws BrokenTaskError that names what differed; an error of the task is passed on, with the function that threw it
 */
export async function checkTask(task: Task, seed = 1): Promise<void> {
  const of = `of task '${task.name}'`
  const during = async <T>(what: string, run: () => T | Promise<T>): Promise<T> => {
    try {
      return await run()
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error)
      throw new BrokenTaskError(`${what} ${of} threw an error: ${message}`, { cause: error })
    }
  }
  // Only an optimizer knows how the arrays are laid out.
  const optimizer = await compile(sgd(), task.parameters, { nonFinite: 'skip' })
  try {
    const parameters = optimizer.parameters as Arrays
    const gradients = optimizer.gradients as Arrays
    const copy = (arrays: Arrays) => Object.fromEntries(Object.entries(arrays).map(([name, a]) => [name, a.slice()]))
    const start = async () => {
      await during('initialize', () => task.initialize(parameters, seed))
      return copy(parameters)
    }
    const gradientAt = async (step: number) => {
      const loss = await during('gradient', () => task.gradient(parameters, gradients, { seed, step }))
      return { loss, gradients: copy(gradients) }
    }
    const first = await start()
    compare('the initial values', of, await start(), first)
    const once = await gradientAt(1)
    compare('the parameters after a gradient', of, copy(parameters), first)
    await gradientAt(2)
    const again = await gradientAt(1)
    if (!Object.is(once.loss, again.loss)) fail('the loss of step 1', of, once.loss, again.loss)
    compare('the gradient of step 1', of, again.gradients, once.gradients)
    if (task.loss) {
      const alone = await during('loss', () => task.loss!(parameters, { seed, step: 1 }))
      // Another order of the same sums may round differently.
      const near = Math.abs(alone - once.loss) <= 1e-4 * Math.max(1, Math.abs(once.loss))
      if (!near && !Object.is(alone, once.loss)) {
        throw new BrokenTaskError(
          `loss and gradient ${of} disagree about the loss of step 1: ${alone} and ${once.loss}`,
        )
      }
    }
    const metricOf = () => during('metric', () => task.metric(parameters, 'validation'))
    const metric = await metricOf()
    const repeated = await metricOf()
    if (!Object.is(metric, repeated)) fail('the validation metric', of, metric, repeated)
  } finally {
    optimizer.dispose()
  }
}

function compare(what: string, of: string, found: Arrays, expected: Arrays): void {
  for (const [name, values] of Object.entries(expected)) {
    values.forEach((value, index) => {
      const other = found[name]![index]!
      if (!Object.is(value, other)) fail(`${what} (parameter '${name}', element ${index})`, of, value, other)
    })
  }
}

function fail(what: string, of: string, first: number, second: number): never {
  throw new BrokenTaskError(
    `${what} ${of}: ${first} and then ${second} for the same arguments; a task must give the same result every time (draw random numbers from seed and step)`,
  )
}
