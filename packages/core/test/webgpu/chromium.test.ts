import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bundle, findChromium, withPage } from '../../../tfjs/test/browser/browser.ts'
import { everything } from '../support/sample.ts'
import { registry } from '../support/variants.ts'

const found = findChromium()
if (!found) console.warn('No Chromium (set CHROMIUM to its path): the tests on its WebGPU are SKIPPED.')

/** One of each kind; all are tried in Node, on the same driver in software, which is slow to compile kernels. */
const daily = ['adamW', 'scheduleFreeAdamW']
const names = registry
  .map(({ definition }) => definition.name)
  .filter((name, place) => daily.includes(name) || (everything && place % 4 === 0))

describe.runIf(found)('in headless Chromium', () => {
  it('optimizers give on WebGPU what the reference gives', async () => {
    const files = {
      '/': {
        type: 'text/html',
        // What decides in Node how many tests are run asks for it.
        text: '<!doctype html><meta charset="utf-8"><script>globalThis.process = { env: {} }</script><script type="module" src="/page.js"></script>',
      },
      '/page.js': {
        type: 'text/javascript',
        text: await bundle(fileURLToPath(new URL('page.ts', import.meta.url))),
      },
    }
    const differences = await withPage(files, async (page, address) => {
      await page.goto(address)
      await page.waitForFunction(() => typeof globalThis.checkOnWebgpu === 'function')
      return page.evaluate((chosen) => globalThis.checkOnWebgpu(chosen, 3), names)
    })
    expect(differences).toEqual(Object.fromEntries(names.map((name) => [name, []])))
  }, 300_000)
})
