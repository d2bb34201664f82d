import { Draws } from '../../draws.ts'
import type { Minimizer } from '../../method.ts'
import type { State, Status } from '../../state.ts'
import { norm, plus } from '../../vector.ts'
import { lbfgsb } from './l-bfgs-b.ts'

const hops = 100
const firstLength = 0.5
const temperature = 1
/** After how many hops their length is changed, by which factor, and the share of accepted ones that it aims at. */
const [interval, factor, target] = [50, 0.9, 0.5]

/**
 * D. Wales and J. Doye, Global optimization by basin-hopping, Journal of Physical Chemistry A 101 (1997): a hop moves every variable by a
 * uniform number in [-0.5, 0.5], L-BFGS-B goes down from there, and the minimum it finds is accepted with probability min(1, exp(f - f')).
 * As in SciPy: 100 hops, whose length is changed so that half of them are accepted. The states are those of the descents.
 */
export const basinHopping: Minimizer = {
  name: 'basin-hopping',
  title: 'Basin hopping',
  paper: 'Wales and Doye 1997',
  takes: { bounds: true, global: true },
  *solve(problem, start, tolerances, seed) {
    const random = new Draws(seed)
    const first: { last?: State; end?: Status } = {}
    first.end = yield* watched(first, lbfgsb.solve(problem, start, tolerances, seed))
    if (first.end.kind === 'unbounded') return first.end
    let current = first.last!
    let best = { state: current, end: first.end }
    let length = firstLength
    let accepted = 0
    for (let hop = 1; hop <= hops && problem.size > 0; hop++) {
      const from = problem.within(current.point.map((element) => element + length * (2 * random.uniform() - 1)))
      const run: { last?: State } = {}
      const end = yield* watched(run, lbfgsb.solve(problem, from, tolerances, seed))
      if (end.kind === 'unbounded') return end
      const there = run.last!
      if (there.value < current.value || random.uniform() < Math.exp((current.value - there.value) / temperature)) {
        current = there
        accepted++
      }
      if (there.value < best.state.value) best = { state: there, end }
      if (hop % interval === 0) length = accepted / hop > target ? length / factor : length * factor
    }
    const step = norm(plus(best.state.point, -1, current.point))
    yield { ...best.state, step, evaluations: problem.evaluations }
    return Number.isFinite(best.state.value) ? { kind: 'converged', test: 'hops' } : best.end
  },
}

/** The states of a run, with the last of them kept. */
export function* watched(
  run: { last?: State },
  solving: Generator<State, Status, void>,
): Generator<State, Status, void> {
  for (;;) {
    const next = solving.next()
    if (next.done) return next.value
    run.last = next.value
    yield next.value
  }
}
