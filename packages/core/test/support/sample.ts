/**
 * The large tables of tests (optimizers times wrappers, options, courses of gradients, runs of a law) are too long for every
 * day. `npm test` takes a fixed sample of them and `npm run test:all` everything. Tests that stand alone are always all run.
 *
 * - Every optimizer meets every kind of test of its rule, with a fortieth of the cases, rounded up: those whose names, beside its own,
 *   have the smallest hashes. So the sample is the same everywhere, and a new case moves few of the others.
 * - What looks at the machinery around rules (threads, memory of others, state in fewer bits, refused numbers, sizes beyond a chunk) is met by a
 *   fortieth of the optimizers, another one for each kind of test.
 * - The optimizers of `metByAll` meet a sixth of the cases, and everything that is around rules.
 * - Pairs of optimizer and wrapper are all tried on the core's own kernels by `npm run test:all`. What runs the same programs
 *   another way (built ahead, in TensorFlow.js's operations, in jax-js) then meets a quarter of them, other ones for each way.
 */

/** True where everything is asked for. */
export const everything = process.env.FALLLINE_TEST_ALL === '1'

/** The share of the cases that the sample takes. */
const dailyShare = 1 / 40

/** One optimizer of each kind: by element, by matrix, by sums over all tensors, and with several sequences. */
export const metByAll = ['adamW', 'muon', 'prodigy', 'scheduleFreeAdamW']

/** Of the cases of the optimizers of `metByAll`. */
const largerShare = 1 / 6

/** How many of so many the sample takes: at least one, where there are any. */
export function sampleSize(count: number, all = everything, part = dailyShare): number {
  return all ? count : Math.ceil(part * count)
}

/** The cases to try with an optimizer, in their order. */
export function sample<Case>(
  optimizer: string,
  cases: readonly Case[],
  nameOf: (one: Case) => string,
  all = everything,
  share = dailyShare,
): Case[] {
  if (all) return [...cases]
  const part = metByAll.includes(optimizer) ? largerShare : share
  const hashes = new Map(cases.map((one) => [one, hash(`${optimizer} ${nameOf(one)}`)]))
  const chosen = new Set(
    [...cases].sort((a, b) => hashes.get(a)! - hashes.get(b)!).slice(0, sampleSize(cases.length, false, part)),
  )
  return cases.filter((one) => chosen.has(one))
}

/**
 * Whether an optimizer meets a kind of test that looks at what is around rules, such as threads: a fortieth of the optimizers do,
 * another one for each kind, and those of `metByAll`.
 */
export function meets(kind: string, optimizer: string, all = everything, share = dailyShare): boolean {
  return all || metByAll.includes(optimizer) || hash(`${kind} ${optimizer}`) < share * 2 ** 32
}

/** Of the wrappers around an optimizer, those to try in one of the ways that run what the core's own kernels have been tried with. */
export function another(way: string, optimizer: string, wrappers: readonly string[]): string[] {
  const met = (wrapper: string) => hash(`${way} ${optimizer} ${wrapper}`) < 2 ** 32 / 4
  return wrappers.filter((wrapper) => !everything || metByAll.includes(optimizer) || met(wrapper))
}

/** FNV-1a of the UTF-16 units, mixed once more so that its last letters move all bits. */
function hash(text: string): number {
  let result = 0x811c9dc5
  for (let index = 0; index < text.length; index++) {
    result = Math.imul(result ^ text.charCodeAt(index), 0x01000193)
  }
  result = Math.imul(result ^ (result >>> 16), 0x7feb352d)
  return (result ^ (result >>> 15)) >>> 0
}
