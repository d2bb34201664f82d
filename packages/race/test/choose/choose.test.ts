import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  ChooseInterrupted,
  type ChooseOptions,
  type ChooseResults,
  type Contender,
  choose,
  defineTask,
} from '@fallline/race'
import { adamW, defineOptimizer, type HyperValue, inputArray, logUniform, nonNegative, sgd } from 'fallline'
import { afterAll, describe, expect, it } from 'vitest'
import { chooseWith } from '../../src/choose/choose.ts'
import { sendable } from '../../src/choose/job.ts'
import { renderChooseReport } from '../../src/choose/report.ts'
import { gradientsSpent } from '../../src/choose/results.ts'
import { contenderNamed } from '../../src/command/names.ts'
import { type ContenderLike, enter } from '../../src/training/contenders.ts'
import { smallParts } from '../fixtures/choosing.ts'
import { quadratic } from '../fixtures/quadratic.ts'

const fixture = (name: string) => fileURLToPath(new URL(`../fixtures/${name}.ts`, import.meta.url))
const directory = mkdtempSync(join(tmpdir(), 'fallline-choose-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))
const out = (name: string) => join(directory, name)

const task = quadratic('quadratic', 4)
const small: ChooseOptions = { task, optimizers: ['sgd', 'lion', 'adan'], runs: 30, seeds: 6, workers: 0 }
const study = (options: Partial<ChooseOptions> = {}) => chooseWith({ ...small, ...options }, smallParts)

/** What must not depend on who was faster, or on interruptions. */
function comparable(results: ChooseResults) {
  const { runs, decisions, fresh, pick, pickOfBaseline, confirmation, answer, fingerprint } = results
  return {
    runs: runs.map(({ milliseconds, ...run }) => run),
    fresh: fresh?.runs.map(({ milliseconds, ...run }) => run),
    decisions,
    pick,
    pickOfBaseline,
    confirmation,
    sentence: answer?.sentence,
    code: answer?.code,
    fingerprint,
  }
}

describe('choose', () => {
  it('compares its pick with the baseline on fresh seeds and says what to use', async () => {
    const results = await study()
    const { answer, fresh, protocol, candidates, pick, pickOfBaseline, decisions } = results
    expect(results.complete).toBe(true)
    expect(candidates[pickOfBaseline!]!.group).toBe('adamW')
    expect(fresh!.runs).toHaveLength(pick === pickOfBaseline ? 6 : 12)
    expect(fresh!.runs.every(({ state, test }) => state.outcome === 'finished' && test !== null)).toBe(true)
    expect(protocol.freshSeeds).toHaveLength(6)
    expect(protocol.studySeeds.filter((seed) => protocol.freshSeeds.includes(seed))).toEqual([])
    expect(decisions.map(({ stage }) => stage)).toContain('rung 2 of 3')
    expect(answer!.sentence).toMatch(/^(Use|Stay with) .* with learning rate /)
    expect(answer!.code!.code!.fallline).toContain("from 'fallline'")
  })

  it('recommends the pick when it is confirmed and the baseline when it is not', async () => {
    // On a steep bowl a baseline whose only settings are far too small cannot win.
    const slow: Contender = { name: 'slow', optimizer: sgd, search: { learningRate: logUniform(1e-6, 2e-6) } }
    const parts = { ...smallParts }
    const options = { optimizers: ['lion', slow], baseline: 'slow' }
    const confirmed = await chooseWith({ ...small, ...options }, parts)
    expect(confirmed.answer).toMatchObject({ outcome: 'confirmed', recommended: confirmed.pick })
    expect(confirmed.answer!.sentence).toMatch(
      /^Use Lion with learning rate .* On this task it ended at .* where slow with learning rate .*, tuned as well as the budget allowed, ended at .*better in 6 of 6; p = 0\.016\)\.$/,
    )
    expect(confirmed.answer!.remarks.join('\n')).toMatch(
      /Lion was at .* where slow ended after 60 gradients, after \d+\./,
    )
    const doubtful = { ...parts, confirm: () => ({ ...confirmed.confirmation!, p: 0.3, confirmed: false }) }
    const refused = await chooseWith({ ...small, ...options }, doubtful)
    expect(refused.answer).toMatchObject({ outcome: 'not confirmed', recommended: refused.pickOfBaseline })
    expect(refused.answer!.sentence).toMatch(
      /^Stay with slow .* Lion .* looked better while choosing, but fresh runs do not show it at 5 %/,
    )
    expect(refused.answer!.code!.code!.fallline).toContain('sgd(')
  })

  it('counts everything within its budget', async () => {
    const results = await study()
    const { choosing, confirmation } = gradientsSpent(results)
    expect(results.protocol.split).toEqual({ choosing: 18, confirmation: 12 })
    expect(choosing).toBeLessThanOrEqual(18 * 60)
    expect(confirmation).toBe(results.fresh!.runs.length * 60)
    // A paused run goes on where it was: nothing is computed twice.
    for (const { spent, state } of results.runs) expect(spent).toBe(state.gradients)
  })

  it('gives an optimizer that computes two gradients a step half as many steps', async () => {
    const results = await study({ optimizers: ['sgd', { name: 'twice', optimizer: twice, search: rate }] })
    const contender = results.contenders.find(({ name }) => name === 'twice')
    expect(contender).toMatchObject({ gradientsPerStep: 2, steps: 30 })
    const whole = results.runs.filter(
      ({ candidate, state }) => results.candidates[candidate]!.group === 'twice' && state.outcome === 'finished',
    )
    for (const { state } of whole) expect([state.step, state.gradients]).toEqual([30, 60])
  })

  it('gives the same answer for any number of workers', async () => {
    const path = fixture('quadratic')
    const alone = await study({ task: path })
    const two = await study({ task: path, workers: 2 })
    expect(comparable(two)).toEqual(comparable(alone))
  })

  it('gives the same answer after an interruption at any point, and loses no run that had ended', async () => {
    const whole = comparable(await study({ out: out('whole') }))
    const controller = { current: new AbortController() }
    let told = 0
    let interruptions = 0
    for (;;) {
      controller.current = new AbortController()
      told = 0
      try {
        const results = await study({
          out: out('parts'),
          signal: controller.current.signal,
          onProgress() {
            if (++told === 9 + 4 * interruptions && interruptions < 4) controller.current.abort()
          },
        })
        expect(comparable(results)).toEqual(whole)
        break
      } catch (error) {
        expect(error).toBeInstanceOf(ChooseInterrupted)
        interruptions++
        const kept = JSON.parse(readFileSync(join(out('parts'), 'choose.json'), 'utf8')) as ChooseResults
        expect(kept.complete).toBe(false)
        for (const { checkpoint } of kept.runs) {
          if (checkpoint !== null) expect(existsSync(join(out('parts'), 'checkpoints', checkpoint))).toBe(true)
        }
      }
    }
    expect(interruptions).toBeGreaterThanOrEqual(3)
  })

  it('trains a run anew whose checkpoint is gone, and counts it', async () => {
    const whole = await study({ out: out('complete') })
    const controller = new AbortController()
    const interrupted = study({
      out: out('lost'),
      signal: controller.signal,
      onProgress: ({ stage }) => stage === 'rung 2 of 3' && controller.abort(),
    })
    await expect(interrupted).rejects.toThrow(ChooseInterrupted)
    const folder = join(out('lost'), 'checkpoints')
    expect(readdirSync(folder).length).toBeGreaterThan(4)
    for (const name of readdirSync(folder)) rmSync(join(folder, name))
    const results = await study({ out: out('lost') })
    expect(results.pick).toBe(whole.pick)
    expect(results.fresh!.runs.map(({ validation }) => validation)).toEqual(
      whole.fresh!.runs.map(({ validation }) => validation),
    )
    expect(gradientsSpent(results).choosing).toBeGreaterThan(gradientsSpent(whole).choosing)
  })

  it('continues a finished study with more runs and keeps what was run', async () => {
    const first = await study({ out: out('more') })
    const second = await study({ out: out('more'), more: 20 })
    expect(second.protocol).toMatchObject({ runs: 50, added: [20] })
    expect(second.earlier).toHaveLength(1)
    expect(second.earlier[0]!.fresh).toEqual(first.fresh)
    const seeds = ({ fresh }: { fresh: ChooseResults['fresh'] }) => [...new Set(fresh!.runs.map(({ seed }) => seed))]
    expect(seeds(second).filter((seed) => seeds(first).includes(seed))).toEqual([])
    for (const before of first.runs) {
      const after = second.runs.find(({ candidate, seed }) => candidate === before.candidate && seed === before.seed)!
      expect(after.spent).toBe(after.state.gradients)
      const { validation } = before.state.curve
      expect(after.state.curve.validation.slice(0, validation.length)).toEqual(validation)
    }
    expect(await study({ out: out('more') })).toMatchObject({ protocol: { runs: 50 }, complete: true })
  })

  it('lists who cannot be fed and who throws, and goes on without them', async () => {
    const results = await study({
      optimizers: [
        'sgd',
        { name: 'needy', optimizer: needy, search: rate },
        { name: 'refusing', optimizer: refuse, search: rate },
        { name: 'late', optimizer: late, search: rate },
      ],
    })
    const reasons = Object.fromEntries(results.excluded.map(({ name, reason }) => [name, reason]))
    expect(reasons).toEqual({
      needy: "not raced: tasks do not give the input 'weather'",
      refusing: 'this optimizer <b>refuses</b>',
    })
    expect(results.excluded.find(({ name }) => name === 'refusing')!.stack).toContain('choose.test.ts')
    const ofLate = results.runs.filter(({ candidate }) => results.candidates[candidate]!.group === 'late')
    expect(ofLate.length).toBeGreaterThan(0)
    for (const { state } of ofLate) {
      expect(state).toMatchObject({ outcome: 'failed', message: 'no second making' })
      expect(state.stack).toContain('choose.test.ts')
    }
    expect(results.candidates[results.pick!]!.group).not.toBe('late')
    const report = renderChooseReport(results)
    expect(report).toContain('not raced: tasks do not give the input &#39;weather&#39;')
    expect(report).toContain('this optimizer &lt;b&gt;refuses&lt;/b&gt;')
    expect(report).not.toContain('<b>refuses')
    expect(report).toContain('no second making')
  })

  it('says that nothing finished', async () => {
    const broken = defineTask({ ...task, name: 'broken', metric: () => Number.NaN })
    const results = await study({ task: broken })
    expect(results.answer).toMatchObject({ outcome: 'nothing finished', recommended: null, code: null })
    expect(renderChooseReport(results)).toContain('Nothing can be recommended')
  })

  it('skips steps that are not finite when it is told to', async () => {
    const rough = defineTask({
      ...task,
      name: 'rough',
      gradient(parameters, gradients, batch) {
        const loss = task.gradient(parameters, gradients, batch)
        if (batch.step === 7) gradients.x![0] = Number.NaN
        return loss
      },
    })
    expect((await study({ task: rough })).answer!.outcome).toBe('nothing finished')
    const skipping = await study({ task: rough, nonFinite: 'skip' })
    expect(skipping.answer!.outcome).not.toBe('nothing finished')
    expect(skipping.fresh!.runs.map(({ state }) => state.skipped)).toEqual(skipping.fresh!.runs.map(() => 1))
  })

  it('turns minutes into runs and says how', async () => {
    const results = await study({ minutes: 0.1, runs: undefined as never })
    expect(results.protocol.speed).toMatch(
      /were trained for 10 % of a run each: .* gradients a second on 1 thread, so \d+ full runs/,
    )
    expect(results.protocol.runs).toBeGreaterThan(14)
    await expect(study({ minutes: 1e-6, runs: undefined as never })).rejects.toThrow('give more minutes')
  })

  it('chooses with the parts it comes with, wrappers among the contenders, on worker threads', async () => {
    const results = await choose({
      task: fixture('quadratic'),
      optimizers: ['adamW', 'lion', contenderNamed('cautious(lion)'), 'prodigy'],
      runs: 26,
      workers: 2,
      steps: 30,
    })
    expect(results.complete).toBe(true)
    expect(results.answer!.outcome).not.toBe('nothing finished')
    expect(results.contenders.map(({ name }) => name)).toEqual(['adamW', 'lion', 'cautious(lion)', 'prodigy'])
    expect(results.confirmation?.test ?? "Wilcoxon's").toContain('Wilcoxon')
  })

  it('sends to worker threads what makes the same optimizer there, and nothing else', () => {
    const sent = (given: ContenderLike) =>
      sendable({ entry: enter([given])[0]!, given }, [own], { learningRate: 0.01 }, 10)
    const own: Contender = { name: 'own', optimizer: late, search: rate }
    expect(sent('lion')).toMatchObject({ expression: 'lion' })
    expect(sent(contenderNamed('cautious(lion)'))).toMatchObject({ expression: 'cautious(lion)' })
    expect(sent(own)).toMatchObject({ expression: 'own' })
    expect(sent(twice)).toBeNull()
    const pretends = (hyper: Record<string, HyperValue>) => adamW({ ...hyper, amsgrad: true })
    expect(sent({ name: 'adamW', optimizer: pretends, search: rate })).toBeNull()
  })

  it.each([
    [{ runs: 5 }, 'runs is 5; with 6 fresh seeds'],
    [{ runs: 30, minutes: 3 }, 'runs and minutes are both given'],
    [{ minutes: -1, runs: undefined as never }, 'minutes is -1; it must be a number above 0'],
    [{ seeds: 0 }, 'seeds is 0'],
    [{ workers: -1 }, 'workers is -1'],
    [{ nonFinite: 'ignore' as never }, "nonFinite is 'ignore'"],
    [{ more: 20 }, 'give it as out'],
    [{ more: 20, out: out('none') }, 'there is none in'],
    [{ optimizers: ['adamX'] }, 'adamX'],
    [{ baseline: 'adamX' }, 'adamX'],
  ] as const)('refuses %j', async (options, message) => {
    await expect(study(options)).rejects.toThrow(message)
  })

  it('starts over for other settings, and keeps the study that was there', async () => {
    const first = await study({ out: out('other') })
    const second = await study({ out: out('other'), seed: 2 })
    expect(second.protocol.studySeeds).not.toEqual(first.protocol.studySeeds)
    const previous = JSON.parse(readFileSync(join(out('other'), 'choose.previous.json'), 'utf8')) as ChooseResults
    expect(previous.protocol.seed).toBe(1)
    writeFileSync(join(out('other'), 'choose.json'), '{ "format"')
    expect((await study({ out: out('other') })).protocol.seed).toBe(1)
  })
})

describe('the report', () => {
  it('begins with sentence, code and plain numbers, needs no script and no network, and escapes names', async () => {
    const named = defineTask({ ...task, title: 'A <script>alert(1)</script> & more', metricName: 'a < b' })
    const results = await study({ task: named })
    const report = renderChooseReport(results)
    expect(report).toMatch(/^<!doctype html>/)
    expect(report).not.toContain('<script')
    expect(report).toContain('A &lt;script&gt;alert(1)&lt;/script&gt; &amp; more')
    expect(report).not.toMatch(/(src|href)="(?!https:\/\/arxiv\.org|https:\/\/)/)
    const order = [
      'id="answer"',
      'class="figures"',
      '<pre>',
      'The same in TensorFlow.js',
      'id="curves"',
      'id="standing"',
    ]
    const places = order.map((text) => report.indexOf(text))
    expect(places.every((place) => place > 0)).toBe(true)
    expect(places).toEqual([...places].sort((a, b) => a - b))
    expect(report).toContain('dropped at rung 1 of 3')
    for (const { title } of results.contenders) expect(report).toContain(title)
  })

  it('of the whole registry stays below 1 MB', async () => {
    const { optimizers, ...rest } = small
    const results = await chooseWith({ ...rest, runs: 180, steps: 20, workers: 0 }, smallParts)
    expect(results.contenders.length + results.excluded.length).toBeGreaterThan(100)
    expect(new Set(results.runs.map(({ candidate }) => results.candidates[candidate]!.group)).size).toBeGreaterThan(90)
    expect(Buffer.byteLength(renderChooseReport(results))).toBeLessThan(1_000_000)
  })
})

const rate = { learningRate: logUniform(1e-3, 1e-1) }
const paper = { title: 'None', authors: 'Nobody', year: 2026 }

const twice = defineOptimizer({
  name: 'twice',
  title: 'Twice',
  paper,
  hyper: { learningRate: nonNegative(0.01) },
  state: {},
  decay: 'decoupled',
  search: rate,
  evaluations: () => [
    { wants: ['gradient'] },
    { wants: ['gradient'], at: ({ p, g }) => ({ parameter: p.plus(g.times(0.01)) }) },
  ],
  origin: ({ p }) => p,
  rule: ({ g }) => ({ direction: g }),
})

const needy = defineOptimizer({
  name: 'needy',
  title: 'Needy',
  paper,
  hyper: { learningRate: nonNegative(0.01) },
  state: {},
  inputs: { weather: inputArray('what the weather is') },
  decay: 'decoupled',
  search: rate,
  rule: ({ g, inputs }) => ({ direction: g.times(inputs.weather) }),
})

const refuse: Contender['optimizer'] = () => {
  throw new Error('this optimizer <b>refuses</b>')
}

let made = 0
/** Works while it is looked at, and never again. */
const late: Contender['optimizer'] = (hyper: Record<string, HyperValue>) => {
  if (++made > 1) throw new Error('no second making')
  return adamW(hyper)
}
