import { control } from './library.ts'
import type { ListRegions } from './prepared.ts'
import type { WorkList } from './work-list.ts'

/** Worker threads did not start. */
export class ThreadsError extends Error {}

/** Workers that wait for work lists in a shared memory. */
export interface Threads {
  /** Lets the workers run a list, by its address and the first item and the number of items of each round; the caller must run it too. */
  start(regions: ListRegions, items: number, rounds: WorkList['rounds']): void
  terminate(): void
}

/** How several threads share the work, the calling one included. */
export interface Threading {
  readonly count: number
  /** What the driver of the calling thread imports. */
  functions(memory: WebAssembly.Memory, block: number): WebAssembly.ModuleImports
  /** Starts so many workers. */
  start(count: number, module: WebAssembly.Module, memory: WebAssembly.Memory, block: number): Promise<Threads>
}

/**
 * What a worker does: waits until the generation changes, then runs the list, until it is terminated. Plain JavaScript
 * text, so that it needs no file of its own whatever the bundler.
 */
const workerSource = `
const work = async ({ module, memory, block }, ready) => {
  const words = new Int32Array(memory.buffer)
  const sleep = (seen) => void Atomics.wait(words, block / 4 + 1, seen, 1)
  const wake = () => void Atomics.notify(words, block / 4 + 1)
  const { exports } = await WebAssembly.instantiate(module, { env: { memory, sleep, wake } })
  let seen = 0
  ready()
  for (;;) {
    Atomics.wait(words, block / 4, seen)
    const generation = Atomics.load(words, block / 4)
    if (generation === seen) continue
    seen = generation
    exports.run(block, 0)
  }
}
if (typeof require === 'function') {
  const { parentPort } = require('node:worker_threads')
  parentPort.once('message', (message) => work(message, () => parentPort.postMessage('ready')))
} else {
  self.onmessage = ({ data }) => work(data, () => self.postMessage('ready'))
}
`

interface NodeWorker {
  postMessage(message: unknown): void
  once(event: 'message' | 'error', listener: (value: unknown) => void): void
  unref(): void
  terminate(): unknown
}

interface NodeThreads {
  readonly Worker: new (source: string, options: { eval: true }) => NodeWorker
}

function nodeThreads(): NodeThreads | undefined {
  const process = (globalThis as { process?: { getBuiltinModule?: (name: string) => unknown } }).process
  return process?.getBuiltinModule?.('node:worker_threads') as NodeThreads | undefined
}

/** How so many threads share the work; nothing where workers cannot share memory. */
export function threadingOf(count: number): Threading | undefined {
  const available =
    typeof SharedArrayBuffer === 'function' && (nodeThreads() !== undefined || typeof Worker === 'function')
  return available ? { count, functions: barrierFunctions, start: startThreads } : undefined
}

/** What the driver of the calling thread imports: how to wait at a barrier, and how to wake those who wait there. */
function barrierFunctions(memory: WebAssembly.Memory, block: number): Record<'sleep' | 'wake', (seen: number) => void> {
  const words = new Int32Array(memory.buffer)
  const arrived = (block + control.arrived) / 4
  // The main thread of a page may not sleep: it keeps looking.
  const maySleep = typeof (globalThis as { document?: unknown }).document === 'undefined'
  return {
    sleep: (seen) => void (maySleep && Atomics.wait(words, arrived, seen, 1)),
    wake: () => void Atomics.notify(words, arrived),
  }
}

/**
 * Starts `count` workers on the module and resolves when all of them wait for work.
 * @throws ThreadsError that says why one of them did not start; the others are ended.
 */
async function startThreads(
  count: number,
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  block: number,
): Promise<Threads> {
  const node = nodeThreads()
  const message = { module, memory, block }
  const started = await Promise.allSettled(
    Array.from({ length: count }, () => (node ? startNodeWorker(node, message) : startWebWorker(message))),
  )
  const workers = started.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  const failed = started.find((result) => result.status === 'rejected')
  if (failed) {
    for (const worker of workers) worker.terminate()
    throw new ThreadsError(String((failed.reason as Partial<Error> | undefined)?.message ?? failed.reason))
  }
  const words = new Int32Array(memory.buffer)
  return {
    start(regions, items, rounds) {
      rounds.forEach(([first, length], index) => {
        words[regions.rounds / 4 + 2 * index] = first
        words[regions.rounds / 4 + 2 * index + 1] = length
        words[regions.counters / 4 + index] = 0
      })
      const set = (field: keyof typeof control, value: number) => {
        words[(block + control[field]) / 4] = value
      }
      set('rounds', regions.rounds)
      set('roundCount', rounds.length)
      set('items', items)
      set('threads', count + 1)
      set('counters', regions.counters)
      set('base', Atomics.load(words, (block + control.arrived) / 4))
      set('begun', 0)
      Atomics.add(words, (block + control.generation) / 4, 1)
      Atomics.notify(words, (block + control.generation) / 4)
    },
    terminate() {
      for (const worker of workers) worker.terminate()
    },
  }
}

function startNodeWorker(node: NodeThreads, message: unknown): Promise<NodeWorker> {
  return new Promise((resolve, reject) => {
    const worker = new node.Worker(workerSource, { eval: true })
    worker.once('error', reject)
    worker.once('message', () => {
      // A waiting worker must not keep the program alive.
      worker.unref()
      resolve(worker)
    })
    worker.postMessage(message)
  })
}

function startWebWorker(message: unknown): Promise<Worker> {
  const address = URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }))
  return new Promise<Worker>((resolve, reject) => {
    const worker = new Worker(address)
    // A page whose content security policy forbids the worker says nothing more.
    worker.onerror = ({ message }) =>
      reject(new Error(message || 'a content security policy may lack worker-src blob:'))
    worker.onmessage = () => resolve(worker)
    worker.postMessage(message)
  }).finally(() => URL.revokeObjectURL(address))
}
