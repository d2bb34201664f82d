import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { everything } from './support/everything.ts'
import { hasPostgres, type Server, startServer } from './support/server.ts'

const example = fileURLToPath(new URL('../../../examples/cluster.ts', import.meta.url))

describe.runIf(everything && hasPostgres)('the example of a cluster', () => {
  let server: Server
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server.stop())

  test('survives losing two of four processes', async () => {
    const node = ['--import', 'tsx', '--conditions=@fallline/source', example, await server.database()]
    const { stdout } = await promisify(execFile)(process.execPath, node)
    const [killed, results, taken] = stdout.trim().split('\n')
    const [, before] = /^two of four are killed after (\d+) results$/.exec(killed!)!
    expect(Number(before)).toBeGreaterThan(0)
    expect(results).toBe(`60 results, ${before} of ${before} earlier ones kept`)
    expect(taken).toMatch(/^taken over: [0-2]; best \d/)
  })
})
