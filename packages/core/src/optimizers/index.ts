export * from './all.ts'
export { findOptimizer, registry } from './registry.ts'
