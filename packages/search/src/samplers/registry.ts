import { gridSearch } from './grid.ts'
import { haltonSearch } from './halton.ts'
import { randomSearch } from './random.ts'
import type { Sampler } from './sampler.ts'
import { sobolSearch } from './sobol.ts'

/** All samplers by name, each as it is made without options; the tests, the benchmark and the command line go through it. */
export const samplers = {
  random: randomSearch,
  sobol: sobolSearch,
  halton: haltonSearch,
  grid: gridSearch,
} satisfies Readonly<Record<string, () => Sampler>>
