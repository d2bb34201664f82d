import type { WriteStream } from 'node:tty'
import { SingleBar } from 'cli-progress'
import pc from 'picocolors'
import type { RaceProgress } from '../race.ts'
import { formatDuration, formatNumber, formatSetting } from '../report/format.ts'

/** Shows where a race is. */
export interface ProgressDisplay {
  update(progress: RaceProgress): void
  stop(): void
}

/** A live bar on a terminal, and one line per finished run elsewhere. Both go to the error stream. */
export function progressDisplay(stream: NodeJS.WriteStream): ProgressDisplay {
  return stream.isTTY ? bar(stream as WriteStream) : lines(stream)
}

const phases = {
  tuning: 'tuning',
  final: 'rerun of the best',
  report: 'fresh run',
  cost: 'cost of a step, block',
} as const

function left(milliseconds: number | null): string {
  return milliseconds === null ? '' : `about ${formatDuration(milliseconds)} left`
}

function bar(stream: WriteStream): ProgressDisplay {
  const single = new SingleBar({
    stream,
    format: `{bar} {percentage}% {what} ${pc.dim('{left}')}`,
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
      const { phase, title, study, studies, index, count, step, steps, done, millisecondsLeft } = progress
      const where = phase === 'cost' || studies === 1 ? '' : `, study ${study}/${studies}`
      const who = phase === 'cost' ? '' : `: ${title}, step ${step}/${steps}`
      const payload = { what: `${phases[phase]} ${index}/${count}${where}${who}`, left: left(millisecondsLeft) }
      if (started) single.update(done * 100, payload)
      else single.start(100, done * 100, payload)
      started = true
    },
    stop() {
      if (started) single.stop()
    },
  }
}

function lines(stream: NodeJS.WriteStream): ProgressDisplay {
  let costSaid = false
  return {
    update({ phase, title, study, studies, index, count, finished, millisecondsLeft }) {
      if (phase === 'cost' && !costSaid) {
        costSaid = true
        stream.write('measuring the cost of a step\n')
      }
      if (finished === undefined) return
      const result =
        finished.validation === null
          ? `${finished.outcome}: ${finished.message ?? ''}`
          : `validation ${formatNumber(finished.validation)}`
      const time = [formatDuration(finished.milliseconds), left(millisecondsLeft)]
        .filter((part) => part !== '')
        .join(', ')
      stream.write(
        `${phases[phase]} ${index}/${count}${studies === 1 ? '' : `, study ${study}`}: ${title}, ${formatSetting(finished.setting)}: ${result} (${time})\n`,
      )
    },
    stop() {},
  }
}
