import { loadTask } from '@fallline/race'
import { adamW, type HyperValue, quantized } from 'fallline'

/**
 * The race of docs/matrix-race.md: the character transformer, with AdamW whose state is kept in 8 and in 4 bits among the contenders.
 */
export default () => loadTask('character-transformer')

// The matrices have about a thousand elements, fewer than are quantized unless told otherwise.
const minimumSize = 512

export const contenders = ([8, 4] as const).map((bits) => ({
  name: `adamW${bits}`,
  title: `AdamW, ${bits} bits`,
  optimizer: (hyper: Record<string, HyperValue>) => quantized(adamW(hyper), { bits, minimumSize }),
  search: adamW.definition.search,
}))
