import type { WriteStream } from 'node:tty'
import { SingleBar } from 'cli-progress'
import pc from 'picocolors'
import { formatDuration } from '../report/format.ts'

/** Shows where something that takes long is. */
export interface ProgressDisplay<Progress> {
  update(progress: Progress): void
  stop(): void
}

/** What a display shows of anything that makes progress. */
interface Timed {
  /** Share that is done, from 0 to 1. */
  readonly done: number
  readonly millisecondsLeft: number | null
}

/** How a kind of progress is put into words. */
export interface ProgressWords<Progress> {
  /** What stands behind the bar and its percentage, and behind the time that is left. */
  bar(progress: Progress): { what: string; more?: string }
  /** What is written where there is no terminal, for what has just ended; `null` for nothing. */
  line(progress: Progress): string | null
}

/** A live bar on a terminal, and lines elsewhere. */
export function progressDisplay<Progress extends Timed>(
  stream: NodeJS.WriteStream,
  words: ProgressWords<Progress>,
): ProgressDisplay<Progress> {
  if (stream.isTTY) return bar(stream as WriteStream, words)
  return {
    update(progress) {
      const line = words.line(progress)
      if (line !== null) stream.write(`${line}\n`)
    },
    stop() {},
  }
}

/** `about 5 s left`; nothing as long as nothing can be said. */
export function left(milliseconds: number | null): string {
  return milliseconds === null ? '' : `about ${formatDuration(milliseconds)} left`
}

function bar<Progress extends Timed>(stream: WriteStream, words: ProgressWords<Progress>): ProgressDisplay<Progress> {
  const single = new SingleBar({
    stream,
    format: `{bar} {percentage}% {what} ${pc.dim('{left}')} {more}`,
    barCompleteChar: '█',
    barIncompleteChar: '░',
    barsize: 20,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    linewrap: false,
    gracefulExit: false,
    etaBuffer: 1,
  })
  let started = false
  let last = 0
  return {
    update(progress) {
      const now = performance.now()
      if (started && now - last < 100) return
      last = now
      const payload = { more: '', ...words.bar(progress), left: left(progress.millisecondsLeft) }
      if (started) single.update(progress.done * 100, payload)
      else single.start(100, progress.done * 100, payload)
      started = true
    },
    stop() {
      if (started) single.stop()
    },
  }
}
