/**
 * Adam of JavaScript libraries, one block at a time, in a process of its own: the same requests and answers as python.py, see
 * protocol.ts.
 */
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { performance } from 'node:perf_hooks'
import { createInterface } from 'node:readline'
import { defaultDevice, init } from '@jax-js/jax'
import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm'
import { messageOf } from '../measure.ts'
import { gradientScale, parameterScale } from '../values.ts'
import { adamDefaults, jaxJsAdam, numbers, type Subject } from './jax-js.ts'
import type { Answer, Request } from './protocol.ts'

async function tensorflow(backend: string, shape: readonly number[]): Promise<Subject> {
  const size = shape.reduce((product, length) => product * length, 1)
  const ready = await tf.setBackend(backend)
  if (!ready) throw new Error(`TensorFlow.js has no backend "${backend}" here`)
  const parameter = tf.variable(tf.tensor(numbers(size, parameterScale), [...shape]), true)
  const gradient = tf.tensor(numbers(size, gradientScale), [...shape])
  const { learningRate, beta1, beta2, epsilon } = adamDefaults
  const optimizer = tf.train.adam(learningRate, beta1, beta2, epsilon)
  return {
    async step() {
      if (tf.getBackend() !== backend) await tf.setBackend(backend)
      tf.tidy(() => optimizer.applyGradients([{ name: parameter.name, tensor: gradient }]))
    },
    dispose() {
      optimizer.dispose()
      parameter.dispose()
      gradient.dispose()
    },
  }
}

const require = createRequire(import.meta.url)

async function prepare(): Promise<Record<string, string>> {
  await init('wasm')
  defaultDevice('wasm')
  const wasmFolder = dirname(require.resolve('@tensorflow/tfjs-backend-wasm/package.json'))
  setWasmPaths(`${wasmFolder}/dist/`)
  const jaxManifest: { version: string } = require(`${dirname(dirname(require.resolve('@jax-js/jax')))}/package.json`)
  return { 'jax-js': jaxManifest.version, 'TensorFlow.js': tf.version_core }
}

const subjects = new Map<number, Subject>()

async function respond(request: Request): Promise<Answer> {
  if (request.command === 'create') {
    const { id, peer, optimizer, shape } = request
    const made =
      peer === 'jax-js' ? jaxJsAdam(optimizer, shape) : tensorflow(peer === 'tfjs cpu' ? 'cpu' : 'wasm', shape)
    subjects.set(id, await made)
    return { ok: true }
  }
  const subject = subjects.get(request.id)
  if (!subject) return { ok: false, error: `there is no subject ${request.id}` }
  if (request.command === 'drop') {
    subject.dispose()
    subjects.delete(request.id)
    return { ok: true }
  }
  const seconds: number[] = []
  for (let index = 0; index < request.steps; index++) {
    const start = performance.now()
    await subject.step()
    seconds.push((performance.now() - start) / 1000)
  }
  return { ok: true, seconds }
}

const answers = process.stdout.write.bind(process.stdout)
// The libraries greet on the console; only answers go to the standard output.
console.log = console.info = console.warn = (...values: unknown[]) => console.error(...values)

function send(answer: Answer): void {
  answers(`${JSON.stringify(answer)}\n`)
}

try {
  send({ ok: true, versions: await prepare() })
  for await (const line of createInterface({ input: process.stdin })) {
    try {
      send(await respond(JSON.parse(line) as Request))
    } catch (error) {
      send({ ok: false, error: messageOf(error) })
    }
  }
} catch (error) {
  send({ ok: false, error: messageOf(error) })
}
