import { bestOf } from '@fallline/search'
import { plannedRuns, runsInPlay } from '../analysis.ts'
import { formatNumber } from '../report/format.ts'
import { type Html, html } from '../report/html.ts'
import { table } from '../report/parts.ts'
import { fingerprintOf } from '../store.ts'
import type { RaceReader } from './race-reader.ts'
import type { Source } from './source.ts'
import type { Shown, StudyReader } from './study-reader.ts'

/** All studies and races. `query` stands behind every link. */
export function listSource(studies: StudyReader | null, races: RaceReader | null, query: string): Source {
  const link = (kind: 'studies' | 'races', name: string) =>
    html`<a href="/${kind}/${encodeURIComponent(name)}${query}">${name}</a>`
  const shown = async () => {
    const found = await Promise.all(((await studies?.names()) ?? []).map((name) => studies!.read(name)))
    return found.filter((study) => study !== null)
  }
  return {
    title: 'Studies and races',
    header: html`<p class="soft">Fallline</p><h1>Studies and races</h1>`,
    footer: null,
    data: null,
    async version() {
      const names = (await races?.names()) ?? []
      const ofRaces = await Promise.all(names.map(async (name) => [name, await races!.version(name)]))
      return fingerprintOf([(await shown()).map(({ record, version }) => [record.name, version]), ofRaces])
    },
    async content() {
      return html`${studyList(await shown(), (name) => link('studies', name))}${
        races && (await raceList(races, (name) => link('races', name)))
      }`
    },
  }
}

function studyList(shown: readonly Shown[], link: (name: string) => Html): Html {
  if (shown.length === 0) {
    return html`<h2>Studies</h2><p>There is no study here yet: <code>fallline study optimize module.ts --trials 100</code> begins one.</p>`
  }
  const rows = shown.map(({ record, trials }) => {
    const running = trials.filter(({ state }) => state === 'running').length
    const best = record.objectives.length > 1 ? null : bestOf(trials, record.objectives[0]!)
    return [
      link(record.name),
      formatNumber(trials.length),
      formatNumber(running),
      best ? formatNumber(best.value) : '',
      `${record.objectives.map(({ name, direction }) => `${direction} ${name}`).join(', ')}, by ${record.sampler}`,
    ]
  })
  const columns = ['study', 'trials', 'running', 'best', { heading: 'what is sought', words: true }] as const
  return html`<h2>Studies</h2>${table(columns, rows)}`
}

async function raceList(races: RaceReader, link: (name: string) => Html): Promise<Html | null> {
  const names = await races.names()
  if (names.length === 0) return null
  const rows = await Promise.all(
    names.map(async (name) => {
      const results = await races.read(name)
      if (results === null) return [link(name), '', '', 'no results of a race that this version can read']
      const done = runsInPlay(results).length
      const said = results.complete ? results.analysis!.gradients.verdict : `under way: ${results.task.title}`
      return [link(name), formatNumber(results.contenders.length), `${done} of ${plannedRuns(results)}`, said]
    }),
  )
  return html`<h2>Races</h2>${table(['race', 'contenders', 'runs', { heading: 'verdict', words: true }], rows)}`
}
