import * as tf from '@tensorflow/tfjs-core'
import {
  type BackendTensor,
  createForeignInstance,
  type ForeignInstance,
  type ForeignMemory,
  hostReadback,
  MemoryLayout,
  type Work,
} from 'fallline/internal'
import { type Bound, checkInputs, type Execution, separate, type VariableInstance } from './instance.ts'

/** How a fused kernel reaches the data of tensors. */
interface Home {
  readonly execution: Execution
  readonly memory: ForeignMemory
  /** Lets the instance find this step's parameters and gradients in the memory. */
  enter(instance: ForeignInstance, bound: readonly Bound[]): void
  /** Leaves the new parameters where the variables have them. */
  leave(instance: ForeignInstance, bound: readonly Bound[]): void
}

/**
 * One fused kernel for all variables, the one that Fallline generates. State lies beside it, in the memory that the kernel
 * works on, and not in tensors.
 */
export class KernelInstance implements VariableInstance {
  readonly execution: Execution
  readonly readback: VariableInstance['readback']
  private readonly home: Home
  private readonly instance: ForeignInstance
  private readonly tensors: readonly BackendTensor[]
  private bound: readonly Bound[] = []
  /** By tensor, whether what is bound has a gradient. */
  private readonly given: boolean[]
  /** Whether the kernel holds values that the variables have not been given. */
  private ahead = false

  constructor(tensors: readonly BackendTensor[], home: Home) {
    this.home = home
    this.tensors = tensors
    this.given = tensors.map(() => false)
    this.execution = home.execution
    this.instance = createForeignInstance(tensors, home.memory)
    this.readback = hostReadback(this.instance)
  }

  bind(bound: readonly Bound[]): void {
    this.bound = bound
    this.given.fill(false)
    for (const { index, gradient } of bound) this.given[index] = gradient !== undefined
    this.home.enter(this.instance, bound)
  }

  finish(): void {
    if (this.ahead) this.home.leave(this.instance, this.bound)
    this.ahead = false
  }

  copyParameter(tensor: number, key: string): void {
    this.instance.copyParameter(tensor, key)
  }

  findNonFinite(tensors: readonly number[]): number[] {
    return this.instance.findNonFinite(tensors.filter((index) => this.given[index]))
  }

  run(work: readonly Work[]): void {
    checkInputs(work, this.bound, this.tensors)
    for (const { index, inputs } of this.bound) {
      for (const [name, values] of inputs) this.instance.inputs[index]!.get(name)?.set(values.dataSync())
    }
    this.instance.run(work)
    this.ahead = true
  }

  compute(work: readonly Work[], variables: readonly tf.Variable[]): tf.Tensor[] {
    if (work.length === 0) return []
    const nothing = { gradient: undefined, inputs: new Map<string, tf.Tensor>() }
    this.bind(work.map(({ tensor: index }) => ({ index, variable: variables[index]!, ...nothing })))
    return this.instance.compute(work).map((values, position) => {
      const { shape } = variables[work[position]!.tensor]!
      return tf.tensor(values as Float32Array, shape, 'float32')
    })
  }

  dispose(): void {
    this.instance.dispose()
  }
}

/** What the adapter uses of TensorFlow.js's wasm backend. */
interface WasmBackend {
  makeOutput(shape: readonly number[], dtype: 'float32'): tf.TensorInfo
  readonly wasm: {
    readonly asm?: { readonly memory?: WebAssembly.Memory }
    readonly wasmMemory?: WebAssembly.Memory
    readonly tfjs: {
      readonly registerTensor: (id: number, size: number, address: number) => void
      readonly disposeData: (id: number) => void
    }
  }
  readonly dataIdMap: { get(dataId: object): TensorData }
}

/** How the wasm backend keeps the data of tensors: its number, its address, and how many tensors share it. */
interface TensorData {
  readonly id: number
  readonly memoryOffset: number
  readonly refCount: number
}

/** TensorFlow.js's own wasm memory, or `undefined` when this backend does not show it. */
function memoryOf(backend: unknown): WebAssembly.Memory | undefined {
  const { wasm, dataIdMap, makeOutput } = backend as Partial<WasmBackend>
  const functions = [makeOutput, wasm?.tfjs?.registerTensor, wasm?.tfjs?.disposeData, dataIdMap?.get]
  return functions.every((f) => typeof f === 'function') ? (wasm!.asm?.memory ?? wasm!.wasmMemory) : undefined
}

/**
 * The kernel inside TensorFlow.js's wasm backend: parameters are updated where they lie. One that shares its memory with
 * another tensor is first given memory of its own, so that the other keeps its values.
 */
export function wasmHome(): Home | undefined {
  const backend = tf.backend() as unknown as WasmBackend
  const memory = memoryOf(backend)
  if (!memory) return undefined
  const { wasm, dataIdMap } = backend
  const address = (data: TensorData, { size }: tf.Tensor) => (size === 0 ? 0 : data.memoryOffset)
  // A block is the data of a tensor, so that `tf.memory()` counts it.
  let block: tf.Tensor | undefined
  const allocate = (bytes: number) => {
    block = keep(backend.makeOutput([Math.ceil(bytes / 4)], 'float32'))
    const { memoryOffset } = dataIdMap.get(block.dataId)
    if (memoryOffset !== 0) return memoryOffset
    block.dispose()
    throw new Error(`TensorFlow.js's wasm memory has no room for ${bytes} bytes of state`)
  }
  return {
    execution: 'wasm',
    memory: { memory, allocate, free: () => block?.dispose() },
    enter(instance, bound) {
      // Looking for data moves it here from another backend, which may move the memory: first all data, then the views.
      const parameters = bound.map(({ variable }) => {
        if (dataIdMap.get(variable.dataId).refCount > 1) separate(variable)
        return dataIdMap.get(variable.dataId)
      })
      const gradients = bound.map(({ gradient }) => gradient && dataIdMap.get(gradient.dataId))
      bound.forEach(({ index, variable, gradient }, position) => {
        instance.place(index, 'parameter', address(parameters[position]!, variable))
        if (gradient) instance.place(index, 'gradient', address(gradients[position]!, gradient))
      })
    },
    leave(_, bound) {
      for (const { variable } of bound) {
        if (variable.size === 0) continue
        const { id, memoryOffset } = dataIdMap.get(variable.dataId)
        // The backend keeps packed copies of weights by this number; registering anew throws them away.
        wasm.tfjs.disposeData(id)
        wasm.tfjs.registerTensor(id, variable.size, memoryOffset)
      }
    },
  }
}

/** A tensor that no scope disposes. */
const keep = (info: tf.TensorInfo): tf.Tensor => tf.keep(tf.engine().makeTensorFromTensorInfo(info))

/** What the adapter uses of TensorFlow.js's cpu backend. */
interface CpuBackend {
  makeTensorInfo(shape: readonly number[], dtype: 'float32'): tf.TensorInfo
  readonly data: { get(dataId: object): { readonly values?: unknown } }
}

/**
 * The kernel beside TensorFlow.js's cpu backend: it reads the live arrays of the backend and works in a memory of its own.
 * New parameters are new arrays, because on this backend slices, and the arrays that tensors were made from, share memory
 * without a count of who uses it.
 */
export function cpuHome(sizes: readonly number[]): Home | undefined {
  const backend = tf.backend() as unknown as CpuBackend
  const { data } = backend
  if (typeof data?.get !== 'function' || typeof backend.makeTensorInfo !== 'function') return undefined
  const memory = new WebAssembly.Memory({ initial: 1 })
  const layout = new MemoryLayout()
  const allocate = (bytes: number) => {
    const address = layout.reserveArray(bytes)
    const missing = layout.end - memory.buffer.byteLength
    if (missing > 0) memory.grow(Math.ceil(missing / 65536))
    return address
  }
  const places = sizes.map((size) => ({ parameter: allocate(4 * size), gradient: allocate(4 * size) }))
  // A tensor without values of its own lets `tf.memory()` count what lies in this memory.
  let counted: tf.Tensor | undefined
  const allocateState = (bytes: number) => {
    const address = allocate(bytes)
    counted = keep(backend.makeTensorInfo([layout.end / 4], 'float32'))
    return address
  }
  return {
    execution: 'cpu',
    memory: { memory, allocate: allocateState, free: () => counted?.dispose() },
    enter(instance, bound) {
      for (const { index, variable, gradient } of bound) {
        instance.place(index, 'parameter', places[index]!.parameter)
        instance.place(index, 'gradient', places[index]!.gradient)
        instance.parameters[index]!.set(data.get(variable.dataId).values as Float32Array)
        if (gradient) instance.gradients[index]!.set(data.get(gradient.dataId).values as Float32Array)
      }
    },
    leave(instance, bound) {
      for (const { index, variable } of bound) {
        const next = tf.tensor(instance.parameters[index]!.slice() as Float32Array, variable.shape, 'float32')
        variable.assign(next)
        next.dispose()
      }
    },
  }
}
