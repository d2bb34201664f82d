import type { Space } from '../space/space.ts'
import type { TrialRecord } from '../study/trial.ts'
import { isEnd } from '../study/trial.ts'
import { type Objective, type Resource, signOf } from '../study/view.ts'
import { enoughTrials, type Importance, importances } from './importance.ts'

/** Something about a study that its owner should know. */
export interface Finding {
  readonly check: 'no effect' | 'edge' | 'stopping' | 'constraint' | 'failures' | 'duplicates' | 'too few'
  /** In a sentence or two: what was found, and what to do. */
  readonly message: string
  /** The parameter or constraint that it is about; `null` for the study. */
  readonly about: string | null
}

/** What a study consists of, as far as its health goes. */
export interface Examined {
  readonly space: Space
  readonly record: { readonly objectives: readonly Objective[]; readonly resource: Resource | null }
  trials(): Promise<readonly TrialRecord[]>
}

/** Share of a range that counts as its edge. */
const edgeShare = 0.1

/**
 * Looks for what commonly goes wrong: a parameter without effect, a range whose edge wins, stopping that saves nothing, a constraint
 * that is hardly ever met, many failures, the same parameters over and over.
 *
 * @param found the importances of its parameters, where they are known already
 * @returns nothing when nothing was found
 */
export async function health(study: Examined, found?: readonly Importance[] | null): Promise<readonly Finding[]> {
  const records = await study.trials()
  const complete = records.filter(({ state }) => state === 'complete')
  if (complete.length < enoughTrials) {
    const message = `${complete.length} complete trials say little: the checks need ${enoughTrials}.`
    return [{ check: 'too few', message, about: null }, ...failures(records)]
  }
  return [
    ...withoutEffect(study, records, found),
    ...edges(study, complete),
    ...stopping(study, records),
    ...constraints(complete),
    ...failures(records),
    ...duplicates(study, records),
  ]
}

function withoutEffect(
  { space, record }: Examined,
  records: readonly TrialRecord[],
  known: readonly Importance[] | null | undefined,
): Finding[] {
  if (record.objectives.length > 1) return []
  const found = (known === undefined ? importances(space, record.objectives, records) : known) ?? []
  return found
    .filter(({ name, chance, trials }) => trials >= enoughTrials && chance > 0.2 && isSpread(space, records, name))
    .map(({ name, chance, trials }) => ({
      check: 'no effect',
      message: `${name} shows no effect in ${trials} trials: shuffled values look as much like one in ${Math.round(100 * chance)} % of cases. If that stays so with more trials, fix it and search the others.`,
      about: name,
    }))
}

/** Whether its values are all over the range: where a sampler has settled on some, trials differ too little to tell. */
function isSpread(space: Space, records: readonly TrialRecord[], name: string): boolean {
  const dimension = space.dimensions.findIndex((each) => each.name === name)
  const places = records
    .flatMap(({ point }) => (point[dimension] === null ? [] : [point[dimension]!]))
    .sort((a, b) => a - b)
  const { domain } = space.dimensions[dimension]!
  if (domain.kind === 'choice') {
    const most = Math.max(...domain.values.map((_, value) => places.filter((place) => place === value).length))
    return most <= 0.8 * places.length
  }
  const at = (share: number) => places[Math.floor(share * (places.length - 1))]!
  return at(0.9) - at(0.1) >= 0.5
}

function edges({ space, record }: Examined, complete: readonly TrialRecord[]): Finding[] {
  if (record.objectives.length > 1) return []
  const sign = signOf(record.objectives[0]!.direction)
  const best = complete
    .toSorted((a, b) => sign * (a.values![0]! - b.values![0]!))
    .slice(0, Math.max(5, complete.length / 10))
  return space.dimensions.flatMap(({ name, domain }, dimension): Finding[] => {
    if (domain.kind === 'choice' || domain.minimum === domain.maximum) return []
    const places = best.flatMap(({ point }) => (point[dimension] === null ? [] : [point[dimension]!]))
    if (places.length < 5) return []
    for (const [side, value, isAt] of [
      ['lower', domain.minimum, (place: number) => place <= edgeShare],
      ['upper', domain.maximum, (place: number) => place >= 1 - edgeShare],
    ] as const) {
      const count = places.filter(isAt).length
      if (2 * count <= places.length) continue
      const message = `${name}: ${count} of the ${places.length} best trials are at the ${side} end of its range, ${value}. The best value may lie beyond: widen it.`
      return [{ check: 'edge', message, about: name }]
    }
    return []
  })
}

function stopping({ record: { resource } }: Examined, records: readonly TrialRecord[]): Finding[] {
  const ended = records.filter(({ state }) => state === 'complete' || state === 'pruned')
  const pruned = ended.filter(({ state }) => state === 'pruned')
  if (pruned.length === 0 || resource === null) return []
  const saved = pruned.reduce((sum, { reports }) => sum + resource.maximum - (reports.at(-1)?.step ?? 0), 0)
  const share = saved / (ended.length * resource.maximum)
  if (share >= 0.05) return []
  const message = `Stopping trials early has saved ${(100 * share).toFixed(1)} % of the ${resource.name}s: stop earlier, or not at all.`
  return [{ check: 'stopping', message, about: null }]
}

function constraints(complete: readonly TrialRecord[]): Finding[] {
  const names = [...new Set(complete.flatMap((record) => Object.keys(record.constraints)))]
  return names.flatMap((name): Finding[] => {
    const told = complete.filter((record) => name in record.constraints)
    const met = told.filter((record) => record.constraints[name]! <= 0).length
    if (met >= 0.05 * told.length) return []
    const message = `The constraint ${name} is met by ${met} of ${told.length} trials: it may be impossible, or search elsewhere.`
    return [{ check: 'constraint', message, about: name }]
  })
}

function failures(records: readonly TrialRecord[]): Finding[] {
  const ended = records.filter(({ state }) => isEnd(state))
  const failed = ended.filter(({ state }) => state === 'failed' || state === 'stale')
  if (failed.length < 3 || failed.length < 0.1 * ended.length) return []
  const last = failed.at(-1)!
  const message = `${failed.length} of ${ended.length} trials failed, the last one, trial ${last.number}, with: ${last.error}`
  return [{ check: 'failures', message, about: null }]
}

function duplicates({ space }: Examined, records: readonly TrialRecord[]): Finding[] {
  const different = new Set(records.map(({ point }) => point.join())).size
  if (2 * different >= records.length) return []
  const size = space.size === Infinity ? '' : ` of ${space.size} possible ones`
  const message = `${records.length} trials have tried ${different} different points${size}: more trials tell little more.`
  return [{ check: 'duplicates', message, about: null }]
}
