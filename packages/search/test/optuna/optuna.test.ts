import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { memoryStorage, openStudy, spaceOf } from '../../src/index.ts'
import { importOptuna } from '../../src/optuna.ts'

const directory = mkdtempSync(join(tmpdir(), 'fallline-optuna-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

// Made by optuna-studies.py.
const file = (name: string) => fileURLToPath(new URL(`./${name}`, import.meta.url))

describe.each(['studies.db', 'studies.log'])('%s of Optuna', (name) => {
  test('comes with its spaces, states, values, reports, constraints and attributes', async () => {
    const storage = memoryStorage()
    const imported = await importOptuna(file(name), storage)
    expect(imported).toEqual([
      {
        name: 'conditional',
        trials: 8,
        leftOut: [
          { number: 8, why: 'it was running' },
          { number: 9, why: expect.stringContaining('a value is missing') },
        ],
      },
      { name: 'several', trials: 3, leftOut: [] },
      { name: 'empty', trials: 0, leftOut: [] },
    ])
    const record = (await storage.find('conditional'))!
    expect(record).toMatchObject({
      objectives: [{ name: 'value', direction: 'minimize' }],
      attributes: { who: 'a test' },
    })
    const all = { condition: null }
    expect(record.space.dimensions).toEqual([
      { ...all, name: 'rate', domain: { kind: 'float', minimum: 1e-4, maximum: 1, scale: 'log', step: null } },
      { ...all, name: 'share', domain: { kind: 'float', minimum: 0, maximum: 1, scale: 'linear', step: 0.25 } },
      { ...all, name: 'width', domain: { kind: 'integer', minimum: 16, maximum: 256, scale: 'log', step: 1 } },
      { ...all, name: 'layers', domain: { kind: 'integer', minimum: 1, maximum: 9, scale: 'linear', step: 2 } },
      { ...all, name: 'kind', domain: { kind: 'choice', values: ['sgd', 'adam', 'None', true, 3] } },
      {
        name: 'momentum',
        domain: { kind: 'float', minimum: 0, maximum: 0.99, scale: 'linear', step: null },
        condition: { dimension: 4, value: 'sgd' },
      },
    ])
    const { trials } = await storage.changes('conditional', 0)
    expect(trials.map(({ state }) => state)).toEqual([
      ...['complete', 'complete', 'complete', 'failed', 'pruned', 'complete', 'complete', 'complete'],
    ])
    for (const { number, state, parameters, values, reports, constraints, attributes, startedAt, endedAt } of trials) {
      const { rate, share, width, layers, kind, momentum } = parameters as Record<string, number>
      expect(kind === ('sgd' as unknown)).toBe(momentum !== undefined)
      expect(attributes.optuna).toBe(number)
      expect(endedAt! - startedAt!).toBeGreaterThan(0)
      if (state === 'failed') continue
      const loss = (rate! - 0.1) ** 2 + share! + width! / 256 + layers! + (momentum ?? 0)
      const close = (value: number) => expect.closeTo(value, 12)
      expect(reports).toEqual([
        { step: 1, value: close(loss) },
        { step: 2, value: close(loss / 2) },
      ])
      if (state === 'pruned') continue
      expect(values).toEqual([number === 5 ? Infinity : close(loss)])
      expect(constraints).toEqual({ width: width! - 128 })
      expect(attributes.note).toEqual({ number })
    }
    expect(trials[0]!.parameters).toMatchObject({ rate: 0.5, kind: 'adam' })
    const several = (await storage.find('several'))!
    expect(several.objectives).toEqual([
      { name: 'error', direction: 'minimize' },
      { name: 'speed', direction: 'maximize' },
    ])
    for (const { parameters, values } of (await storage.changes('several', 0)).trials) {
      expect(values).toEqual([expect.closeTo((parameters.x as number) ** 2, 12), parameters.n])
    }
  })

  test('goes on as a study here', async () => {
    const storage = memoryStorage()
    await importOptuna(file(name), storage)
    const { space } = (await storage.find('conditional'))!
    const study = await openStudy({ space: spaceOf(space), storage, name: 'conditional' })
    await study.optimize(({ parameters }) => parameters.rate as number, { trials: 12 })
    expect((await study.best())!.of).toBe(11)
  })
})

describe('what is no file of Optuna', () => {
  const given = (content: string | Uint8Array) => {
    const path = join(directory, 'file')
    writeFileSync(path, content)
    return importOptuna(path, memoryStorage())
  }
  test('is refused with a reason', async () => {
    await expect(importOptuna('nowhere.db', memoryStorage())).rejects.toThrow(/there is no file nowhere.db/)
    await expect(given('number,state\n1,complete\n')).rejects.toThrow(
      /line 1: no JSON, so this is no journal of Optuna/,
    )
    await expect(given('{"trials":[]}\n')).rejects.toThrow(/line 1: has no op_code/)
    await expect(given('{"op_code":77}\n')).rejects.toThrow(/op_code 77 is not known/)
    await expect(given('')).rejects.toThrow(/has no studies/)
    const database = readFileSync(file('studies.db'))
    await expect(given(database.subarray(0, 4096))).rejects.toThrow(/is no database of Optuna/)
    const renamed = Buffer.from(database.toString('latin1').replaceAll('trial_params', 'trial_parans'), 'latin1')
    await expect(given(renamed)).rejects.toThrow(/is no database of Optuna: no such table: trial_params/)
  })

  test('is taken once', async () => {
    const storage = memoryStorage()
    await importOptuna(file('studies.log'), storage)
    await expect(importOptuna(file('studies.db'), storage)).rejects.toThrow(/there is a study 'conditional' already/)
  })

  test('may end in a line that a crash has cut off', async () => {
    const text = readFileSync(file('studies.log'), 'utf8')
    expect(await given(text.slice(0, -5))).toHaveLength(2)
  })
})

test('a parameter whose condition no value tells is asked for', async () => {
  const float = (name: string, value: number) => ({
    op_code: 5,
    param_name: name,
    param_value_internal: value,
    distribution: JSON.stringify({ name: 'UniformDistribution', attributes: { low: 0, high: 1 } }),
  })
  const lines = [
    { op_code: 0, study_name: 'study', directions: [2] },
    ...[0, 1, 2].flatMap((trial) => [
      { op_code: 4, study_id: 0, datetime_start: '2020-01-01T00:00:00' },
      { ...float('x', 0.5), trial_id: trial },
      ...(trial === 1 ? [{ ...float('y', 0.25), trial_id: trial }] : []),
      { op_code: 6, trial_id: trial, state: 1, values: [trial], datetime_complete: '2020-01-01T00:00:01' },
    ]),
  ]
  const path = join(directory, 'journal')
  writeFileSync(path, lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
  const storage = memoryStorage()
  await importOptuna(path, storage)
  const { trials } = await storage.changes('study', 0)
  expect(trials.map(({ parameters }) => parameters)).toEqual([
    { x: 0.5, 'y is used': false },
    { x: 0.5, 'y is used': true, y: 0.25 },
    { x: 0.5, 'y is used': false },
  ])
})
