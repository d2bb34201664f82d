import { optional } from '../optional.ts'
import { type Distribution, newTrial, type OptunaStudy, type OptunaTrial, parsePythonJson, timeOf } from './studies.ts'

type Row = Readonly<Record<string, unknown>>

/**
 * Reads the bytes of an SQLite file of Optuna 2.4 or newer (the package `sql.js`, SQLite in WebAssembly).
 *
 * @throws Error for a file that is no database, or not one of Optuna
 */
export async function readSqlite(bytes: Uint8Array, path: string): Promise<OptunaStudy[]> {
  const { default: open } = await optional('sql.js', () => import('sql.js'))
  const database = new (await open()).Database(bytes)
  try {
    const rows = (table: string, order: string): Row[] => {
      const [found] = database.exec(`select * from ${table} order by ${order}`)
      if (!found) return []
      const { columns, values } = found
      return values.map((row) => Object.fromEntries(columns.map((column, index) => [column, row[index]])))
    }
    const studies = new Map<unknown, OptunaStudy>()
    for (const { study_id, study_name } of rows('studies', 'study_id')) {
      studies.set(study_id, {
        name: study_name as string,
        directions: rows('study_directions', 'objective')
          .filter((row) => row.study_id === study_id)
          .map(({ direction }) => (direction === 'MAXIMIZE' ? 'maximize' : 'minimize')),
        userAttributes: {},
        systemAttributes: {},
        trials: [],
      })
    }
    for (const [table, part] of attributes) {
      for (const { study_id, key, value_json } of rows(`study_${table}`, 'study_id')) {
        studies.get(study_id)![part][key as string] = parsePythonJson(value_json as string)
      }
    }
    const trials = new Map<unknown, OptunaTrial>()
    for (const { trial_id, study_id, state, datetime_start, datetime_complete } of rows('trials', 'trial_id')) {
      const { trials: own } = studies.get(study_id)!
      const trial = newTrial(own.length)
      trial.state = state as OptunaTrial['state']
      trial.startedAt = timeOf(datetime_start)
      trial.endedAt = timeOf(datetime_complete)
      own.push(trial)
      trials.set(trial_id, trial)
    }
    for (const { trial_id, param_name, param_value, distribution_json } of rows('trial_params', 'param_id')) {
      trials.get(trial_id)!.parameters.set(param_name as string, {
        value: param_value as number,
        distribution: parsePythonJson(distribution_json as string) as Distribution,
      })
    }
    for (const { trial_id, value, value_type } of rows('trial_values', 'trial_id, objective')) {
      const trial = trials.get(trial_id)!
      trial.values = [...(trial.values ?? []), numberOf(value, value_type)]
    }
    const reports = rows('trial_intermediate_values', 'trial_id, step')
    for (const { trial_id, step, intermediate_value, intermediate_value_type } of reports) {
      trials.get(trial_id)!.reports.set(step as number, numberOf(intermediate_value, intermediate_value_type))
    }
    for (const [table, part] of attributes) {
      for (const { trial_id, key, value_json } of rows(`trial_${table}`, 'trial_id')) {
        trials.get(trial_id)![part][key as string] = parsePythonJson(value_json as string)
      }
    }
    return [...studies.values()]
  } catch (error) {
    throw new Error(`${path} is no database of Optuna: ${(error as Error).message}`, { cause: error })
  } finally {
    database.close()
  }
}

const attributes = [
  ['user_attributes', 'userAttributes'],
  ['system_attributes', 'systemAttributes'],
] as const

/** Databases before Optuna 3 have no types, and no row without a number. */
function numberOf(value: unknown, type: unknown): number {
  if (type === 'INF_POS') return Infinity
  if (type === 'INF_NEG') return -Infinity
  return type === 'NAN' || value === null ? Number.NaN : (value as number)
}
