import { type Distribution, newTrial, type OptunaStudy, type OptunaTrial, parsePythonJson, timeOf } from './studies.ts'

const states = ['RUNNING', 'COMPLETE', 'PRUNED', 'FAIL', 'WAITING'] as const

type Entry = Readonly<Record<string, unknown>> & { readonly op_code: number }

type Named<T> = Readonly<Record<string, T>>

/**
 * Reads the text of a journal file of Optuna, one operation a line. A last line that was cut off by a crash is left out.
 *
 * @throws Error that names the line, for what is no journal
 */
export function readJournal(text: string, path: string): OptunaStudy[] {
  const studies: (OptunaStudy | null)[] = []
  const trials: OptunaTrial[] = []
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    if (line.trim() === '') continue
    let entry: Entry
    try {
      entry = parsePythonJson(line) as Entry
    } catch (error) {
      if (index === lines.length - 1) break
      throw new Error(`${path}, line ${index + 1}: no JSON, so this is no journal of Optuna: ${String(error)}`)
    }
    if (typeof entry?.op_code !== 'number') {
      throw new Error(`${path}, line ${index + 1}: has no op_code, so this is no journal of Optuna`)
    }
    apply(entry, studies, trials, `${path}, line ${index + 1}`)
  }
  return studies.filter((study) => study !== null)
}

/** Does one operation; one that came too late, for a study that is gone or a trial that has ended, is as little as it was to Optuna. */
function apply(entry: Entry, studies: (OptunaStudy | null)[], trials: OptunaTrial[], where: string): void {
  const study = studies[entry.study_id as number]
  const trial = trials[entry.trial_id as number]
  const open = trial && (trial.state === 'RUNNING' || trial.state === 'WAITING') ? trial : undefined
  switch (entry.op_code) {
    case 0:
      if (studies.some((each) => each?.name === entry.study_name)) return
      studies.push({
        name: entry.study_name as string,
        directions: (entry.directions as number[]).map((each) => (each === 2 ? 'maximize' : 'minimize')),
        userAttributes: {},
        systemAttributes: {},
        trials: [],
      })
      return
    case 1:
      if (study) studies[entry.study_id as number] = null
      return
    case 2:
    case 3:
    case 8:
    case 9: {
      const owner = entry.op_code < 4 ? study : open
      // An entry has one of them.
      if (owner) Object.assign(owner.userAttributes, entry.user_attr)
      if (owner) Object.assign(owner.systemAttributes, entry.system_attr)
      return
    }
    case 4: {
      if (!study) return
      const made = newTrial(study.trials.length)
      study.trials.push(made)
      trials.push(made)
      fill(made, entry)
      return
    }
    case 5:
      if (open)
        setParameter(
          open,
          entry.param_name as string,
          entry.param_value_internal as number,
          entry.distribution as string,
        )
      return
    case 6:
      if (open) fill(open, entry)
      return
    case 7:
      open?.reports.set(entry.step as number, Number(entry.intermediate_value))
      return
    default:
      throw new Error(`${where}: op_code ${entry.op_code} is not known; the journal may be of a newer Optuna`)
  }
}

function setParameter(trial: OptunaTrial, name: string, value: number, distribution: string): void {
  trial.parameters.set(name, { value, distribution: parsePythonJson(distribution) as Distribution })
}

/** Takes in what an entry says of a trial as a whole. */
function fill(trial: OptunaTrial, entry: Entry): void {
  if (typeof entry.state === 'number') trial.state = states[entry.state]!
  const values = entry.values ?? (entry.value === null || entry.value === undefined ? null : [entry.value])
  if (values !== null) trial.values = (values as unknown[]).map(Number)
  trial.startedAt = timeOf(entry.datetime_start) ?? trial.startedAt
  trial.endedAt = timeOf(entry.datetime_complete) ?? trial.endedAt
  const {
    params = {},
    distributions = {},
    intermediate_values: reports = {},
  } = entry as {
    params?: Named<number>
    distributions?: Named<string>
    intermediate_values?: Named<unknown>
  }
  for (const [name, value] of Object.entries(params)) setParameter(trial, name, value, distributions[name]!)
  for (const [step, value] of Object.entries(reports)) trial.reports.set(Number(step), Number(value))
  Object.assign(trial.userAttributes, entry.user_attrs)
  Object.assign(trial.systemAttributes, entry.system_attrs)
}
