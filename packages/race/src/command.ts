#!/usr/bin/env node
import { exitCodes } from './command/exit.ts'
import { runCommand } from './command/program.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe, such as head, has seen enough.
  if (error.code === 'EPIPE') process.exit(exitCodes.success)
  throw error
})

const code = await runCommand(process.argv.slice(2))
// Tasks may hold worker threads that would keep the process alive; what was written goes out first.
process.stdout.write('', () => process.exit(code))
