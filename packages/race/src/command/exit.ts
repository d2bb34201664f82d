/** Exit codes of the command `fallline`. */
export const exitCodes = {
  /** All went well; for a race whatever its verdict. */
  success: 0,
  /** An error of this program. */
  internal: 1,
  /** An unknown command, option, optimizer or built-in task, or a value that makes no sense. */
  usage: 2,
  /** A module that cannot be loaded or is not what it should be, or an output directory that cannot be used. */
  file: 3,
  /** The race is finished, but a contender failed or diverged in every trial. */
  contenderFailed: 4,
  /** The race is finished, but no contender finished a single trial, so there is no verdict; or one trial of a study after the other failed. */
  allFailed: 5,
  /** A problem was not solved: infeasible, unbounded, failed, or a limit came first. */
  unsolved: 6,
  /** Interrupted by SIGINT (Ctrl-C); what was done has been kept. */
  interrupted: 130,
  /** Ended by SIGTERM; what was done has been kept. */
  terminated: 143,
} as const

/** The exit codes for `--help`. */
export const exitCodesHelp = `Exit codes:
  0    done, whatever the verdict
  1    an error of this program
  2    unknown command, option, optimizer or task, or a value that makes no sense
  3    a task module that cannot be loaded, or an output directory that cannot be used
  4    the race is finished, but a contender failed or diverged in every trial
  5    no contender finished a trial, so there is no verdict; or one trial of a study after the other failed
  6    a problem was not solved: infeasible, unbounded, failed, or a limit came first
  130  interrupted; what was done is kept (143 when ended by SIGTERM)`
