import type { Backend } from '../backend.ts'
export interface WasmOptions { readonly threads?: number }
export function wasm(_options: WasmOptions = {}): Backend { throw new Error('wasm backend: being written') }
export function compilationCount(): number { return 0 }
