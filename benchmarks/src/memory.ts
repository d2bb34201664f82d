import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Gives back the memories of what was disposed, so that the next group does not pay for the last. */
export function collectGarbage(): void {
  collect()
}
