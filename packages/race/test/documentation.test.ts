import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { registry } from 'fallline'
import { describe, expect, it } from 'vitest'
import { missingInputs } from '../documentation/inputs.ts'
import { directory, pages } from '../documentation/pages.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const read = (path: string) => readFileSync(`${root}${path}`, 'utf8')

describe('what `npm run docs` writes is up to date', () => {
  it.each([...pages(read('README.md'))])('%s', (path, text) => {
    expect(existsSync(`${root}${path}`)).toBe(true)
    expect(read(path)).toBe(text)
  })

  it('has a page and a picture for every optimizer and for nothing else', () => {
    const names = registry.map(({ definition }) => definition.name)
    const listed = (folder: string, ending: string) =>
      readdirSync(`${root}${directory}${folder}`)
        .filter((name) => name.endsWith(ending))
        .map((name) => name.slice(0, -ending.length))
        .sort()
    expect(listed('', '.md')).toEqual([...names, 'README'].sort())
    expect(listed('/pictures', '.svg')).toEqual([...names].sort())
  })

  it('leaves out of pictures only what cannot be run there', () => {
    for (const { definition } of registry) {
      const { surface, task } = missingInputs(definition)
      const picture = read(`${directory}/pictures/${definition.name}.svg`)
      const reasons = [...picture.matchAll(/not run: there is no (\w+) here/g)].map(([, name]) => name)
      expect([definition.name, ...reasons]).toEqual([definition.name, surface, surface, task].filter(Boolean))
    }
  })
})
