import type { PGlite } from '@electric-sql/pglite'
import { optional } from '../../optional.ts'
import { ConnectionLost, driverError, type Query, type ServerDatabase } from './database.ts'

/** Opens the database of PGlite, PostgreSQL in this process, in a directory, or makes one; without a directory it is in memory. */
export async function embedded(directory?: string): Promise<ServerDatabase> {
  const { PGlite } = await optional('@electric-sql/pglite', () => import('@electric-sql/pglite'))
  const where = directory ?? 'memory'
  const told = (error: unknown) => {
    const known = driverError(where, error)
    // What is no answer of PostgreSQL has ended it, and it has to be opened anew.
    if (known !== error || isAnswer(error)) return known
    return new ConnectionLost(`the database in ${where} has stopped: ${String(error)}`, { cause: error })
  }
  const pglite = await (directory === undefined ? PGlite.create() : PGlite.create(directory)).catch((error) => {
    throw driverError(where, error)
  })
  const queryOf =
    (of: Pick<PGlite, 'query'>): Query =>
    async (text, parameters = []) => {
      try {
        return (await of.query<Record<string, unknown>>(text, [...parameters])).rows
      } catch (error) {
        throw told(error)
      }
    }
  return {
    query: queryOf(pglite),
    transaction: (work) => pglite.transaction((transaction) => work(queryOf(transaction as Pick<PGlite, 'query'>))),
    close: async () => {
      if (!pglite.closed) await pglite.close()
    },
  }
}

/** Whether PostgreSQL answered with an error: it has a code of five characters. */
function isAnswer(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code)
}
