import { adamW, compile, type EvaluationRequest, type LBfgsOptions, lBfgs } from 'fallline'
import { describe, expect, it } from 'vitest'

type Request = Pick<EvaluationRequest, 'parameters' | 'gradients'>

function rosenbrock({ parameters, gradients }: Request): number {
  const [a, b] = [parameters.a![0]!, parameters.b![0]!]
  gradients.a![0] = -400 * a * (b - a ** 2) - 2 * (1 - a)
  gradients.b![0] = 200 * (b - a ** 2)
  return 100 * (b - a ** 2) ** 2 + (1 - a) ** 2
}

const start = () => ({ a: new Float64Array([-1.2]), b: new Float64Array([1]) })

/** A quadratic of coupled parameters, with a bowl of fourth order. */
function coupled({ parameters, gradients }: Request): number {
  const x = parameters.x!
  let loss = 0
  gradients.x!.fill(0)
  for (let i = 0; i < x.length; i++) {
    const next = (i + 1) % x.length
    const difference = (i + 1) * x[i]! - x[next]! - 1
    loss += difference ** 2 / 2 + x[i]! ** 4 / 4
    gradients.x![i]! += (i + 1) * difference + x[i]! ** 3
    gradients.x![next]! -= difference
  }
  return loss
}

describe('L-BFGS', () => {
  it.each(['strongWolfe', 'backtracking'] as const)('finds the end of a curved valley: %s', async (lineSearch) => {
    const parameters = start()
    const optimizer = lBfgs(parameters, { lineSearch, toleranceGradient: 1e-3 })
    let evaluations = 0
    for (let step = 0; step < 5; step++) evaluations += (await optimizer.minimize(rosenbrock)).evaluations
    // PyTorch's tolerance of a loss that changes by less than 1e-9.
    expect(parameters.a[0]).toBeCloseTo(1, 3)
    expect(parameters.b[0]).toBeCloseTo(1, 3)
    expect(evaluations).toBeLessThan(100)
    // Nothing is left to do.
    expect(await optimizer.minimize(rosenbrock)).toMatchObject({ iterations: 0, evaluations: 1 })
  })

  it('goes where the inverse Hessian of BFGS says, updated as a matrix', async () => {
    const x = Float64Array.from([0.5, -0.3, 0.8, 0.1])
    const size = x.length
    const optimizer = lBfgs({ x }, { lineSearch: 'none', learningRate: 0.3, maximumIterations: 1 })
    const identity = (factor: number) => [...x].map((_, i) => [...x].map((__, j) => (i === j ? factor : 0)))
    const multiply = (a: number[][], b: number[][]) =>
      a.map((row) => b[0]!.map((_, j) => row.reduce((sum, value, k) => sum + value * b[k]![j]!, 0)))
    const gradientAt = (point: readonly number[]) => {
      const gradients = { x: new Float64Array(size) }
      coupled({ parameters: { x: Float64Array.from(point) }, gradients })
      return [...gradients.x]
    }
    const pairs: { s: number[]; y: number[] }[] = []
    let [point, gradient] = [[...x], gradientAt([...x])]
    for (let step = 0; step < 8; step++) {
      const last = pairs.at(-1)
      const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0)
      let inverse = identity(last ? dot(last.s, last.y) / dot(last.y, last.y) : 1)
      // H ← (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ
      for (const { s, y } of pairs) {
        const rho = 1 / dot(s, y)
        const left = identity(1).map((row, i) => row.map((value, j) => value - rho * s[i]! * y[j]!))
        const right = identity(1).map((row, i) => row.map((value, j) => value - rho * y[i]! * s[j]!))
        inverse = multiply(multiply(left, inverse), right).map((row, i) =>
          row.map((value, j) => value + rho * s[i]! * s[j]!),
        )
      }
      const first = Math.min(1, 1 / gradient.reduce((sum, g) => sum + Math.abs(g), 0))
      const rate = 0.3 * (step === 0 ? first : 1)
      const next = point.map((value, i) => value - rate * dot(inverse[i]!, gradient))
      const change = gradientAt(next).map((g, i) => g - gradient[i]!)
      pairs.push({ s: next.map((value, i) => value - point[i]!), y: change })
      ;[point, gradient] = [next, gradientAt(next)]
      await optimizer.minimize(coupled)
      point.forEach((value, i) => {
        expect(x[i]).toBeCloseTo(value, 10)
      })
    }
  })

  it('stops at steps that fulfil the strong Wolfe conditions', async () => {
    const parameters = start()
    const optimizer = lBfgs(parameters, { maximumIterations: 1, maximumEvaluations: 30 })
    for (let step = 0; step < 15; step++) {
      const at = () => {
        const gradients = { a: new Float64Array(1), b: new Float64Array(1) }
        return { loss: rosenbrock({ parameters, gradients }), g: [gradients.a[0]!, gradients.b[0]!] as const }
      }
      const [before, x] = [at(), [parameters.a[0]!, parameters.b[0]!] as const]
      const { loss } = await optimizer.minimize(rosenbrock)
      const after = at()
      const move = [parameters.a[0]! - x[0], parameters.b[0]! - x[1]] as const
      const slope = ([p, q]: readonly [number, number]) => p * move[0] + q * move[1]
      expect(after.loss).toBeCloseTo(loss, 12)
      expect(after.loss).toBeLessThanOrEqual(before.loss + 1e-4 * slope(before.g) + 1e-12)
      expect(Math.abs(slope(after.g))).toBeLessThanOrEqual(0.9 * Math.abs(slope(before.g)) + 1e-12)
    }
  })

  it('turns back from where the loss is not finite', async () => {
    for (const lineSearch of ['strongWolfe', 'backtracking'] as const) {
      const x = new Float64Array([3])
      // x - log x, which is no number below 0; from 3 the first step leads to 1, the second may go too far.
      const evaluate = ({ parameters, gradients }: Request) => {
        const value = parameters.x![0]!
        gradients.x![0] = 1 - 1 / value
        return value - Math.log(value)
      }
      const optimizer = lBfgs({ x }, { lineSearch, learningRate: 40, maximumEvaluations: 100 })
      for (let step = 0; step < 3; step++) await optimizer.minimize(evaluate)
      expect(x[0]).toBeCloseTo(1, 3)
    }
  })

  it('goes on with the parameters of a compiled optimizer', async () => {
    const optimizer = await compile(adamW({ learningRate: 0.01 }), { a: [1], b: [1] })
    optimizer.parameters.a[0] = -1.2
    for (let step = 0; step < 50; step++) await optimizer.minimize(rosenbrock)
    const finisher = lBfgs(optimizer.parameters)
    for (let step = 0; step < 4; step++) await finisher.minimize(rosenbrock)
    expect(optimizer.parameters.a[0]).toBeCloseTo(1, 3)
  })

  it('leaves everything as it was when an evaluation fails', async () => {
    const [parameters, other] = [start(), start()]
    const [optimizer, undisturbed] = [parameters, other].map((each) => lBfgs(each, { maximumIterations: 3 })) as [
      ReturnType<typeof lBfgs<'a' | 'b'>>,
      ReturnType<typeof lBfgs<'a' | 'b'>>,
    ]
    await optimizer.minimize(rosenbrock)
    await undisturbed.minimize(rosenbrock)
    let count = 0
    const failing = optimizer.minimize((request) => {
      if (++count === 3) throw new Error('no device')
      return rosenbrock(request)
    })
    await expect(failing).rejects.toThrow('no device')
    expect(parameters).toEqual(other)
    await expect(optimizer.minimize(() => Number.NaN)).rejects.toThrow('the loss must be a finite number, not NaN')
    await expect(optimizer.minimize(() => undefined)).rejects.toThrow('evaluate must return the loss')
    await optimizer.minimize(rosenbrock)
    await undisturbed.minimize(rosenbrock)
    expect(parameters).toEqual(other)
  })

  it('takes one step after another, and says what is wrong', async () => {
    const optimizer = lBfgs(start())
    const first = optimizer.minimize(async (request) => rosenbrock(request))
    await expect(optimizer.minimize(rosenbrock)).rejects.toThrow('await that step first')
    await first
    const wrong = (options: LBfgsOptions) => () => lBfgs(start(), options)
    expect(wrong({ history: 0 })).toThrow('lBfgs: history must be a whole number from 1 up, not 0')
    expect(wrong({ learningRate: 0 })).toThrow('lBfgs: learningRate must be a number above 0, not 0')
    expect(wrong({ toleranceChange: -1 })).toThrow('lBfgs: toleranceChange must be a number from 0 up, not -1')
    expect(wrong({ lineSearch: 'exact' as 'none' })).toThrow(
      'lineSearch must be one of strongWolfe, backtracking, none',
    )
    expect(wrong({ rate: 1 } as object)).toThrow("lBfgs: unknown option 'rate'")
    expect(() => lBfgs({})).toThrow('the parameters must be arrays by name')
    expect(() => lBfgs({ x: [1] } as never)).toThrow("lBfgs: 'x' must be a Float32Array or a Float64Array, not 1")
  })
})
