export { testPruner } from './pruner.ts'
export { type RegisterTest, testSampler } from './sampler.ts'
export { type Runner, testStorage } from './storage.ts'
export {
  endsOf,
  expectedBest,
  type Recorded,
  recordedTable,
  type Simulation,
  type SimulationOptions,
  simulate,
  type Table,
} from './table.ts'
