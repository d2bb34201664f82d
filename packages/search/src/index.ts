export { type Examined, type Finding, health } from './analysis/health.ts'
export { type Importance, type ImportanceOptions, importances } from './analysis/importance.ts'
export type { Json } from './json.ts'
export {
  type ChosenOptimizer,
  chosenOptimizer,
  type OptimizerChoices,
  type OwnOptimizer,
  optimizerChoice,
  searchSpaceOf,
} from './optimizers.ts'
export {
  curveExtrapolation,
  type ExtrapolationOptions,
} from './pruners/curve-extrapolation.ts'
export { medianPruner } from './pruners/median.ts'
export { type PatienceOptions, patientPruner } from './pruners/patient.ts'
export { type ComparisonOptions, percentilePruner } from './pruners/percentile.ts'
export type { Pruner } from './pruners/pruner.ts'
export { pruners } from './pruners/registry.ts'
export { type Replay, type ReplayOptions, replayPruner } from './pruners/replay.ts'
export { type StoppingOptions, successiveHalvingStop } from './pruners/successive-halving-stop.ts'
export { type ThresholdOptions, thresholdPruner } from './pruners/threshold.ts'
export { type WilcoxonOptions, wilcoxonPruner } from './pruners/wilcoxon.ts'
export { type Random, random } from './random.ts'
export { type AcBandOptions, acBand } from './samplers/ac-band.ts'
export { type AgingEvolutionOptions, agingEvolution } from './samplers/aging-evolution.ts'
export { type AshaOptions, asha } from './samplers/asha.ts'
export { type BohbOptions, bohb } from './samplers/bohb.ts'
export { type CmaEsOptions, cmaEs } from './samplers/cma-es.ts'
export { type ColaboOptions, colabo } from './samplers/colabo.ts'
export { type ConfigOptions, configSearch } from './samplers/config.ts'
export { type ConformalQuantilesOptions, conformalQuantiles } from './samplers/conformal-quantiles.ts'
export {
  type CooperativeCoevolutionOptions,
  cooperativeCoevolution,
} from './samplers/cooperative-coevolution.ts'
export { type CostAwareOptions, costAware } from './samplers/cost-aware.ts'
export { type CrossEntropyOptions, crossEntropy } from './samplers/cross-entropy.ts'
export { type DehbOptions, dehb } from './samplers/dehb.ts'
export { type DifferentialEvolutionOptions, differentialEvolution } from './samplers/differential-evolution.ts'
export { type DiffusionEvolutionOptions, diffusionEvolution } from './samplers/diffusion-evolution.ts'
export { type DumboOptions, dumbo } from './samplers/dumbo.ts'
export {
  type EstimationOfDistributionOptions,
  estimationOfDistribution,
} from './samplers/estimation-of-distribution.ts'
export { type GaussianProcessOptions, gaussianProcess } from './samplers/gaussian-process.ts'
export { type GoUcbOptions, goUcb, network, type ParametricFunction } from './samplers/go-ucb.ts'
export { type GridOptions, gridSearch } from './samplers/grid.ts'
export { haltonSearch } from './samplers/halton.ts'
export { type HookeJeevesOptions, hookeJeeves } from './samplers/hooke-jeeves.ts'
export { hypE } from './samplers/hyp-e.ts'
export { type HyperbandOptions, hyperband } from './samplers/hyperband.ts'
export { type DeepeningOptions, iterativeDeepeningHyperband } from './samplers/iterative-deepening-hyperband.ts'
export { type LmMaEsOptions, lmMaEs } from './samplers/lm-ma-es.ts'
export { type MoeaDOptions, moeaD } from './samplers/moea-d.ts'
export { type MultiFidelityOptions, multiFidelity } from './samplers/multi-fidelity.ts'
export { type NaturalEvolutionOptions, naturalEvolution } from './samplers/natural-evolution.ts'
export { nelderMead } from './samplers/nelder-mead.ts'
export { type NoveltyOptions, novelty } from './samplers/novelty.ts'
export { nsga2 } from './samplers/nsga2.ts'
export { nsga3 } from './samplers/nsga3.ts'
export { type ParticleSwarmOptions, particleSwarm } from './samplers/particle-swarm.ts'
export { hypervolume } from './samplers/parts/hypervolume.ts'
export type { GeneticOptions } from './samplers/parts/several-objectives.ts'
export { pasha } from './samplers/pasha.ts'
export { randomSearch } from './samplers/random.ts'
export { samplers } from './samplers/registry.ts'
export { type RisingBanditsOptions, risingBandits } from './samplers/rising-bandits.ts'
export type { Proposal, Request, Sampler } from './samplers/sampler.ts'
export { type ShiwaOptions, shiwa } from './samplers/shiwa.ts'
export { type SimulatedAnnealingOptions, simulatedAnnealing } from './samplers/simulated-annealing.ts'
export { sobolSearch } from './samplers/sobol.ts'
export {
  type HalvingOptions,
  type SuccessiveHalvingOptions,
  successiveHalving,
} from './samplers/successive-halving.ts'
export { type TpeOptions, tpe } from './samplers/tpe.ts'
export { type VariableLengthOptions, variableLength } from './samplers/variable-length.ts'
export {
  type Coordinate,
  type Dimension,
  type Point,
  size,
  valueCount,
} from './space/dimension.ts'
export {
  type ChoiceDomain,
  choice,
  type Definition,
  type Domain,
  float,
  integer,
  type NumberDomain,
  type Parameter,
  type ParameterValue,
  type RangeOptions,
  type ValuesOf,
  type VariantOf,
  variant,
} from './space/domain.ts'
export { type Constraint, type Parameters, type Space, type SpaceRecord, space, spaceOf } from './space/space.ts'
export { memoryStorage } from './storage/memory.ts'
export type {
  Changes,
  Ending,
  Held,
  Holder,
  Start,
  Storage,
  StudyRecord,
  Watch,
} from './storage/storage.ts'
export { type Best, bestOf, frontOf } from './study/best.ts'
export type { Confirmation, ConfirmOptions } from './study/confirm.ts'
export type { Budget, Objective as ObjectiveFunction, Standing } from './study/optimize.ts'
export type { Outcome } from './study/outcome.ts'
export { type AskOptions, NothingToTry, Stopped, type Trial, type Working } from './study/run.ts'
export { type StopRule, whenNoGain, whenReached } from './study/stop.ts'
export { openStudy, Study, type StudyOptions } from './study/study.ts'
export { isEnd, type Lease, type Report, type TrialRecord, type TrialState } from './study/trial.ts'
export { type Objective, type Resource, type SeenTrial, type View, violation } from './study/view.ts'
