/** `fallline/runtime`: what starts optimizers that were built ahead of time, and what only some of them need. */
export { type StartOptions, start } from './ahead/start.ts'
export { type RelativeRate, relativeRate } from './language/relative-rate.ts'
export { declaredInputs } from './run/inputs.ts'
export { minimize } from './run/minimize.ts'
export { RunningOptimizer } from './run/running-optimizer.ts'
export { load, save } from './run/saving.ts'
export * from './schedules/index.ts'
export { provideStorages } from './storage/provide-storages.ts'
