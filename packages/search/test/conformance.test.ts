import { describe, test } from 'vitest'
import { type Pruner, pruners, type Sampler, samplers } from '../src/index.ts'
import { testPruner, testSampler } from '../src/testing/index.ts'
import { everything } from './support/everything.ts'

/** For the samplers that fit models: to few trials, which takes little time; the others do not know these options. */
const small = everything ? {} : { largest: 12, paths: 16 }

describe.each(Object.entries(samplers))('the sampler %s', (_, make) =>
  testSampler(() => (make as (options: object) => Sampler)(small), test),
)
describe.each(Object.entries(pruners))('the pruner %s', (_, make) => testPruner(make as () => Pruner, test))
