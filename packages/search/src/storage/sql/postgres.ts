import type { Pool, PoolClient } from 'pg'
import { optional } from '../../optional.ts'
import { driverError, type Query, type ServerDatabase } from './database.ts'

/** Connects to a PostgreSQL server; `connections` at most at the same time. */
export async function postgres(url: string, connections: number = 4): Promise<ServerDatabase> {
  const { default: pg } = await optional('pg', () => import('pg'))
  const where = withoutPassword(url)
  const pool: Pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    allowExitOnIdle: true,
    application_name: 'fallline',
  })
  // An idle connection that breaks is replaced by the pool.
  pool.on('error', () => {})
  const queryOf =
    (of: Pool | PoolClient): Query =>
    async (text, parameters = []) => {
      try {
        return (await of.query(text, [...parameters])).rows
      } catch (error) {
        throw driverError(where, error)
      }
    }
  return {
    query: queryOf(pool),
    async transaction(work) {
      const client = await pool.connect().catch((error) => {
        throw driverError(where, error)
      })
      client.on('error', () => {})
      const query = queryOf(client)
      let broken: Error | undefined
      try {
        await query('begin')
        const result = await work(query)
        await query('commit')
        return result
      } catch (error) {
        await query('rollback').catch((failure: Error) => {
          broken = failure
        })
        throw error
      } finally {
        client.release(broken)
      }
    },
    async close() {
      if (!pool.ended) await pool.end()
    },
  }
}

/** A URL as it may be shown. */
export function withoutPassword(url: string): string {
  const parsed = new URL(url)
  if (parsed.password !== '') parsed.password = '***'
  return parsed.href
}
