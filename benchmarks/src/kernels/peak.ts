import { processorClock } from '../measure.ts'
import { assemble } from './assemble.ts'

const sums = 12
const turns = 2_000_000
const repetitions = 20

/**
 * How many float32 multiply-adds a second one thread does at most with instructions that every engine has: twelve sums of four
 * numbers each that stay in registers, each taking a product in every turn.
 */
export async function peakMultiplyAdds(): Promise<number> {
  const names = Array.from({ length: sums }, (_, index) => `$sum${index}`)
  const add = names
    .map((name) => `(local.set ${name} (f32x4.add (local.get ${name}) (f32x4.mul (local.get $a) (local.get $b))))`)
    .join('\n')
  const total = names.map((name) => `(local.get ${name})`).reduce((left, right) => `(f32x4.add ${left} ${right})`)
  const { run } = await assemble(
    `(module
      (import "host" "memory" (memory 1))
      (func (export "run") (param $turns i32) (local $a v128) (local $b v128) ${names.map((name) => `(local ${name} v128)`).join(' ')}
        (local.set $a (v128.load (i32.const 0)))
        (local.set $b (v128.load (i32.const 16)))
        (loop
          ${add}
          (br_if 0 (local.tee $turns (i32.sub (local.get $turns) (i32.const 1)))))
        (v128.store (i32.const 32) ${total})))`,
    new WebAssembly.Memory({ initial: 1 }),
  )
  let best = Number.POSITIVE_INFINITY
  for (let repetition = 0; repetition < repetitions; repetition++) {
    const start = processorClock()
    run!(turns)
    best = Math.min(best, (processorClock() - start) / 1000)
  }
  return (4 * sums * turns) / best
}
