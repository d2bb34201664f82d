import { Stopped, type Trial } from '../../src/index.ts'

/** A parabola that stops where it is told to, notes, throws, dies and loops where its parameters say. */
export const objective = async (trial: Trial<{ x: number; what: string }>) => {
  const { x, what } = trial.parameters
  if (what === 'throws') throw new Error('it is too hot')
  if (what === 'dies') process.exit(7)
  if (what === 'loops') for (;;);
  if (what === 'is infinite') return Infinity
  await trial.annotate('seed', trial.seed)
  if ((await trial.report(1, x)) === 'stop') throw new Stopped()
  return { values: x ** 2, constraints: { small: x - 5 }, cost: 2 }
}
