// Owns, or works on, the studies of a folder or a URL until it is told to end: `folder-process.ts PLACE serve`.
import { float, openStudy, space } from '../../src/index.ts'
import { studiesAt } from '../../src/sql.ts'

const [place, task, ...rest] = process.argv.slice(2) as [string, string, ...string[]]
const storage = await studiesAt(place)
if (task === 'serve') {
  process.stdout.write('open\n')
  setInterval(() => {}, 1000)
} else {
  const [trials, patience] = rest.map(Number) as [number, number]
  const study = await openStudy({ space: space({ x: float(0, 10) }), storage, patience, worker: `${process.pid}` })
  for (let told = 0; task === 'count' ? told < trials : true; ) {
    const records = await study.trials()
    if (task === 'fill' && records.filter(({ state }) => state === 'complete').length >= trials) break
    const trial = await study.ask()
    try {
      const x = trial.parameters.x
      await trial.report(1, x)
      await study.tell(trial, x * x)
      process.stdout.write(`${trial.number}\n`)
      told++
    } catch (error) {
      // Somebody else has taken it over.
      if (!/taken over|has ended already|is waiting/.test(String(error))) throw error
    }
  }
  await storage.close()
  process.exit(0)
}
