import { type FloatArray, type HostMemory, viewPlace } from '../backends/backend.ts'
import { parameterSlot } from '../program/program.ts'
import { codecs } from './codecs.ts'
import type { StagedStorage } from './storage.ts'

/** What of an optimizer that runs is asked for here. */
interface Holder {
  readonly instance: { readonly memory?: HostMemory | undefined }
  readonly conductor: {
    readonly tensors: readonly { readonly index: number; readonly shape: { readonly name: string } }[]
  }
  eachPart<T extends FloatArray>(
    of: (tensor: number) => FloatArray,
    shown: (array: FloatArray) => T,
  ): Readonly<Record<string, T>>
}

/** What there is to do with parameters that are not in float32. */
export interface KeptParameters {
  /** Gives one other values, rounded to the nearest. */
  readonly write: (memory: HostMemory, tensor: number, values: ArrayLike<number>) => void
  /** Views and, where there are none, copies. */
  readonly copies: (optimizer: Holder) => Readonly<Record<string, FloatArray>>
  /** Stands in for a view: says what to use when asked for it. */
  readonly hide: (views: object, name: string, storage: StagedStorage) => void
  /** @throws Error where all parameters would have to be in float32, which says what to use. */
  readonly refuse: (optimizer: Holder, caller: string, instead: string) => void
  readonly pointsRefused: string
}

export const keptParameters: KeptParameters = {
  write(memory, tensor, values) {
    memory.slotBytes!(tensor, parameterSlot).set(codecs[memory.parameterStorage(tensor)!].encode(values))
  },

  copies(optimizer) {
    const memory = optimizer.instance.memory!
    return optimizer.eachPart(
      (tensor) => viewPlace(memory, { kind: 'parameter', tensor }),
      (array) => array,
    )
  },

  hide(views, name, storage) {
    const get = () => {
      throw new Error(
        `parameters: '${name}' is kept as ${storage}, of which there is no view; use writeParameters(...) and await readParameters()`,
      )
    }
    Object.defineProperty(views, name, { enumerable: true, get })
  },

  refuse({ conductor, instance }, caller, instead) {
    const storageOf = (tensor: number) => instance.memory?.parameterStorage(tensor)
    const { index, shape } = conductor.tensors.find((tensor) => storageOf(tensor.index))!
    throw new Error(
      `${caller}: the parameter '${shape.name}' is kept as ${storageOf(index)}, not float32; use ${instead}`,
    )
  },

  pointsRefused:
    'moves the parameter to points of evaluations and back, which would round it each time; keep it in float32',
}
