import type { CommonContext, OptionSpecification } from '../language/definition.ts'
import type { Value } from '../language/value.ts'

/** ε z with z ~ N(0, 1): the same in every program of a step. */
export function perturbation(
  { random, hyper }: CommonContext<'epsilon' | 'seed', OptionSpecification, string, string>,
  draw = 0,
): Value {
  return random.normal({ seed: hyper.seed, draw }).times(hyper.epsilon)
}
