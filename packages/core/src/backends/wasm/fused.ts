import { assembleModule, FunctionBuilder, kernelParameters } from './assembler.ts'
import { driver } from './library.ts'

let known: boolean | undefined

/** Whether this engine can multiply and add at once (relaxed SIMD: Node 22, Chromium 114, Firefox 145). */
export function multipliesAndAdds(): boolean {
  known ??= WebAssembly.validate(sample())
  return known
}

function sample(): Uint8Array<ArrayBuffer> {
  const f = new FunctionBuilder('sample', kernelParameters)
  f.zeroVector().zeroVector().zeroVector().op('f32x4.relaxed_madd', 'drop')
  return assembleModule([f], driver(), {}, undefined)
}
