import { createHash } from 'node:crypto'
import type { Watch } from '../storage.ts'
import type { Database, Listener } from './database.ts'

/** On which everybody says in which studies something has happened: the MD5 of a name, because what is said has at most 8000 bytes. */
export const channel = 'fallline'

/** The watches of a database over one connection, which lasts as long as there are any. */
export function watches(listen: NonNullable<Database['listen']>): (name: string) => Watch {
  const open = new Map<string, Set<() => void>>()
  let listener: Listener | undefined
  const heard = (payload: string) => {
    for (const hear of open.get(payload) ?? []) hear()
  }
  return (name) => {
    const key = createHash('md5').update(name).digest('hex')
    const waiting = new Set<() => void>()
    let count = 0
    const hear = () => {
      count++
      for (const wake of waiting) wake()
    }
    open.set(key, (open.get(key) ?? new Set()).add(hear))
    listener ??= listen(channel, heard)
    return {
      get count() {
        return count
      },
      async next(before, milliseconds, deaf, signal) {
        if (count > before || signal?.aborted) return
        await new Promise<void>((resolve) => {
          const wake = () => {
            clearTimeout(timer)
            waiting.delete(wake)
            signal?.removeEventListener('abort', wake)
            resolve()
          }
          const timer = setTimeout(wake, listener?.isConnected ? milliseconds : deaf)
          waiting.add(wake)
          signal?.addEventListener('abort', wake)
        })
      },
      close() {
        const others = open.get(key)!
        others.delete(hear)
        if (others.size === 0) open.delete(key)
        if (open.size > 0) return
        listener?.close()
        listener = undefined
      },
    }
  }
}
