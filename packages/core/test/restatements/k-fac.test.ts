import { kfac, layerStatistics } from 'fallline'
import type { GoldenRun } from '../../golden/files.ts'
import type { Source } from '../../golden/mappings/mapping.ts'
import { type Matrix, solve } from '../support/matrices.ts'
import { restate, type Step } from '../support/restate.ts'

const examples = 5

/** The inputs of a layer, and the gradients of its outputs, of an example. */
const activation = (i: number, b: number, k: number, t: number) => Math.sin(1.3 * i + 2.1 * b + 0.4 * t + k)
const outputGradient = (o: number, b: number, k: number, t: number) => 0.5 * Math.cos(0.9 * o - 1.7 * b + 0.3 * t + k)

type Entry = typeof activation

const mean = (of: (b: number) => number) =>
  Array.from({ length: examples }, (_, b) => of(b)).reduce((x, y) => x + y) / examples
const moment = (entry: Entry, size: number, k: number, t: number) =>
  Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => mean((b) => entry(i, b, k, t) * entry(j, b, k, t))),
  )

/** Element by element, as the replay asks for inputs. */
const momentOf =
  (entry: Entry, side: 0 | 1): Source =>
  ({ i, k, t }, { shapes }: GoldenRun) => {
    const size = shapes[k]![side]!
    return mean((b) => entry(Math.floor(i / size), b, k, t) * entry(i % size, b, k, t))
  }
const inputs = { activationMoment: momentOf(activation, 1), outputGradientMoment: momentOf(outputGradient, 0) }
if (Object.keys(inputs).some((name) => !(name in layerStatistics))) throw new Error('unknown statistics')

const trace = (matrix: Matrix) => matrix.reduce((sum, row, i) => sum + row[i]!, 0)

/**
 * K-FAC with whole matrices: the block of the Fisher information of a layer is the Kronecker product of A and S, damped, in the order of
 * the elements of W row by row, and the step solves a system with it.
 */
function paper(settings: {
  learningRate: number
  damping: number
  klClip: number
  statisticsPeriod: number
  inversePeriod: number
  weightDecay: number
}): () => Step {
  const { learningRate, damping, klClip, statisticsPeriod, inversePeriod, weightDecay } = settings
  return () => {
    let updates = 0
    const averages: { A: Matrix; S: Matrix; fisher: Matrix }[] = []
    return (tensors, t) => {
      if ((t - 1) % statisticsPeriod === 0) {
        updates++
        const epsilon = Math.min(1 - 1 / updates, 0.95)
        tensors.forEach(({ shape }, k) => {
          const average = (old: Matrix | undefined, now: Matrix) =>
            now.map((row, i) => row.map((x, j) => epsilon * (old ? old[i]![j]! : 0) + (1 - epsilon) * x))
          const A = average(averages[k]?.A, moment(activation, shape[1]!, k, t))
          const S = average(averages[k]?.S, moment(outputGradient, shape[0]!, k, t))
          averages[k] = { A, S, fisher: averages[k]?.fisher ?? [] }
        })
      }
      if ((t - 1) % inversePeriod === 0) {
        for (const average of averages) {
          const { A, S } = average
          const [i, o] = [A.length, S.length]
          const pi = Math.sqrt(trace(A) / i / (trace(S) / o))
          const damped = (matrix: Matrix, extra: number) =>
            matrix.map((row, r) => row.map((x, c) => x + (r === c ? extra : 0)))
          const [dampedA, dampedS] = [damped(A, pi * Math.sqrt(damping)), damped(S, Math.sqrt(damping) / pi)]
          average.fisher = Array.from({ length: o * i }, (_, r) =>
            Array.from(
              { length: o * i },
              (_, c) => dampedS[Math.floor(r / i)]![Math.floor(c / i)]! * dampedA[r % i]![c % i]!,
            ),
          )
        }
      }
      const steps = tensors.map(({ g }, k) => solve(averages[k]!.fisher, g))
      const change = tensors.reduce((sum, { g }, k) => sum + g.reduce((x, y, i) => x + y * steps[k]![i]!, 0), 0)
      const share = klClip === 0 ? 1 : Math.min(1, Math.sqrt(klClip / (learningRate ** 2 * Math.abs(change))))
      tensors.forEach(({ p, s }, k) => {
        for (let i = 0; i < p.length; i++) {
          s.b![i] = 0.9 * s.b![i]! + share * steps[k]![i]! + weightDecay * p[i]!
          p[i]! -= learningRate * s.b![i]!
        }
      })
    }
  }
}

const common = {
  learningRate: 0.01,
  damping: 0.05,
  klClip: 1e-3,
  statisticsPeriod: 1,
  inversePeriod: 1,
  weightDecay: 0,
}
const seldom = { ...common, statisticsPeriod: 3, inversePeriod: 4, weightDecay: 0.1, klClip: 1e-2 }
const unclipped = { ...common, learningRate: 1e-3, damping: 1, klClip: 0, statisticsPeriod: 2 }

restate(kfac, {
  'in every step': { optimizer: kfac(common), paper: paper(common), salt: 0.3, layout: 'matrices', inputs },
  'on cadences, with weight decay': {
    optimizer: kfac(seldom),
    paper: paper(seldom),
    salt: 0.7,
    layout: 'matrices',
    inputs,
  },
  'without clipping': { optimizer: kfac(unclipped), paper: paper(unclipped), salt: 0.1, layout: 'matrices', inputs },
})
