// Owns the studies of a folder (`PLACE serve`), asks for and tells a number of trials (`PLACE count TRIALS PATIENCE`), or ends those that
// wait (`PLACE drain`).
import { float, openStudy, space } from '../../src/index.ts'
import { studiesAt } from '../../src/sql.ts'

const [place, task, ...rest] = process.argv.slice(2) as [string, string, ...string[]]
const storage = await studiesAt(place)
if (task === 'serve') {
  process.stdout.write('open\n')
  setInterval(() => {}, 1000)
} else if (task === 'drain') {
  // Works on what waits until everything is complete, and says which trials it has ended.
  const holder = { worker: `${process.pid}`, patience: 2000 }
  for (;;) {
    await storage.expire('study', 1000)
    const held = await storage.claim('study', holder)
    if (held === null) {
      const { trials } = await storage.changes('study', 0)
      if (trials.every(({ state }) => state === 'complete')) break
      await new Promise((resolve) => setTimeout(resolve, 50))
      continue
    }
    const { record, lease } = held
    const x = record.parameters.x as number
    const ending = { state: 'complete', values: [x * x], constraints: {}, cost: null, error: null } as const
    if (!(await storage.report('study', lease, { step: record.attempt, value: x }))) continue
    await new Promise((resolve) => setTimeout(resolve, 10))
    if (await storage.end('study', lease, ending)) process.stdout.write(`${record.number}\n`)
  }
  await storage.close()
  process.exit(0)
} else {
  const [trials, patience] = rest.map(Number) as [number, number]
  const study = await openStudy({ space: space({ x: float(0, 10) }), storage, patience, worker: `${process.pid}` })
  for (let told = 0; told < trials; told++) {
    const trial = await study.ask()
    await trial.report(1, trial.parameters.x)
    await study.tell(trial, trial.parameters.x ** 2)
  }
  await storage.close()
  process.exit(0)
}
