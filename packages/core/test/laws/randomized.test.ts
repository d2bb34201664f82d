import {
  type Backend,
  type CompiledOptimizer,
  compile,
  evolutionStrategies,
  gravity,
  mezo,
  type Optimizer,
  randomizedSmoothing,
  reference,
  sgd,
  spam,
  wasm,
  zoAdaMU,
  zoFrankWolfe,
  zoRankSGD,
} from 'fallline'
import { describe, expect, it } from 'vitest'
import { changedBits, differences, snapshot } from '../support/compare.ts'
import { fillAll, randomNumbers } from '../support/random.ts'

const descent = (learningRate = 0.01) => sgd({ learningRate, momentum: 0.9 })

const optimizers: Readonly<Record<string, (seed: number) => Optimizer>> = {
  mezo: (seed) => mezo({ learningRate: 0.001, epsilon: 0.1, seed }),
  zoAdaMU: (seed) => zoAdaMU({ learningRate: 0.001, epsilon: 0.1, exploration: 1, steps: 6, seed }),
  zoRankSGD: (seed) => zoRankSGD({ points: 3, best: 2, seed }),
  zoFrankWolfe: (seed) => zoFrankWolfe({ ball: 'euclidean', seed }),
  evolutionStrategies: (seed) => evolutionStrategies(descent(), { pairs: 2, seed }),
  'persistent evolution strategies': (seed) =>
    evolutionStrategies(descent(), { pairs: 2, perturbation: 'persistent', episode: 3, seed }),
  'evolution strategies with one direction': (seed) =>
    evolutionStrategies(descent(), { pairs: 2, perturbation: 'single', episode: 3, seed }),
  randomizedSmoothing: (seed) => randomizedSmoothing(descent(), { pairs: 2, seed }),
  'gravity from a random start': (seed) => gravity({ alpha: 0.01, seed }),
  'spam with a random mask': (seed) => spam({ learningRate: 0.01, resetPeriod: 3, sparsity: 0.5, seed }),
}

/** Minimizes the mean of (1 + i mod 3) (θ - sin i)² / 2 for some steps. */
async function run(
  optimizer: Optimizer,
  size: number,
  backend: Backend,
  change?: (compiled: CompiledOptimizer) => void,
) {
  const compiled: CompiledOptimizer = await compile(optimizer, { vector: [size], matrix: [7, 5] }, { backend })
  fillAll(compiled.parameters, randomNumbers(2))
  const before = snapshot(compiled)
  change?.(compiled)
  for (let step = 0; step < 4; step++) {
    await compiled.minimize(({ parameters, gradients, wants }) => {
      let loss = 0
      for (const [name, values] of Object.entries(parameters)) {
        values.forEach((value, i) => {
          const [curvature, distance] = [1 + (i % 3), value - Math.sin(i)]
          loss += (curvature * distance ** 2) / 2
          if (wants.has('gradient')) gradients[name]![i] = (curvature * distance) / size
        })
      }
      return loss / size
    })
  }
  const after = snapshot(compiled)
  compiled.dispose()
  return { before, after }
}

describe.each(Object.entries(optimizers))('%s', (_, make) => {
  it('takes the same path on both backends', async () => {
    const [exact, single] = [await run(make(3), 300, reference()), await run(make(3), 300, wasm())]
    expect(differences(single.after, exact.after, exact.before, { relative: 1e-4, scale: 1e-4 })).toEqual([])
  })

  it('gives the same bits with 1, 2 and 3 threads', async () => {
    // Several chunks of work for one tensor.
    const [one, ...others] = await Promise.all([1, 2, 3].map((threads) => run(make(3), 70001, wasm({ threads }))))
    for (const other of others) expect(changedBits(other.after, one!.after)).toEqual([])
  })

  it('takes another path from another seed, and the same from a seed that is set later', async () => {
    const [first, second] = [await run(make(3), 20, wasm()), await run(make(4), 20, wasm())]
    expect(changedBits(second.after, first.after)).toEqual(expect.arrayContaining(['vector', 'matrix']))
    const later = await run(make(3), 20, wasm(), (compiled) => compiled.set({ seed: 4 }))
    expect(changedBits(later.after, second.after)).toEqual([])
  })
})

/**
 * True when the mean of independent samples is the expected one, with a false-alarm probability below 2e-8 that assumes
 * nothing but the variance: one of 35 group means is more than 3 of its standard deviations off on one side with probability
 * at most 1/10 (Cantelli), and the median of them only if 18 are, 35 choose 18 times 1/10¹⁸ at most, 4.6e-9 a side.
 */
function expectMean(samples: readonly number[], mean: number, variance: number): void {
  const size = Math.floor(samples.length / 35)
  const means = Array.from({ length: 35 }, (_, group) => {
    const members = samples.slice(group * size, (group + 1) * size)
    return members.reduce((sum, value) => sum + value, 0) / size
  })
  const median = means.sort((a, b) => a - b)[17]!
  expect(Math.abs(median - mean)).toBeLessThanOrEqual(3 * Math.sqrt(variance / size))
}

/** θ, and the linear part of the losses. */
const theta = [0.5, -0.25]
const slope = [1.5, -0.5]
const square = slope[0]! ** 2 + slope[1]! ** 2
const linear = (p: ArrayLike<number>) => slope[0]! * p[0]! + slope[1]! * p[1]!

/** What the optimizer, with learning rate 1, goes along from θ, time and again: element by element. */
async function directions(
  optimizer: Optimizer,
  loss: (parameter: ArrayLike<number>, evaluation: number, step: number) => number,
  count: number,
): Promise<readonly [number[], number[]]> {
  const compiled = await compile(optimizer, { x: [2] }, { backend: wasm() })
  const x = compiled.parameters.x!
  const result = [[], []] as [number[], number[]]
  for (let step = 0; step < count; step++) {
    x.set(theta)
    await compiled.minimize(({ evaluation }) => loss(x, evaluation, step))
    for (const i of [0, 1]) result[i]!.push(theta[i]! - x[i]!)
  }
  return result
}

describe('estimates of the gradient', () => {
  const count = 35 * 220

  it('MeZO: unbiased, with variance ‖g‖² + gᵢ²', async () => {
    const found = await directions(mezo({ learningRate: 1, epsilon: 0.5 }), linear, count)
    found.forEach((samples, i) => {
      const [own, other] = [slope[i]! ** 2, square - slope[i]! ** 2]
      expectMean(samples, slope[i]!, square + own)
      // (g z)² zᵢ²: its mean and, from moments of N(0, 1) up to the eighth, its variance.
      const second = square + 2 * own
      const fourth = 105 * own ** 2 + 90 * own * other + 9 * other ** 2
      expectMean(
        samples.map((value) => value ** 2),
        second,
        fourth - second ** 2,
      )
    })
  })

  it('evolution strategies: unbiased, with a variance that the number of pairs divides', async () => {
    const pairs = 8
    const found = await directions(evolutionStrategies(sgd({ learningRate: 1 }), { pairs, sigma: 0.5 }), linear, count)
    found.forEach((samples, i) => {
      const [g, own, other] = [slope[i]!, slope[i]! ** 2, square - slope[i]! ** 2]
      const variance = square + own
      expectMean(samples, g, variance / pairs)
      const third = g * (15 * own + 9 * other)
      const fourth = 105 * own ** 2 + 90 * own * other + 9 * other ** 2
      const central = fourth - 4 * g * third + 6 * own * (square + 2 * own) - 3 * own ** 2
      expectMean(
        samples.map((value) => (value - g) ** 2),
        variance / pairs,
        (central - 3 * variance ** 2) / pairs ** 3 + (2 * variance ** 2) / pairs ** 2,
      )
    })
  })

  it('evolution strategies: the gradient of the loss smoothed by N(0, σ²)', async () => {
    const sigma = 0.75
    const cube = (p: ArrayLike<number>) => p[0]! ** 3
    const optimizer = evolutionStrategies(sgd({ learningRate: 1 }), { pairs: 4, sigma })
    const [samples] = await directions(optimizer, cube, count)
    // (3 θ² + σ² z²) z² for one pair.
    const [a, b] = [3 * theta[0]! ** 2, sigma ** 2]
    const mean = a + 3 * b
    expectMean(samples, mean, (3 * a ** 2 + 30 * a * b + 105 * b ** 2 - mean ** 2) / 4)
  })

  it('randomized smoothing: unbiased, with variance d (‖g‖² + 2 gᵢ²) / (d + 2) - gᵢ² over the pairs', async () => {
    const found = await directions(
      randomizedSmoothing(sgd({ learningRate: 1 }), { pairs: 1, radius: 0.5 }),
      linear,
      count,
    )
    found.forEach((samples, i) => {
      const own = slope[i]! ** 2
      const second = (2 * (square + 2 * own)) / 4
      expectMean(samples, slope[i]!, second - own)
      // On the circle: 4 (g e)² eᵢ² is at most 4 ‖g‖², so its variance is below a quarter of that squared.
      expectMean(
        samples.map((value) => value ** 2),
        second,
        4 * square ** 2,
      )
    })
  })

  it('randomized smoothing: the gradient of the loss averaged over the ball', async () => {
    const radius = 0.75
    const optimizer = randomizedSmoothing(sgd({ learningRate: 1 }), { pairs: 2, radius })
    const [samples] = await directions(optimizer, (p) => p[0]! ** 3, count)
    // 2 (3 θ² e + γ² e³) e for one pair, e of the unit circle: e² has the mean 1/2, e⁴ 3/8, e⁶ 5/16, e⁸ 35/128.
    const [a, b] = [3 * theta[0]! ** 2, radius ** 2]
    const mean = a + (3 * b) / 4
    const second = 4 * ((a ** 2 * 3) / 8 + (2 * a * b * 5) / 16 + (b ** 2 * 35) / 128)
    expectMean(samples, mean, (second - mean ** 2) / 2)
  })

  it('ZO-RankSGD: along the gradient, whatever its length', async () => {
    const found = await directions(zoRankSGD({ learningRate: 1, points: 2, best: 1 }), (p) => 1e3 * linear(p), count)
    found.forEach((samples, i) => {
      const cosine = slope[i]! / Math.sqrt(square)
      // The difference of two, the worse minus the better: E |w| √2 along the gradient, 0 across it, E of squares 2.
      const mean = (2 / Math.sqrt(Math.PI)) * cosine
      expectMean(samples, mean, 2 - mean ** 2)
    })
  })

  it('ZO-AdaMU: MeZO over |z| while it explores', async () => {
    const found = await directions(
      zoAdaMU({ learningRate: 1, epsilon: 0.5, exploration: 1e6, steps: 2e6 }),
      linear,
      count,
    )
    found.forEach((samples, i) => {
      // (g z) sign(zᵢ)
      const mean = Math.sqrt(2 / Math.PI) * slope[i]!
      expectMean(samples, mean, square - mean ** 2)
    })
  })

  it('zeroth-order Frank-Wolfe: unbiased', async () => {
    const compiled = await compile(zoFrankWolfe(), { x: [2] }, { backend: wasm() })
    const samples: number[][] = [[], []]
    let before = [0, 0]
    for (let t = 1; t <= count; t++) {
      compiled.parameters.x!.set(theta)
      await compiled.minimize(({ parameters }) => linear(parameters.x!))
      const rho = Math.min(1, 4 / (3 ** (1 / 3) * (t + 8) ** (2 / 3)))
      const now = [...(compiled.state('x').d as Float32Array)]
      for (const i of [0, 1]) samples[i]!.push((now[i]! - (1 - rho) * before[i]!) / rho)
      before = now
    }
    samples.forEach((values, i) => {
      expectMean(values, slope[i]!, square + slope[i]! ** 2)
    })
  })
})

describe('evolution strategies over parts of an episode', () => {
  const parts = 3
  const count = 35 * 60

  /** The sum over an episode of estimates for ½ s², where every part adds the parameter to the inner state s. */
  async function episodes(perturbation: 'fresh' | 'persistent' | 'single'): Promise<number[]> {
    const states = [0, 0]
    const optimizer = evolutionStrategies(sgd({ learningRate: 1 }), {
      pairs: 1,
      sigma: 0.5,
      perturbation,
      episode: parts,
    })
    const loss = (p: ArrayLike<number>, evaluation: number, step: number) => {
      if (step % parts === 0) states[evaluation] = 0
      states[evaluation]! += p[0]!
      return states[evaluation]! ** 2 / 2
    }
    const [samples] = await directions(optimizer, loss, count * parts)
    return Array.from(
      { length: count },
      (_, k) => samples[k * parts]! + samples[k * parts + 1]! + samples[k * parts + 2]!,
    )
  }

  // The inner state at part t is t θ plus σ times S, the sum of the z so far: the estimate is t θ S ζ.
  const [x] = theta as [number, number]

  it('fresh directions miss what earlier parts do to later ones', async () => {
    const mean = (1 + 2 + 3) * x
    // Three terms t θ S z; E of (S z)² is t + 2, so the standard deviations sum up to the bound of the deviation.
    const deviation = x * (Math.sqrt(2) + 2 * Math.sqrt(3) + 3 * Math.sqrt(4))
    expectMean(await episodes('fresh'), mean, deviation ** 2)
  })

  it.each(['persistent', 'single'] as const)('%s directions are unbiased', async (perturbation) => {
    const mean = (1 + 4 + 9) * x
    // Persistent: t θ S², S of N(0, t); single: t² θ z². Each has the standard deviation √2 t² θ.
    const deviation = Math.SQRT2 * (1 + 4 + 9) * x
    const samples = await episodes(perturbation)
    expectMean(samples, mean, deviation ** 2)
  })
})

describe('a random start of Gravity', () => {
  const sizes = { x: [35000] }

  it('has mean 0 and the variance (α / η)²', async () => {
    const compiled = await compile(gravity({ learningRate: 0.05, beta: 0.9, alpha: 0.01, seed: 7 }), sizes)
    compiled.step({ gradients: { x: new Float32Array(35000) } })
    const starts = [...(compiled.state('x').v as Float32Array)].map((value) => (value * 3) / 1.9)
    const variance = (0.01 / 0.05) ** 2
    expectMean(starts, 0, variance)
    const squares = starts.map((value) => value ** 2)
    expectMean(squares, variance, 2 * variance ** 2)
  })

  it('is drawn once, and is 0 where the learning rate is', async () => {
    const compiled = await compile(gravity({ learningRate: 0, alpha: 0.01 }), sizes)
    for (let step = 0; step < 2; step++) {
      compiled.step({ gradients: { x: new Float32Array(35000) } })
      expect((compiled.state('x').v as Float32Array).every((value) => value === 0)).toBe(true)
      compiled.set({ learningRate: 0.1 })
    }
  })
})

describe('the random mask of SPAM', () => {
  it('keeps each element with probability 1 - sparsity, and is drawn anew at each reset only', async () => {
    const size = 35000
    const optimizer = spam({ resetPeriod: 4, sparsity: 0.3, weightDecay: 0, seed: 5 })
    const compiled = await compile(optimizer, { x: [size] }, { backend: wasm() })
    const masks: number[][] = []
    for (let step = 1; step <= 12; step++) {
      const before = compiled.parameters.x!.slice()
      compiled.step({ gradients: { x: new Float32Array(size).fill(1) } })
      const { m } = compiled.state('x') as Record<string, Float32Array>
      masks.push([...m!].map((value) => (value === 0 ? 0 : 1)))
      const moved = [...compiled.parameters.x!].map((value, i) => (value === before[i] ? 0 : 1))
      expect(moved).toEqual(masks.at(-1))
    }
    const [first, second, third] = [masks[0]!, masks[3]!, masks[7]!]
    for (const [step, mask] of masks.entries())
      expect(mask).toEqual([first, second, third, masks[11]!][(step + 1) >> 2])
    for (const mask of [first, second, third]) expectMean(mask, 0.7, 0.21)
    // Independent masks share 0.7² of the elements.
    for (const [a, b] of [
      [first, second],
      [second, third],
    ]) {
      const both = a!.map((value, i) => value * b![i]!)
      expectMean(both, 0.49, 0.49 * 0.51)
    }
  })
})
