/** A place for what exists only within a step. */
export interface ScratchPlace {
  /** In elements or bytes, as its backend counts. */
  readonly size: number
}

/** What needs one, from when to when. */
export interface ScratchNeed {
  readonly size: number
  /** The levels of its first and its last use. */
  readonly from: number
  readonly to: number
}

/**
 * Finds places for what one program has for the time of a step: for each the smallest that is large enough and free by then, or a new one.
 * @param needs by any order.
 * @param placesFor those that there are, which grow.
 * @param make a new place of a size.
 */
export function placeScratch<Need extends ScratchNeed, Place extends ScratchPlace>(
  needs: readonly Need[],
  placesFor: (need: Need) => Place[],
  make: (size: number) => Place,
): Map<Need, Place> {
  const taken = new Map<Place, number>()
  const found = new Map<Need, Place>()
  for (const need of [...needs].sort((a, b) => a.from - b.from)) {
    const places = placesFor(need)
    const fitting = places.filter((place) => (taken.get(place) ?? -1) < need.from && place.size >= need.size)
    const fits = fitting.sort((a, b) => a.size - b.size)[0]
    const chosen = fits ?? make(need.size)
    if (!fits) places.push(chosen)
    taken.set(chosen, need.to)
    found.set(need, chosen)
  }
  return found
}
