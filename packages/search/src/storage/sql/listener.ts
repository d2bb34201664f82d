import type { Client } from 'pg'
import type { Listener } from './database.ts'

/** Milliseconds between two tries to connect. */
const nap = 1000

/** Listens on a channel of a PostgreSQL server. What is said while there is no connection is not heard. */
export function listener(makeClient: () => Client, channel: string, heard: (payload: string) => void): Listener {
  let client: Client | undefined
  let isConnected = false
  let isClosed = false
  const connect = () => {
    if (isClosed) return
    const current = makeClient()
    client = current
    const lost = () => {
      if (client !== current) return
      client = undefined
      isConnected = false
      current.end().catch(() => {})
      setTimeout(connect, nap).unref()
    }
    current.on('error', lost)
    current.on('end', lost)
    current.on('notification', ({ payload }) => heard(payload ?? ''))
    current
      .connect()
      .then(() => current.query(`listen ${current.escapeIdentifier(channel)}`))
      .then(() => {
        isConnected = true
      })
      .catch(lost)
  }
  connect()
  return {
    get isConnected() {
      return isConnected
    },
    close() {
      isClosed = true
      client?.end().catch(() => {})
    },
  }
}
