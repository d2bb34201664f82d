import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { adamW, muon, type Optimizer } from 'fallline'
import { build } from 'fallline/build'
import { initialLoad } from './bundle.ts'

/** Bytes of an application after bundling. */
export interface SizeResult {
  title: string
  minified: number
  gzip: number
  brotli: number
  /** Minified bytes by source file, largest first. */
  sources: Record<string, number>
}

/** What an application that trains with one optimizer writes. */
export const oneOptimizer = `import { adamW, compile } from 'fallline'
const optimizer = await compile(adamW({ learningRate: 1e-3 }), { kernel: [784, 10], bias: [10] })
optimizer.parameters.kernel.fill(0.01)
optimizer.gradients.kernel.fill(0.1)
optimizer.step()
console.log(optimizer.parameters.kernel[0])`

const builtAhead = `import { create } from 'built'
const optimizer = await create()
optimizer.parameters.kernel.fill(0.01)
optimizer.gradients.kernel.fill(0.1)
optimizer.step()
console.log(optimizer.parameters.kernel[0])`

const builtFor = (optimizer: Optimizer) => build(optimizer, { kernel: [784, 10], bias: [10] }).code

const everything = `import * as fallline from 'fallline'
console.log(fallline)`

/** Bundles, minifies and compresses an application. */
export async function applicationSize(title: string, source: string, built?: string): Promise<SizeResult> {
  const { code, sources } = await initialLoad(source, built)
  const zipped = await promisify(gzip)(code, { level: 9 })
  const packed = await promisify(brotliCompress)(code, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: code.length },
  })
  return { title, minified: code.length, gzip: zipped.length, brotli: packed.length, sources }
}

/** Applications with one optimizer, compiled there and built ahead, and one that holds on to everything. */
export async function measureSizes(): Promise<SizeResult[]> {
  return [
    await applicationSize('one optimizer (adamW on wasm)', oneOptimizer),
    await applicationSize('adamW built ahead', builtAhead, builtFor(adamW({ learningRate: 1e-3 }))),
    await applicationSize('muon built ahead, with adamW for vectors', builtAhead, builtFor(muon())),
    await applicationSize(
      'one optimizer by compileRunning',
      oneOptimizer.replaceAll('compile(', 'compileRunning(').replace('compile }', 'compileRunning }'),
    ),
    await applicationSize('everything that is exported', everything),
  ]
}
