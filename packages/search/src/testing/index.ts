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
