import { expect } from 'vitest'
import { choice, float, integer, type Json, openStudy, random, type Sampler, space, variant } from '../../src/index.ts'

/** Everything a space can have: numbers on both scales, steps, a single value, choices and conditions. */
const everything = space({
  rate: float(1e-4, 1, { scale: 'log' }),
  layers: integer(1, 4),
  units: integer(1, 1000, { scale: 'log' }),
  fixed: float(3, 3),
  only: choice(['one']),
  kind: variant({
    sgd: { momentum: float(0, 0.9) },
    adam: { beta: float(0.9, 0.999), amsgrad: choice([true, false]) },
  }),
  share: float(0, 1, { step: 0.1 }),
})
const choices = space({ a: choice(['x', 'y', 'z']), b: choice([1, 2, 3, 4, 5]) })
const single = space({ fixed: integer(2, 2), only: choice([true]) })

const outcomes = {
  ordinary: (number: number) => [Math.sin(number * 12.9), Math.cos(number * 4.1)],
  equal: () => [1, 1],
  infinite: (number: number) =>
    number % 3 === 0 ? [Infinity, 1] : number % 7 === 1 ? [1, Infinity] : [1 / (number + 1), number],
  failed: () => null,
  onlyInfinite: () => [Infinity, Infinity],
} satisfies Record<string, (number: number) => number[] | null>

/**
 * Checks what every sampler promises: it bears odd views, is pure, asks beyond a generation before anything is told, and keeps plain JSON.

 */
export async function checkSampler(make: () => Sampler, objectives: number): Promise<void> {
  for (const each of [everything, choices, single]) {
    for (const outcome of Object.values(outcomes)) {
      const names = objectives === 1 ? 'minimize' : { first: 'minimize' as const, second: 'maximize' as const }
      const sampler = make()
      expect(Boolean(sampler.severalObjectives) || objectives === 1).toBe(true)
      const study = await openStudy<unknown>({
        space: each,
        sampler: pure(sampler),
        seed: 3,
        objectives: names,
        name: 'odd',
      })
      // What somebody enqueued, or another sampler proposed, has no note of this one.
      await study.enqueue(each.parameters(each.fromCube(each.dimensions.map(() => 0.3))))
      const open = await Promise.all(Array.from({ length: Math.min(8, each.size + 1) }, () => study.ask()))
      for (let turn = 0; turn < (each.size < 100 ? 5 : 60); turn++) {
        const [trial] = open.splice(turn % open.length, 1)
        const values = outcome(trial!.number)?.slice(0, objectives) ?? null
        if (values === null) await study.fail(trial!, 'on purpose')
        else await study.tell(trial!, { values, constraints: { memory: (trial!.number % 4) - 2 } })
        open.push(await study.ask())
      }
    }
  }
}

/** Asks twice and expects the same; what the first answer left must be JSON and the view untouched. */
function pure(sampler: Sampler): Sampler {
  let last = -1
  return {
    ...sampler,
    async propose(view, request) {
      // A point that somebody works on already is drawn again, often.
      if (request.number === last) return sampler.propose(view, request)
      last = request.number
      const copy = frozen(request.state)
      const first = await sampler.propose(view, {
        ...request,
        state: copy,
        random: random(view.seed, `${request.number}`),
      })
      const again = await sampler.propose(view, {
        ...request,
        state: copy,
        random: random(view.seed, `${request.number}`),
      })
      expect(again).toEqual(first)
      if (first.kind !== 'trial') return first
      expect(first.point).toHaveLength(view.space.dimensions.length)
      for (const [dimension, coordinate] of view.space.settle(first.point).entries()) {
        const isNumber = coordinate === null || Number.isFinite(coordinate)
        expect(isNumber, `coordinate ${coordinate} of ${view.space.dimensions[dimension]!.name}`).toBe(true)
      }
      for (const kept of [first.state, first.note]) {
        if (kept !== undefined) expect(JSON.parse(JSON.stringify(kept))).toEqual(kept)
      }
      return sampler.propose(view, { ...request, state: copy })
    },
  }
}

function frozen<T extends Json>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) frozen(inner as Json)
    Object.freeze(value)
  }
  return value
}
