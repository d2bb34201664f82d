import { describe, expect, it } from 'vitest'
import { pageFiles, trainInPage } from '../../../examples/webgpu/serve.ts'
import { findChromium } from '../../tfjs/test/browser/browser.ts'

describe('the page that trains on WebGPU', () => {
  if (!findChromium()) {
    it('is bundled where there is no Chromium', async () => {
      console.log('No Chromium here (set CHROMIUM to its path): the page on WebGPU was bundled, not opened.')
      expect((await pageFiles())['/worker.js']!.text).toContain('Fallline')
    })
    return
  }

  it('trains on both devices from the same start to the same loss', async () => {
    const { notice, webgpu, wasm } = await trainInPage({ schedule: 'warmupCosine', wrapper: 'cautious', steps: '12' })
    expect(notice).toBe('')
    for (const { state, loss, time } of [webgpu, wasm]) {
      expect(state).toBe('Done.')
      expect(Number(loss)).toBeLessThan(2.3)
      expect(time).toMatch(/^\d+\.\d ms$/)
    }
    expect(Math.abs(Number(webgpu.loss) - Number(wasm.loss))).toBeLessThan(0.01)
  })

  it('says that there is no WebGPU and goes on without it', async () => {
    const { notice, webgpu, wasm } = await trainInPage({ task: 'characters', steps: '3' }, { gpu: false })
    expect(notice).toBe('This browser has no WebGPU: training goes on WebAssembly alone.')
    expect(webgpu.loss).toBe('')
    expect(wasm.state).toBe('Done.')
    expect(Number(wasm.loss)).toBeLessThan(3.6)
  })

  it('shows why an optimizer cannot train', async () => {
    const { wasm } = await trainInPage({ optimizer: 'multiAdam', steps: '1' }, { gpu: false })
    expect(wasm.state).toMatch(/^Failed: .* needs 'gradientOfLoss1'/)
  })
})
