import { adamW, clipByGlobalNorm, explain, muon, type Optimizer, sgd } from 'fallline'
import { describe, expect, it } from 'vitest'
import { assembleModule } from '../../src/backends/wasm/assembler.ts'
import { generateFunctions } from '../../src/backends/wasm/everything.ts'
import { driver } from '../../src/backends/wasm/library.ts'
import { textOf } from '../../src/backends/wasm/listing.ts'
import { routineFunctions } from '../../src/backends/wasm/routines/kernels.ts'
import { listing, loopBody } from '../support/listing.ts'
import { plansOf } from '../support/plans.ts'

function functionsOf(optimizer: Optimizer) {
  return generateFunctions(plansOf(optimizer, [64, 64])).functions
}

/** The listing of the one pass of an elementwise optimizer. */
function pass(optimizer: Optimizer): string[] {
  const found = functionsOf(optimizer).filter(({ name }) => name.includes('loop'))
  expect(found.length).toBe(1)
  return listing(textOf(found[0]!))
}

/** Everything but the rule, whose text depends on what compiled the source. */
function phases(optimizer: Optimizer): string {
  const text = explain(optimizer)
  return text.slice(text.indexOf('State'))
}

describe('the generated code, for whoever changes it to see the change', () => {
  it('explains AdamW as one phase', () => {
    expect(phases(adamW())).toMatchInlineSnapshot(`
      "State
        m: [1, 1024, 1024], 1048576 numbers
        v: [1, 1024, 1024], 1048576 numbers

      Phases for shape [1024, 1024]
        phase 1: one pass over [1, 1024, 1024]
          read m, gradient, v, parameter
          r7 = maximum(minimum(gradient, 1152921504606847000), -1152921504606847000)
          r10 = ((m * beta1) + (r7 * (1 - beta1)))
          r15 = (r7 * sqrt(((beta2 * -1) + 1)))
          r19 = minimum(((v * beta2) + (r15 * r15)), 3.4e+38)
          write m ← r10
          write v ← r19
          write parameter ← ((parameter * (1 - (learningRate * weightDecay))) - ((r10 * (((1 / (1 - (beta1 ^ t))) * sqrt((1 - (beta2 ^ t)))) * learningRate)) / (sqrt(r19) + (epsilon * sqrt((1 - (beta2 ^ t)))))))
        total: 16 bytes read and 12 written per parameter, 28 in all"
    `)
  })

  it('explains clipping by global norm as one phase before it', () => {
    expect(phases(clipByGlobalNorm(sgd()))).toMatchInlineSnapshot(`
      "State
        none

      Phases for shape [1024, 1024]
        phase 1: one pass over [1, 1024, 1024]
          read gradient
          sum s0 ← gradient * gradient over all tensors
        s1 = sqrt(s0)
        s2 = (maximumNorm / s1)
        s3 = minimum(s2, 1)
        phase 2: one pass over [1, 1024, 1024]
          read parameter, gradient
          write parameter ← (parameter - (((gradient * s3) + (parameter * weightDecay)) * learningRate))
        total: 12 bytes read and 4 written per parameter, 16 in all"
    `)
  })

  it('is short for SGD: the vector loop', () => {
    expect(loopBody(pass(sgd()), 1).join('\n')).toMatchInlineSnapshot(`
      "v35 = v128.load[v9]
      v36 = v128.load[v10]
      v37 = f32x4.mul(v35, v6)
      v38 = f32x4.add(v36, v37)
      v39 = f32x4.mul(v38, v8)
      v40 = f32x4.sub(v35, v39)
      v128.store[v9] = v40
      v9 = i32.add(v9, 16)
      v10 = i32.add(v10, 16)
      v4 = i32.sub(v4, 4)
      repeat while i32.ge_u(v4, 4)"
    `)
  })

  it('is the same for the last one to three elements of SGD, without vectors', () => {
    expect(loopBody(pass(sgd()), 2).join('\n')).toMatchInlineSnapshot(`
      "v41 = f32.load[v9]
      v42 = f32.load[v10]
      v43 = f32.mul(v41, v5)
      v44 = f32.add(v42, v43)
      v45 = f32.mul(v44, v7)
      v46 = f32.sub(v41, v45)
      f32.store[v9] = v46
      v9 = i32.add(v9, 4)
      v10 = i32.add(v10, 4)
      v4 = i32.sub(v4, 1)
      repeat while i32.ge_u(v4, 1)"
    `)
  })

  it('is short for AdamW: the vector loop', () => {
    expect(loopBody(pass(adamW()), 1).join('\n')).toMatchInlineSnapshot(`
      "v109 = v128.load[v25]
      v110 = f32x4.mul(v109, v6)
      v111 = v128.load[v26]
      v112 = f32x4.pmin(v111, v8)
      v113 = f32x4.pmax(v112, v10)
      v114 = f32x4.mul(v113, v12)
      v115 = f32x4.add(v110, v114)
      v128.store[v25] = v115
      v116 = v128.load[v27]
      v117 = f32x4.mul(v116, v14)
      v118 = f32x4.mul(v113, v16)
      v119 = f32x4.mul(v118, v118)
      v120 = f32x4.add(v117, v119)
      v121 = f32x4.pmin(v120, v18)
      v128.store[v27] = v121
      v122 = f32x4.sqrt(v121)
      v123 = f32x4.mul(v115, v22)
      v124 = f32x4.add(v122, v24)
      v125 = f32x4.div(v123, v124)
      v126 = v128.load[v28]
      v127 = f32x4.mul(v126, v20)
      v128 = f32x4.sub(v127, v125)
      v128.store[v28] = v128
      v25 = i32.add(v25, 16)
      v26 = i32.add(v26, 16)
      v27 = i32.add(v27, 16)
      v28 = i32.add(v28, 16)
      v4 = i32.sub(v4, 4)
      repeat while i32.ge_u(v4, 4)"
    `)
  })

  it('is unrolled four times in the main loop', () => {
    const lines = pass(adamW())
    const count = (loop: number, what: RegExp) => loopBody(lines, loop).join('\n').match(what)!.length
    for (const what of [/v128\.load/g, /v128\.store/g, /f32x4\.div/g, /f32x4\.sqrt/g, /f32x4\.mul/g]) {
      expect(count(0, what)).toBe(4 * count(1, what))
    }
    // Each array is read and written once: four in, three out.
    expect([count(1, /v128\.load/g), count(1, /v128\.store/g)]).toEqual([4, 3])
    // One division and one root per element; everything else that could be one is a factor from the host.
    expect([count(1, /f32x4\.div/g), count(1, /f32x4\.sqrt/g)]).toEqual([1, 1])
  })

  it('is small', () => {
    const bytes = (optimizer: Optimizer) => {
      const { functions, helpers } = generateFunctions(plansOf(optimizer, [64, 64]))
      return assembleModule(functions, driver(), { ...helpers, ...routineFunctions }, undefined).byteLength
    }
    expect(bytes(sgd())).toBeLessThan(1300)
    expect(bytes(adamW())).toBeLessThan(2700)
    expect(bytes(muon())).toBeLessThan(18_000)
  })

  it('is the same at every generation', () => {
    const bytes = () => assembleModule(functionsOf(adamW()), driver(), {}, undefined)
    expect(bytes()).toEqual(bytes())
  })

  it('ends every block that it begins', () => {
    for (const each of functionsOf(muon())) {
      const words = textOf(each).split(/\s+/)
      const count = (word: string) => words.filter((other) => other.replace(/\)+$/, '') === word).length
      expect(count('end')).toBe(count('if') + count('loop') + count('block'))
    }
  })
})
