import { describe, test } from 'vitest'
import { type Sampler, samplers } from '../../src/index.ts'
import { checkSampler } from '../support/sampler-properties.ts'

/** A grid ends by itself. */
const all = Object.entries(samplers as Readonly<Record<string, () => Sampler>>).filter(([name]) => name !== 'grid')

describe('bear odd views, are pure and keep plain data', () => {
  test.each(all.filter(([, make]) => !make().needsResource))('%s', (_, make) => checkSampler(make, 1))
  test.each(all.filter(([, make]) => make().severalObjectives))('%s of two objectives', (_, make) =>
    checkSampler(make, 2),
  )
})
