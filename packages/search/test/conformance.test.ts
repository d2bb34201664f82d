import { describe, test } from 'vitest'
import { type Pruner, pruners, type Sampler, samplers } from '../src/index.ts'
import { testPruner, testSampler } from '../src/testing/index.ts'
import { small } from './support/small.ts'

describe.each(Object.entries(samplers))('the sampler %s', (_, make) =>
  testSampler(() => (make as (options: object) => Sampler)(small), test),
)
describe.each(Object.entries(pruners))('the pruner %s', (_, make) => testPruner(make as () => Pruner, test))
