/** What a peer process is asked, one JSON line each. The first line that it writes by itself is an answer with its versions. */
export type Request =
  | { command: 'create'; id: number; peer: string; optimizer: string; shape: readonly number[] }
  | { command: 'run'; id: number; steps: number }
  | { command: 'drop'; id: number }

/** What it answers, one JSON line each. */
export type Answer =
  | {
      ok: true
      /** Seconds of each step, after `run`. */
      seconds?: number[]
      /** Processor seconds per second while running: tells whether one thread was really one. */
      cores?: number
      /** Names and versions of the libraries, in the first answer. */
      versions?: Record<string, string>
    }
  | { ok: false; error: string }
