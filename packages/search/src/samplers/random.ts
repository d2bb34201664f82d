import type { Sampler } from './sampler.ts'

/**
 * Draws every coordinate evenly (Bergstra and Bengio 2012, Random Search for Hyper-Parameter Optimization, Journal of Machine Learning
 * Research 13). In a space that has finitely many points, those that have been tried are left out while others are left.
 */
export function randomSearch(): Sampler<null> {
  return {
    name: 'random',
    severalObjectives: true,
    propose({ space, ended, open }, { random }) {
      const draw = () => space.fromCube(space.dimensions.map(() => random.uniform()))
      const point = draw()
      if (space.size === Infinity || space.size <= ended.length) return { kind: 'trial', point }
      const tried = new Set([...ended, ...open].map((trial) => trial.point.join()))
      let fresh = point
      for (let attempt = 0; tried.has(fresh.join()) && attempt < 100 * space.size; attempt++) fresh = draw()
      return { kind: 'trial', point: fresh }
    },
  }
}
