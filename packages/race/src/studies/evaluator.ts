// Runs the objective of a study module in a process of its own, for the process that supervises it.
import { Stopped, type Trial } from '@fallline/search'
import { messageOf } from '../import-module.ts'
import type { FromEvaluator, ToEvaluator } from './messages.ts'
import { loadStudyModule } from './module.ts'

const say = (message: FromEvaluator) => process.send!(message)
// Signals go to the whole group of a terminal; the process that supervises ends this one.
process.on('SIGINT', () => {})
process.on('disconnect', () => process.exit())

/** Who waits for an answer to what was said, in order. */
const waiting: ((verdict: 'continue' | 'stop') => void)[] = []
const asked = (message: FromEvaluator) =>
  new Promise<'continue' | 'stop'>((resolve) => {
    waiting.push(resolve)
    say(message)
  })

const { space, objective } = await loadStudyModule(process.argv[2]!)

process.on('message', async (message: ToEvaluator) => {
  if (message.kind !== 'trial') {
    waiting.shift()!(message.kind === 'verdict' ? message.verdict : 'continue')
    return
  }
  const { record, seed, until, from } = message
  const trial: Trial = {
    number: record.number,
    parameters: space.values(record.point),
    seed,
    until,
    from,
    signal: new AbortController().signal,
    record,
    report: (step, value) => asked({ kind: 'report', step, value }),
    annotate: async (attribute, value) => {
      await asked({ kind: 'note', attribute, value })
    },
  }
  try {
    say({ kind: 'outcome', outcome: await objective(trial as Trial<never>) })
  } catch (error) {
    say(
      error instanceof Stopped ? { kind: 'outcome', outcome: 'stopped' } : { kind: 'error', message: messageOf(error) },
    )
  }
})
