import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { bundle, findChromium, withPage } from '../../../tfjs/test/browser/browser.ts'
import { everything } from '../support/sample.ts'
import { registry } from '../support/variants.ts'

const found = findChromium()
if (!found) console.warn('No Chromium (set CHROMIUM to its path): the tests on its WebGPU are SKIPPED.')

/** One of each kind; where all are tried, every fourth, and one step of a vector of the others: the driver is slow to compile kernels. */
const daily = ['adamW', 'scheduleFreeAdamW']
const all = registry.map(({ definition }) => definition.name)
const names = all.filter((name, place) => daily.includes(name) || (everything && place % 4 === 0))
const others = everything ? all.filter((name) => !names.includes(name)) : []

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
      const ofModel = await page.evaluate((chosen) => globalThis.checkOnWebgpu(chosen, 3, false), names)
      const ofVector = await page.evaluate((chosen) => globalThis.checkOnWebgpu(chosen, 1, true), others)
      return { ...ofModel, ...ofVector }
    })
    expect(differences).toEqual(Object.fromEntries([...names, ...others].map((name) => [name, []])))
  }, 300_000)
})
