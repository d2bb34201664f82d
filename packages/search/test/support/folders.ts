import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { studyFolder } from '../../src/sql.ts'

/** Gives folders without studies, which are removed after the tests of a file. */
export function temporaryFolders(): () => Promise<string> {
  const folders: string[] = []
  const make = () => {
    const folder = mkdtempSync(join(tmpdir(), 'fallline-folder-'))
    folders.push(folder)
    return folder
  }
  // A new database takes seconds of computing; a copy takes none.
  let template: Promise<string> | undefined
  const first = async () => {
    const folder = make()
    await (await studyFolder(folder)).close()
    return folder
  }
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true })
  })
  return async () => {
    template ??= first()
    const folder = make()
    cpSync(await template, folder, { recursive: true })
    return folder
  }
}
