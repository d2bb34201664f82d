import { cmaEs } from './cma-es.ts'
import { lmMaEs } from './lm-ma-es.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'

/** All samplers by name, each as it is made without options; the tests, the benchmark and the command line go through it. */
export const samplers = {
  cmaEs,
  lmMaEs,
  random: randomSearch,
} satisfies Readonly<Record<string, () => Sampler>>
