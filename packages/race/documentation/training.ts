import { compile, type OptimizerFactory } from 'fallline'
import { loadTask } from '../src/load-task.ts'
import { shiftedSobol } from '../src/search/sequence.ts'
import { type Setting, settingAt } from '../src/search/space.ts'
import type { Task } from '../src/task.ts'
import { enter } from '../src/training/contenders.ts'
import { advance, beginning } from '../src/training/training.ts'

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
  const sequence = shiftedSobol(Object.keys(entry!.search), 0, 'pictures')
  let best: { curve: LossCurve; final: number } | undefined
  for (let trial = 0; trial < lesson.trials; trial++) {
    const setting = settingAt(entry!.search, sequence, trial)
    const { steps, evaluateEvery } = lesson
    const optimizer = await compile(entry!.create(setting, steps), task.parameters)
    const state = beginning()
    await advance({ task, optimizer, seed: 1, steps, evaluateEvery, nonFinite: 'stop' }, state)
    optimizer.dispose()
    if (state.outcome === 'failed') throw new Error(`${entry!.title} on ${lesson.task}: ${state.message}`)
    const { step, validation } = state.curve
    const final = validation.at(-1)
    if (state.outcome !== 'finished' || final === undefined || final >= (best?.final ?? Number.POSITIVE_INFINITY))
      continue
    best = { curve: { setting, steps: step, values: validation }, final }
  }
  return best?.curve
}
