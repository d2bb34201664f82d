import type { Dimension } from '../../space/dimension.ts'

/**
 * The coordinate of a sequence that each dimension of a space reads. Dimensions of variants that exclude each other never exist
 * together and read the same ones, so that a space with many variants needs no more coordinates than its largest.
 */
export function columns(dimensions: readonly Dimension[]): { readonly of: readonly number[]; readonly count: number } {
  const of = new Array<number>(dimensions.length)
  const place = (parent: Dimension['condition'], first: number): number => {
    let next = first
    for (const [index, { condition, domain }] of dimensions.entries()) {
      if (condition?.dimension !== parent?.dimension || condition?.value !== parent?.value) continue
      of[index] = next++
      if (domain.kind !== 'choice') continue
      const start = next
      for (const value of domain.values) next = Math.max(next, place({ dimension: index, value }, start))
    }
    return next
  }
  const count = place(null, 0)
  return { of, count }
}
