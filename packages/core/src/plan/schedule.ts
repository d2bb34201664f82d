import type { Plan, Stage } from './plan.ts'

/** What of a stage says when its turn is; a `Stage` of a plan, or what a backend made of one. */
export interface StageOrder {
  readonly kind: 'scalars' | 'totals' | 'loops' | 'routines' | 'commit'
  /** Absent for a commit. */
  readonly level?: number
  readonly beforeTotals?: boolean
  readonly shared?: boolean
}

/** Stages of several tensors that may run side by side. */
export interface Round<Stage extends StageOrder> {
  readonly kind: StageOrder['kind']
  /** True when it waits for all tensors, and all wait for it; otherwise each tensor's stages keep only their own order. */
  readonly together: boolean
  /** Which of the plans does what. */
  readonly work: readonly { readonly member: number; readonly stage: Stage }[]
}

/** The order of the stages of a level. */
const kinds = ['beforeTotals', 'totals', 'scalars', 'loops', 'routines'] as const

function kindOf(stage: StageOrder): (typeof kinds)[number] | 'commit' {
  return stage.kind === 'scalars' && stage.beforeTotals ? 'beforeTotals' : stage.kind
}

/**
 * The order of work of plans that run in the same step, one for each tensor. Every backend walks it.
 * @param keysOf the shared state that a commit stores.
 */
export function schedule<Stage extends StageOrder>(
  plans: readonly { readonly stages: readonly Stage[] }[],
  keysOf: (stage: Stage, member: number) => readonly string[],
): Round<Stage>[] {
  const rounds: Round<Stage>[] = []
  const add = (together: boolean, takes: (stage: Stage, member: number) => boolean) => {
    const work = plans.flatMap(({ stages }, member) =>
      stages.filter((stage) => takes(stage, member)).map((stage) => ({ member, stage })),
    )
    if (work.length > 0) rounds.push({ kind: work[0]!.stage.kind, together, work })
  }
  const last = Math.max(...plans.flatMap(({ stages }) => stages.map(({ level = 0 }) => level)))
  for (let level = 0; level <= last; level++) {
    for (const kind of kinds) {
      add(kind === 'totals', (stage) => stage.level === level && kindOf(stage) === kind)
    }
  }
  add(false, (stage) => stage.kind === 'commit' && !stage.shared)
  const stored = new Set<string>()
  // Every tensor computes the same shared state; the first one stores it.
  add(true, (stage, member) => {
    if (stage.kind !== 'commit' || !stage.shared) return false
    const keys = keysOf(stage, member)
    const fresh = keys.some((key) => !stored.has(key))
    for (const key of keys) stored.add(key)
    return fresh
  })
  return rounds
}

/** The shared state that a commit of a plan stores. */
export function sharedKeys({ scalarOutputs }: Plan, stage: Stage): string[] {
  if (stage.kind !== 'commit' || !stage.shared) return []
  return stage.outputs.map((output) => (scalarOutputs[output]!.target as { key: string }).key)
}
