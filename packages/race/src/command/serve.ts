import { existsSync } from 'node:fs'
import type { Storage } from '@fallline/search'
import { Command, InvalidArgumentError } from 'commander'
import { messageOf } from '../import-module.ts'
import { UsageError } from '../names.ts'
import { interruptible } from './interruption.ts'
import { defaultPlace } from './study.ts'

interface Given {
  readonly study: string
  readonly host: string
  readonly port: number
  readonly token?: string
  readonly races: string
  readonly writable?: boolean
}

function portNumber(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0 || value > 65_535) {
    throw new InvalidArgumentError('It must be a whole number from 0 to 65535.')
  }
  return value
}

/** The command `fallline serve`. `finish` receives the exit code. */
export function serveCommand(finish: (code: number) => void): Command {
  return new Command('serve')
    .description('show studies and races in a browser while they run; writes nothing unless it is --writable')
    .option('--study <place>', 'the folder of studies, or the URL of a PostgreSQL server', defaultPlace)
    .option('--races <folder>', 'the folder that has a folder of results for each race', '.fallline')
    .option('--host <address>', 'the address to answer at; others than this machine need a token', '127.0.0.1')
    .option('--port <number>', 'the port to answer at; 0 takes any that is free', portNumber, 4280)
    .option('--token <text>', 'what must stand in the address; where it is needed and not given, one is made')
    .option('--writable', 'take changes from the page: parameters to try, trials to repeat, notes, stop; needs a token')
    .action(async ({ study, races, ...given }: Given, command: Command) => {
      if (command.getOptionValueSource('study') !== 'default' && !isThere(study)) {
        throw new UsageError(`there is no folder of studies at ${study}`)
      }
      const { serve } = await import('../serve/server.ts')
      const studies = new Studies(study)
      try {
        // What is wrong with a place is said at once.
        await studies.open()
        const served = await serve({ ...given, races, storage: () => studies.open() }).catch((error: unknown) => {
          throw new UsageError(messageOf(error))
        })
        process.stdout.write(`${served.url}\n`)
        finish(
          await interruptible(async (signal, interruptedBy) => {
            await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
            await served.close()
            return interruptedBy()
          }),
        )
      } finally {
        await studies.close()
      }
    })
}

/** Whether there may be studies at a place: what a server has is found out by asking it. */
const isThere = (place: string) => /^[a-z][a-z0-9+.-]+:/i.test(place) || existsSync(place)

/** The studies of a place, opened when they are there: who only shows them makes no folder. */
class Studies {
  readonly #place: string
  #storage: Promise<Storage> | null = null

  constructor(place: string) {
    this.#place = place
  }

  async open(): Promise<Storage | null> {
    if (this.#storage === null && !isThere(this.#place)) return null
    this.#storage ??= import('./study-actions.ts').then(({ openPlace }) => openPlace(this.#place))
    try {
      return await this.#storage
    } catch (error) {
      this.#storage = null
      throw error
    }
  }

  async close(): Promise<void> {
    await (await this.#storage?.catch(() => null))?.close()
  }
}
