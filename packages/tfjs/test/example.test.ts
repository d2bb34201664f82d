import * as tf from '@tensorflow/tfjs-core'
import { expect, it } from 'vitest'
import { searchLearningRate } from '../../../examples/learning-rate.ts'
import { train } from '../examples/digits.ts'
import { pageFiles, trainInPage } from '../examples/page/serve.ts'
import { findChromium } from './browser/browser.ts'

it('the example learns digits with the fused kernel', async () => {
  const { losses, accuracy, execution } = await train(8)
  expect(execution).toBe('wasm')
  expect(losses.at(-1)).toBeLessThan(0.3 * losses[0]!)
  expect(accuracy).toBeGreaterThan(0.85)
})

it('the example finds a learning rate, stops what is worse than the median, and leaves nothing behind', async () => {
  const study = await searchLearningRate(12, 4)
  const left = tf.memory().numTensors
  const records = await study.trials()
  const { trial, value } = (await study.best())!
  expect(trial.parameters.learningRate).toBeGreaterThan(3e-3)
  expect(trial.parameters.learningRate).toBeLessThan(0.3)
  expect(value).toBeLessThan(0.7)
  const pruned = records.filter(({ state }) => state === 'pruned')
  expect(pruned.length).toBeGreaterThan(0)
  for (const { reports } of pruned) expect(reports.at(-1)!.value).toBeGreaterThan(value)
  const first = await searchLearningRate(1, 1)
  expect((await first.trials())[0]!.parameters).toEqual(records[0]!.parameters)
  expect(tf.memory().numTensors).toBe(left)
})

it('the page trains in a worker, or is bundled where there is no Chromium', async () => {
  if (!findChromium()) {
    console.log('No Chromium here (set CHROMIUM to its path): the page was bundled, not opened.')
    expect((await pageFiles())['/worker.js'].text).toContain('Fallline')
    return
  }
  expect(await trainInPage()).toMatch(/^[789]\d\.\d % of held-out digits are right, after .* s; updates by wasm\.$/)
})
