import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { adamW, describe as describeOptimizer, type Optimizer } from 'fallline'
import { describe, expect, it } from 'vitest'
import * as schedules from '../src/schedules/index.ts'
import * as transforms from '../src/transforms/index.ts'
import { pages, read, root } from './support/pages.ts'

/** The page without its fenced blocks. */
const proseOf = (page: string) => read(page).replace(/^```.*?^```$/gms, '')

/** The rows of the table, or the paragraph, under `<!-- name -->`. */
function under(name: string): string[] {
  const after = read('README.md').split(`<!-- ${name} -->\n\n`)[1]!
  return after.slice(0, after.indexOf('\n\n')).split('\n')
}

const short = (value: number) => String(Number(value.toPrecision(4)))

describe('the tables of the README', () => {
  it('list the transforms, with what they cost around AdamW', () => {
    const sorted = Object.entries(transforms).sort(([a], [b]) => (a < b ? -1 : 1))
    const rows = sorted.map(([name, transform]) => {
      const wrapped = (transform as (inner: Optimizer) => Optimizer)(adamW())
      const { stateBytesPerParameter, bytesPerParameter } = describeOptimizer(wrapped)
      const bytes = `${short(stateBytesPerParameter)} | ${short(bytesPerParameter)}`
      return `| \`${name}\` | ${transform.definition.title} | ${bytes} |`
    })
    expect(under('transforms').slice(2)).toEqual(rows)
  })

  it('list the schedules', () => {
    const helpers = ['evaluateSchedule', 'isSchedule']
    const listed = [
      ...under('schedules')
        .join(' ')
        .matchAll(/`(\w+)`/g),
    ].map((match) => match[1]!)
    expect(listed.sort()).toEqual(
      Object.keys(schedules)
        .filter((name) => !helpers.includes(name))
        .sort(),
    )
  })
})

describe('the picture of the flow', () => {
  it('has the bytes of the plan of AdamW', () => {
    const { readBytesPerParameter, writtenBytesPerParameter, bytesPerParameter } = describeOptimizer(adamW)
    const picture = read('docs/flow.svg')
    expect(picture).toContain(`${readBytesPerParameter} read + ${writtenBytesPerParameter} written`)
    expect(picture).toContain(`= ${bytesPerParameter} bytes per parameter`)
  })
})

describe.each(pages)('%s', (page) => {
  it('links to files and headings that exist', () => {
    const links = [...proseOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1]!)
    const broken = links.filter((link) => {
      if (/^https?:/.test(link)) return false
      const [path, heading] = link.split('#') as [string, string | undefined]
      const target = path === '' ? page : join(dirname(page), path)
      if (!existsSync(join(root, target))) return true
      if (heading === undefined) return false
      const headings = [...read(target).matchAll(/^#+ (.*)$/gm)].map((match) =>
        match[1]!
          .toLowerCase()
          .replaceAll(/[^\w -]/g, '')
          .replaceAll(' ', '-'),
      )
      return !headings.includes(heading)
    })
    expect(broken).toEqual([])
  })

  it('names files that exist', () => {
    const example = 'packages/core/src/optimizers/novo-grad.ts'
    const names = [...proseOf(page).matchAll(/`([\w@][\w@./-]*)`/g)].map((match) => match[1]!)
    const files = names.filter((name) => (name.endsWith('.ts') && name.includes('/')) || name.startsWith('packages/'))
    const folders = [root, join(root, 'packages/core/src'), join(root, dirname(page))]
    const missing = files.filter((name) => name !== example && !folders.some((base) => existsSync(join(base, name))))
    expect(missing).toEqual([])
  })

  it('names commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const named = [...read(page).matchAll(/npm run ([\w:]+)/g)].map((match) => match[1]!)
    expect(named.filter((name) => !(name in scripts))).toEqual([])
  })
})
