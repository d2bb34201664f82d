import { openStudy, type Storage, type Study, spaceOf } from '@fallline/search'

/** Opens a study that is there without its module: its space has no constraints, and its sampler is not known. `null` when it is not there. */
export async function openKept(storage: Storage, name: string): Promise<Study<unknown> | null> {
  const record = await storage.find(name)
  if (record === null) return null
  const { seed, resource, objectives } = record
  return openStudy<unknown>({
    space: spaceOf(record.space),
    name,
    storage,
    objectives: Object.fromEntries(objectives.map((each) => [each.name, each.direction])),
    seed,
    ...(resource && { resource }),
  })
}

/** JSON of records, with infinite numbers, which it has none for, as texts. */
export function jsonOf(value: unknown, indentation?: number): string {
  return JSON.stringify(
    value,
    (_, part) => (typeof part === 'number' && !Number.isFinite(part) ? `${part}` : part),
    indentation,
  )
}
