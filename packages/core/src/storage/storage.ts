/** How the elements of an array are kept in memory. Planner and memory ask it for sizes; each backend reads and writes it. */
export interface Storage {
  /** Bytes of an element. */
  readonly bytesPerElement: number
}

/** All storages. A backend that cannot read and write one does not compile. */
export const storages = { float32: { bytesPerElement: 4 } } as const satisfies Readonly<Record<string, Storage>>

export type StorageName = keyof typeof storages

/** Bytes of an array of so many elements. */
export function bytesOf(storage: StorageName, elements: number): number {
  return storages[storage].bytesPerElement * elements
}
