/** What other libraries call it. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  alpha: ['learningRate'],
  b1: ['beta1'],
  b2: ['beta2'],
  betas: ['beta1', 'beta2'],
  clipnorm: ['maximumNorm'],
  decay_rate: ['decay'],
  eps: ['epsilon'],
  eta: ['learningRate'],
  learning_rate: ['learningRate'],
  lr: ['learningRate'],
  max_norm: ['maximumNorm'],
  momentum: ['momentum', 'beta1', 'beta', 'mu'],
  rate: ['learningRate'],
  stepSize: ['learningRate'],
  total: ['steps'],
  wd: ['weightDecay'],
  weight_decay: ['weightDecay'],
}

/** How many letters must change, be added or left out to make one text of the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}

/**
 * @internal the end of an error message about an unknown name: what was probably meant, or nothing.
 */
export function didYouMean(name: string, known: readonly string[]): string {
  const translated = (Object.hasOwn(otherNames, name) ? otherNames[name]! : []).filter((other) => known.includes(other))
  const meant = name === 'betas' ? translated : translated.slice(0, 1)
  const near = known
    .map((other) => ({ other, far: distance(name.toLowerCase(), other.toLowerCase()) }))
    .filter(({ other, far }) => far <= Math.max(1, Math.floor(Math.min(name.length, other.length) / 2)))
    .sort((a, b) => a.far - b.far)
  const names = meant.length > 0 ? meant : near.slice(0, 1).map(({ other }) => other)
  return names.length === 0 ? '' : `; did you mean ${names.map((other) => `'${other}'`).join(' and ')}?`
}
