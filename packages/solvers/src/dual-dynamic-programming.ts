import type { DoorLimits } from './door.ts'
import { Draws } from './draws.ts'
import { type LinearProgram, linearProgram } from './linear-program.ts'
import type { Status } from './state.ts'
import { dot, type Numbers } from './vector.ts'

/** What chance may bring at a stage; what it leaves out is that of the stage. */
export interface Outcome {
  readonly probability: number
  readonly costs?: Numbers
  readonly upperBounds?: Numbers
  readonly equalBounds?: Numbers
}

/**
 * A decision u, taken when the outcome is known: costs · u, where upperMatrix u + upperState x ≤ upperBounds and
 * equalMatrix u + equalState x = equalBounds; x is the state that the stage before has left.
 */
export interface Stage extends Omit<LinearProgram, 'integer'> {
  /** One row for each of `upperMatrix`. Default: zeros. */
  readonly upperState?: readonly Numbers[]
  readonly equalState?: readonly Numbers[]
  /** Which elements of u are the state for the next stage; not read at the last one. */
  readonly next: readonly number[]
  /** Independent of those of other stages. Default: one, that is sure. */
  readonly outcomes?: readonly Outcome[]
}

/** Where `stochasticDualDynamicProgramming` is. */
export interface DualDynamicState {
  /** No policy costs less. */
  readonly lower: number
  /** Expected costs of this policy, by all scenarios where these are few, else in the mean of some; NaN where they were not taken. */
  readonly upper: number
  /** Standard error of `upper`; 0 where it is exact. */
  readonly error: number
  readonly cuts: number
}

export interface DualDynamicOptions extends Omit<DoorLimits<DualDynamicState>, 'evaluations'> {
  /** A number that the costs of all later stages together are never below. Default 0: lower where there are profits. */
  readonly least?: number
  /** How many scenarios the upper bound is taken from; where there are no more than these, it is exact. Default 100. */
  readonly scenarios?: number
  /** The upper bound is taken every so many iterations. Default 5. */
  readonly period?: number
  /** Largest gap between the bounds, relative to the upper one, at least 1. Default 1e-6. */
  readonly tolerance?: number
  /** Default 0. */
  readonly seed?: number
}

export interface DualDynamicResult extends DualDynamicState {
  /** The decision at a stage (from 0), for an outcome and the state that it finds. */
  readonly decide: (stage: number, outcome: number, state: Numbers) => Promise<Float64Array>
  readonly iterations: number
  readonly status: Status
}

interface Cut {
  readonly slope: Float64Array
  readonly height: number
}

/** What a stage's program came to. */
interface Decision {
  readonly point: Float64Array
  readonly value: number
  /** Change of the value with the state. */
  readonly slope: Float64Array
}

class StageError extends Error {
  constructor(
    readonly stage: number,
    readonly status: Status,
  ) {
    super(
      `stage ${stage}: its program is ${status.kind}${stage > 0 ? ' for a state that the stage before may leave' : ''}`,
    )
  }
}

/**
 * Stochastic dual dynamic programming: decisions of several stages under chance, by linear programs. What later stages cost, as a function of
 * the state, is bounded from below by cuts, θ ≥ q + g · (x - x̂). An iteration draws a scenario and decides forward with the cuts there are, then
 * goes back, solves every outcome at the states it came by, and adds the mean of their values q and slopes g as a cut. The lower
 * bound never falls and with finitely many outcomes reaches the optimum with probability 1 (A. Philpott, Z. Guan 2008).
 *
 * M. Pereira, L. Pinto (1991), Multi-stage stochastic optimization applied to energy planning, Mathematical Programming 52. Every stage must have a decision for
 * each state that may come (relatively complete recourse); HiGHS solves the programs. The neural warm start of H. Dai and others
 * (2021), Neural stochastic dual dynamic programming, is not here.
 *
 * @param start the state that the first stage finds.
 * @returns where the gap is below the tolerance, `converged` with the test `gap`; where the upper bound is only estimated, with the test
 * `confidence` as soon as the lower one is above its mean less two standard errors. `failed` where a later stage has no decision, or costs less than `least`.
 * @throws RangeError for no stages, states of sizes that do not match, and probabilities that do not add up to 1.
 */
export async function stochasticDualDynamicProgramming(
  stages: readonly Stage[],
  start: Numbers,
  options: DualDynamicOptions = {},
): Promise<DualDynamicResult> {
  const { least = 0, scenarios = 100, period = 5, tolerance = 1e-6, seed = 0, iterations: limit = 1000 } = options
  if (stages.length === 0) throw new RangeError('stages: there are none')
  const outcomes = stages.map((stage) => stage.outcomes ?? [{ probability: 1 }])
  stages.forEach((stage, t) => {
    const size = t === 0 ? start.length : stages[t - 1]!.next.length
    for (const name of ['upper', 'equal'] as const) {
      const rows = stage[`${name}State`]
      const count = stage[`${name}Matrix`]?.length ?? 0
      if (rows && rows.length !== count) {
        throw new RangeError(`stages[${t}].${name}State: ${rows.length} rows were given for ${count} of ${name}Matrix`)
      }
      const wrong = rows?.find((row) => row.length !== size)
      if (wrong) throw new RangeError(`stages[${t}].${name}State: ${wrong.length} numbers for a state of ${size}`)
    }
    const missing = t < stages.length - 1 ? stage.next.find((index) => !(index in stage.costs)) : undefined
    if (missing !== undefined) throw new RangeError(`stages[${t}].next: ${missing} is none of its variables`)
    const sum = outcomes[t]!.reduce((total, { probability }) => total + probability, 0)
    if (!(Math.abs(sum - 1) <= 1e-9) || outcomes[t]!.some(({ probability }) => probability < 0)) {
      throw new RangeError(`stages[${t}].outcomes: probabilities of at least 0 have to add up to 1, not ${sum}`)
    }
  })
  const last = stages.length - 1
  const cuts: Cut[][] = stages.map(() => [])
  const draws = new Draws(seed)
  const count = outcomes.reduce((product, each) => product * each.length, 1)

  async function decide(t: number, outcome: number, state: Numbers): Promise<Decision> {
    const stage = stages[t]!
    const chance = outcomes[t]![outcome]!
    const x = Float64Array.from(state)
    const shifted = (bounds: Numbers, rows: readonly Numbers[] | undefined) =>
      Array.from(bounds, (bound, i) => bound - (rows ? dot(Float64Array.from(rows[i]!), x) : 0))
    const future = t < last
    const wide = (row: Numbers, end: number) => (future ? [...row, end] : [...row])
    const size = stage.costs.length
    const cutRows = cuts[t]!.map(({ slope }) => {
      const row = Array.from({ length: size + 1 }, (_, j) => (j === size ? -1 : 0))
      stage.next.forEach((index, k) => {
        row[index]! += slope[k]!
      })
      return row
    })
    const bounds = stage.bounds ?? Array.from({ length: size }, () => [0, null] as const)
    const { point, value, multipliers, status } = await linearProgram({
      costs: wide(chance.costs ?? stage.costs, 1),
      upperMatrix: [...(stage.upperMatrix ?? []).map((row) => wide(row, 0)), ...cutRows],
      upperBounds: [
        ...shifted(chance.upperBounds ?? stage.upperBounds ?? [], stage.upperState),
        ...cuts[t]!.map(({ height }) => -height),
      ],
      equalMatrix: (stage.equalMatrix ?? []).map((row) => wide(row, 0)),
      equalBounds: shifted(chance.equalBounds ?? stage.equalBounds ?? [], stage.equalState),
      bounds: future ? [...bounds, [least, null]] : bounds,
    })
    if (status.kind !== 'converged') throw new StageError(t, status)
    const upperRows = stage.upperMatrix?.length ?? 0
    const slope = x.map((_, k) => {
      const uppers = stage.upperState?.reduce((sum, row, i) => sum + row[k]! * multipliers[i]!, 0) ?? 0
      const skipped = upperRows + cutRows.length
      const equals = stage.equalState?.reduce((sum, row, i) => sum + row[k]! * multipliers[skipped + i]!, 0) ?? 0
      return -uppers - equals
    })
    return { point, value, slope }
  }
  const stateAfter = (t: number, { point }: Decision) => Float64Array.from(stages[t]!.next, (index) => point[index]!)
  /** Costs of the decision itself. */
  const ownCosts = (t: number, outcome: number, { point }: Decision) =>
    Float64Array.from(outcomes[t]![outcome]!.costs ?? stages[t]!.costs).reduce((sum, c, j) => sum + c * point[j]!, 0)
  const drawn = (t: number) => {
    let rest = draws.uniform()
    for (let outcome = 0; outcome < outcomes[t]!.length - 1; outcome++) {
      rest -= outcomes[t]![outcome]!.probability
      if (rest < 0) return outcome
    }
    return outcomes[t]!.length - 1
  }
  async function forward(): Promise<{ states: Float64Array[]; costs: number }> {
    const states: Float64Array[] = [Float64Array.from(start)]
    let costs = 0
    for (let t = 0; t <= last; t++) {
      const outcome = drawn(t)
      const decision = await decide(t, outcome, states[t]!)
      costs += ownCosts(t, outcome, decision)
      if (t < last) states.push(stateAfter(t, decision))
    }
    return { states, costs }
  }
  /** Expected costs of the policy from a stage on, by all that may come. */
  async function expected(t: number, state: Float64Array): Promise<number> {
    let sum = 0
    for (let outcome = 0; outcome < outcomes[t]!.length; outcome++) {
      const decision = await decide(t, outcome, state)
      const later = t < last ? await expected(t + 1, stateAfter(t, decision)) : 0
      sum += outcomes[t]![outcome]!.probability * (ownCosts(t, outcome, decision) + later)
    }
    return sum
  }
  async function upperBound(): Promise<{ upper: number; error: number }> {
    if (count <= scenarios) return { upper: await expected(0, Float64Array.from(start)), error: 0 }
    const costs: number[] = []
    for (let k = 0; k < scenarios; k++) costs.push((await forward()).costs)
    const mean = costs.reduce((sum, each) => sum + each, 0) / scenarios
    const variance = costs.reduce((sum, each) => sum + (each - mean) ** 2, 0) / Math.max(1, scenarios - 1)
    return { upper: mean, error: Math.sqrt(variance / scenarios) }
  }
  /** Mean value and slope of a stage at a state. */
  async function meanAt(t: number, state: Float64Array): Promise<{ value: number; slope: Float64Array }> {
    const slope = new Float64Array(state.length)
    let value = 0
    for (let outcome = 0; outcome < outcomes[t]!.length; outcome++) {
      const { probability } = outcomes[t]![outcome]!
      const decision = await decide(t, outcome, state)
      value += probability * decision.value
      decision.slope.forEach((each, k) => {
        slope[k]! += probability * each
      })
    }
    return { value, slope }
  }

  const began = performance.now()
  let state: DualDynamicState = { lower: -Infinity, upper: Number.NaN, error: 0, cuts: 0 }
  let iterations = 0
  const status = await (async (): Promise<Status> => {
    try {
      for (;;) {
        const { states } = await forward()
        for (let t = last; t > 0; t--) {
          const { value, slope } = await meanAt(t, states[t]!)
          cuts[t - 1]!.push({ slope, height: value - dot(slope, states[t]!) })
        }
        const { value: lower } = await meanAt(0, states[0]!)
        iterations++
        const bound = iterations % period === 0 || last === 0 ? await upperBound() : { upper: Number.NaN, error: 0 }
        state = { lower, ...bound, cuts: iterations * last }
        if (options.callback?.(state, iterations) === false) return { kind: 'limit', of: 'callback' }
        const rounding = 1e-6 * Math.max(1, Math.abs(bound.upper))
        if (bound.error === 0 && bound.upper < lower - rounding) {
          return { kind: 'failed', reason: `least: later stages cost less than ${least}` }
        }
        if (bound.upper - lower <= tolerance * Math.max(1, Math.abs(bound.upper))) {
          return { kind: 'converged', test: 'gap' }
        }
        if (bound.error > 0 && lower >= bound.upper - 2 * bound.error) return { kind: 'converged', test: 'confidence' }
        if (options.signal?.aborted) return { kind: 'limit', of: 'signal' }
        if (iterations >= limit) return { kind: 'limit', of: 'iterations' }
        if (performance.now() - began >= 1000 * (options.seconds ?? Infinity)) return { kind: 'limit', of: 'seconds' }
      }
    } catch (error) {
      if (error instanceof StageError && error.stage === 0) return error.status
      return { kind: 'failed', reason: error instanceof Error ? error.message : String(error) }
    }
  })()
  return {
    ...state,
    iterations,
    status,
    decide: async (t, outcome, found) => (await decide(t, outcome, found)).point.slice(0, stages[t]!.costs.length),
  }
}
