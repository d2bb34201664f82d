import { describe, expect, it } from 'vitest'
import { fixture, inside } from './support/command.ts'

describe('fallline solve', () => {
  it('prints the result of a module and how it ended', async () => {
    const { code, stdout, stderr } = await inside(['solve', fixture('valley-problem')])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^status {6}converged \(\w+\)$/m)
    expect(stdout).toMatch(/^value {7}\d.*$/m)
    expect(stdout).toMatch(/^iterations {2}\d+ in .*s$/m)
    expect(stdout).toMatch(/^evaluations \d+ of the value, \d+ of the gradient or Jacobian$/m)
    expect(stdout).toMatch(/^point {7}\[1, 1\]$/m)
  })

  it('prints JSON for programs', async () => {
    const { code, stdout } = await inside(['solve', fixture('valley-problem'), '--json'])
    expect(code).toBe(0)
    const result = JSON.parse(stdout)
    expect(result).toMatchObject({ status: { kind: 'converged' }, iterations: expect.any(Number) })
    expect(result.point).toEqual([expect.closeTo(1, 6), expect.closeTo(1, 6)])
  })

  it('says in its exit code that there is no solution, and why in words', async () => {
    const { code, stdout } = await inside(['solve', fixture('hopeless-problem')])
    expect(code).toBe(6)
    expect(stdout).toContain('status      failed: bracket: 2 at -1 and 5 at 2 must differ in sign')
  })

  it('stops in time', async () => {
    const { code, stdout } = await inside(['solve', fixture('valley-problem'), '--seconds', '1e-9'])
    expect(code).toBe(6)
    expect(stdout).toContain('stopped by the limit of seconds')
  })

  it('shows where it is on a terminal', async () => {
    const { isTTY } = process.stderr
    process.stderr.isTTY = true
    try {
      const { stderr } = await inside(['solve', fixture('valley-problem')])
      expect(stderr).toContain('iteration 0: value 12.1')
    } finally {
      process.stderr.isTTY = isTTY
    }
  })

  it('names what is wrong with a module', async () => {
    const parameters = [
      [fixture('parabola-study'), /has no default export/],
      [fixture('quadratic'), /not a function|not the result of a solver/],
      ['missing.ts', /is not a file/],
    ] as const
    for (const [module, message] of parameters) {
      expect(await inside(['solve', module])).toMatchObject({ code: 3, stderr: expect.stringMatching(message) })
    }
  })
})
