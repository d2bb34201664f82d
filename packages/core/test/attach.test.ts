import { compile, scheduleFreeSGD, sgd, sharpnessAware } from 'fallline'
import { describe, expect, it } from 'vitest'

const half = () => sgd({ learningRate: 0.5 })

describe('attached arrays are where the numbers are kept', () => {
  it('load writes them, and the next step goes on from what was loaded', async () => {
    const source = await compile(half(), { w: [2] })
    source.parameters.w!.set([0.5, 1.5])
    const optimizer = await compile(half(), { w: [2] })
    const w = [100, 100]
    optimizer.attach({ parameters: { w } })
    optimizer.load(source.save())
    expect(w).toEqual([0.5, 1.5])
    optimizer.gradients.w!.fill(1)
    optimizer.step()
    expect(w).toEqual([0, 1])
  })

  it('save and evaluationParameters read them, before the first step and after', async () => {
    const optimizer = await compile(half(), { w: [2] })
    const w = Float64Array.of(3, 4)
    optimizer.attach({ parameters: { w } })
    expect([...optimizer.parameters.w!]).toEqual([3, 4])
    const copy = await compile(half(), { w: [2] })
    copy.load(optimizer.save())
    expect([...copy.parameters.w!]).toEqual([3, 4])
    w.set([5, 6])
    copy.load(optimizer.save())
    expect([...copy.parameters.w!]).toEqual([5, 6])
    w.set([7, 8])
    expect([...optimizer.evaluationParameters().w!]).toEqual([7, 8])
  })

  it('the average of what is attached is computed from it', async () => {
    const [attached, plain] = await Promise.all([1, 2].map(() => compile(scheduleFreeSGD(), { w: [1] })))
    const w = [2]
    attached!.attach({ parameters: { w } })
    plain!.parameters.w![0] = 2
    for (const optimizer of [attached!, plain!]) optimizer.step({ gradients: { w: [1] } })
    expect(w[0]).toBe(plain!.parameters.w![0])
    expect(attached!.evaluationParameters()).toEqual(plain!.evaluationParameters())
  })

  it('gradients written inside evaluate act in this step', async () => {
    const optimizer = await compile(half(), { w: [1] })
    const [w, gradient] = [[1], [100]]
    optimizer.attach({ parameters: { w }, gradients: { w: gradient } })
    await optimizer.minimize(() => {
      gradient[0] = w[0]!
      return 0
    })
    expect(w).toEqual([0.5])
  })

  it('minimize hands them to evaluate at every point, whichever name they are written by', async () => {
    const optimizer = await compile(sharpnessAware(half(), { rho: 0.25 }), { w: [1] })
    const [w, gradient] = [new Float32Array([1]), new Float32Array(1)]
    optimizer.attach({ parameters: { w }, gradients: { w: gradient } })
    const points: number[] = []
    await optimizer.minimize(({ parameters, gradients }) => {
      expect(parameters.w).toBe(w)
      points.push(w[0]!)
      gradients.w![0] = parameters.w![0]!
      return 0
    })
    expect(points).toEqual([1, 1.25])
    expect([...w]).toEqual([1 - 0.5 * 1.25])
  })

  it('memory that is attached twice is refused', async () => {
    const optimizer = await compile(half(), { a: [2], b: [2] })
    const shared = new Float32Array(3)
    const plain = [1, 2]
    const message = (first: string, second: string) =>
      `attach: ${first} and ${second} are given the same memory; each needs an array of its own`
    expect(() => optimizer.attach({ parameters: { a: plain, b: plain } })).toThrow(
      message("the parameter 'a'", "the parameter 'b'"),
    )
    expect(() =>
      optimizer.attach({ parameters: { a: shared.subarray(0, 2) }, gradients: { b: shared.subarray(1) } }),
    ).toThrow(message("the parameter 'a'", "the gradient of 'b'"))
    const apart = new Float32Array(4)
    optimizer.attach({ parameters: { a: apart.subarray(0, 2), b: apart.subarray(2) } })
    optimizer.step({ gradients: { a: [1, 1], b: [2, 2] } })
    expect([...apart]).toEqual([-0.5, -0.5, -1, -1])
  })
})
