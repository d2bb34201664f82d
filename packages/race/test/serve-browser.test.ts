import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { memoryStorage, type Storage, type Study } from '@fallline/search'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findChromium } from '../../tfjs/test/browser/browser.ts'
import { type Served, serve } from '../src/serve/server.ts'
import { renderStudy } from '../src/serve/study-page.ts'
import { interrupted, race } from './support/races.ts'
import { conditional, empty, failing, hostile, markup, several } from './support/shown-studies.ts'

const everything = process.env.FALLLINE_TEST_ALL === '1'
if (!findChromium()) console.warn('No Chromium (set CHROMIUM to its path): what it shows of studies is NOT TESTED.')

const widths = { phone: 390, desktop: 1280 } as const

/** What is drawn every day. */
const daily = ['a study with variants on a phone', 'markup on a desktop', 'a race on a phone']

/** What a page has, as somebody sees it. */
interface Seen {
  readonly headings: readonly string[]
  readonly charts: readonly string[]
  /** Pixels that stand out to the right of the window. */
  readonly tooWide: number
  /** Charts whose texts go beyond them. */
  readonly cut: readonly string[]
  readonly empty: readonly string[]
  readonly text: string
  /** Whether a name was taken for markup. */
  readonly taken: boolean
}

function see(): Seen {
  const isShown = (element: Element) => element.getBoundingClientRect().height > 0
  const charts = [...document.querySelectorAll('figure svg[role=img]')].filter(isShown)
  const labelOf = (chart: Element) => chart.getAttribute('aria-label') ?? ''
  const isCut = (chart: Element) => {
    const { left, right, bottom } = chart.getBoundingClientRect()
    return [...chart.querySelectorAll('text')].some((text) => {
      const box = text.getBoundingClientRect()
      return box.left < left - 1 || box.right > right + 1 || box.bottom > bottom + 1
    })
  }
  return {
    headings: [...document.querySelectorAll('h1, h2')].filter(isShown).map((heading) => heading.textContent ?? ''),
    charts: charts.map(labelOf),
    tooWide: document.documentElement.scrollWidth - window.innerWidth,
    cut: charts.filter(isCut).map(labelOf),
    empty: charts.filter((chart) => !chart.querySelector('circle, path, rect')).map(labelOf),
    text: document.body.innerText,
    taken: 'taken' in window || document.querySelector('img') !== null,
  }
}

describe.runIf(findChromium())('studies and races in Chromium', () => {
  const folder = mkdtempSync(join(tmpdir(), 'fallline-shown-'))
  const storage: Storage = memoryStorage()
  let browser: Browser
  let served: Served
  let study: Study<unknown>

  beforeAll(async () => {
    await hostile(storage)
    study = (await conditional(storage, everything ? 200 : 50)) as Study<unknown>
    if (everything) await several(storage)
    await empty(storage)
    await failing(storage)
    await interrupted(join(folder, 'under way'), everything ? 11 : 4)
    if (everything) await race(join(folder, 'done'))
    served = await serve({ storage, races: folder, every: 20 })
    browser = await chromium.launch({ executablePath: findChromium()!, headless: true, args: ['--no-sandbox'] })
  })

  afterAll(async () => {
    await browser?.close()
    await served?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  const open = async (address: string, width: number): Promise<Page> => {
    const page = await browser.newPage({ viewport: { width, height: 900 } })
    page.on('pageerror', (error) => expect.unreachable(String(error)))
    await page.goto(address)
    return page
  }
  const addressOf = (name: string) => new URL(`studies/${encodeURIComponent(name)}`, served.url).href
  const raceOf = (name: string) => new URL(`races/${encodeURIComponent(name)}`, served.url).href

  const expected: readonly (readonly [
    what: string,
    address: () => string,
    headings: readonly string[],
    charts: number,
  ])[] = [
    ['all', () => served.url, ['Studies and races', 'Studies', 'Races'], 0],
    [
      'a study with variants',
      () => addressOf('conditional network'),
      ['conditional network', 'validation loss', 'Curves', 'Importance', 'Parameters', 'Workers', 'Trials'],
      14,
    ],
    [
      'two objectives',
      () => addressOf('suspension'),
      ['suspension', 'Front', 'travel in m', 'Parameters', 'Trials'],
      10,
    ],
    ['markup', () => addressOf(markup), [markup, 'Curves', 'Importance', 'Parameters', 'Workers', 'Trials'], 7],
    ['an empty study', () => addressOf('empty'), ['empty', 'value', 'Parameters', 'Trials'], 0],
    ['failures alone', () => addressOf('failing'), ['failing', 'Worth a look', 'Workers', 'Trials'], 1],
    ['a race', () => raceOf('under way'), ['Contenders so far', 'Curves', 'Tuning'], 2],
    ...(everything
      ? [['a race that is done', () => raceOf('done'), ['Standings', 'Loss curves', 'All runs'], 5] as const]
      : []),
  ]
  for (const [device, width] of Object.entries(widths)) {
    for (const [what, address, headings, charts] of expected) {
      if (!everything && !daily.includes(`${what} on a ${device}`)) continue
      it(`draws every section of ${what} on a ${device}`, async () => {
        const page = await open(address(), width)
        const seen = await page.evaluate(see)
        expect(seen.headings).toEqual(expect.arrayContaining([...headings]))
        expect(seen.charts.length).toBeGreaterThanOrEqual(charts)
        expect(seen).toMatchObject({ tooWide: 0, cut: [], empty: [], taken: false })
        // A number that nobody rounded.
        expect(seen.text.match(/\d\.\d{9,}/g)).toBeNull()
        await page.close()
      })
    }
  }

  it('shows a trial that is told while the page is open, and leaves open what was opened', async () => {
    const page = await open(addressOf('conditional network'), widths.desktop)
    await page.waitForFunction(() => document.querySelector('#live')?.textContent?.startsWith('Live'))
    await page.evaluate(() => {
      Object.assign(window, { isTheSame: true })
      document.querySelector('details')!.open = true
    })
    await study.enqueue((await study.trial(0)).parameters)
    const trial = await study.ask()
    await study.tell(trial, { values: 0.001234, constraints: { megabytes: -1 } })
    await page.waitForFunction(() => document.querySelector('.verdict')?.textContent?.includes('0.001234'))
    expect(await page.evaluate(() => 'isTheSame' in window && document.querySelector('details')!.open)).toBe(true)
    await page.close()
  })

  it.runIf(everything)('goes on with a race that is under way, and says when the server has gone', async () => {
    const own = await serve({ races: folder, every: 20 })
    const page = await open(new URL('races/under%20way', own.url).href, widths.phone)
    expect(await page.innerText('.verdict')).toContain('of 27 runs are done')
    await interrupted(join(folder, 'under way'), 20)
    await page.waitForFunction(() => /(19|20|21) of 27/.test(document.querySelector('.verdict')!.textContent!))
    await own.close()
    await page.waitForFunction(() => document.querySelector('#live')!.textContent!.startsWith('Not live'))
    await page.close()
  })

  it('shows the same from a file without a server', async () => {
    const file = join(folder, 'exported.html')
    const name = everything ? 'suspension' : 'failing'
    const shown = { record: (await storage.find(name))!, trials: (await storage.changes(name, 0)).trials }
    writeFileSync(file, await renderStudy(shown, Date.now()))
    const [fromFile, fromServer] = await Promise.all(
      [pathToFileURL(file).href, addressOf(name)].map(async (address) => {
        const page = await open(address, widths.phone)
        const seen = await page.evaluate(see)
        const content = await page.innerHTML('#content')
        await page.close()
        return { ...seen, content, text: '' }
      }),
    )
    expect(fromFile).toEqual(fromServer)
  })

  it.runIf(everything)('takes changes where it is told to, and they appear', async () => {
    const writable = await serve({ storage, writable: true, every: 20 })
    expect(writable.url).toMatch(/\?token=/)
    const address = new URL(writable.url)
    address.pathname = '/studies/empty'
    const page = await open(address.href, widths.phone)
    const section = (summary: string) => page.locator('details', { hasText: summary })
    await section('Write a note').locator('summary').click()
    await page.fill('input[name=name]', 'why')
    await page.fill('input[name=text]', '<b>to see</b>')
    await section('Write a note').locator('button').click()
    await page.waitForFunction(() => document.querySelector('#content')?.textContent?.includes('<b>to see</b>'))
    await section('Try parameters of your own').locator('summary').click()
    await page.fill('input[name="parameter 0"]', '0.01')
    await page.fill('input[name="parameter 1"]', '2')
    await page.fill('input[name="parameter 2"]', '32')
    await page.fill('input[name="parameter 5"]', '0.5')
    await page.selectOption('select[name="parameter 6"]', { label: 'true' })
    await section('Try parameters of your own').locator('button').click()
    await page.waitForFunction(() => document.querySelector('#content')?.textContent?.includes('1 waiting'))
    expect((await storage.changes('empty', 0)).trials[0]).toMatchObject({
      state: 'waiting',
      parameters: {
        learningRate: 0.01,
        optimizer: 'sgd',
        'optimizer.sgd.momentum': 0.5,
        'optimizer.sgd.nesterov': true,
      },
    })
    await page.close()
    await writable.close()
  })
})
