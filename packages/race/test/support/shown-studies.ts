/** Studies as people have them, for tests of what they are shown. */

import {
  choice,
  float,
  integer,
  medianPruner,
  memoryStorage,
  openStudy,
  type Storage,
  space,
  variant,
} from '@fallline/search'
import { interrupted, race } from './races.ts'

export { interrupted, race }

/** Would run if a page took it for markup, and leaves a trace then. */
export const markup = `<img src=x onerror="window['taken']=1"><script>window['taken']=1</script>&amp;'"`

const network = space({
  learningRate: float(1e-5, 1, { scale: 'log' }),
  network: {
    layers: integer(1, 4),
    width: integer(16, 256, { step: 16 }),
    activation: choice(['relu', 'tanh', 'gelu']),
  },
  optimizer: variant({
    sgd: { momentum: float(0, 0.99), nesterov: choice([true, false]) },
    adam: { beta2: choice([0.99, 0.999]), weightDecay: float(1e-6, 1e-1, { scale: 'log' }) },
  }),
})

/** Variants, curves, trials that were stopped, some that failed, constraints, costs, four workers and two that still run. */
export async function conditional(storage: Storage, trials = 200) {
  const study = await openStudy({
    space: network,
    storage,
    name: 'conditional network',
    objectives: { 'validation loss': 'minimize' },
    resource: { name: 'epoch', minimum: 1, maximum: 12 },
    pruner: medianPruner(),
    seed: 1,
    worker: 'gpu-server-03.example.org process 81723',
  })
  await study.annotate('note', 'the long weekend run, see the notebook')
  await study.optimize(
    async ({ number, parameters, report }) => {
      const { learningRate, network, optimizer } = parameters
      if (number % 37 === 5) throw new Error(`loss is NaN after ${number} steps of an optimizer that went too far`)
      const ideal = optimizer.kind === 'sgd' ? 0.1 : 0.003
      const end =
        0.08 + 0.15 * Math.log10(learningRate / ideal) ** 2 + 0.02 * Math.abs(network.layers - 3) + 4 / network.width
      for (let epoch = 1; epoch <= 12; epoch++) {
        const value = end + (2.3 - Math.min(end, 2)) * Math.exp(-0.6 * epoch) + 0.01 * Math.sin(number * 7 + epoch)
        if ((await report(epoch, value)) === 'stop') return 'stopped'
      }
      return { values: end + 0.01 * Math.sin(number), constraints: { megabytes: network.width - 250 }, cost: 12 }
    },
    { trials, failures: 'continue' },
  )
  await study.ask()
  return study
}

/** Two objectives that cannot both be had. */
export async function several(storage: Storage, trials = 150) {
  const study = await openStudy({
    space: space({ stiffness: float(4e3, 2e5, { scale: 'log' }), damping: float(1e2, 2e4, { scale: 'log' }) }),
    storage,
    name: 'suspension',
    objectives: { 'travel in m': 'minimize', 'comfort in percent': 'maximize' },
    seed: 2,
    worker: 'laptop',
  })
  await study.optimize(
    ({ parameters: { stiffness, damping } }) => [
      400 / Math.sqrt(stiffness * damping),
      100 - stiffness / 4000 - damping / 1000 - Math.abs(Math.log10(stiffness / damping)) * 8,
    ],
    { trials },
  )
  return study
}

/** Nothing has been tried. */
export const empty = (storage: Storage) => openStudy({ space: network, storage, name: 'empty', seed: 3 })

/** Every trial fails. */
export async function failing(storage: Storage) {
  const study = await openStudy({ space: network, storage, name: 'failing', seed: 4, worker: 'laptop' })
  for (let trial = 0; trial < 12; trial++) {
    await study.fail(await study.ask(), `CUDA out of memory: tried to allocate 2.34 GiB in trial ${trial}`)
  }
  return study
}

/** Every text that a user can choose is markup. */
export async function hostile(storage: Storage) {
  const study = await openStudy({
    space: space({ [markup]: choice([markup, 'other']), [`x${markup}`]: float(0, 1) }),
    storage,
    name: markup,
    objectives: { [markup]: 'minimize' },
    resource: { name: markup, minimum: 1, maximum: 3 },
    seed: 5,
    worker: markup,
  })
  await study.annotate(markup, markup)
  for (let trial = 0; trial < 25; trial++) {
    const asked = await study.ask()
    await asked.report(1, trial)
    await asked.report(2, trial + 1)
    if (trial % 5 === 4) await study.fail(asked, markup)
    else await study.tell(asked, { values: trial, constraints: { [markup]: 1 } })
  }
  return study
}

/** All of them in memory. */
export async function allStudies(): Promise<Storage> {
  const storage = memoryStorage()
  await conditional(storage)
  await several(storage)
  await empty(storage)
  await failing(storage)
  await hostile(storage)
  return storage
}
