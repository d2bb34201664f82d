/** Orders losses by the first objective in which they differ: nothing is dominated by what comes later. */
export function compareLosses(a: readonly number[], b: readonly number[]): number {
  const place = a.findIndex((loss, index) => loss !== b[index])
  return place < 0 ? 0 : a[place]! - b[place]!
}

/** Whether losses are at least as good as others in all objectives and better in one. */
function dominates(losses: readonly number[], others: readonly number[]): boolean {
  let isBetter = false
  for (let index = 0; index < losses.length; index++) {
    if (losses[index]! > others[index]!) return false
    if (losses[index]! < others[index]!) isBetter = true
  }
  return isBetter
}

/** Those that no other one dominates, and the others, of items in the order of `compareLosses`. */
export function firstFront<T>(
  ordered: readonly T[],
  lossesOf: (item: T) => readonly number[],
): { readonly front: T[]; readonly others: T[] } {
  const front: T[] = []
  const others: T[] = []
  for (const item of ordered) {
    const isDominated = front.some((other) => dominates(lossesOf(other), lossesOf(item)))
    ;(isDominated ? others : front).push(item)
  }
  return { front, others }
}
