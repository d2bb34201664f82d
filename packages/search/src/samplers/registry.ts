import { agingEvolution } from './aging-evolution.ts'
import { cmaEs } from './cma-es.ts'
import { crossEntropy } from './cross-entropy.ts'
import { differentialEvolution } from './differential-evolution.ts'
import { lmMaEs } from './lm-ma-es.ts'
import { naturalEvolution } from './natural-evolution.ts'
import { particleSwarm } from './particle-swarm.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import { simulatedAnnealing } from './simulated-annealing.ts'

/** All samplers by name, each as it is made without options; the tests, the benchmark and the command line go through it. */
export const samplers = {
  agingEvolution,
  crossEntropy,
  differentialEvolution,
  naturalEvolution,
  particleSwarm,
  simulatedAnnealing,
  cmaEs,
  lmMaEs,
  random: randomSearch,
} satisfies Readonly<Record<string, () => Sampler>>
