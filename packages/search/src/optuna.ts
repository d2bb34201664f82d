/** Studies of Optuna. */

export { type ImportedStudy, importOptuna } from './optuna/import.ts'
