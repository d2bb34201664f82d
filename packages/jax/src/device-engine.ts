import { getWebGPUDevice, numpy as np, tree } from '@jax-js/jax'
import type { CompiledOptimizer, EvaluationRequest, Optimizer, Rebased } from 'fallline'
import { copiesOf, copyOnDevice, movedAlong, type Place, type WebgpuInstance } from 'fallline/internal'
import { attachBuffers, webgpu } from 'fallline/webgpu'
import { compileFor, type FusedOptions, KernelEngine } from './engine.ts'
import { type Found, read, release } from './evaluator.ts'
import { type Model, refs } from './model.ts'
import type { NamedArrays, Tree } from './parameters.ts'

/**
 * Fallline's kernels on the device of jax-js: they read gradients in the buffers of its arrays and change parameters in theirs. jax-js never
 * changes an array, and neither may anybody else; so these parameters are the engine's own, and what it gives away is a copy.
 */
export class DeviceEngine extends KernelEngine {
  private readonly arrays: readonly np.Array[]
  /** The buffers of the parameters. */
  private readonly buffers: ReadonlySet<GPUBuffer>

  private constructor(model: Model, named: NamedArrays, compiled: CompiledOptimizer) {
    super(model, named, compiled)
    const arrays = named.arrays.map(copyOf)
    const filled = arrays.flatMap((array, index) =>
      array.size > 0 ? [[named.names[index]!, bufferOf(array)] as const] : [],
    )
    this.arrays = arrays
    this.buffers = new Set(filled.map(([, buffer]) => buffer))
    attachBuffers(compiled, { parameters: Object.fromEntries(filled) })
  }

  static async create(model: Model, optimizer: Optimizer, named: NamedArrays, options: FusedOptions) {
    const backend = webgpu({ device: getWebGPUDevice(), attached: true })
    return new DeviceEngine(model, named, await compileFor(model, optimizer, named, { ...options, backend }))
  }

  override async step(batch: readonly Tree[]): Promise<np.Array> {
    // Without waiting, steps would queue up on a device that works at its own pace.
    return (await super.step(batch)).blockUntilReady()
  }

  parameters(): np.Array[] {
    return this.arrays.map((array) => copyOf(array.ref))
  }

  evaluationParameters(): np.Array[] {
    const result = this.parameters()
    this.copyAverages(result)
    return result
  }

  save(): Promise<Uint8Array> {
    return this.compiled.saveAsync()
  }

  async rebase(given: readonly np.Array[]): Promise<Rebased> {
    const { conductor, instance } = this.compiled
    const { moved, kept, copies } = copiesOf(conductor, conductor.names)
    const places = this.arrays.map((_, tensor) => ({ kind: 'parameter', tensor }) as const)
    const found = await instance.readback.read([...places, ...copies] satisfies Place[])
    const targets = await Promise.all(given.map((array) => read(array.ref)))
    copies.forEach((place, index) => {
      const values = found[places.length + index]!
      instance.readback.write(place, movedAlong(values, found[place.tensor]!, targets[place.tensor]!))
    })
    for (const place of places) instance.readback.write(place, targets[place.tensor]!)
    return { moved, kept }
  }

  finish(): void {
    this.copyAverages(this.arrays)
  }

  override dispose(): void {
    super.dispose()
    release([...this.arrays])
  }

  protected async evaluate(
    { wants, inputs }: EvaluationRequest,
    batch: readonly Tree[],
    kept: np.Array[],
  ): Promise<Found> {
    const { evaluator } = this
    const at = tree.unflatten(evaluator.model.structure, refs(this.arrays) as np.Array[])
    const take = (gradients: Tree) => this.attachGradients(gradients, kept)
    const { loss, numbers } = await evaluator.evaluateAt(at, { wants, inputs }, batch, this.steps + 1, take)
    // Computed before the parameters change, and apart from them.
    return { loss: this.buffers.has(bufferOf(loss)) ? copyOf(loss) : loss, numbers }
  }

  /** Says where gradients lie, which are kept in a list until they have been read. */
  private attachGradients(found: Tree, kept: np.Array[]): void {
    const { names } = this.evaluator.model
    const used = new Set(this.buffers)
    const attached = (tree.leaves(found) as np.Array[]).flatMap((given, index) => {
      if (given.size === 0) return []
      // A gradient may be another one or a parameter.
      const gradient = used.has(bufferOf(given)) ? copyOf(given.ref) : given.ref
      kept.push(gradient)
      const buffer = bufferOf(gradient)
      used.add(buffer)
      return [[names[index]!, buffer] as const]
    })
    attachBuffers(this.compiled, { gradients: Object.fromEntries(attached) })
  }

  /** Puts what to evaluate with into arrays of the parameters that have such a thing. */
  private copyAverages(into: readonly np.Array[]): void {
    const { conductor, instance } = this.compiled
    const executor = instance.executor as WebgpuInstance
    const work = conductor.averages().filter(({ tensor }) => into[tensor]!.size > 0)
    if (this.steps === 0 || work.length === 0) return
    executor.run(work)
    const copies = work.map(({ tensor }) => ({
      from: executor.average(tensor),
      to: { buffer: bufferOf(into[tensor]!), offset: 0 },
    }))
    copyOnDevice(executor.device, copies)
  }
}

/** The buffer of an array, when all that it follows from was submitted. */
const bufferOf = (array: np.Array): GPUBuffer => array.ref.gpuBufferSync()

/** An array in a buffer of its own; consumes the other. */
function copyOf(array: np.Array): np.Array {
  const copy = np.add(array, 0)
  if (copy.size > 0) bufferOf(copy)
  return copy
}
