import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { Contender } from '../measure.ts'
import type { Answer, Request } from './protocol.ts'

/** A process that runs steps of other libraries when it is asked, and rests otherwise. */
export class PeerProcess {
  readonly name: string
  /** Libraries with their versions. */
  versions: Record<string, string> = {}
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #lines: AsyncIterator<string>
  #complaints = ''
  #nextId = 1

  private constructor(name: string, command: string, commandArguments: readonly string[]) {
    this.name = name
    this.#child = spawn(command, commandArguments, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#complaints = (this.#complaints + chunk.toString()).slice(-4000)
    })
    // A process that cannot start, or that ends early, is noticed when its answer does not come.
    this.#child.on('error', (error) => {
      this.#complaints += error.message
    })
    this.#child.stdin.on('error', () => {})
  }

  /** Starts a process and waits until its libraries are loaded. Rejects with the reason when they cannot be. */
  static async start(name: string, command: string, commandArguments: readonly string[]): Promise<PeerProcess> {
    const peer = new PeerProcess(name, command, commandArguments)
    const answer = await peer.#answer()
    peer.versions = answer.versions ?? {}
    return peer
  }

  /**
   * A contender for {@link measure}. It exists in the other process until it is disposed.
   *
   * @param clock whether a step is timed by the clock on the wall or by what the processors have worked for the process
   */
  async contender(
    name: string,
    peer: string,
    optimizer: string,
    shape: readonly number[],
    clock: 'wall' | 'processor' = 'wall',
  ): Promise<Contender> {
    const id = this.#nextId++
    await this.#ask({ command: 'create', id, peer, optimizer, shape })
    return {
      name,
      run: async (steps) => {
        const { seconds, cores } = await this.#ask({ command: 'run', id, steps })
        return seconds!.map((each) => (clock === 'wall' ? each : each * cores!))
      },
      dispose: async () => {
        await this.#ask({ command: 'drop', id })
      },
    }
  }

  /** Ends the process. */
  stop(): void {
    this.#child.stdin.end()
    this.#child.kill()
  }

  async #ask(request: Request): Promise<Answer & { ok: true }> {
    this.#child.stdin.write(`${JSON.stringify(request)}\n`)
    return await this.#answer()
  }

  async #answer(): Promise<Answer & { ok: true }> {
    const { value, done } = await this.#lines.next()
    if (done) {
      const last = this.#complaints.trim().split('\n').at(-1)
      throw new Error(`${this.name} ended${last ? `: ${last}` : ''}`)
    }
    const answer = JSON.parse(value) as Answer
    if (!answer.ok) throw new Error(answer.error)
    return answer
  }
}
