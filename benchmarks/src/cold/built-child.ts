/**
 * Measures once, in a process that has done nothing yet, how long an optimizer that was built ahead takes to its first step.
 * Is bundled with the module that `build` wrote as `built`. Prints milliseconds as JSON.
 */
import { performance } from 'node:perf_hooks'
// @ts-expect-error what `build` writes
import { create } from 'built'

const start = performance.now()
const optimizer = await create({ nonFinite: 'allow' })
const created = performance.now()
optimizer.gradients.weight.fill(0.01)
const filled = performance.now()
optimizer.step()
const stepped = performance.now()
console.log(JSON.stringify({ compile: created - start, firstStep: stepped - filled }))
