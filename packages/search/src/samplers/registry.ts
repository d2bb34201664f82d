import { agingEvolution } from './aging-evolution.ts'
import { cmaEs } from './cma-es.ts'
import { crossEntropy } from './cross-entropy.ts'
import { differentialEvolution } from './differential-evolution.ts'
import { diffusionEvolution } from './diffusion-evolution.ts'
import { estimationOfDistribution } from './estimation-of-distribution.ts'
import { hypE } from './hyp-e.ts'
import { lmMaEs } from './lm-ma-es.ts'
import { moeaD } from './moea-d.ts'
import { naturalEvolution } from './natural-evolution.ts'
import { nelderMead } from './nelder-mead.ts'
import { novelty } from './novelty.ts'
import { nsga2 } from './nsga2.ts'
import { nsga3 } from './nsga3.ts'
import { particleSwarm } from './particle-swarm.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import { shiwa } from './shiwa.ts'
import { simulatedAnnealing } from './simulated-annealing.ts'
import { variableLength } from './variable-length.ts'

/** All samplers by name, each as it is made without options; the tests, the benchmark and the command line go through it. */
export const samplers = {
  agingEvolution,
  crossEntropy,
  differentialEvolution,
  naturalEvolution,
  particleSwarm,
  simulatedAnnealing,
  hypE,
  moeaD,
  nsga2,
  nsga3,
  diffusionEvolution,
  novelty,
  shiwa,
  variableLength,
  estimationOfDistribution,
  nelderMead,
  cmaEs,
  lmMaEs,
  random: randomSearch,
} satisfies Readonly<Record<string, () => Sampler>>
