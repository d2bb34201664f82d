import type { Pruner } from '../pruners/pruner.ts'
import { float } from '../space/domain.ts'
import { space } from '../space/space.ts'
import type { Trial } from '../study/run.ts'
import { Stopped } from '../study/run.ts'
import { openStudy } from '../study/study.ts'
import type { RegisterTest } from './sampler.ts'

const line = space({ x: float(0, 1) })
const resource = { name: 'epoch', minimum: 1, maximum: 9 }

/**
 * Checks what every pruner must keep to: it never stops a trial that is alone, decides the same from the same records, and bears
 * whatever a curve can have. Registered as by `testSampler`.
 */
export function testPruner(make: () => Pruner, test: RegisterTest): void {
  const states = async (curve: (x: number, epoch: number) => number, trials: number, seed = 1) => {
    const study = await openStudy({ space: line, pruner: make(), resource, seed })
    const objective = async (trial: Trial<{ x: number }>) => {
      for (let epoch = 1; epoch <= resource.maximum; epoch++) {
        if ((await trial.report(epoch, curve(trial.parameters.x, epoch))) === 'stop') throw new Stopped()
      }
      return trial.parameters.x
    }
    await study.optimize(objective, { trials })
    return (await study.trials()).map(({ state }) => state)
  }

  test('never stops a trial that is alone', async () => {
    const alone = await states((x, epoch) => x - epoch, 1)
    if (alone.join() !== 'complete') throw new Error(`it is ${alone}`)
  })

  test('decides the same from the same records', async () => {
    const curve = (x: number, epoch: number) => x + Math.sin(40 * x + epoch)
    const [first, second] = [await states(curve, 20), await states(curve, 20)]
    if (first.join() !== second.join()) throw new Error(`${first} and ${second} differ`)
  })

  test('bears curves that are not numbers, infinite or flat', async () => {
    for (const value of [Number.NaN, Infinity, -Infinity, 0]) await states((x) => (x < 0.5 ? value : x), 12)
  })
}
