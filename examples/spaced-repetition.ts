import { leastSquares } from '@fallline/solvers'

/**
 * The 21 weights of a memory model for flash cards, FSRS-6 (J. Ye, J. Su, Y. Cao 2022, A Stochastic Shortest Path Algorithm for Optimizing Spaced
 * Repetition Scheduling, and what became of it), within their bounds, from a log of reviews: the largest likelihood of what was
 * remembered and what was not. A card has a stability S (days until 9 in 10 are remembered) and a difficulty D (1 to 10).
 *
 * npx tsx --conditions=@fallline/source examples/spaced-repetition.ts
 */

/** Days since the review before, and 1 (forgotten), 2 (hard), 3 (good) or 4 (easy). */
export type Review = readonly [days: number, rating: number]

/** Weights that a learner begins with. */
export const initial = [
  0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629, 1.6483,
  0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
]

export const bounds: readonly (readonly [number, number])[] = [
  ...Array.from({ length: 4 }, () => [0.001, 100] as const),
  ...([
    [1, 10],
    [0.001, 4],
    [0.001, 4],
    [0.001, 0.75],
    [0, 4.5],
    [0, 0.8],
    [0.001, 3.5],
    [0.001, 5],
  ] as const),
  ...([
    [0.001, 0.25],
    [0.001, 0.9],
    [0, 4],
    [0, 1],
    [1, 6],
    [0, 2],
    [0, 2],
    [0, 0.8],
    [0.1, 0.8],
  ] as const),
]

const count = 21
const { exp, log, max, min, sqrt } = Math

/** Stability and difficulty of one card as reviews go by, with their derivatives by the weights. */
class Memory {
  stability = 0
  difficulty = 0
  readonly byStability = new Float64Array(count)
  readonly byDifficulty = new Float64Array(count)
  /** Of the last `recall`. */
  readonly byRecall = new Float64Array(count)
  readonly #w: ArrayLike<number>
  readonly #factor: number
  readonly #easy: number

  constructor(w: ArrayLike<number>) {
    this.#w = w
    this.#factor = 0.9 ** (-1 / w[20]!) - 1
    this.#easy = w[4]! - exp(3 * w[5]!) + 1
  }

  /** The first review. */
  begin(rating: number): void {
    const w = this.#w
    this.byStability.fill(0)
    this.byDifficulty.fill(0)
    this.stability = w[rating - 1]!
    this.byStability[rating - 1] = 1
    const grown = exp(w[5]! * (rating - 1))
    this.difficulty = w[4]! - grown + 1
    this.byDifficulty[4] = 1
    this.byDifficulty[5] = -(rating - 1) * grown
    this.#clampDifficulty()
  }

  /** The chance that the card is remembered: (1 + factor days / S) ** -w20. */
  recall(days: number): number {
    const decay = this.#w[20]!
    const q = 1 + (this.#factor * days) / this.stability
    const chance = q ** -decay
    const slope = (decay * chance * (q - 1)) / (q * this.stability)
    for (let j = 0; j < count; j++) this.byRecall[j] = slope * this.byStability[j]!
    const factorByDecay = ((this.#factor + 1) * log(0.9)) / decay ** 2
    this.byRecall[20]! -= chance * (log(q) + (decay * days * factorByDecay) / (q * this.stability))
    return chance
  }

  /** What a review leaves, where `chance` is the last of `recall`. */
  review(days: number, rating: number, chance: number): void {
    if (days === 0) this.#sameDay(rating)
    else if (rating > 1) this.#remembered(rating, chance)
    else this.#forgotten(chance)
    this.#clampStability()
    this.#harder(rating)
  }

  /** S times 1 + exp(w8) (11 - D) S ** -w9 (exp(w10 (1 - R)) - 1) and what a hard or an easy one changes of that. */
  #remembered(rating: number, chance: number): void {
    const w = this.#w
    const s = this.stability
    const bonus = rating === 2 ? w[15]! : rating === 4 ? w[16]! : 1
    const grown = exp(w[10]! * (1 - chance))
    const gain = exp(w[8]!) * s ** -w[9]! * bonus
    const hardness = 11 - this.difficulty
    const more = gain * hardness * (grown - 1)
    const [byS, byD, byR] = [1 + more * (1 - w[9]!), -s * gain * (grown - 1), -s * gain * hardness * grown * w[10]!]
    this.#combine(byS, byD, byR)
    this.byStability[8]! += s * more
    this.byStability[9]! -= s * more * log(s)
    this.byStability[10]! += s * gain * hardness * grown * (1 - chance)
    if (rating === 2) this.byStability[15]! += (s * gain * hardness * (grown - 1)) / bonus
    if (rating === 4) this.byStability[16]! += (s * gain * hardness * (grown - 1)) / bonus
    this.stability = s * (1 + more)
  }

  /** w11 D ** -w12 ((S + 1) ** w13 - 1) exp(w14 (1 - R)), and no more than S exp(-w17 w18). */
  #forgotten(chance: number): void {
    const w = this.#w
    const [s, d] = [this.stability, this.difficulty]
    const power = (s + 1) ** w[13]!
    const scale = d ** -w[12]! * exp(w[14]! * (1 - chance))
    const left = w[11]! * scale * (power - 1)
    const shrink = exp(-w[17]! * w[18]!)
    if (left > s * shrink) {
      this.#combine(shrink, 0, 0)
      this.byStability[17]! -= w[18]! * s * shrink
      this.byStability[18]! -= w[17]! * s * shrink
      this.stability = s * shrink
      return
    }
    this.#combine((w[11]! * scale * w[13]! * power) / (s + 1), (-w[12]! * left) / d, -w[14]! * left)
    this.byStability[11]! += scale * (power - 1)
    this.byStability[12]! -= left * log(d)
    this.byStability[13]! += w[11]! * scale * power * log(s + 1)
    this.byStability[14]! += left * (1 - chance)
    this.stability = left
  }

  /** S exp(w17 (rating - 3 + w18)) S ** -w19, and not less than S unless it was hard. */
  #sameDay(rating: number): void {
    const w = this.#w
    const s = this.stability
    const growth = exp(w[17]! * (rating - 3 + w[18]!)) * s ** -w[19]!
    if (rating >= 3 && growth < 1) return
    const next = s * growth
    this.#combine((1 - w[19]!) * growth, 0, 0)
    this.byStability[17]! += next * (rating - 3 + w[18]!)
    this.byStability[18]! += next * w[17]!
    this.byStability[19]! -= next * log(s)
    this.stability = next
  }

  /** D - w6 (rating - 3) (10 - D) / 9, and by the share w7 of the way towards what an easy first review gives. */
  #harder(rating: number): void {
    const w = this.#w
    const d = this.difficulty
    const kept = 1 - w[7]!
    const towards = 1 + (w[6]! * (rating - 3)) / 9
    const moved = d - (w[6]! * (rating - 3) * (10 - d)) / 9
    const by = this.byDifficulty
    for (let j = 0; j < count; j++) by[j]! *= kept * towards
    by[6]! -= (kept * (rating - 3) * (10 - d)) / 9
    by[7]! += this.#easy - moved
    by[4]! += w[7]!
    by[5]! -= w[7]! * 3 * exp(3 * w[5]!)
    this.difficulty = w[7]! * this.#easy + kept * moved
    this.#clampDifficulty()
  }

  #combine(byS: number, byD: number, byR: number): void {
    for (let j = 0; j < count; j++) {
      this.byStability[j] = byS * this.byStability[j]! + byD * this.byDifficulty[j]! + byR * this.byRecall[j]!
    }
  }

  #clampStability(): void {
    const clamped = max(0.001, min(36500, this.stability))
    if (clamped !== this.stability) this.byStability.fill(0)
    this.stability = clamped
  }

  #clampDifficulty(): void {
    const clamped = max(1, min(10, this.difficulty))
    if (clamped !== this.difficulty) this.byDifficulty.fill(0)
    this.difficulty = clamped
  }
}

/** Calls with the chance of each answer that was given, later than the day of the review before. */
function replay(
  cards: readonly (readonly Review[])[],
  w: ArrayLike<number>,
  see: (chance: number, remembered: boolean, byRecall: Float64Array) => void,
): void {
  const memory = new Memory(w)
  for (const reviews of cards) {
    memory.begin(reviews[0]![1])
    for (let i = 1; i < reviews.length; i++) {
      const [days, rating] = reviews[i]!
      const chance = memory.recall(days)
      if (days > 0) see(chance, rating > 1, memory.byRecall)
      memory.review(days, rating, chance)
    }
  }
}

/** The mean of -log(chance of the answer). */
export function logLoss(cards: readonly (readonly Review[])[], w: ArrayLike<number>): number {
  let [sum, reviews] = [0, 0]
  replay(cards, w, (chance, remembered) => {
    sum -= remembered ? log(chance) : Math.log1p(-chance)
    reviews++
  })
  return sum / reviews
}

/** Cards that are reviewed by chance earlier or later than when 9 in 10 are remembered, some again on the same day. */
export function simulate(cards: number, w: ArrayLike<number>, seed: number): Review[][] {
  let state = seed
  const uniform = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  /** From 1 on, by these chances. */
  const drawn = (chances: readonly number[]) => {
    let rating = 0
    for (let left = uniform(); rating < chances.length && left >= 0; rating++) left -= chances[rating]!
    return rating
  }
  const memory = new Memory(w)
  return Array.from({ length: cards }, () => {
    const first = drawn([0.25, 0.15, 0.45, 0.15])
    const reviews: Review[] = [[0, first]]
    memory.begin(first)
    for (let i = 0; i < 7; i++) {
      const days = uniform() < 0.15 ? 0 : max(1, Math.round(memory.stability * exp(2 * uniform() - 0.7)))
      const chance = memory.recall(days)
      const rating = uniform() < chance ? 1 + drawn([0.2, 0.65, 0.15]) : 1
      reviews.push([days, rating])
      memory.review(days, rating, chance)
    }
    return reviews
  })
}

/** Residuals whose half square is -log(chance of the answer), and how far the weights are from the initial ones, in what learners differ by. */
export function memoryResiduals(cards: readonly (readonly Review[])[]) {
  const asked = cards.flatMap((reviews) => reviews.slice(1).filter(([days]) => days > 0)).length
  const widths = initial.map((weight) => 0.03 + 0.4 * weight)
  // Not less than what rounding leaves of 1: the slope would be 0 / 0.
  const of = (chance: number) => sqrt(max(1e-12, -2 * log(chance)))
  return {
    value(w: Float64Array): Float64Array {
      const residuals = new Float64Array(asked + count)
      let i = 0
      replay(cards, w, (chance, remembered) => {
        residuals[i++] = of(remembered ? chance : 1 - chance)
      })
      for (let j = 0; j < count; j++) residuals[asked + j] = (w[j]! - initial[j]!) / widths[j]!
      return residuals
    },
    jacobian(w: Float64Array): Float64Array[] {
      const rows = Array.from({ length: asked + count }, () => new Float64Array(count))
      let i = 0
      replay(cards, w, (chance, remembered, byRecall) => {
        const right = remembered ? chance : 1 - chance
        const slope = (remembered ? -1 : 1) / (right * of(right))
        const row = rows[i++]!
        for (let j = 0; j < count; j++) row[j] = slope * byRecall[j]!
      })
      for (let j = 0; j < count; j++) rows[asked + j]![j] = 1 / widths[j]!
      return rows
    },
  }
}

/** The weights that make the log most likely. */
export function fitMemory(cards: readonly (readonly Review[])[]) {
  const { value, jacobian } = memoryResiduals(cards)
  // More than the fifth digit of the likelihood says nothing about a memory.
  const tolerances = { value: 1e-5, step: 1e-5, gradient: 1e-3 }
  return leastSquares(value, initial, { bounds, jacobian, tolerances })
}

/** A learner who is unlike the average. */
export const learner = [
  0.5, 2, 4, 12, 5.5, 0.6, 2.2, 0.03, 1.5, 0.22, 1.1, 1.2, 0.08, 0.35, 1.2, 0.75, 1.5, 0.7, 0.2, 0.1, 0.22,
]

if (process.argv[1]?.endsWith('spaced-repetition.ts')) {
  const cards = simulate(200, learner, 2)
  const others = simulate(2000, learner, 3)
  for (let i = 0; i < 10; i++) fitMemory(cards) // So that the code is compiled.
  const began = performance.now()
  const { point, status, evaluations } = fitMemory(cards)
  const milliseconds = performance.now() - began
  console.log(
    `${cards.flat().length} reviews, ${evaluations.values} evaluations, ${milliseconds.toFixed(0)} ms, ${status.kind}`,
  )
  for (const [name, w] of [
    ['initial', initial],
    ['fitted', point],
    ['true', learner],
  ] as const) {
    console.log(
      name.padEnd(8),
      'log loss',
      logLoss(cards, w).toFixed(4),
      'on other cards',
      logLoss(others, w).toFixed(4),
    )
  }
  console.log([...point].map((weight) => weight.toFixed(3)).join(' '))
}
