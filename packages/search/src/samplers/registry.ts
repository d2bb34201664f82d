import { conformalQuantiles } from './conformal-quantiles.ts'
import { gaussianProcess } from './gaussian-process.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import { tpe } from './tpe.ts'

/** All samplers by name, each as it is made without options; the tests, the benchmark and the command line go through it. */
export const samplers = {
  random: randomSearch,
  conformalQuantiles,
  gaussianProcess,
  tpe,
} satisfies Readonly<Record<string, () => Sampler>>
