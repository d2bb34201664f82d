import type { Storage, Study, StudyRecord } from '@fallline/search'
import type { Command } from 'commander'
import { UsageError } from '../names.ts'
import { patienceOption } from './arguments.ts'
import { exitCodes } from './exit.ts'
import { interruptible } from './interruption.ts'

/** Where the work is, and when silent workers are given up. */
interface Place {
  readonly study: string
  /** In seconds. */
  readonly patience: number
}

/** Which work is helped with. */
export interface HelpFlags extends Place {
  readonly name?: string
}

/** What a command has said: the task, and what else says what is to be done. */
interface Said<Flags> {
  readonly task: string
  readonly flags: Flags
}

/** The command `worker` of another one. */
export function helping(command: Command, what: string): Command {
  return command
    .command('worker')
    .description(`help with ${what} that was begun with --study, from this machine or another, until all is done`)
    .requiredOption('--study <place>', 'the folder of studies, or the URL of the PostgreSQL server')
    .option('--name <name>', 'which of those there, if there are several')
    .addOption(patienceOption())
}

/** Storages are loaded by those who use them. */
const studies = () => import('./study-actions.ts')

/** Does work that others may help with: its study says what the command has said. */
export async function sharing<Flags>(
  { study: place, patience }: Place,
  command: string,
  attribute: string,
  said: Said<Flags>,
  work: (shared: { storage: Storage; patience: number; onStudy(study: Study): Promise<void> }) => Promise<number>,
): Promise<number> {
  const { within } = await studies()
  return within({ study: place }, (storage) =>
    work({
      storage,
      patience: 1000 * patience,
      async onStudy(study) {
        await study.annotate(attribute, JSON.parse(JSON.stringify(said)))
        process.stderr.write(`${study.name} in ${place}: fallline ${command} worker --study ${place} helps\n`)
      },
    }),
  )
}

/** Helps with work of others; gives the exit code. */
export async function helpingWith<Flags>(
  { study: place, name, patience }: HelpFlags,
  attribute: string,
  what: string,
  help: (said: Said<Flags>, shared: { storage: Storage; patience: number; signal: AbortSignal }) => Promise<number>,
): Promise<number> {
  const { within } = await studies()
  return within({ study: place }, async (storage) => {
    const record = await recordAt(storage, name, attribute, what)
    return interruptible(async (signal, interruptedBy) => {
      try {
        const said = record.attributes[attribute] as unknown as Said<Flags>
        process.stderr.write(`helping with ${record.name}\n`)
        const done = await help(said, { storage, patience: 1000 * patience, signal })
        process.stdout.write(`${done} ${done === 1 ? 'run' : 'runs'} of ${record.name} done here\n`)
        return exitCodes.success
      } catch (error) {
        if (!signal.aborted) throw error
        return interruptedBy()
      }
    })
  })
}

/** The study of a name, or the only one that says what is to be done. */
async function recordAt(
  storage: Storage,
  name: string | undefined,
  attribute: string,
  what: string,
): Promise<StudyRecord> {
  const names = name === undefined ? await storage.names() : [name]
  const records = await Promise.all(names.map((each) => storage.find(each)))
  const found = records.filter((record) => record !== null && record.attributes[attribute] !== undefined)
  if (found.length === 1) return found[0]!
  throw new UsageError(
    found.length === 0
      ? `there is no ${what} ${name === undefined ? '' : `'${name}' `}here to help with: begin one with --study`
      : `there is more than one ${what} here: name one with --name: ${found.map((record) => record!.name).join(', ')}`,
  )
}
