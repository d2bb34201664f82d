export { type Runner, testStorage } from './storage.ts'
