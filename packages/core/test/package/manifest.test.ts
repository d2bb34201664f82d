import { access, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

interface Manifest {
  readonly name: string
  readonly main: string
  readonly types: string
  readonly scripts: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
  readonly typesVersions?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>
}

const root = new URL('../../../../', import.meta.url)

describe.each(['core', 'jax', 'race', 'search', 'solvers', 'tfjs'])('the package in packages/%s', (folder) => {
  const here = new URL(`packages/${folder}/`, root)
  const read = async () => JSON.parse(await readFile(new URL('package.json', here), 'utf8')) as Manifest

  it('is built before it is packed, also in a clone that never was', async () => {
    expect((await read()).scripts.prepack).toBe('tsc -b tsconfig.build.json')
    await access(new URL('tsconfig.build.json', here))
  })

  it('says the same to resolution that does not read exports', async () => {
    const { main, types, exports, typesVersions } = await read()
    for (const [path, targets] of Object.entries(exports)) {
      if (typeof targets === 'string') continue
      const other = path === '.' ? types : typesVersions?.['*']?.[path.slice(2)]?.[0]
      expect(other, path).toBe(targets.types)
      // What a build writes there has a source.
      await access(fileURLToPath(new URL(targets['@fallline/source']!, here)))
      expect(targets['@fallline/source']!.replace(/^\.\/src\/(.*)\.ts$/, './dist/$1.d.ts')).toBe(targets.types)
    }
    expect(main).toBe((exports['.'] as Readonly<Record<string, string>>).default)
  })
})
