import { adamW, compile, cosine, type Optimizer, quantized } from 'fallline'
import { mean, sampleStandardDeviation } from 'simple-statistics'
import { describe, expect, it } from 'vitest'
import { everything } from '../../core/test/support/sample.ts'
import { createDigitsMlp } from '../src/tasks/digits-mlp.ts'

const task = createDigitsMlp()
const { steps } = task.budget
const seeds = 10

async function finalLoss(rule: Optimizer, seed: number): Promise<number> {
  const optimizer = await compile(rule, task.parameters, task.layout ? { layout: task.layout } : {})
  const sizes = Object.entries(task.parameters).map(
    ([name, shape]) => [name, new Float32Array(shape.reduce((product, size) => product * size, 1))] as const,
  )
  const initial = Object.fromEntries(sizes)
  task.initialize(initial, seed)
  optimizer.writeParameters(initial)
  for (let step = 1; step <= steps; step++) {
    const parameters = optimizer.evaluationParameters() as Record<string, Float32Array>
    await task.gradient(parameters, optimizer.gradients as Record<string, Float32Array>, { seed, step })
    optimizer.step()
  }
  const loss = await task.metric(optimizer.evaluationParameters() as Record<string, Float32Array>, 'validation')
  optimizer.dispose()
  return loss
}

async function losses(rule: Optimizer): Promise<number[]> {
  const found: number[] = []
  for (let seed = 1; seed <= seeds; seed++) found.push(await finalLoss(rule, seed))
  return found
}

describe.runIf(everything)('a network on digits with parameters in fewer bits', () => {
  it('ends as it does in float32, within what seeds make of it', async () => {
    const rule = () => adamW({ learningRate: cosine({ from: 5e-3, to: 0, steps }) })
    const full = await losses(rule())
    const spread = sampleStandardDeviation(full)
    for (const parameters of ['bf16', 'bf16+byte'] as const) {
      const kept = await losses(quantized(rule(), { storage: 'float32', parameters, minimumSize: 0 }))
      expect(kept).not.toEqual(full)
      expect(Math.abs(mean(kept) - mean(full)), parameters).toBeLessThan(spread / 4)
    }
  })
})
