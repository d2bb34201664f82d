import { exitCodes } from './exit.ts'

/**
 * Runs something that SIGINT and SIGTERM stop; a second signal ends the process at once.
 *
 * @param work is given the signal, and a function that says which exit code the interruption stands for
 */
export async function interruptible<T>(
  work: (signal: AbortSignal, interruptedBy: () => number) => Promise<T>,
): Promise<T> {
  const controller = new AbortController()
  let code: number = exitCodes.success
  const interrupt = (reason: number) => () => {
    // What was finished is on disk already.
    if (controller.signal.aborted) process.exit(reason)
    code = reason
    controller.abort()
  }
  const onInterrupt = interrupt(exitCodes.interrupted)
  const onTerminate = interrupt(exitCodes.terminated)
  process.on('SIGINT', onInterrupt)
  process.on('SIGTERM', onTerminate)
  try {
    return await work(controller.signal, () => code)
  } finally {
    process.off('SIGINT', onInterrupt)
    process.off('SIGTERM', onTerminate)
  }
}
