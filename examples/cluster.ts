import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { float, openStudy, space } from '@fallline/search'
import { studiesAt } from '@fallline/search/sql'

/**
 * A cluster of four processes that work on one study, of which two are killed while they work. Nothing that was told is lost, what the dead
 * were working on is taken over after their patience, and the study ends with as many results as were asked for. The processes could as
 * well be on four machines: all that they share is the place of the studies.
 *
 * npx tsx --conditions=@fallline/source examples/cluster.ts postgres://user:password@host/database
 *
 * Instead of the URL of a PostgreSQL server it takes the path of a folder too.
 */

const searched = space({ x: float(-5, 5), y: float(-5, 5) })
const trials = 60

/** Works on the study until it has its results: what each of the four does. */
async function work(place: string): Promise<void> {
  const storage = await studiesAt(place)
  const study = await openStudy({
    space: searched,
    storage,
    name: 'cluster',
    worker: `process ${process.pid}`,
    patience: 1000,
  })
  await study.optimize(
    async ({ parameters: { x, y } }) => {
      // Less than the patience; what takes longer runs in `Workers`, which give signs of life.
      await new Promise((resolve) => setTimeout(resolve, 100))
      return (1 - x) ** 2 + 100 * (y - x ** 2) ** 2
    },
    { trials },
  )
  await storage.close()
}

/** Starts the four, kills two of them when each has told something, and says how the study ended. */
async function watch(place: string): Promise<void> {
  const storage = await studiesAt(place)
  const study = await openStudy({ space: searched, storage, name: 'cluster' })
  const file = fileURLToPath(import.meta.url)
  const processes = Array.from({ length: 4 }, () =>
    spawn(process.execPath, [...process.execArgv, file, place, 'work'], { stdio: ['ignore', 'inherit', 'inherit'] }),
  )
  const ended = processes.map((each) => new Promise((resolve) => each.once('exit', resolve)))
  const told = async () => (await study.trials()).filter(({ state }) => state === 'complete')
  const workers = async () => new Set((await told()).map(({ worker }) => worker))
  while ((await workers()).size < processes.length && (await told()).length < trials / 2) {
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const before = await told()
  for (const victim of processes.slice(0, 2)) victim.kill('SIGKILL')
  console.log(`two of four are killed after ${before.length} results`)
  await Promise.all(ended)
  const after = await told()
  const kept = before.filter(({ number, values }) =>
    after.some((each) => each.number === number && each.values![0] === values![0]),
  )
  const { value, trial } = (await study.best())!
  console.log(`${after.length} results, ${kept.length} of ${before.length} earlier ones kept`)
  console.log(
    `taken over: ${after.filter(({ lost }) => lost > 0).length}; best ${value.toFixed(3)} at ${JSON.stringify(trial.parameters)}`,
  )
  await storage.close()
}

const [place, task] = process.argv.slice(2)
if (place === undefined) throw new Error('give the URL of a PostgreSQL server, or a folder')
await (task === 'work' ? work(place) : watch(place))
