import type { Json } from '../../json.ts'
import type { Random } from '../../random.ts'
import type { SeenTrial, View } from '../../study/view.ts'
import type { Sampler } from '../sampler.ts'
import { type Axis, type Layout, layoutOf } from './axes.ts'
import { even, pickEach, towards } from './categories.ts'
import { positiveWeights } from './covariance-adaptation.ts'
import { lossOf, ranked } from './ranking.ts'

/** A point along the axes with what became of it. */
export interface Scored {
  readonly sample: readonly number[]
  readonly loss: number
}

/**
 * A distribution over vectors that learns from whole generations. Its state is plain data, and its functions are pure. Vectors are
 * `[axes]`, in coordinates from 0 to 1; there may be no axis.
 */
export interface Distribution<State extends Json> {
  begin(axes: readonly Axis[], random: Random): State
  /** How many points make a generation, at least 1. */
  population(state: State): number
  /** @param number of the trial, for methods whose points each have a place */
  sample(state: State, random: Random, number: number): readonly number[]
  /** @param points best first; at least one has a finite loss */
  update(state: State, points: readonly Scored[], axes: readonly Axis[], random: Random): State
}

type Kept<State> = {
  readonly method: string
  readonly generation: number
  /** Trials that had ended when this generation began. */
  readonly from: number
  readonly probabilities: readonly (readonly number[])[]
  readonly distribution: State
}

type Note = {
  readonly method: string
  readonly generation: number
  readonly sample: readonly number[]
  readonly picks: readonly number[]
}

/**
 * A sampler that draws from a distribution and lets it learn when so many trials of a generation have ended, however many have been asked
 * for. Choices are drawn from probabilities of their own (see `towards`). Coordinates without a step are drawn again outside of [0, 1], up
 * to 100 times, and then put to the bound; others may lie outside. What was drawn is kept in the note of the trial, so that rounding and
 * conditions do not change what the distribution learns.
 */
export function generational<State extends Json>(
  method: string,
  distribution: Distribution<State>,
): Sampler<Kept<State>> {
  return {
    name: method,
    propose(view, { number, random, state }) {
      const layout = layoutOf(view.space)
      const fits =
        state?.method === method &&
        state.probabilities.length === layout.categories.length &&
        state.from <= view.ended.length
      const begun: Kept<State> = fits
        ? state
        : {
            method,
            generation: 0,
            from: view.ended.length,
            probabilities: layout.categories.map(({ count }) => even(count)),
            distribution: distribution.begin(layout.axes, random),
          }
      const kept = advanced(begun, distribution, view, layout, random)
      const sample = inside(() => distribution.sample(kept.distribution, random, number), layout)
      const picks = pickEach(kept.probabilities, random)
      const note: Note = { method, generation: kept.generation, sample, picks }
      return { kind: 'trial', point: layout.point(sample, picks), note, ...(kept !== state && { state: kept }) }
    },
  }
}

function inside(draw: () => readonly number[], { axes }: Layout): readonly number[] {
  const out = (value: number, axis: number) => axes[axis]!.part === null && !(value >= 0 && value <= 1)
  let sample = draw()
  for (let attempt = 1; attempt < 100 && sample.some(out); attempt++) sample = draw()
  return sample.map((value, axis) => (axes[axis]!.part === null ? Math.min(1, Math.max(0, value)) : value))
}

function advanced<State extends Json>(
  kept: Kept<State>,
  distribution: Distribution<State>,
  { ended }: View,
  { axes, categories }: Layout,
  random: Random,
): Kept<State> {
  const population = distribution.population(kept.distribution)
  const notes = new Map<SeenTrial, Note>()
  for (let index = kept.from; index < ended.length && notes.size < population; index++) {
    const note = ended[index]!.note as Partial<Note> | null
    if (note?.method !== kept.method || note.generation !== kept.generation) continue
    if (note.sample?.length === axes.length) notes.set(ended[index]!, note as Note)
  }
  if (notes.size < population) return kept
  const generation = ranked([...notes.keys()])
  const next = { ...kept, generation: kept.generation + 1, from: ended.length }
  if (lossOf(generation[0]!) === Infinity) return next
  const weights = positiveWeights(population)
  const effective = 1 / weights.reduce((sum, weight) => sum + weight * weight, 0)
  const probabilities = kept.probabilities.map((before, index) => {
    const picks = generation.map((trial) =>
      trial.point[categories[index]!.dimension] === null ? null : notes.get(trial)!.picks[index]!,
    )
    const rate = effective / (effective + 2 * (axes.length + categories.length))
    return towards(before, picks, weights, rate, categories.length)
  })
  const points = generation.map((trial) => ({ sample: notes.get(trial)!.sample, loss: lossOf(trial) }))
  const learned = axes.length === 0 ? kept.distribution : distribution.update(kept.distribution, points, axes, random)
  return { ...next, probabilities, distribution: learned }
}
