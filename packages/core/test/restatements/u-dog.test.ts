import { compile, uDoG } from 'fallline'
import { describe, expect, it } from 'vitest'
import { gradientAt } from '../../golden/problem.ts'
import { norm, restate, type Step, sum } from '../support/restate.ts'

const minus = (a: readonly number[], b: readonly number[], factor = 1) => a.map((value, i) => value - factor * b[i]!)

/** UniXGrad over one long vector with the step sizes of DoG; keeps every x and averages them anew in each step. */
function paper(salt: number, rate: number, relative: number, epsilon: number): Step {
  const steps: { x: readonly number[]; omega: number }[] = []
  const distances: number[] = []
  let start: readonly number[] = []
  let y = start
  let following = 0
  let squares = 0
  return (tensors, t) => {
    if (t === 1) {
      start = tensors.flatMap(({ p }) => p)
      y = start
      following = relative * (1 + norm(start))
    }
    const gradient = (point: readonly number[]) => {
      let offset = 0
      return tensors.flatMap(({ p }, k) => p.map((_, i) => gradientAt({ p: point[offset++]!, i, k, t, salt })))
    }
    const average = (last: readonly number[], omega: number) => {
      const points = [...steps, { x: last, omega }]
      const weights = sum(points.map((point) => point.omega))
      return start.map((_, i) => sum(points.map((point) => point.x[i]! * point.omega)) / weights)
    }
    const r = following
    distances.push(r)
    const omega = sum(distances)
    const alpha = omega / r
    const stepSize = () => (alpha * rate * r) / Math.sqrt(squares + epsilon)
    const m = gradient(average(y, omega))
    if (t === 1) squares = norm(m) ** 2
    const x = minus(y, m, stepSize())
    const answer = average(x, omega)
    steps.push({ x, omega })
    const g = gradient(answer)
    squares += alpha ** 2 * norm(minus(g, m)) ** 2
    y = minus(y, g, stepSize())
    following = Math.max(r, norm(minus(x, start)), norm(minus(y, start)))
    let offset = 0
    for (const { p } of tensors) for (let i = 0; i < p.length; i++) p[i] = answer[offset++]!
  }
}

restate(uDoG, {
  defaults: { optimizer: uDoG(), salt: 0.4, paper: () => paper(0.4, 1, 1e-4, 1e-8) },
  'a longer start and half the rate': {
    optimizer: uDoG({ learningRate: 0.5, relativeDistance: 1e-2, epsilon: 1e-4 }),
    salt: 1.2,
    paper: () => paper(1.2, 0.5, 1e-2, 1e-4),
  },
})

describe('U-DoG on a narrow valley', () => {
  it('comes closer than plain gradient descent with its best step size can', async () => {
    const curvatures = [1, 1e-3]
    const optimizer = await compile(uDoG({ relativeDistance: 1e-3 }), { x: [2] })
    optimizer.parameters.x!.set([1, 1])
    let loss = 0
    for (let step = 0; step <= 200; step++) {
      await optimizer.minimize(({ parameters, gradients }) => {
        curvatures.forEach((curvature, i) => {
          gradients.x![i] = curvature * parameters.x![i]!
        })
        loss = sum(curvatures.map((curvature, i) => (curvature / 2) * parameters.x![i]! ** 2))
        return loss
      })
    }
    const descent = sum(curvatures.map((curvature) => (curvature / 2) * (1 - curvature * (2 / 1.001)) ** 400))
    expect(loss).toBeLessThan(descent / 2)
  })
})
