import { compile, type OptimizerFactory } from 'fallline'
import { enter } from '../src/training/contenders.ts'
import { tuningSequence } from '../src/search/sequence.ts'
import { type Setting, settingAt } from '../src/search/space.ts'
import { train } from '../src/training/training.ts'
import { loadTask, type Task } from '../src/task.ts'

/** Validation loss of an optimizer on the task of the pictures. */
export interface LossCurve {
  readonly setting: Setting
  readonly steps: readonly number[]
  readonly values: readonly number[]
}

/** The task of the pictures, its length, and how many settings are tried. */
export const lesson = { task: 'digits-mlp', steps: 200, evaluateEvery: 10, trials: 6 } as const

let loaded: Promise<Task> | undefined

/** The best of a few settings, at the points and with the schedule that the race would use for them. */
export async function learn(factory: OptimizerFactory): Promise<LossCurve | undefined> {
  loaded ??= loadTask(lesson.task)
  const task = await loaded
  const [entry] = enter([{ name: factory.definition.name, optimizer: factory }])
  const sequence = tuningSequence(0, Object.keys(entry!.search))
  let best: { curve: LossCurve; final: number } | undefined
  for (let trial = 0; trial < lesson.trials; trial++) {
    const setting = settingAt(entry!.search, sequence, trial)
    const { steps, evaluateEvery } = lesson
    const optimizer = await compile(entry!.create(setting, steps), task.parameters)
    const result = await train({ task, optimizer, seed: 1, steps, evaluateEvery, targets: [], test: false })
    if (result.outcome === 'failed') throw new Error(`${entry!.title} on ${lesson.task}: ${result.message}`)
    if (result.validation === null || result.validation >= (best?.final ?? Number.POSITIVE_INFINITY)) continue
    const { step, validation } = result.curve
    best = { curve: { setting, steps: step, values: validation }, final: result.validation }
  }
  return best?.curve
}
