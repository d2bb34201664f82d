export { testPruner } from './pruner.ts'
export { type RegisterTest, testSampler } from './sampler.ts'
export { type Runner, testStorage } from './storage.ts'
