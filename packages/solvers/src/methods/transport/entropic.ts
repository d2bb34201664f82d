import type { Shipment } from '../../shipment.ts'

/**
 * The dual of entropic transport, max f(x, y) = Σ a x + Σ b y - ε Σ exp((x_i + y_j - c_ij) / ε), which Sinkhorn's scaling climbs one block
 * at a time, and Newton's method in all variables.
 */
export class Entropic {
  readonly rows: number
  readonly columns: number
  readonly mass: number
  /** x: the potential of the rows. */
  readonly x: Float64Array
  /** y: the potential of the columns. */
  readonly y: Float64Array

  constructor(
    readonly shipment: Shipment,
    readonly epsilon: number,
  ) {
    this.rows = shipment.source.length
    this.columns = shipment.target.length
    this.mass = shipment.source.reduce((sum, weight) => sum + weight, 0)
    this.x = new Float64Array(this.rows)
    this.y = new Float64Array(this.columns)
  }

  /** x maximizes f for this y: the row sums become right. Logarithms of sums, so that nothing overflows. */
  scaleRows(): void {
    const { source, costs } = this.shipment
    for (let i = 0; i < this.rows; i++) {
      this.x[i] =
        this.epsilon * Math.log(source[i]!) -
        this.#softMaximum(this.columns, (j) => this.y[j]! - costs[i * this.columns + j]!)
    }
  }

  /** y maximizes f for this x: the column sums become right. */
  scaleColumns(): void {
    const { target, costs } = this.shipment
    for (let j = 0; j < this.columns; j++) {
      this.y[j] =
        this.epsilon * Math.log(target[j]!) -
        this.#softMaximum(this.rows, (i) => this.x[i]! - costs[i * this.columns + j]!)
    }
  }

  /** ε log Σ exp(score / ε); without any finite score 0, so that a potential stays what its mass says. */
  #softMaximum(length: number, score: (index: number) => number): number {
    let most = -Infinity
    for (let k = 0; k < length; k++) most = Math.max(most, score(k))
    if (most === -Infinity) return 0
    let sum = 0
    for (let k = 0; k < length; k++) sum += Math.exp((score(k) - most) / this.epsilon)
    return most + this.epsilon * Math.log(sum)
  }

  /** P, its row sums, its column sums, and how far these are from the masses. */
  plan(x = this.x, y = this.y) {
    const { source, target, costs } = this.shipment
    const plan = new Float64Array(this.rows * this.columns)
    const rowSums = new Float64Array(this.rows)
    const columnSums = new Float64Array(this.columns)
    for (let i = 0; i < this.rows; i++) {
      for (let j = 0; j < this.columns; j++) {
        const k = i * this.columns + j
        const mass = Math.exp((x[i]! + y[j]! - costs[k]!) / this.epsilon)
        plan[k] = mass
        rowSums[i]! += mass
        columnSums[j]! += mass
      }
    }
    let residual = 0
    for (let i = 0; i < this.rows; i++) residual += Math.abs(rowSums[i]! - source[i]!)
    for (let j = 0; j < this.columns; j++) residual += Math.abs(columnSums[j]! - target[j]!)
    return { plan, rowSums, columnSums, residual }
  }

  get potentials(): Float64Array {
    const both = new Float64Array(this.rows + this.columns)
    both.set(this.x)
    both.set(this.y, this.rows)
    return both
  }
}
