/** How matrix products are cut for registers and caches. */

/** Rows and columns of the tile that stays in registers. */
export const tileRows = 2
export const tileColumns = 16

export const tileVectors = tileColumns / 4

/** How far a block reaches along the inner dimension, and how many rows it has: its left factor fits the second cache. */
export const blockDepth = 256
export const blockRows = 256

export const leftBytes = 4 * blockRows * blockDepth

export const stripBytes = 4 * tileColumns * blockDepth

/** Bytes that a call packs the blocks of its factors into, and puts the sums of a tile that is cut off. */
export const packingBytes = leftBytes + stripBytes + 4 * tileRows * tileColumns
