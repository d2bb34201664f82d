/** The names by which kernels call functions that are loaded when a kernel calls one. */

import type { Distribution } from '../../graph/node.ts'

/** The function that draws for sixteen places: `(counters, seed, step, tensor, draw)` to four times four float32. */
export const sixteenFunction = (kind: Distribution) => `random_sixteen_${kind}`

/** The function that draws for any four places: `(places, seed, step, tensor, draw)` to four float32. */
export const randomFunction = (kind: Distribution) => `random_${kind}`

/** Whether it is one of those that draw. */
export const isRandomFunction = (name: string): boolean => name.startsWith('random_')

/** The function of an operation for four float32; that for a pair of float64 is called like the operation itself. */
export const single = (operation: string) => `${operation}_f32x4`
