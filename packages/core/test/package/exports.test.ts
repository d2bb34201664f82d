import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import * as core from 'fallline'
import { describe, expect, it } from 'vitest'
import * as files from '../../src/state/files.ts'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const inDocs = readdirSync(`${root}docs`).filter((name) => name.endsWith('.md'))
const pages = [
  'README.md',
  ...['core', 'jax', 'race', 'search', 'solvers', 'tfjs'].map((name) => `packages/${name}/README.md`),
  ...inDocs.map((name) => `docs/${name}`),
]
const guides = pages.map((page) => readFileSync(root + page, 'utf8')).join('\n')

/** The names of values that a module exports by name, from its source. */
function exportsOf(path: string): string[] {
  const source = readFileSync(root + path, 'utf8')
  const lists = [...source.matchAll(/^export \{([^}]*)\}/gms)].flatMap((match) => match[1]!.split(','))
  return lists.map((name) => name.trim()).filter((name) => name !== '' && !name.startsWith('type '))
}

describe('everything that is exported is in a guide', () => {
  it.each([
    ['fallline', Object.keys(core)],
    ['fallline/files', Object.keys(files)],
    ['fallline/build', exportsOf('packages/core/src/build.ts')],
    ['fallline/runtime', exportsOf('packages/core/src/runtime.ts')],
    ['fallline/webgpu', exportsOf('packages/core/src/webgpu.ts')],
    ['@fallline/jax', exportsOf('packages/jax/src/index.ts')],
    ['@fallline/race', exportsOf('packages/race/src/index.ts')],
    ['@fallline/search', exportsOf('packages/search/src/index.ts')],
    ['@fallline/search/testing', exportsOf('packages/search/src/testing/index.ts')],
    ['@fallline/solvers', exportsOf('packages/solvers/src/index.ts')],
    ['@fallline/tfjs', exportsOf('packages/tfjs/src/index.ts')],
  ])('%s', (_, names) => {
    expect(names.length).toBeGreaterThan(0)
    expect(names.filter((name) => !new RegExp(`\\b${name}\\b`).test(guides))).toEqual([])
  })
})
