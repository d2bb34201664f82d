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
    .description('show studies in a browser while they run; reads and never writes')
    .option('--study <place>', 'the folder of studies, or the URL of a PostgreSQL server', defaultPlace)
    .option('--host <address>', 'the address to answer at; others than this machine need a token', '127.0.0.1')
    .option('--port <number>', 'the port to answer at; 0 takes any that is free', portNumber, 4280)
    .option('--token <text>', 'what must stand in the address; elsewhere than on this machine one is made')
    .action(async ({ study, host, port, token }: Given) => {
      const [{ serve }, { inside }] = await Promise.all([import('../serve/server.ts'), import('./study-actions.ts')])
      await inside({ study }, async (storage) => {
        const served = await serve({ storage, host, port, ...(token !== undefined && { token }) }).catch(
          (error: unknown) => {
            throw new UsageError(messageOf(error))
          },
        )
        process.stdout.write(`${served.url}\n`)
        finish(
          await interruptible(async (signal, interruptedBy) => {
            await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
            await served.close()
            return interruptedBy()
          }),
        )
      })
    })
}
