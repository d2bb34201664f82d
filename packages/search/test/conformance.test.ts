import { describe, test } from 'vitest'
import { everything, meets } from '../../core/test/support/sample.ts'
import { type Pruner, pruners, type Sampler, samplers } from '../src/index.ts'
import { testPruner, testSampler } from '../src/testing/index.ts'
import { small } from './support/small.ts'

// Every day a sampler meets a third of the kit, another one for each; `every.test.ts` tries all of them on what is odd.
describe.each(Object.entries(samplers))('the sampler %s', (name, make) =>
  testSampler(
    () => (make as (options: object) => Sampler)(small),
    (title, body) => test.runIf(meets(title, name, everything, 1 / 3))(title, body),
  ),
)
describe.each(Object.entries(pruners))('the pruner %s', (_, make) => testPruner(make as () => Pruner, test))
