/**
 * Serves the page that trains on WebGPU and on WebAssembly side by side: `npm run example:webgpu`. With `--screenshots FOLDER` it trains
 * once in headless Chromium at the width of a desktop and of a phone, saves pictures and ends.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { bundle, type Files, findChromium, serve, withPage } from '../../packages/tfjs/test/browser/browser.ts'

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const text = (path: string) => readFile(here(path), 'utf8')
const data = async (name: string) => gunzipSync(await readFile(here(`../../packages/race/data/${name}`))).toString()

/** The files of the page by path. */
export async function pageFiles(): Promise<Files> {
  const [page, worker] = await Promise.all([bundle(here('page.ts')), bundle(here('worker.ts'))])
  return {
    '/': { type: 'text/html', text: await text('index.html') },
    '/page.js': { type: 'text/javascript', text: page },
    '/page.css': { type: 'text/css', text: await text('../../node_modules/uplot/dist/uPlot.min.css') },
    '/worker.js': { type: 'text/javascript', text: worker },
    '/digits.csv': { type: 'text/csv', text: await data('digits.csv.gz') },
    '/moby-dick.txt': { type: 'text/plain', text: await data('moby-dick.txt.gz') },
  }
}

/** What to choose in the form before training. */
export type Chosen = Readonly<Record<string, string>>

/** What the page says of a device at the end. */
export interface Row {
  readonly state: string
  readonly loss: string
  readonly time: string
}

/** Trains once in headless Chromium and gives what the page says at the end. */
export async function trainInPage(
  chosen: Chosen,
  { gpu = true, width = 1100, screenshot }: { gpu?: boolean; width?: number; screenshot?: string } = {},
): Promise<{ notice: string; webgpu: Row; wasm: Row }> {
  return withPage(await pageFiles(), async (page, address) => {
    if (!gpu) await page.addInitScript(() => Object.defineProperty(Navigator.prototype, 'gpu', { value: undefined }))
    await page.setViewportSize({ width, height: 900 })
    await page.goto(address)
    await page.waitForSelector('button:enabled')
    for (const [name, value] of Object.entries(chosen)) {
      const field = page.locator(`[name=${name}]`)
      if ((await field.evaluate((element) => element.tagName)) === 'SELECT') await field.selectOption(value)
      else await field.fill(value)
    }
    await page.click('button')
    await page.waitForFunction(() => document.querySelector('button')!.textContent === 'Train', undefined, {
      timeout: 110_000,
    })
    if (screenshot !== undefined) await page.screenshot({ path: screenshot, fullPage: true })
    const row = async (device: string): Promise<Row> => {
      const cells = ['state', 'loss', 'time'].map(
        async (name) => [name, await page.textContent(`#${device} [data-is=${name}]`)] as const,
      )
      return Object.fromEntries(await Promise.all(cells)) as unknown as Row
    }
    return { notice: (await page.textContent('#notice'))!, webgpu: await row('webgpu'), wasm: await row('wasm') }
  })
}

if (process.argv[1]?.endsWith('serve.ts')) {
  const at = process.argv.indexOf('--screenshots')
  if (at < 0) console.log(`${(await serve(await pageFiles())).address} (Ctrl-C ends it)`)
  else if (findChromium()) {
    for (const [name, width, task] of [
      ['desktop', 1100, 'digits'],
      ['phone', 390, 'characters'],
    ] as const) {
      const screenshot = join(process.argv[at + 1]!, `webgpu-${name}.png`)
      console.log(name, JSON.stringify(await trainInPage({ task, steps: '100' }, { width, screenshot })))
    }
  } else console.log('No Chromium here (set CHROMIUM to its path): no picture was taken.')
}
