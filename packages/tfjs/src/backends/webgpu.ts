import * as tf from '@tensorflow/tfjs-core'
import {
  type BackendTensor,
  copyOnDevice,
  createAttachedInstance,
  type DeviceCopy,
  type Place,
  type WebgpuInstance,
  type Work,
} from 'fallline/internal'
import { type Bound, checkInputs, nonFiniteGradients, separate, type VariableInstance } from './instance.ts'

/** What the adapter uses of TensorFlow.js's webgpu backend. */
interface WebgpuBackend {
  readonly device: GPUDevice
  /** What was recorded and not submitted yet. */
  readonly commandEncoder: GPUCommandEncoder | null
  readonly tensorMap: { get(dataId: object): TensorData }
  makeTensorInfo(shape: readonly number[], dtype: 'float32'): tf.TensorInfo
  /** Gives data a buffer, if it has none. */
  uploadToGPU(dataId: object): void
  endComputePassEncoder(): void
  submitQueue(): void
}

/** How the webgpu backend keeps the data of tensors. */
interface TensorData {
  readonly resource: GPUBuffer | null
  /** What has been read of it. */
  values: unknown
  /** How many tensors share it. */
  readonly refCount: number
  /** True for a buffer that the user made. */
  readonly external?: boolean
}

/**
 * Fallline's own kernels on the device of TensorFlow.js's webgpu backend: variables are updated in their buffers, and gradients read
 * from theirs. State lies beside them, in buffers of Fallline's. A variable that shares its data with another tensor is first given
 * data of its own, so that the other keeps its values.
 */
export class WebgpuKernelInstance implements VariableInstance {
  readonly execution = 'webgpu'
  readonly readback: VariableInstance['readback'] = {
    read: (places) => this.instance.read(places),
    readSync: (places) => places.map((place) => this.readSync(place)),
    write: (place, values) => this.instance.write(place, values),
  }
  private readonly tensors: readonly BackendTensor[]
  private readonly backend: WebgpuBackend
  private readonly instance: WebgpuInstance
  /** A tensor without a buffer lets `tf.memory()` count the state. */
  private readonly counted: tf.Tensor
  private bound: readonly Bound[] = []
  /** What shares data with gradients that are variables. */
  private clones: tf.Tensor[] = []

  /** @throws Error when the device lacks what the optimizer needs. */
  constructor(tensors: readonly BackendTensor[], backend: WebgpuBackend, title: string) {
    this.tensors = tensors
    this.backend = backend
    this.instance = createAttachedInstance(backend.device, tensors, title)
    const info = backend.makeTensorInfo([this.instance.bytesHeld / 4], 'float32')
    this.counted = tf.keep(tf.engine().makeTensorFromTensorInfo(info))
  }

  bind(bound: readonly Bound[]): void {
    this.bound = bound
    this.disposeClones()
    // A variable may be the gradient of one: its data is then shared, so that both keep what they have.
    const gradients = bound.map(({ gradient }) => {
      if (!(gradient instanceof tf.Variable)) return gradient
      const clone = tf.keep(tf.clone(gradient as tf.Tensor))
      this.clones.push(clone)
      return clone
    })
    for (const { variable } of bound) {
      const { refCount, external } = this.backend.tensorMap.get(variable.dataId)
      if (refCount > 1 || external) separate(variable)
    }
    // From now on no gradient has the buffer of a variable.
    bound.forEach(({ index, variable }, position) => {
      const range = (tensor: tf.Tensor | undefined) =>
        tensor && tensor.size > 0 ? { buffer: this.bufferOf(tensor), offset: 0, size: 4 * tensor.size } : undefined
      this.instance.attach(index, { parameter: range(variable), gradient: range(gradients[position]) })
    })
  }

  finish(): void {
    // What has been read of variables is out of date.
    for (const { variable } of this.bound) {
      if (variable.size > 0) this.backend.tensorMap.get(variable.dataId).values = null
    }
    this.disposeClones()
  }

  copyParameter(tensor: number, key: string): void {
    this.flush()
    this.instance.copyParameter(tensor, key)
  }

  findNonFinite(tensors: readonly number[]): number[] {
    return nonFiniteGradients(this.bound.filter(({ index }) => tensors.includes(index)))
  }

  run(work: readonly Work[]): void {
    checkInputs(work, this.bound, this.tensors)
    const inputs = work.flatMap(({ tensor, program }) => {
      const given = this.bound.find(({ index }) => index === tensor)!.inputs
      return program.leaves.arrays.map(({ name: key }): DeviceCopy => {
        const values = given.get(key)!
        const to = this.instance.range({ kind: 'input', tensor, key })
        return { from: { buffer: this.bufferOf(values), offset: 0, bytes: 4 * values.size }, to }
      })
    })
    this.flush()
    copyOnDevice(this.backend.device, inputs)
    this.instance.run(work)
  }

  compute(work: readonly Work[], variables: readonly tf.Variable[]): tf.Tensor[] {
    if (work.length === 0) return []
    this.bind(
      work.map(({ tensor: index }) => ({
        index,
        variable: variables[index]!,
        gradient: undefined,
        inputs: new Map<string, tf.Tensor>(),
      })),
    )
    this.run(work)
    return work.map(({ tensor }) => this.copied(this.instance.average(tensor), variables[tensor]!.shape))
  }

  takeOver(before: VariableInstance, places: readonly (readonly [from: Place, to: Place])[]): boolean {
    if (!(before instanceof WebgpuKernelInstance) || before.backend !== this.backend) return false
    const copies = places.map(([from, to]) => ({ from: before.instance.range(from), to: this.instance.range(to) }))
    copyOnDevice(this.backend.device, copies)
    return true
  }

  dispose(): void {
    this.disposeClones()
    this.instance.dispose()
    this.counted.dispose()
  }

  private disposeClones(): void {
    tf.dispose(this.clones)
    this.clones = []
  }

  /** Waits for the device, as TensorFlow.js does it: in pages only. */
  private readSync(place: Place): ReturnType<WebgpuInstance['decoded']> {
    const from = this.instance.range(place)
    const tensor = this.copied(from, [from.bytes / 4])
    try {
      return this.instance.decoded(place, tensor.dataSync<'float32'>().slice().buffer)
    } finally {
      tensor.dispose()
    }
  }

  /** A new tensor with what lies somewhere on the device. */
  private copied(from: DeviceCopy['from'], shape: readonly number[]): tf.Tensor {
    if (from.bytes === 0) return tf.zeros([...shape])
    const tensor = tf.engine().makeTensorFromTensorInfo(this.backend.makeTensorInfo(shape, 'float32'))
    copyOnDevice(this.backend.device, [{ from, to: { buffer: this.bufferOf(tensor), offset: 0 } }])
    return tensor
  }

  private bufferOf({ dataId }: tf.Tensor): GPUBuffer {
    const { backend } = this
    backend.tensorMap.get(dataId)
    backend.uploadToGPU(dataId)
    return backend.tensorMap.get(dataId).resource!
  }

  /** Submits what TensorFlow.js has recorded, so that it comes before what follows. */
  private flush(): void {
    const { backend } = this
    backend.endComputePassEncoder()
    if (backend.commandEncoder) backend.submitQueue()
  }
}

/** The kernels on TensorFlow.js's device, or `undefined` when its backend does not show what they need. */
export function webgpuKernels(tensors: readonly BackendTensor[], title: string): WebgpuKernelInstance | undefined {
  const backend = tf.backend() as unknown as WebgpuBackend
  const { device, tensorMap, makeTensorInfo, uploadToGPU, endComputePassEncoder, submitQueue } =
    backend as Partial<WebgpuBackend>
  const functions = [tensorMap?.get, makeTensorInfo, uploadToGPU, endComputePassEncoder, submitQueue]
  if (!device || !('commandEncoder' in backend) || !functions.every((f) => typeof f === 'function')) return undefined
  return new WebgpuKernelInstance(tensors, backend, title)
}
