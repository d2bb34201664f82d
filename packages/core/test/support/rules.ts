import {
  defineOptimizer,
  nonNegative,
  type Optimizer,
  type RuleContext,
  type RuleResult,
  real,
  type Slot,
  stepCount,
  zeros,
} from 'fallline'

type Rule = (context: RuleContext<'learningRate' | 'h' | 'k', Record<never, never>, string>) => RuleResult<string>

/** An optimizer for one test: a rule with the hyperparameters `learningRate` 1, `h` 0.5 and `k` 3, and named state. */
export function optimizerOf(rule: Rule, state: Readonly<Record<string, Slot>> = { a: zeros() }): Optimizer {
  return defineOptimizer({
    name: 'made',
    title: 'Made',
    paper: { title: 'None', authors: 'Nobody', year: 2000 },
    hyper: { learningRate: nonNegative(1), h: real(0.5), k: stepCount(3) },
    state: state as Record<string, Slot>,
    decay: 'decoupled',
    search: { learningRate: { scale: 'linear', minimum: 0, maximum: 1 } },
    rule: rule as never,
  })()
}
