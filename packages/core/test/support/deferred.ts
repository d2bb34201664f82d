import { type Backend, reference } from 'fallline'
import {
  type DeferredExecutor,
  type HostEnvironment,
  nodesOf,
  onDevice,
  type Place,
  type PromptExecutor,
  type Readback,
  type Work,
} from 'fallline/internal'

/**
 * The reference backend as if it were a device: nothing can be looked at, everything is done later and in order, and answers
 * take a while.
 */
export function deferred(): Backend & { readonly device: Device } {
  const device: Device = { log: [], lost: false }
  return {
    name: 'deferred',
    device,
    async create(tensors) {
      const { executor, memory, readback, precision, dispose } = await reference().create(tensors)
      const { findNonFinite } = executor as PromptExecutor
      let queue: Promise<unknown> = Promise.resolve()
      /** True after an attempt that failed. */
      let idle = false
      const later = <T>(what: string, action: () => T): Promise<T> => {
        const result = queue.then(async () => {
          for (let turn = 0; turn < 3; turn++) await undefined
          if (device.lost) throw new Error('the device was lost')
          device.log.push(what)
          return action()
        })
        queue = result.catch(() => {})
        return result
      }
      const running: DeferredExecutor = {
        run(work) {
          const known = work.map(asked)
          later('run', () => executor.run(known))
        },
        copyParameter: (tensor, key) => void later('copy', () => executor.copyParameter(tensor, key)),
        attempt(work, tensors, copies) {
          const known = work.map(asked)
          return later('attempt', () => {
            if (idle) return []
            const found = findNonFinite.call(executor, tensors)
            idle = found.length > 0
            if (idle) return found
            for (const { tensor, key } of copies) executor.copyParameter(tensor, key)
            executor.run(known)
            return []
          })
        },
        resume() {
          later('resume', () => {
            idle = false
          })
        },
      }
      const reading: Readback = {
        read: (places: readonly Place[]) => later('read', () => readback.readSync!(places)),
        write(place, values) {
          const copy = Float64Array.from(values)
          later('write', () => readback.write(place, copy))
        },
        compute(work) {
          const known = work.map(asked)
          return later('compute', () => memory!.compute(known))
        },
      }
      return onDevice(running, reading, precision, dispose)
    },
  }
}

export interface Device {
  /** What was done so far. */
  readonly log: string[]
  /** Whether whatever comes fails. */
  lost: boolean
}

/** Work with what its environment gives now: the host goes on before the work is done. */
function asked({ tensor, program, environment }: Work): Work {
  const values = new Map<string, number>()
  for (const { operation, space, perTensor, attributes } of nodesOf(program.outputs)) {
    const { key = '', clock = '' } = attributes
    if (space !== 'host') continue
    if (operation === 'hyper') values.set(`${operation} ${key} ${clock}`, environment.hyper(key, clock))
    if (operation === 'count') values.set(`${operation} ${clock} ${perTensor}`, environment.count(clock, perTensor))
    if (operation === 'input') values.set(`${operation} ${key}`, environment.input(key))
    if (operation === 'slot') values.set(`${operation} ${key}`, environment.slot(key))
  }
  const known: HostEnvironment = {
    hyper: (key, clock) => values.get(`hyper ${key} ${clock}`)!,
    count: (clock, perTensor) => values.get(`count ${clock} ${perTensor}`)!,
    input: (key) => values.get(`input ${key}`)!,
    slot: (key) => values.get(`slot ${key}`)!,
  }
  return { tensor, program, environment: known }
}
