import { choice, float, memoryStorage, openStudy, space } from '@fallline/search'
import { afterEach, describe, expect, test } from 'vitest'
import { type Served, serve } from '../src/serve/server.ts'

const searched = space({ rate: float(1e-4, 1, { scale: 'log' }), kind: choice(['a', 'b']) })

async function withStudy(name = 'first') {
  const storage = memoryStorage()
  const study = await openStudy({ space: searched, storage, name, seed: 1, worker: 'host-1' })
  await study.optimize(({ parameters }) => Math.log10(parameters.rate) ** 2 + (parameters.kind === 'a' ? 1 : 0), {
    trials: 40,
  })
  return { storage, study }
}

let served: Served | undefined
afterEach(async () => {
  await served?.close()
  served = undefined
})

describe('a server of studies', () => {
  test('lists them and shows one, with charts and findings', async () => {
    const { storage } = await withStudy()
    served = await serve({ storage })
    const list = await (await fetch(served.url)).text()
    expect(list).toContain('<a href="/studies/first">first</a>')
    const text = await (await fetch(`${served.url}studies/first`)).text()
    expect(text).toContain('The best of 40')
    for (const label of ['value by trial', 'Importance of parameters', 'value by rate', 'Timeline of workers']) {
      expect(text).toContain(`aria-label="${label}"`)
    }
    const { record, trials } = (await (await fetch(`${served.url}studies/first/study.json`)).json()) as {
      record: { name: string }
      trials: unknown[]
    }
    expect(record.name).toBe('first')
    expect(trials).toHaveLength(40)
  })

  test('shows names, notes and errors as text', async () => {
    const name = '<img src=x onerror=alert(1)>'
    const { storage, study } = await withStudy(name)
    await study.annotate('note', '<script>alert(2)</script>')
    await study.fail(await study.ask(), '<b>bold</b>')
    served = await serve({ storage })
    const text = await (await fetch(`${served.url}studies/${encodeURIComponent(name)}`)).text()
    expect(text).not.toMatch(/<img|<script>alert|<b>bold/)
    expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;')
    expect(text).toContain('&lt;script&gt;alert(2)')
    expect(text).toContain('&lt;b&gt;bold')
  })

  test('says when something has changed', async () => {
    const { storage, study } = await withStudy()
    served = await serve({ storage, every: 20 })
    const abort = new AbortController()
    const answer = await fetch(`${served.url}studies/first/events`, { signal: abort.signal })
    expect(answer.headers.get('content-type')).toMatch('text/event-stream')
    const reader = answer.body!.getReader()
    await study.tell(await study.ask(), 5)
    const { value } = await reader.read()
    expect(new TextDecoder().decode(value)).toMatch(/^data: \d+\n\n$/)
    expect(await (await fetch(`${served.url}studies/first/content`)).text()).toContain('41 complete')
    abort.abort()
  })

  test('writes nothing, and keeps to those who may read', async () => {
    const { storage } = await withStudy()
    served = await serve({ storage, token: 'secret' })
    const { origin } = new URL(served.url)
    expect((await fetch(origin)).status).toBe(401)
    expect((await fetch(`${origin}/?token=wrong!`)).status).toBe(401)
    expect((await fetch(`${origin}/?token=secret`)).status).toBe(200)
    expect(await (await fetch(`${origin}/?token=secret`)).text()).toContain('/studies/first?token=secret')
    expect((await fetch(`${origin}/?token=secret`, { method: 'POST' })).status).toBe(405)
    expect((await fetch(`${origin}/studies/none?token=secret`)).status).toBe(404)
    await served.close()
    served = await serve({ storage, host: '0.0.0.0' })
    expect(served.url).toMatch(/\?token=[\w-]{24}$/)
  })
})
