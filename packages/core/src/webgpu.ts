/** The backend that runs on graphics processors, apart from the rest: who does not import it does not pay for it. */
export { type WebgpuOptions, webgpu } from './backends/webgpu/backend.ts'
export { attachBuffers, type BuffersByName, buffersOf } from './backends/webgpu/buffers.ts'
export type { BufferRange, ParameterBuffers } from './backends/webgpu/instance.ts'
export { wgslOf } from './backends/webgpu/wgsl.ts'
