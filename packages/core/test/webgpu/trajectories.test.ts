import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { readGolden } from '../../golden/files.ts'
import { drivers } from '../../golden/mappings/drivers.ts'
import { passes, replayFile } from '../../golden/replay.ts'
import { formatReport } from '../../golden/report.ts'
import { everything } from '../support/sample.ts'
import { hasWebgpu } from '../support/webgpu.ts'

const data = fileURLToPath(new URL('../golden-data/', import.meta.url))

/** Whose kernels a driver that computes in software compiles quickly. */
const daily = ['accsgd', 'adabelief', 'adan', 'lion', 'torch_adamw']

describe.runIf(hasWebgpu)('trajectories of the reference implementations on WebGPU', async () => {
  const names = (await readdir(data)).sort().filter((name, place) => {
    const optimizer = name.replace('.json.gz', '')
    return !Object.hasOwn(drivers, optimizer) && (daily.includes(optimizer) || (everything && place % 4 === 0))
  })

  // One run of each, for the same reason.
  it.each(names)('%s', async (name) => {
    const file = (await readGolden(join(data, name)))!
    const results = await replayFile({ ...file, runs: file.runs.slice(0, 1) }, ['webgpu'])
    expect(results.filter((result) => !passes(result)).map((result) => formatReport([result], ['webgpu']))).toEqual([])
  })
})
