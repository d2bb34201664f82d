export { testPruner } from './pruner.ts'
export { type RegisterTest, testSampler } from './sampler.ts'
