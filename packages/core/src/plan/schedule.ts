import type { Plan, Stage } from './plan.ts'

/** Stages of several tensors that may run side by side. */
export interface Round {
  readonly kind: Stage['kind']
  /** True when it waits for all tensors, and all wait for it; otherwise each tensor's stages keep only their own order. */
  readonly together: boolean
  /** Which of the plans does what. */
  readonly work: readonly { readonly member: number; readonly stage: Stage }[]
}

/** The order of the stages of a level. */
const kinds = ['beforeTotals', 'totals', 'scalars', 'loops', 'routines'] as const

function kindOf(stage: Stage): (typeof kinds)[number] | 'commit' {
  return stage.kind === 'scalars' && stage.beforeTotals ? 'beforeTotals' : stage.kind
}

/** The order of work of plans that run in the same step, one for each tensor. Every backend walks it. */
export function schedule(plans: readonly Plan[]): Round[] {
  const rounds: Round[] = []
  const add = (together: boolean, takes: (stage: Stage) => boolean) => {
    const work = plans.flatMap(({ stages }, member) => stages.filter(takes).map((stage) => ({ member, stage })))
    if (work.length > 0) rounds.push({ kind: work[0]!.stage.kind, together, work })
  }
  const levels = plans.reduce((most, plan) => Math.max(most, plan.levels), 0)
  for (let level = 0; level < levels; level++) {
    for (const kind of kinds) {
      add(kind === 'totals', (stage) => stage.kind !== 'commit' && stage.level === level && kindOf(stage) === kind)
    }
  }
  add(false, (stage) => stage.kind === 'commit' && !stage.shared)
  add(true, (stage) => stage.kind === 'commit' && stage.shared)
  return rounds.map((round) => (round.kind === 'commit' && round.together ? onceEach(round, plans) : round))
}

/** Every tensor computes the same shared state; the first one stores it. */
function onceEach(round: Round, plans: readonly Plan[]): Round {
  const stored = new Set<string>()
  const work = round.work.filter(({ member, stage }) => {
    if (stage.kind !== 'commit') return false
    const keys = stage.outputs.map((output) => (plans[member]!.scalarOutputs[output]!.target as { key: string }).key)
    const fresh = keys.some((key) => !stored.has(key))
    for (const key of keys) stored.add(key)
    return fresh
  })
  return { ...round, work }
}
