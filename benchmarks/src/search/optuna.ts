import { fileURLToPath } from 'node:url'
import { messageOf } from '../measure.ts'
import { installPythonPeers } from '../peers/install.ts'
import { runScript } from '../peers/script.ts'
import { summarize } from '../statistics.ts'
import { type Bookkeeping, longest } from './bookkeeping.ts'
import { problems } from './problems.ts'
import { after, type Regret } from './regret.ts'

/** What Optuna is asked to measure. */
export interface PeerRequest {
  /** Storages by the URL that Optuna knows them by; `null` is its memory. */
  readonly storages: Readonly<Record<string, string | null>>
  readonly counts: readonly number[]
  /** Its samplers, by the names in the report. */
  readonly samplers: readonly string[]
  /** 0 for no regret. */
  readonly seeds: number
}

interface PeerOutput {
  readonly version: string
  readonly bookkeeping: readonly (Omit<Bookkeeping, 'seconds'> & { readonly seconds?: readonly number[] })[]
  readonly regrets: readonly Omit<Regret, 'regret'>[]
}

/** What Optuna measured, and its version; or why it could not. */
export interface PeerReport {
  readonly bookkeeping: readonly Bookkeeping[]
  readonly regrets: readonly Regret[]
  readonly peer: { readonly version?: string; readonly error?: string }
}

const script = fileURLToPath(new URL('../peers/optuna_peer.py', import.meta.url))

/** Runs Optuna in a process of its own. */
export async function measureOptuna(
  request: PeerRequest,
  python: string | undefined,
  progress: (text: string) => void,
): Promise<PeerReport> {
  const installed = python === undefined ? await installPythonPeers(progress, ['optuna']) : null
  const problem = installed?.problems.optuna
  if (problem) return { bookkeeping: [], regrets: [], peer: { error: problem } }
  const tables = problems.flatMap(({ name, minimum, ends }) => (ends ? [{ name, minimum, ...ends }] : []))
  try {
    const output = await runScript(
      python ?? installed!.interpreter,
      script,
      JSON.stringify({ ...request, longest, after, tables }),
      progress,
    )
    const { version, bookkeeping, regrets } = JSON.parse(output) as PeerOutput
    return {
      bookkeeping: bookkeeping.map(({ seconds, ...row }) => ({
        ...row,
        ...(seconds && { seconds: summarize(seconds) }),
      })),
      regrets: regrets.map((row) => ({ ...row, regret: summarize(row.values) })),
      peer: { version },
    }
  } catch (error) {
    return { bookkeeping: [], regrets: [], peer: { error: messageOf(error) } }
  }
}
