import type { Status } from './state.ts'

/** What is transported: from `source` to `target`, where `costs` (row by row) is the price of a unit from i to j. */
export interface Shipment {
  readonly costs: Float64Array
  readonly source: Float64Array
  readonly target: Float64Array
}

/** Where a method of `transport` is. */
export interface TransportState {
  /** Row by row, of the size of the costs. */
  readonly plan: Float64Array
  /** The multipliers of the rows, then of the columns: at an optimum their sum is at most the cost of each pair. */
  readonly potentials: Float64Array
  /** Sum of the absolute errors of the plan's row sums and column sums; of sum-of-norms also of its optimality. */
  readonly residual: number
  /** `newton` where this was a step of Newton. */
  readonly stage: 'sinkhorn' | 'newton' | 'splitting'
}

/** What the methods of `transport` are told. */
export interface TransportSettings {
  /** Weight ε = 1 / η of the entropy. Default: a fiftieth of the largest absolute cost that is finite. */
  readonly regularization: number
  /** Largest residual, as a share of the mass. Default 1e-9. */
  readonly tolerance: number
  /** Sinkhorn steps before the first one of Newton. Default 20. */
  readonly warmUp: number
  /** Share of the plan's elements that the Hessian keeps. Default 1: all. The paper takes about 2 / n. */
  readonly density: number
  /** Weight λ of the sum of norms. Default 0.1. */
  readonly weight: number
  /** The class of each row; default: all alike. */
  readonly sourceClasses?: readonly unknown[]
  /** The class of each column; by default columns have none, and are not pulled together. */
  readonly targetClasses?: readonly unknown[]
}

/** A method of `transport`. */
export interface Transporter {
  readonly name: string
  readonly title: string
  /** Authors, year, title. */
  readonly paper: string
  readonly solve: (shipment: Shipment, settings: TransportSettings) => Generator<TransportState, Status, void>
}
