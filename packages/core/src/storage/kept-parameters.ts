import { parameterSlot } from '../program/program.ts'
import { codecs } from './codecs.ts'
import type { KeptParameters } from './provided.ts'

export const keptParameters: KeptParameters = {
  write(memory, tensor, values) {
    memory.slotBytes!(tensor, parameterSlot).set(codecs[memory.parameterStorage(tensor)!].encode(values))
  },

  hide(views, name, storage) {
    const get = () => {
      throw new Error(
        `parameters: '${name}' is kept as ${storage}, of which there is no view; use writeParameters(...) and await readParameters()`,
      )
    }
    Object.defineProperty(views, name, { enumerable: true, get })
  },

  refused: (name, storage, instead) => `the parameter '${name}' is kept as ${storage}, not float32; use ${instead}`,

  pointsRefused:
    'moves the parameter to points of evaluations and back, which would round it each time; keep it in float32',
}
