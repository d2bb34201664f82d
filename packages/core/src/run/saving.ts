import { viewPlace } from '../backends/backend.ts'
import type { Loaded, LoadOptions } from '../state/checkpoint.ts'
import { checkpointPlaces } from './checkpointing.ts'
import { encodeRun, takeRun } from './portable.ts'
import type { RunningOptimizer } from './running-optimizer.ts'

/** The checkpoint of an optimizer: see `CompiledOptimizer.save`. */
export function save(optimizer: RunningOptimizer): Uint8Array {
  optimizer.refuseWhileBusy('save')
  optimizer.refuseAfterFinish('save')
  const memory = optimizer.memory('save', 'await optimizer.saveAsync()')
  optimizer.bringIn()
  const { conductor } = optimizer
  return encodeRun(
    conductor,
    checkpointPlaces(conductor, 'all').map((place) => viewPlace(memory, place)),
  )
}

/** Continues from a checkpoint: see `CompiledOptimizer.load`. */
export function load(optimizer: RunningOptimizer, bytes: Uint8Array, options: LoadOptions = {}): Loaded {
  optimizer.refuseWhileBusy('load')
  optimizer.course.verdicts?.check('load')
  const result = takeRun(optimizer.conductor, optimizer.instance.readback, bytes, options)
  optimizer.finished = false
  optimizer.bringOut()
  return result
}
