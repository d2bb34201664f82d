import {
  compile,
  defineTransform,
  evolutionStrategies,
  groups,
  mezo,
  minimizeTogether,
  type Optimizer,
  optimisticGradient,
  randomizedSmoothing,
  reference,
  sgd,
  sharpnessAware,
  wasm,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { fillAll, randomNumbers } from '../support/random.ts'

type Arrays = Readonly<Record<string, ArrayLike<number>>>

const loss = (point: Arrays) =>
  Object.values(point)
    .flatMap((array) => Array.from(array))
    .reduce((sum, x, i) => sum + (x - Math.sin(i)) ** 2 * (1 + (i % 3)), 0)

const methods: Readonly<Record<string, [Optimizer, number]>> = {
  'evolution strategies': [evolutionStrategies(sgd({ learningRate: 0.02 }), { pairs: 5 }), 10],
  'persistent evolution strategies': [
    evolutionStrategies(sgd({ learningRate: 0.02 }), { pairs: 2, perturbation: 'persistent', episode: 3 }),
    4,
  ],
  'randomized smoothing': [randomizedSmoothing(sgd({ learningRate: 0.02 }), { pairs: 3 }), 6],
  MeZO: [mezo({ learningRate: 0.02 }), 2],
}

describe('all points of a step at once', () => {
  it.each(Object.entries(methods))('%s takes the step that it takes one point after the other', async (_, method) => {
    const [rule, count] = method
    for (const backend of [wasm, reference]) {
      const shapes = { w: [3, 4], b: [5] }
      const [together, apart] = await Promise.all([1, 2].map(() => compile(rule, shapes, { backend: backend() })))
      fillAll(together!.parameters, randomNumbers(4))
      for (const name of together!.names) apart!.parameters[name]!.set(together!.parameters[name]!)
      for (let step = 1; step <= 5; step++) {
        const visited: number[] = []
        let [running, most] = [0, 0]
        const result = await minimizeTogether(together!, (points) => {
          expect(points).toHaveLength(count)
          return Promise.all(
            points.map(async (point) => {
              most = Math.max(most, ++running)
              await Promise.resolve()
              running--
              visited.push(loss(point))
              return loss(point)
            }),
          )
        })
        expect(result.step).toBe(step)
        expect(most).toBe(count)
        const others: number[] = []
        await apart!.minimize(({ parameters }) => {
          others.push(loss(parameters))
          return others.at(-1)!
        })
        expect(visited).toEqual(others)
        for (const name of together!.names) expect(together!.parameters[name]).toEqual(apart!.parameters[name])
      }
      for (const optimizer of [together!, apart!]) optimizer.dispose()
    }
  })

  it('refuses points that follow from answers, and leaves everything as it was', async () => {
    const following = defineTransform({
      name: 'following',
      title: 'Following',
      hyper: {},
      evaluations: () => [
        { wants: ['loss'], at: ({ p }) => ({ parameter: p.plus(1) }) },
        { wants: ['loss'], at: ({ p, losses }) => ({ parameter: p.plus(losses[0]!) }) },
      ],
      origin: ({ p, losses }) => p.minus(1).minus(losses[0]!),
      gradient: ({ p, losses }) => ({ gradient: p.times(losses[1]!.minus(losses[0]!)) }),
    })
    const cases: [Optimizer, RegExp][] = [
      [sgd(), /asks for gradient, so its points follow from the answers/],
      [sharpnessAware(sgd()), /asks for gradient/],
      [following(sgd()), /point 2 follows from the losses before it/],
    ]
    for (const [rule, message] of cases) {
      const optimizer = await compile(rule, { x: [3] }, { backend: reference() })
      optimizer.parameters.x!.set([1, 2, 4])
      await expect(minimizeTogether(optimizer, (points) => points.map(loss))).rejects.toThrow(message)
      expect([...optimizer.parameters.x!]).toEqual([1, 2, 4])
      expect(optimizer.steps).toBe(0)
    }
    const optimizer = await compile(mezo(), { x: [3] })
    optimizer.parameters.x!.set([1, 2, 4])
    await expect(minimizeTogether(optimizer, () => [1])).rejects.toThrow(/1 losses were given for 2 points/)
    await expect(
      minimizeTogether(optimizer, () => {
        throw new Error('no worker')
      }),
    ).rejects.toThrow('no worker')
    expect([...optimizer.parameters.x!]).toEqual([1, 2, 4])
  })
})

describe('a saddle point without gradients', () => {
  it('is found by smoothing over both sides, of which one climbs', async () => {
    // Convex in x, concave in y, and not smooth: |x| + 2 x y - |y|, with its saddle point at 0.
    const game = (point: Arrays) => {
      const [x, y] = [point.x!, point.y!]
      return Math.abs(x[0]!) + Math.abs(x[1]!) + 2 * (x[0]! * y[0]! + x[1]! * y[1]!) - Math.abs(y[0]!) - Math.abs(y[1]!)
    }
    const rule = { learningRate: 0.02 }
    const players = groups(optimisticGradient(rule), [
      { match: 'y', optimizer: optimisticGradient({ ...rule, maximize: true }) },
    ])
    const optimizer = await compile(randomizedSmoothing(players, { pairs: 6, radius: 0.05 }), { x: [2], y: [2] })
    optimizer.parameters.x.set([1, -0.5])
    optimizer.parameters.y.set([-1, 0.7])
    for (let step = 0; step < 300; step++) await minimizeTogether(optimizer, (points) => points.map(game))
    for (const values of Object.values(optimizer.parameters)) {
      for (const value of values) expect(Math.abs(value)).toBeLessThan(0.1)
    }
  })
})
