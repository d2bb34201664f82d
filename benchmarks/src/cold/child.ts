/**
 * Measures once, in a process that has done nothing yet, how long it takes from an optimizer to its first possible step.
 * Arguments: name of the optimizer, then the lengths of its one tensor. Prints milliseconds as JSON.
 */
import { performance } from 'node:perf_hooks'
import { compile, findOptimizer, wasm } from 'fallline'

const [name, ...lengths] = process.argv.slice(2)
const factory = findOptimizer(name!)
const shape = lengths.map(Number)

const start = performance.now()
const optimizer = await compile(factory(), { weight: shape }, { backend: wasm({ threads: 1 }), nonFinite: 'allow' })
const compiled = performance.now()
optimizer.gradients.weight!.fill(0.01)
const filled = performance.now()
optimizer.step()
const stepped = performance.now()
console.log(JSON.stringify({ compile: compiled - start, firstStep: stepped - filled }))
optimizer.dispose()
