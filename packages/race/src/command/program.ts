import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import pc from 'picocolors'
import { buildCommand } from './build.ts'
import { chooseCommand } from './choose.ts'
import { exitCodes, exitCodesHelp } from './exit.ts'
import { explainCommand, listCommand } from './list.ts'
import { describeError, raceCommand } from './race.ts'
import { serveCommand } from './serve.ts'
import { solveCommand } from './solve.ts'
import { studyCommand } from './study.ts'

const { version } = createRequire(import.meta.url)('../../package.json') as { version: string }

/**
 * Runs the command `fallline` and says with which code to exit; prints to the standard streams.
 *
 * @param parameters what follows the name of the command
 */
export async function runCommand(parameters: readonly string[]): Promise<number> {
  let code: number = exitCodes.success
  const commands = [
    chooseCommand((chooseCode) => {
      code = chooseCode
    }),
    raceCommand((raceCode) => {
      code = raceCode
    }),
    studyCommand((studyCode) => {
      code = studyCode
    }),
    serveCommand((serveCode) => {
      code = serveCode
    }),
    solveCommand((solveCode) => {
      code = solveCode
    }),
    listCommand(),
    explainCommand(),
    buildCommand(),
  ]
  const program = new Command('fallline')
    .description('A fair race between optimizers on your own task.')
    .version(version)
    // So that a command hears of its own commands before it reads options.
    .enablePositionalOptions()
    .addHelpText('after', `\n${exitCodesHelp}`)
  for (const command of commands) program.addCommand(command)
  for (const command of [program, ...commands, ...commands.flatMap((each) => each.commands)]) {
    command.exitOverride().showSuggestionAfterError().showHelpAfterError('(--help shows how it is used)')
  }
  try {
    await program.parseAsync(parameters, { from: 'user' })
    return code
  } catch (error) {
    // Commander has printed its message already; help and version end with code 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.success : exitCodes.usage
    const { code, text } = describeError(error)
    process.stderr.write(`${pc.red('error:')} ${text}\n`)
    return code
  }
}
