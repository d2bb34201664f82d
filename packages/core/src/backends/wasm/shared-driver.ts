/** What runs a list of work on several threads. */

import { FunctionBuilder } from './assembler.ts'
import { callItem, control, countUp, itemBytes, locals } from './library.ts'

/** How many times a thread looks at the barrier before it asks to sleep. */
const spins = 20_000

/** The functions that the shared driver imports, in this order: sleep while `arrived` is as given; wake the sleepers. */
export const sharedImports = [
  { name: 'sleep', parameters: ['i32'] },
  { name: 'wake', parameters: [] },
] as const

/**
 * The driver of one thread among several: rounds one after the other, items of a round in any order by whoever is free.
 * Parameter: control block. Results do not depend on who does what, because every item writes its own place.
 *
 * Sleeping is left to JavaScript: V8's baseline compiler (in Node 20) loses local variables around `memory.atomic.wait32`,
 * so that later barriers did not hold.
 */
export function sharedDriver(): FunctionBuilder {
  const f = new FunctionBuilder('run', ['i32', 'i32'])
  const block = f.parameters[0]!
  const l = locals(f, ['round', 'rounds', 'counter', 'index', 'item', 'target', 'seen', 'tries', 'threads'])
  f.get(block).at('i32.load', control.roundCount).set(l.rounds)
  f.get(block).at('i32.load', control.threads).set(l.threads)
  f.get(block).i32(1).at('i32.atomic.rmw.add', control.begun).thread('set')
  f.i32(0).set(l.round)
  f.get(block).at('i32.load', control.base).set(l.target)
  countUp(f, l.round, 1, l.rounds, () => {
    f.get(block).at('i32.load', control.counters).get(l.round).i32(4).op('i32.mul', 'i32.add').set(l.counter)
    f.block(() => {
      f.loop(() => {
        const bounds = () => f.get(block).at('i32.load', control.rounds).get(l.round).i32(8).op('i32.mul', 'i32.add')
        f.get(l.counter).i32(1).at('i32.atomic.rmw.add').tee(l.index)
        bounds().at('i32.load', 4).op('i32.ge_u').branchIf(1)
        f.get(block).at('i32.load', control.items)
        bounds().at('i32.load').get(l.index).op('i32.add').i32(itemBytes).op('i32.mul', 'i32.add').set(l.item)
        callItem(f, l.item)
        f.branch(0)
      })
    })
    // Barrier: wait until everybody has arrived.
    f.get(l.target).get(l.threads).op('i32.add').set(l.target)
    f.get(block).i32(1).at('i32.atomic.rmw.add', control.arrived).i32(1).op('i32.add').get(l.target).op('i32.eq')
    f.if(() => {
      f.call(1)
      f.op('else')
      f.i32(0).set(l.tries)
      f.block(() => {
        f.loop(() => {
          f.get(block).at('i32.atomic.load', control.arrived).tee(l.seen).get(l.target).op('i32.sub')
          // The difference is negative until all have arrived.
          f.i32(-0x80000000).op('i32.and', 'i32.eqz').branchIf(1)
          f.get(l.tries).i32(1).op('i32.add').tee(l.tries).i32(spins).op('i32.gt_u')
          f.if(() => f.get(l.seen).call(0))
          f.branch(0)
        })
      })
    })
  })
  return f
}
