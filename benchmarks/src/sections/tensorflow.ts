import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { adamW } from '@fallline/tfjs'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { bundle, findChromium, withPage } from '../../../packages/tfjs/test/browser/browser.ts'
import { type Contender, contender, measure, messageOf } from '../measure.ts'
import { type Summary, speedRatio, summarize } from '../statistics.ts'
import { gradientScale, parameterScale } from '../values.ts'

/** The update of a network on one backend of TensorFlow.js: AdamW of Fallline beside TensorFlow.js's own Adam. */
export interface TensorflowResult {
  backend: string
  /** How Fallline ran: its kernel, packed programs, or operations. */
  execution?: string | undefined
  /** Seconds of one update. */
  ours?: Summary
  theirs?: Summary
  ratio?: Summary
  error?: string
}

/** A network of 784, 128 and 10 units: 101,770 parameters in four variables. */
const shapes = [[784, 128], [128], [128, 10], [10]] as const

function makeContender(name: string, optimizer: tf.Optimizer): Contender {
  const variables = shapes.map((shape, index) =>
    tf.tidy(() => tf.variable(tf.randomUniform([...shape], -parameterScale, parameterScale, 'float32', index))),
  )
  const gradients = Object.fromEntries(
    variables.map((variable, index) => [
      variable.name,
      tf.randomUniform(variable.shape, -gradientScale, gradientScale, 'float32', 10 + index),
    ]),
  )
  // As fit calls it.
  const step = () => tf.tidy(() => optimizer.applyGradients(gradients as never))
  return contender(name, step, () => {
    optimizer.dispose()
    tf.dispose([variables, gradients])
  })
}

async function measureHere(backend: string): Promise<TensorflowResult> {
  await tf.setBackend(backend)
  const own = adamW({ learningRate: 1e-3, weightDecay: 0 })
  const contenders = [makeContender('ours', own), makeContender('theirs', tf.train.adam(1e-3))]
  const { measurements, failures } = await measure(contenders, { seconds: 4 })
  const { execution } = own
  for (const { dispose } of contenders) dispose?.()
  const [ours, theirs] = [measurements.get('ours'), measurements.get('theirs')]
  if (!ours || !theirs) return { backend, error: [...failures.values()].join('; ') }
  return { backend, execution, ours: ours.step, theirs: theirs.step, ratio: speedRatio(ours.rounds, theirs.rounds) }
}

async function measureInPage(backends: readonly string[]): Promise<TensorflowResult[]> {
  if (!findChromium()) return backends.map((backend) => ({ backend, error: 'no Chromium here; CHROMIUM says where' }))
  const entry = new URL('../../../packages/tfjs/test/browser/page.ts', import.meta.url).pathname
  const files = {
    '/': { type: 'text/html', text: '<!doctype html><script type="module" src="/page.js"></script>' },
    '/page.js': { type: 'text/javascript', text: await bundle(entry) },
  }
  return withPage(files, async (page, address) => {
    await page.goto(address)
    await page.waitForFunction(() => typeof globalThis.checkBackends === 'function')
    const reports = await page.evaluate((list) => globalThis.checkBackends(list, [], 15), backends)
    return reports.map(({ backend, execution, ours, theirs, error }) => {
      if (error !== undefined) return { backend: `${backend} in a page`, error: messageOf(error) }
      const seconds = (milliseconds: readonly number[]) => summarize(milliseconds.map((value) => value / 1000))
      const summaries = { ours: seconds(ours), theirs: seconds(theirs), ratio: speedRatio(ours, theirs) }
      return { backend: `${backend} in a page`, execution, ...summaries }
    })
  })
}

/** Updates inside TensorFlow.js: cpu and wasm here, webgl and webgpu in a page of Chromium, where there is one. */
export async function measureTensorflow(progress: (text: string) => void): Promise<TensorflowResult[]> {
  const wasm = createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm')
  setWasmPaths(`${dirname(wasm)}/`)
  tf.enableProdMode()
  const results: TensorflowResult[] = []
  for (const backend of ['wasm', 'cpu']) {
    progress(`TensorFlow.js on ${backend}`)
    results.push(await measureHere(backend).catch((error) => ({ backend, error: messageOf(error) })))
  }
  progress('TensorFlow.js in a page')
  results.push(
    ...(await measureInPage(['wasm', 'webgl', 'webgpu']).catch((error) => [
      { backend: 'page', error: messageOf(error) },
    ])),
  )
  return results
}
