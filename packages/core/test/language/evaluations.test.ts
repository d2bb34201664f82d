import {
  type CompiledOptimizer,
  compile,
  type EvaluationRequest,
  evolutionStrategies,
  mars,
  mezo,
  momentumSAM,
  type Optimizer,
  randomizedSmoothing,
  reference,
  sgd,
  sharpnessAware,
  wasm,
  zoAdaMU,
  zoFrankWolfe,
  zoRankSGD,
} from 'fallline'
import {
  backendTensors,
  Conductor,
  Course,
  checkpointPlaces,
  DeclaredInputs,
  EvaluatingCourse,
  encodeRun,
  traceModel,
} from 'fallline/internal'
import { describe, expect, it } from 'vitest'

/** The course of an optimizer without the face around it, on WebAssembly. */
async function startNow(optimizer: Optimizer) {
  const model = traceModel(optimizer, { a: [3], b: [2] }, false)
  const { executor, memory, readback } = await wasm().create(backendTensors(model))
  const conductor = new Conductor(model)
  const course = new Course(conductor, executor, new DeclaredInputs(conductor), { nonFinite: 'throw' })
  const [a, b] = memory!.parameters
  const [gradientOfA, gradientOfB] = memory!.gradients
  const views = { parameters: { a: a!, b: b! }, gradients: { a: gradientOfA!, b: gradientOfB! } }
  const save = () => encodeRun(conductor, readback.readSync!(checkpointPlaces(conductor, 'all')))
  return { course, memory: memory!, views, save }
}

const optimizers: Readonly<Record<string, Optimizer>> = {
  sharpnessAware: sharpnessAware(sgd({ learningRate: 0.1, momentum: 0.9 })),
  momentumSAM: momentumSAM(),
  'mars, exact': mars({ exact: true, matricesOnly: false }),
  mezo: mezo({ learningRate: 0.01 }),
  zoAdaMU: zoAdaMU({ learningRate: 0.01, exploration: 1, steps: 20 }),
  zoFrankWolfe: zoFrankWolfe(),
  zoRankSGD: zoRankSGD({ points: 3 }),
  evolutionStrategies: evolutionStrategies(sgd({ learningRate: 0.1 }), { pairs: 2 }),
  randomizedSmoothing: randomizedSmoothing(sgd({ learningRate: 0.1 }), { pairs: 2 }),
}

/** An instance after three steps on ½ ‖θ‖². */
async function start(optimizer: Optimizer, backend: 'reference' | 'wasm', nonFinite: 'throw' | 'skip' = 'throw') {
  const options = { backend: backend === 'wasm' ? wasm() : reference(), nonFinite }
  const compiled: CompiledOptimizer = await compile(optimizer, { matrix: [3, 2], vector: [4] }, options)
  for (const values of Object.values(compiled.parameters)) values.fill(0.75)
  let evaluations = 0
  const step = (spoil?: (evaluation: number) => number) =>
    compiled.minimize(({ parameters, gradients, evaluation }) => {
      evaluations++
      let loss = 0
      for (const [name, values] of Object.entries(parameters)) {
        gradients[name]!.set(values)
        for (const value of values) loss += value ** 2 / 2
      }
      return loss + (spoil?.(evaluation) ?? 0)
    })
  for (let count = 0; count < 3; count++) await step()
  return { compiled, step, evaluations: evaluations / 3 }
}

describe.each(['reference', 'wasm'] as const)('a step that fails on %s', (backend) => {
  const close = backend === 'wasm' ? 6 : 14
  const cases = Object.entries(optimizers)

  it.each(cases)('leaves the parameters where they were, whichever evaluation threw: %s', async (_, optimizer) => {
    const { compiled, step, evaluations } = await start(optimizer, backend)
    for (let failing = 0; failing < evaluations; failing++) {
      const before = compiled.names.map((name) => [...compiled.parameters[name]!])
      const thrown = step((evaluation) => {
        if (evaluation === failing) throw new Error('no batch')
        return 0
      })
      await expect(thrown).rejects.toThrow('no batch')
      expect(compiled.steps).toBe(3)
      compiled.names.forEach((name, k) => {
        compiled.parameters[name]!.forEach((value, i) => {
          expect(value).toBeCloseTo(before[k]![i]!, close)
        })
      })
    }
    await step()
    expect(compiled.steps).toBe(4)
  })

  it.each(cases)('leaves the parameters where they were when it is skipped: %s', async (_, optimizer) => {
    const { compiled, step } = await start(optimizer, backend, 'skip')
    const before = compiled.names.map((name) => [...compiled.parameters[name]!])
    expect(await step(() => Number.NaN)).toMatchObject({ skipped: true, nonFinite: ['loss'], step: 3 })
    compiled.names.forEach((name, k) => {
      compiled.parameters[name]!.forEach((value, i) => {
        expect(value).toBeCloseTo(before[k]![i]!, close)
      })
    })
  })
})

describe('evaluations', () => {
  it('refuse a step of one evaluation, naming the optimizer', async () => {
    for (const [name, optimizer] of Object.entries(optimizers)) {
      const compiled = await compile(optimizer, { a: [2] })
      const title = optimizer.kind === 'grouped' ? name : optimizer.definition.title
      expect(() => compiled.step()).toThrow(`${title} evaluates the model`)
    }
  })

  const square = (parameter: ArrayLike<number>) => Array.from(parameter).reduce((sum, x) => sum + x ** 2 / 2, 0)

  it('do not move what has no gradient where the parameters stand, nor count it', async () => {
    const optimizer = sharpnessAware(sgd({ learningRate: 0.1 }), { rho: 0.5 })
    const both: CompiledOptimizer = await compile(optimizer, { a: [3], b: [2] })
    const alone: CompiledOptimizer = await compile(optimizer, { a: [3] })
    for (const compiled of [both, alone]) {
      for (const values of Object.values(compiled.parameters)) values.fill(0.75)
      // Left over from before; it must not enter the norm.
      compiled.gradients.b?.fill(1e3)
      for (let step = 0; step < 3; step++) {
        await compiled.minimize(({ parameters, gradients }) => {
          expect([...(parameters.b ?? [0.75, 0.75])]).toEqual([0.75, 0.75])
          gradients.a!.set(parameters.a!)
          return { loss: square(parameters.a!), without: compiled === both ? ['b'] : [] }
        })
      }
    }
    expect([...both.parameters.a!]).toEqual([...alone.parameters.a!])
    expect(both.state('b').original).toEqual(Float32Array.of(0, 0))
  })

  it.each(Object.entries(optimizers))('of functions that answer at once are the same: %s', async (_, optimizer) => {
    const [now, later] = [await startNow(optimizer), await compile(optimizer, { a: [3], b: [2] })]
    for (const values of [...now.memory.parameters, ...Object.values(later.parameters)]) values.fill(0.75)
    const evaluate = ({ parameters, gradients }: Pick<EvaluationRequest, 'parameters' | 'gradients'>) => {
      gradients.a!.set(parameters.a!)
      gradients.b!.set(parameters.b!)
      return square(parameters.a!) + square(parameters.b!)
    }
    for (let step = 1; step <= 3; step++) {
      const result = new EvaluatingCourse(now.course).evaluatedNow(() => evaluate(now.views), [])
      expect(await later.minimize(async (request) => evaluate(request))).toEqual(result)
    }
    expect(now.save()).toEqual(later.save())
    const fails = () => {
      throw new Error('no batch')
    }
    expect(() => new EvaluatingCourse(now.course).evaluatedNow(fails, [])).toThrow('no batch')
    await expect(later.minimize(fails)).rejects.toThrow('no batch')
    const { parameters } = now.views
    expect([...parameters.a!]).toEqual([...later.parameters.a!])
    const before = [...parameters.b!]
    new EvaluatingCourse(now.course).evaluatedNow(() => {
      expect([...parameters.b!]).toEqual(before)
      return evaluate(now.views)
    }, ['b'])
    expect([...parameters.b!]).toEqual(before)
    expect([...parameters.a!]).not.toEqual([...later.parameters.a!])
  })

  it('stay one where an option leaves the others out', async () => {
    const compiled = await compile(sharpnessAware(mars({ matricesOnly: false })), { a: [2] })
    expect((await start(mars({ matricesOnly: false }), 'reference')).evaluations).toBe(1)
    await compiled.minimize(({ gradients }) => void gradients.a!.fill(1))
    await expect(compile(sharpnessAware(mars({ exact: true })), { a: [2, 2] })).rejects.toThrow(
      /Sharpness-aware minimization and MARS each evaluate the model/,
    )
  })
})
