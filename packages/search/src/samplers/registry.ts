import { acBand } from './ac-band.ts'
import { agingEvolution } from './aging-evolution.ts'
import { asha } from './asha.ts'
import { bohb } from './bohb.ts'
import { cmaEs } from './cma-es.ts'
import { colabo } from './colabo.ts'
import { configSearch } from './config.ts'
import { conformalQuantiles } from './conformal-quantiles.ts'
import { cooperativeCoevolution } from './cooperative-coevolution.ts'
import { costAware } from './cost-aware.ts'
import { crossEntropy } from './cross-entropy.ts'
import { dehb } from './dehb.ts'
import { differentialEvolution } from './differential-evolution.ts'
import { diffusionEvolution } from './diffusion-evolution.ts'
import { dumbo } from './dumbo.ts'
import { estimationOfDistribution } from './estimation-of-distribution.ts'
import { gaussianProcess } from './gaussian-process.ts'
import { goUcb } from './go-ucb.ts'
import { gridSearch } from './grid.ts'
import { haltonSearch } from './halton.ts'
import { hookeJeeves } from './hooke-jeeves.ts'
import { hypE } from './hyp-e.ts'
import { hyperband } from './hyperband.ts'
import { iterativeDeepeningHyperband } from './iterative-deepening-hyperband.ts'
import { lmMaEs } from './lm-ma-es.ts'
import { moeaD } from './moea-d.ts'
import { multiFidelity } from './multi-fidelity.ts'
import { naturalEvolution } from './natural-evolution.ts'
import { nelderMead } from './nelder-mead.ts'
import { novelty } from './novelty.ts'
import { nsga2 } from './nsga2.ts'
import { nsga3 } from './nsga3.ts'
import { particleSwarm } from './particle-swarm.ts'
import { pasha } from './pasha.ts'
import { randomSearch } from './random.ts'
import { risingBandits } from './rising-bandits.ts'
import type { Sampler } from './sampler.ts'
import { shiwa } from './shiwa.ts'
import { simulatedAnnealing } from './simulated-annealing.ts'
import { sobolSearch } from './sobol.ts'
import { successiveHalving } from './successive-halving.ts'
import { tpe } from './tpe.ts'
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
  hookeJeeves,
  cooperativeCoevolution,
  cmaEs,
  lmMaEs,
  random: randomSearch,
  sobol: sobolSearch,
  halton: haltonSearch,
  grid: gridSearch,
  successiveHalving,
  hyperband,
  asha,
  iterativeDeepeningHyperband,
  bohb,
  dehb,
  pasha,
  risingBandits,
  acBand,
  multiFidelity,
  conformalQuantiles,
  gaussianProcess,
  costAware,
  config: configSearch,
  colabo,
  goUcb,
  dumbo,
  tpe,
} satisfies Readonly<Record<string, () => Sampler>>
