import { describe, expect, it } from 'vitest'
import { Draws } from '../src/draws.ts'
import { type Edge, type GinzburgLandauState, ginzburgLandau, ginzburgLandauStates } from '../src/index.ts'

/** Two half moons in one another, each node joined to all by exp(-distance² / 0.05), and one label in the middle of each. */
function moons(count: number) {
  const draws = new Draws(4)
  const places = Array.from({ length: 2 * count }, (_, i) => {
    const angle = (Math.PI * ((i % count) + 0.5)) / count
    const [x, y] = i < count ? [Math.cos(angle), Math.sin(angle)] : [1 - Math.cos(angle), 0.4 - Math.sin(angle)]
    return [x + 0.05 * draws.normal(), y + 0.05 * draws.normal()] as const
  })
  const edges: Edge[] = []
  places.forEach(([x, y], i) => {
    for (let j = 0; j < i; j++) {
      edges.push([i, j, Math.exp(-((x - places[j]![0]) ** 2 + (y - places[j]![1]) ** 2) / 0.05)])
    }
  })
  const truth = places.map((_, i) => (i < count ? 1 : -1))
  return { edges, truth, labels: truth.map((label, i) => (i % count === count >> 1 ? label : 0)) }
}

describe('ginzburgLandau', () => {
  const { edges, truth, labels } = moons(50)
  const wrong = (classes: ArrayLike<number>) => truth.filter((label, i) => classes[i] !== label).length

  it('finds two moons from one label each, in fewer iterations than the gradient flow', () => {
    const [flow, fista] = ([0, 'nesterov'] as const).map((momentum) => {
      return ginzburgLandau(edges, labels, { momentum, width: 2, step: 0.1 })
    })
    for (const each of [flow!, fista!]) {
      expect(each.status).toEqual({ kind: 'converged', test: 'gradient' })
      expect(wrong(each.classes)).toBe(0)
      expect(each.energy).toBeGreaterThan(0.1)
      expect(each.residual).toBeLessThanOrEqual(1e-6)
    }
    expect(Math.abs(flow!.energy - fista!.energy)).toBeLessThan(1e-6)
    expect(fista!.iterations).toBeLessThan(flow!.iterations / 2)
  })

  const rises = (of: (state: GinzburgLandauState) => number, options: Parameters<typeof ginzburgLandau>[2]) => {
    let [last, count] = [Infinity, 0]
    const callback = (state: GinzburgLandauState) => {
      if (of(state) > last + 1e-12 * (1 + Math.abs(last))) count++
      last = of(state)
    }
    ginzburgLandau(edges, labels, { iterations: 30, ...options, callback })
    return count
  }

  it('lowers the energy for every step size without momentum, and with restarts', () => {
    for (const step of [0.1, 1, 1e3]) {
      expect(rises(({ energy }) => energy, { step, momentum: 0 })).toBe(0)
      expect(rises(({ energy }) => energy, { step })).toBe(0)
    }
    expect(rises(({ energy }) => energy, { step: 0.1, width: 2, momentum: 0.97, restart: false })).toBeGreaterThan(0)
  })

  it('lowers the total energy where the momentum keeps to its bound', () => {
    for (const [step, width] of [
      [0.1, 1],
      [1, 1],
      [1, 0.5],
    ] as const) {
      const momentum = 1 / Math.sqrt(1 + (3 * step) / width)
      expect(rises(({ total }) => total, { step, width, momentum, restart: false })).toBe(0)
    }
  })

  it('has no slope at a constant without labels, none at no nodes, and says what is wrong', () => {
    expect([...ginzburgLandauStates([[0, 1, 1]], [1, 1])].map(({ energy }) => energy)).toEqual([0])
    expect(ginzburgLandau([], [1, 1]).iterations).toBe(0)
    expect(ginzburgLandau([], []).status.kind).toBe('converged')
    expect(() => ginzburgLandau([[0, 2, 1]], [1, 0])).toThrow('edges[0]: 2 is none of the 2 nodes')
    expect(() => ginzburgLandau([[0, 1, -1]], [1, 0])).toThrow('weight -1')
    expect(() => ginzburgLandau([], [2])).toThrow('labels[0]: 2')
    expect(() => ginzburgLandau([], [0], { momentum: 1 })).toThrow('momentum: 1')
    expect(() => ginzburgLandau([], [0], { step: 0 })).toThrow('step: 0')
  })
})
