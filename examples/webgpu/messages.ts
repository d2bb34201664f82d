/** Where a worker trains: a device of jax-js. */
export type Device = 'webgpu' | 'wasm'

/** To a worker: train. */
export interface Order {
  readonly device: Device
  readonly task: string
  readonly optimizer: string
  /** A wrapper of Fallline around the optimizer, or `none`. */
  readonly wrapper: string
  readonly schedule: string
  readonly learningRate: number
  readonly steps: number
}

/** From a worker: what it is doing, then every step, and the end. */
export type News =
  | { readonly doing: string }
  | {
      /** The number of the step, from 1. */
      readonly step: number
      /** The loss on the batch of the step, before it. */
      readonly loss: number
      /** From one loss to the next, in milliseconds: gradient, update and reading the loss. */
      readonly milliseconds: number
    }
  | { readonly finished: true }
  | { readonly error: string }
