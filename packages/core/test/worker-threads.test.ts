import { adamW, compile, wasm } from 'fallline'
import { afterEach, describe, expect, it, vi } from 'vitest'

afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllGlobals()
})

/** Trains a little, asking for three threads, and gives the parameters. */
async function train(threads = 3): Promise<number[]> {
  const optimizer = await compile(adamW({ learningRate: 0.1 }), { w: [5] }, { backend: wasm({ threads }) })
  for (let step = 1; step <= 3; step++) optimizer.step({ gradients: { w: [1, -2, 3, -4, step] } })
  const result = [...optimizer.parameters.w]
  optimizer.dispose()
  return result
}

/** Node without its own worker threads is like a page, which has the global `Worker`. The test runner needs the rest of `process`. */
function likeAPage(worker: unknown): void {
  vi.spyOn(process, 'getBuiltinModule').mockReturnValue(undefined as never)
  vi.stubGlobal('Worker', worker)
}

describe('where worker threads do not start, one thread does the work and a warning says why', () => {
  it.each<[string, string, () => void]>([
    [
      'a content security policy, which only says that something failed',
      'a content security policy may lack worker-src blob:',
      () =>
        likeAPage(
          class {
            onerror: (event: unknown) => void = () => {}
            postMessage() {
              queueMicrotask(() => this.onerror({ type: 'error' }))
            }
            terminate() {}
          },
        ),
    ],
    [
      'a constructor that throws',
      'insecure operation',
      () =>
        likeAPage(
          class {
            constructor() {
              throw new Error('insecure operation')
            }
          },
        ),
    ],
    [
      'Node that refuses workers',
      'ERR_ACCESS_DENIED',
      () => {
        class Worker {
          constructor() {
            throw new Error('ERR_ACCESS_DENIED')
          }
        }
        vi.spyOn(process, 'getBuiltinModule').mockReturnValue({ Worker } as never)
      },
    ],
  ])('%s', async (_, reason, arrange) => {
    const expected = await train(1)
    const warn = vi.spyOn(console, 'warn').mockReturnValue()
    arrange()
    expect(await train()).toEqual(expected)
    expect(warn.mock.calls).toEqual([
      [`wasm: one thread does the work instead of 3, worker threads did not start: ${reason}`],
    ])
  })

  it('ends those that did start', async () => {
    vi.spyOn(console, 'warn').mockReturnValue()
    const ended: number[] = []
    let made = 0
    likeAPage(
      class {
        readonly number = ++made
        onmessage: (event: unknown) => void = () => {}
        onerror: (event: unknown) => void = () => {}
        postMessage() {
          queueMicrotask(() =>
            this.number === 1 ? this.onmessage({ data: 'ready' }) : this.onerror({ message: 'no' }),
          )
        }
        terminate() {
          ended.push(this.number)
        }
      },
    )
    await train()
    expect([made, ended]).toEqual([2, [1]])
  })
})
