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

/** The order of work of plans that run in the same step, one for each tensor. Every backend walks it. */
export function schedule<Stage extends StageOrder>(
  plans: readonly { readonly stages: readonly Stage[] }[],
): Round<Stage>[] {
  const rounds: Round<Stage>[] = []
  const add = (together: boolean, takes: (stage: Stage) => boolean) => {
    const work = plans.flatMap(({ stages }, member) => stages.filter(takes).map((stage) => ({ member, stage })))
    if (work.length > 0) rounds.push({ kind: work[0]!.stage.kind, together, work })
  }
  const last = Math.max(...plans.flatMap(({ stages }) => stages.map(({ level = 0 }) => level)))
  for (let level = 0; level <= last; level++) {
    for (const kind of kinds) {
      add(kind === 'totals', (stage) => stage.level === level && kindOf(stage) === kind)
    }
  }
  add(false, (stage) => stage.kind === 'commit' && !stage.shared)
  add(true, (stage) => stage.kind === 'commit' && stage.shared === true)
  return rounds
}
