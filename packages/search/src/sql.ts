/** Studies that last: in a folder, or on a PostgreSQL server. */

import { ConnectionLost, isUnreachable } from './storage/sql/database.ts'
import { studyFolder } from './storage/sql/folder.ts'
import { postgres, withoutPassword } from './storage/sql/postgres.ts'
import { migrate } from './storage/sql/schema.ts'
import { nap, reconnection, sqlStorage } from './storage/sql/storage.ts'
import type { Storage } from './storage/storage.ts'

export { DiskFull } from './storage/sql/database.ts'
export { ConnectionLost, studyFolder }

/**
 * Studies on a PostgreSQL server (version 12 or newer, the package `pg`), in the schema `fallline` of a database, which is made when it
 * is not there.
 *
 * @param url such as `postgres://user:password@host:5432/database`
 * @throws RangeError for what is no URL, Error when no server answers, for tables of a newer version, and for a user who may not make them
 */
export async function studyServer(url: string): Promise<Storage> {
  if (!URL.canParse(url)) {
    throw new RangeError(
      'the URL of the PostgreSQL server is none: write postgres://user:password@host:5432/database, special characters of the password as %40 and the like',
    )
  }
  const database = await postgres(url)
  const deadline = Date.now() + reconnection
  for (;;) {
    try {
      await migrate(database, withoutPassword(url))
      return sqlStorage(database)
    } catch (error) {
      // A server that is there and starts, or breaks off, is waited for; one that is not there may be a mistake in the URL.
      if (error instanceof ConnectionLost && !isUnreachable(error) && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, nap))
        continue
      }
      await database.close()
      throw error
    }
  }
}

/**
 * Studies at a place: a URL that begins with `postgres:` or `postgresql:`, or the path of a folder.
 *
 * @throws RangeError for a URL of another kind, and as `studyServer` and `studyFolder` do
 */
export async function studiesAt(place: string): Promise<Storage> {
  if (/^postgres(ql)?:/.test(place)) return studyServer(place)
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(place)) {
    throw new RangeError(`studies are in a folder or at a URL that begins with postgres:, not at ${place}`)
  }
  return studyFolder(place)
}
