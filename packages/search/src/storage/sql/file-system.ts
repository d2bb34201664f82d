import { existsSync, statfsSync } from 'node:fs'
import { dirname } from 'node:path'

/** File systems of several machines by the number that Linux gives them (`statfs`). */
const shared: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4283649346: 'CIFS',
  4266872130: 'SMB',
  1397113167: 'AFS',
  198183888: 'Lustre',
  1196443219: 'GPFS',
  12805120: 'Ceph',
  428016422: 'BeeGFS',
}

/** File systems that may be of this machine or of another. */
const unclear: Readonly<Record<number, string>> = { 1702057286: 'FUSE', 16914839: '9P' }

/**
 * Sees that a folder is on a disk of this machine: a database survives crashes only where what is written stays in its order, and who
 * owns a folder can only be told among processes of one machine.
 *
 * @param typeOf the number of the file system of a path that is there
 * @returns a warning; `null` without one
 * @throws Error for a folder on a file system of several machines
 */
export function checkFileSystem(
  folder: string,
  typeOf: (path: string) => number = (path) => statfsSync(path).type,
): string | null {
  let there = folder
  while (!existsSync(there)) there = dirname(there)
  // Linux gives some of them as negative numbers.
  const type = typeOf(there) >>> 0
  const name = shared[type]
  if (name !== undefined) {
    throw new Error(
      `${folder} is on a network file system (${name}), where a database can be damaged: take a folder on a disk of this machine, or a PostgreSQL server for several machines`,
    )
  }
  if (!(type in unclear)) return null
  return `${folder} is on a file system of the kind ${unclear[type]}; if another machine is behind it, a database can be damaged there: take a folder on a disk of this machine, or a PostgreSQL server`
}
