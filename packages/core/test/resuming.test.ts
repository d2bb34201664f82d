/** Going on after something has changed: other wrappers and groups, other parameters, the end of training. */

import {
  adamW,
  averagedSGD,
  type CompiledOptimizer,
  cautious,
  centralizeGradients,
  clipByGlobalNorm,
  compile,
  cosine,
  grokfast,
  groups,
  lookahead,
  muon,
  type Optimizer,
  parameterAverage,
  prodigy,
  scheduleFreeAdamW,
  sgd,
} from 'fallline'
import { describe, expect, it } from 'vitest'

const shapes = { w: [2, 3], b: [2] }

function train(optimizer: CompiledOptimizer, steps: number): void {
  for (let step = 0; step < steps; step++) {
    for (const name of optimizer.names) {
      const values = optimizer.parameters[name]!
      optimizer.gradients[name]!.forEach((_, i) => {
        optimizer.gradients[name]![i] = values[i]! - Math.sin(i + optimizer.steps)
      })
    }
    optimizer.step()
  }
}

async function trained(rule: Optimizer, steps = 5, own: Readonly<Record<string, readonly number[]>> = shapes) {
  const optimizer: CompiledOptimizer = await compile(rule, own)
  for (const name of optimizer.names) optimizer.parameters[name]!.fill(1)
  train(optimizer, steps)
  return optimizer
}

const values = (optimizer: CompiledOptimizer, name = 'w') => [...optimizer.parameters[name]!]

describe('a checkpoint fits whatever has no state', () => {
  const base = adamW({ learningRate: 0.1 })
  it.each<[string, Optimizer]>([
    ['clipping', clipByGlobalNorm(base, { maximumNorm: 1e9 })],
    ['two wrappers', clipByGlobalNorm(centralizeGradients(base), { maximumNorm: 1e9 })],
    ['groups of hyperparameters', groups(base, [{ match: 'b', hyper: { learningRate: 0.1 } }])],
    ['wrapped groups', cautious(groups(base, [{ match: 'b', hyper: { weightDecay: 0 } }]))],
    ['another decay', adamW({ learningRate: 0.2, weightDecay: 0.5 })],
  ])('%s, added and taken away', async (_, other) => {
    for (const [first, second] of [
      [base, other],
      [other, base],
    ] as const) {
      const before = await trained(first)
      const after: CompiledOptimizer = await compile(second, shapes)
      const { taken, missing, unused } = after.load(before.save())
      expect([missing, unused]).toEqual([[], []])
      expect(taken.filter((name) => name.endsWith('adamW.m'))).toEqual(['state/w/adamW.m', 'state/b/adamW.m'])
      expect([values(after), after.steps]).toEqual([values(before), 5])
      expect([...(after.state('w').m as Float32Array)]).toEqual([...(before.state('w').m as Float32Array)])
      // And to the bit, when it is brought back.
      const again: CompiledOptimizer = await compile(first, shapes)
      again.load(after.save())
      train(again, 3)
      train(before, 3)
      expect(values(again)).toEqual(values(before))
    }
  })

  it('through clocks and inside of what has state', async () => {
    const [plain, clipped] = [adamW(), clipByGlobalNorm(adamW(), { maximumNorm: 1e9 })]
    const before = await trained(cautious(lookahead(plain, { period: 2 })), 5)
    const after: CompiledOptimizer = await compile(lookahead(clipped, { period: 2 }), shapes)
    after.load(before.save())
    expect([...(after.state('w').slow as Float32Array)]).toEqual([...(before.state('w').slow as Float32Array)])
    expect(() => after.load(after.save())).not.toThrow()
  })

  it('and no other optimizer, nor one with state of its own, without being told', async () => {
    const bytes = (await trained(adamW())).save()
    for (const rule of [sgd({ momentum: 0.9 }), lookahead(adamW()), adamW({ amsgrad: true })]) {
      const other: CompiledOptimizer = await compile(rule, shapes)
      expect(() => other.load(bytes)).toThrow(/With load\(bytes, \{ take: 'fitting' \}\) what fits is taken/)
      expect([values(other), other.steps]).toEqual([Array(6).fill(0), 0])
    }
  })
})

describe('load with take', () => {
  it('fitting: what was frozen is trained, from its first step; the rest goes on', async () => {
    const rate = cosine({ from: 0.1, to: 0, steps: 20 })
    const frozen = groups(adamW({ learningRate: rate }), [{ match: 'b', frozen: true }])
    const before = await trained(frozen)
    const after: CompiledOptimizer = await compile(adamW({ learningRate: rate }), shapes)
    expect(() => after.load(before.save())).toThrow(/lacks 'state\/b\/adamW.m'/)
    const { taken, missing, unused } = after.load(before.save(), { take: 'fitting' })
    expect(taken).toEqual(expect.arrayContaining(['parameters/w', 'parameters/b', 'state/w/adamW.m']))
    expect([missing, unused]).toEqual([['state/b/adamW.m', 'state/b/adamW.v'], []])
    // The schedule goes on where it was.
    expect([after.steps, after.hyper.learningRate]).toEqual([5, before.hyper.learningRate])
    const [b] = [values(after, 'b')]
    train(after, 1)
    train(before, 1)
    expect(values(after)).toEqual(values(before))
    // The first step of Adam is the learning rate times the sign.
    expect(Math.abs(values(after, 'b')[0]! - b[0]!)).toBeCloseTo(after.hyper.learningRate!, 2)
    // And the other way round.
    const cold: CompiledOptimizer = await compile(frozen, shapes)
    expect(cold.load(after.save(), { take: 'fitting' }).unused).toEqual(['state/b/adamW.m', 'state/b/adamW.v'])
    expect(values(cold, 'b')).toEqual(values(after, 'b'))
  })

  it('fitting: state begins anew where a wrapper needs its own, also after training here', async () => {
    const bytes = (await trained(adamW())).save()
    for (const rule of [lookahead(adamW(), { period: 2 }), grokfast(adamW())]) {
      const after = await trained(rule, 3)
      const { taken, missing } = after.load(bytes, { take: 'fitting' })
      expect(taken).toEqual(['parameters/w', 'parameters/b'])
      expect(missing.length).toBeGreaterThan(4)
      const fresh: CompiledOptimizer = await compile(rule, shapes)
      for (const name of fresh.names) fresh.parameters[name]!.set(after.parameters[name]!)
      const gradients = { w: [1, 2, 3, 4, 5, 6], b: [1, -1] }
      for (let step = 0; step < 4; step++) {
        fresh.step({ gradients })
        after.step({ gradients })
      }
      expect(values(after)).toEqual(values(fresh))
      expect(after.steps).toBe(9)
    }
  })

  it('fitting: other parameters and other shapes', async () => {
    const before = await trained(prodigy())
    const other = { w: [2, 3], b: [4], more: [1] }
    const after = await trained(prodigy(), 1, other)
    const here = values(after, 'b')
    const { missing, unused } = after.load(before.save(), { take: 'fitting' })
    expect(missing).toEqual(expect.arrayContaining(['parameters/b', 'parameters/more']))
    expect(unused).toEqual(expect.arrayContaining(['parameters/b']))
    expect([values(after), values(after, 'b')]).toEqual([values(before), here])
    expect(after.state('w').d).toBe(before.state('w').d)
    train(after, 2)
    expect(after.steps).toBe(7)
  })

  it('parameters: everything else begins anew', async () => {
    const before = await trained(adamW())
    const after = await trained(muon(), 3)
    const { taken, unused } = after.load(before.save(), { take: 'parameters' })
    expect(taken).toEqual(['parameters/w', 'parameters/b'])
    expect(unused).toContain('state/w/adamW.m')
    expect([after.steps, values(after)]).toEqual([0, values(before)])
  })

  it('refuses bytes that are damaged, and other words, and changes nothing', async () => {
    const optimizer = await trained(adamW())
    const [bytes, before] = [optimizer.save(), values(optimizer)]
    expect(() => optimizer.load(bytes.slice(0, 50), { take: 'fitting' })).toThrow(/^safetensors: the header claims/)
    expect(() => optimizer.load(bytes, { take: 'some' as never })).toThrow(
      'take must be everything, fitting or parameters',
    )
    expect(() => optimizer.load(bytes, { partial: true } as never)).toThrow("unknown option 'partial'")
    expect([values(optimizer), optimizer.steps]).toEqual([before, 5])
  })
})

describe('rebase', () => {
  it('moves copies of the parameter along and keeps the rest', async () => {
    const moved = { w: [9, 8, 7, 6, 5, 4] }
    for (const [rule, names] of [
      [lookahead(adamW(), { period: 3 }), ['w/lookahead.slow']],
      [scheduleFreeAdamW(), ['w/scheduleFreeAdamW.z']],
      [prodigy(), ['w/prodigy.start']],
      [parameterAverage(sgd({ momentum: 0.9 })), ['w/parameterAverage.average']],
      [averagedSGD(), ['w/averagedSGD.a']],
      [adamW(), []],
    ] as const) {
      const optimizer = await trained(rule)
      const [before, other] = [values(optimizer), values(optimizer, 'b')]
      const copies = () => names.map((name) => [...(optimizer.state('w')[name.split('.')[1]!] as Float32Array)])
      const old = copies()
      const state = optimizer.state('w')
      const kept = Object.keys(state).length - names.length
      const result = optimizer.rebase(moved)
      expect(result.moved).toEqual(names)
      expect(result.kept.length).toBe(kept)
      expect([values(optimizer), values(optimizer, 'b')]).toEqual([moved.w, other])
      copies().forEach((copy, k) => {
        copy.forEach((value, i) => {
          expect(value).toBeCloseTo(old[k]![i]! + moved.w[i]! - before[i]!, 5)
        })
      })
      train(optimizer, 1)
    }
  })

  it('makes a run from a moved point the moved run, where the gradient moves too', async () => {
    for (const rule of [
      lookahead(adamW({ weightDecay: 0 }), { period: 3 }),
      prodigy(),
      scheduleFreeAdamW({ weightDecay: 0 }),
    ]) {
      const [here, there] = [await trained(rule, 4), await trained(rule, 4)]
      there.rebase({ w: values(there).map((value) => value + 2) })
      for (let step = 0; step < 7; step++) {
        const gradients = { w: [1, -2, step, 1, 1, -1], b: [0.5, 1] }
        here.step({ gradients })
        there.step({ gradients })
      }
      values(there).forEach((value, i) => {
        expect(value).toBeCloseTo(values(here)[i]! + 2, 4)
      })
    }
  })

  it('refuses other names and lengths, and works with attached arrays', async () => {
    const optimizer = await trained(lookahead(sgd()))
    expect(() => optimizer.rebase({ wieghts: [1] })).toThrow("unknown parameter 'wieghts'")
    expect(() => optimizer.rebase({ b: [1] })).toThrow("'b' has shape [2]")
    const b = [3, 4]
    optimizer.attach({ parameters: { b } })
    optimizer.rebase({ b: [5, 6] })
    expect(b).toEqual([5, 6])
  })
})

describe('finish', () => {
  it('leaves what to evaluate with in the parameters, and training ends', async () => {
    for (const rule of [scheduleFreeAdamW(), parameterAverage(sgd()), adamW()]) {
      const optimizer = await trained(rule)
      const b = [0, 0]
      const bytes = optimizer.save()
      const { w } = optimizer.evaluationParameters()
      optimizer.attach({ parameters: { b } })
      b.splice(0, 2, 0.5, 1)
      optimizer.finish()
      expect(values(optimizer)).toEqual([...w!])
      expect(b).toEqual(values(optimizer, 'b'))
      for (const action of [
        () => optimizer.step(),
        () => void optimizer.save(),
        () => void optimizer.rebase({ b: [1, 1] }),
      ]) {
        expect(action).toThrow('finish has put what to evaluate with into the parameters')
      }
      await expect(optimizer.minimize(() => 0)).rejects.toThrow('finish has put')
      optimizer.load(bytes)
      train(optimizer, 1)
      expect(optimizer.steps).toBe(6)
    }
  })
})
