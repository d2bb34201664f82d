import { adamW, clipByGlobalNorm, explain, muon, type Optimizer, sgd } from 'fallline'
import { describe, expect, it } from 'vitest'
import { assembleModule } from '../../src/backends/wasm/assembler.ts'
import { generateFunctions } from '../../src/backends/wasm/kernels.ts'
import { driver } from '../../src/backends/wasm/library.ts'
import { listing, loopBody } from '../support/listing.ts'
import { plansOf } from '../support/plans.ts'

function functionsOf(optimizer: Optimizer) {
  return generateFunctions(plansOf(optimizer, [64, 64])).functions
}

/** The listing of the one pass of an elementwise optimizer. */
function pass(optimizer: Optimizer): string[] {
  const found = functionsOf(optimizer).filter(({ name }) => name.includes('loop'))
  expect(found.length).toBe(1)
  return listing(found[0]!.text())
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
          r6 = ((m * beta1) + (gradient * (1 - beta1)))
          r11 = (gradient * sqrt(((beta2 * -1) + 1)))
          r15 = minimum(((v * beta2) + (r11 * r11)), 3.4e+38)
          write m ← r6
          write v ← r15
          write parameter ← ((parameter * (1 - (learningRate * weightDecay))) - ((r6 * (((1 / (1 - (beta1 ^ t))) * sqrt((1 - (beta2 ^ t)))) * learningRate)) / (sqrt(r15) + (epsilon * sqrt((1 - (beta2 ^ t)))))))
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
      "v97 = v128.load[v21]
      v98 = f32x4.mul(v97, v6)
      v99 = v128.load[v22]
      v100 = f32x4.mul(v99, v8)
      v101 = f32x4.add(v98, v100)
      v128.store[v21] = v101
      v102 = v128.load[v23]
      v103 = f32x4.mul(v102, v10)
      v104 = f32x4.mul(v99, v12)
      v105 = f32x4.mul(v104, v104)
      v106 = f32x4.add(v103, v105)
      v107 = f32x4.pmin(v106, v14)
      v128.store[v23] = v107
      v108 = f32x4.sqrt(v107)
      v109 = f32x4.mul(v101, v18)
      v110 = f32x4.add(v108, v20)
      v111 = f32x4.div(v109, v110)
      v112 = v128.load[v24]
      v113 = f32x4.mul(v112, v16)
      v114 = f32x4.sub(v113, v111)
      v128.store[v24] = v114
      v21 = i32.add(v21, 16)
      v22 = i32.add(v22, 16)
      v23 = i32.add(v23, 16)
      v24 = i32.add(v24, 16)
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
      return assembleModule(functions, driver(), helpers, undefined).byteLength
    }
    expect(bytes(sgd())).toBeLessThan(1300)
    expect(bytes(adamW())).toBeLessThan(2700)
    expect(bytes(muon())).toBeLessThan(12_000)
  })

  it('is the same at every generation', () => {
    const bytes = () => assembleModule(functionsOf(adamW()), driver(), [], undefined)
    expect(bytes()).toEqual(bytes())
  })

  it('ends every block that it begins', () => {
    for (const each of functionsOf(muon())) {
      const words = each.text().split(/\s+/)
      const count = (word: string) => words.filter((other) => other.replace(/\)+$/, '') === word).length
      expect(count('end')).toBe(count('if') + count('loop') + count('block'))
    }
  })
})
