import { checkNames } from '../../language/definition.ts'
import { checkSeparateMemory } from '../../run/attached-arrays.ts'
import { type RunningOptimizer, record } from '../../run/running-optimizer.ts'
import { usage } from './gpu.ts'
import { type BufferRange, type ParameterBuffers, WebgpuInstance } from './instance.ts'

/**
 * Where the parameters and gradients of an optimizer lie on its device, by name: parts of buffers for bind groups of your own. Kernels that
 * read parameters there and write gradients need no copies; `step()` without gradients takes what lies there. All parameters lie
 * in one buffer, all gradients in another; both can be storage, and be copied from and to. With `webgpu({ device, attached: true })` they are
 * those that `attachBuffers` named.
 *
 * Nobody waits for anybody: what you submit before `step` comes before it. Do not write to parameters between two steps whose gradients are not
 * known to be finite, unless with `nonFinite: 'allow'`: a step that was left out is an error of a later call.
 *
 * @throws Error for an optimizer of another backend, or one that was disposed of, or whose buffers are not attached yet; for parameters in fewer bits,
 * and those that the optimizer takes as one vector.
 */
export function buffersOf<Name extends string>(
  optimizer: RunningOptimizer<Name>,
): Readonly<Record<Name, ParameterBuffers>> {
  optimizer.refuseAfterDispose('buffersOf')
  const instance = instanceOf('buffersOf', optimizer)
  const { parts } = optimizer.conductor
  return Object.freeze(
    record(optimizer.names, (index) => {
      const { tensor, total, shape } = parts[index]!
      if (total === shape.size) return instance.buffersOf(tensor)
      throw new Error(
        `buffersOf: '${shape.name}' is a part of ${optimizer.conductor.names[tensor]}, and only their whole can be bound; use step({ gradients })`,
      )
    }),
  )
}

/** Buffers by parameter name: whole ones, or parts of them. */
export type BuffersByName<Name extends string = string> = { readonly [name in Name]?: GPUBuffer | BufferRange }

/**
 * Names the buffers in which parameters and gradients are kept, for an optimizer of `webgpu({ device, attached: true })`: kernels read
 * and write them in place, and nothing is copied. From the next step on they are used, until others are named; a gradient may lie in another
 * buffer at every step, and at every evaluation of `minimize`, whose function finds the point in the parameters' buffers. What lies in the buffers of the parameters are the parameters, so write their initial values there, or use
 * `writeParameters`. The buffers stay yours; destroy none as long as it is used.
 *
 * ```ts
 * import { adamW, compile } from 'fallline'
 * import { attachBuffers, webgpu } from 'fallline/webgpu'
 *
 * const adapter = await globalThis.navigator?.gpu?.requestAdapter()
 * const device = await adapter?.requestDevice()
 * if (device) {
 *   const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST
 *   const weights = device.createBuffer({ size: 4 * 256, usage })
 *   const gradient = device.createBuffer({ size: 4 * 256, usage })
 *   const optimizer = await compile(adamW(), { weights: [256] }, { backend: webgpu({ device, attached: true }) })
 *   attachBuffers(optimizer, { parameters: { weights }, gradients: { weights: gradient } })
 *   optimizer.step() // after kernels of yours have written the gradient
 * }
 * ```
 *
 * @param buffers float32, one after the other; of the same device, with the usages `STORAGE`, `COPY_SRC` and `COPY_DST`. Parts begin at a
 * multiple of the device's `minStorageBufferOffsetAlignment` (256 where it says nothing else).
 * @throws Error for an optimizer of another kind, for parameters in the middle of a step, for an unknown name, a buffer that is too small, begins elsewhere
 * or lacks a usage, and for two that overlap; nothing is changed then.
 */
export function attachBuffers<Name extends string>(
  optimizer: RunningOptimizer<Name>,
  buffers: { readonly parameters?: BuffersByName<Name>; readonly gradients?: BuffersByName<Name> },
): void {
  if (buffers.parameters === undefined) optimizer.refuseAfterDispose('attachBuffers')
  else optimizer.refuseWhileBusy('attachBuffers')
  checkNames('attachBuffers', buffers, ['parameters', 'gradients'])
  const instance = instanceOf('attachBuffers', optimizer)
  if (!instance.attaches) {
    throw new Error(
      'attachBuffers: this optimizer keeps parameters itself; compile with webgpu({ device, attached: true })',
    )
  }
  const given = {
    parameter: checked(optimizer, instance, buffers.parameters),
    gradient: checked(optimizer, instance, buffers.gradients),
  }
  const after = (kind: keyof ParameterBuffers): Record<string, BufferRange> => {
    const before = optimizer.names.flatMap((name, index) => {
      const range = instance.attachedTo(index)[kind]
      return range ? [[name, range] as const] : []
    })
    return { ...Object.fromEntries(before), ...given[kind] }
  }
  checkSeparateMemory(
    'attachBuffers',
    after('parameter'),
    after('gradient'),
    ({ buffer, offset, size }) => ({ memory: buffer, first: offset, end: offset + size }),
    'a part of its own',
  )
  for (const kind of ['parameter', 'gradient'] as const) {
    for (const [name, range] of Object.entries(given[kind])) {
      instance.attach(optimizer.conductor.partOf('attachBuffers', name).tensor, { [kind]: range })
    }
  }
}

function instanceOf<Name extends string>(caller: string, optimizer: RunningOptimizer<Name>): WebgpuInstance {
  const { executor } = optimizer.instance
  if (executor instanceof WebgpuInstance) return executor
  throw new Error(`${caller}: this optimizer was not compiled with webgpu(); use its parameters and gradients`)
}

/** The parts of buffers that parameters fill. */
function checked(
  optimizer: RunningOptimizer,
  { device }: WebgpuInstance,
  buffers: BuffersByName = {},
): Record<string, BufferRange> {
  const ranges: Record<string, BufferRange> = Object.create(null)
  const alignment = device.limits.minStorageBufferOffsetAlignment
  const needed = usage.storage | usage.copySource | usage.copyTarget
  for (const [name, given] of Object.entries(buffers)) {
    if (given === undefined) continue
    const { shape } = optimizer.conductor.partOf('attachBuffers', name)
    const { buffer, offset, size } = 'buffer' in given ? given : { buffer: given, offset: 0, size: given.size }
    const refuse = (why: string) => new Error(`attachBuffers: the buffer of '${name}' ${why}`)
    const bytes = 4 * shape.size
    if (offset % alignment !== 0) throw refuse(`must begin at a multiple of ${alignment} bytes, not at ${offset}`)
    if (size < bytes || offset + size > buffer.size) {
      throw refuse(
        `must have ${bytes} bytes for the shape [${shape.shape.join(', ')}], not ${Math.min(size, buffer.size - offset)}`,
      )
    }
    if ((buffer.usage & needed) !== needed) throw refuse('must have the usages STORAGE, COPY_SRC and COPY_DST')
    ranges[name] = { buffer, offset, size: bytes }
  }
  return ranges
}
