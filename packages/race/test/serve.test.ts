import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { choice, float, memoryStorage, openStudy, space } from '@fallline/search'
import { studiesAt } from '@fallline/search/sql'
import { afterEach, describe, expect, test } from 'vitest'
import { hasPostgres, startServer } from '../../search/test/support/server.ts'
import { type Served, serve } from '../src/serve/server.ts'
import { interrupted, race } from './support/races.ts'

const everything = process.env.FALLLINE_TEST_ALL === '1'
const searched = space({ rate: float(1e-4, 1, { scale: 'log' }), kind: choice(['a', 'b']) })

async function withStudy(name = 'first') {
  const storage = memoryStorage()
  const study = await openStudy({ space: searched, storage, name, seed: 1, worker: 'host-1' })
  await study.optimize(({ parameters }) => Math.log10(parameters.rate) ** 2 + (parameters.kind === 'a' ? 1 : 0), {
    trials: 40,
  })
  return { storage, study }
}

/** Server-sent events, one after the other. */
async function follow(address: string) {
  const abort = new AbortController()
  const answer = await fetch(address, { signal: abort.signal })
  expect(answer.headers.get('content-type')).toMatch('text/event-stream')
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader()
  let received = ''
  return {
    async next(): Promise<{ id: string; text: string }> {
      while (!received.includes('\n\n')) received += (await reader.read()).value
      const [event, ...others] = received.split('\n\n')
      received = others.join('\n\n')
      const [, id, data] = /^id: (.+)\ndata: (.*)$/.exec(event!)!
      return { id: id!, text: JSON.parse(data!) as string }
    },
    close: () => abort.abort(),
  }
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
    const { record, trials } = (await (await fetch(`${served.url}studies/first/data.json`)).json()) as {
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

  test('sends what has changed, and nothing to those who have it', async () => {
    const { storage, study } = await withStudy()
    served = await serve({ storage, every: 20 })
    const events = await follow(`${served.url}studies/first/events`)
    const first = await events.next()
    expect(first.text).toContain('40 complete')
    await study.tell(await study.ask(), 5)
    let last = await events.next()
    while (!last.text.includes('41 complete')) last = await events.next()
    events.close()
    const again = await follow(`${served.url}studies/first/events?seen=${last.id}`)
    await study.annotate('note', 'new')
    expect((await again.next()).text).toContain('<dt>note</dt><dd>new</dd>')
    again.close()
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
    expect((await fetch(`${origin}/studies/%E0?token=secret`)).status).toBe(400)
    const policy = (await fetch(`${origin}/?token=secret`)).headers.get('content-security-policy')
    expect(policy).toMatch(/^default-src 'none'; .*script-src 'nonce-[^']+'/)
    await served.close()
    served = await serve({ storage, host: '0.0.0.0' })
    expect(served.url).toMatch(/\?token=[\w-]{24}$/)
  })

  test('takes changes with a token where it may', async () => {
    const { storage, study } = await withStudy()
    served = await serve({ storage, writable: true })
    const { origin, search } = new URL(served.url)
    expect(search).toMatch(/^\?token=[\w-]{24}$/)
    const post = (change: string, fields: Record<string, string> = {}, query = search) =>
      fetch(`${origin}/studies/first/${change}${query}`, {
        method: 'POST',
        body: new URLSearchParams(fields),
        redirect: 'manual',
      })
    expect((await post('stop', {}, '')).status).toBe(401)
    expect((await post('remove')).status).toBe(404)
    expect((await post('enqueue', { 'parameter 0': '0.01', 'parameter 1': '1' })).status).toBe(303)
    expect((await study.trial(40)).parameters).toEqual({ rate: 0.01, kind: 'b' })
    const refused = await post('enqueue', { 'parameter 0': '7', 'parameter 1': '1' })
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining('rate')])
    expect((await post('retry', { trial: '3' })).status).toBe(303)
    expect(await study.trial(41)).toMatchObject({ state: 'waiting', attributes: { retryOf: 3 } })
    expect(await (await post('retry', { trial: '99' })).text()).toContain("there is no trial 99 in 'first'")
    expect((await post('note', { name: 'why', text: 'x'.repeat(200_000) })).status).toBe(413)
    await post('note', { name: 'why', text: 'to see' })
    await post('stop')
    expect((await storage.find('first'))!.attributes).toMatchObject({ why: 'to see', stopped: 'on its page' })
    const { reason } = await study.optimize(() => 1, { trials: 50 })
    expect(reason).toBe('the study was stopped (on its page), resume lets it go on')
    await post('resume')
    expect((await study.optimize(() => 1, { trials: 42 })).reason).toBe('42 trials have a result')
  })

  test('shows races while they run and when they are done', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fallline-races-'))
    try {
      await interrupted(join(folder, '<b>'), 3)
      mkdirSync(join(folder, 'broken'))
      writeFileSync(join(folder, 'broken', 'results.json'), '{ "format": "fallline race')
      served = await serve({ races: folder, every: 20 })
      const list = await (await fetch(served.url)).text()
      expect(list).toContain('<a href="/races/%3Cb%3E">&lt;b&gt;</a>')
      expect(list).toContain('under way: Digits, softmax classifier')
      expect(list).toContain('no results of a race that this version can read')
      const address = `${served.url}races/%3Cb%3E`
      expect(await (await fetch(address)).text()).toMatch(/Under way: [2-4] of 27 runs are done/)
      expect((await fetch(`${served.url}races/..%2F`)).status).toBe(404)
      expect((await fetch(`${served.url}races/broken`)).status).toBe(404)
      const events = await follow(`${address}/events`)
      await events.next()
      const { analysis } = await race(join(folder, '<b>'))
      let last = await events.next()
      while (last.text.includes('Under way')) last = await events.next()
      expect(last.text).toContain(analysis!.gradients.verdict.slice(0, 40))
      events.close()
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test.runIf(everything).each(['folder', ...(hasPostgres ? ['server'] : [])])('shows studies of a %s', async (kind) => {
    const server = kind === 'server' ? await startServer() : null
    const folder = mkdtempSync(join(tmpdir(), 'fallline-shown-'))
    const place = server ? await server.database() : join(folder, 'studies')
    const [storage, others] = [await studiesAt(place), await studiesAt(place)]
    try {
      const study = await openStudy({ space: searched, storage: others, name: 'kept', worker: 'another connection' })
      served = await serve({ storage, every: 20 })
      const events = await follow(`${served.url}studies/kept/events`)
      expect((await events.next()).text).toContain('none yet')
      await study.tell(await study.ask(), 1)
      let last = await events.next()
      while (!last.text.includes('1 complete')) last = await events.next()
      await study.annotate('note', 'of the study')
      while (!last.text.includes('of the study')) last = await events.next()
      events.close()
    } finally {
      await served?.close()
      await others.close()
      await storage.close()
      await server?.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  })

  test('says why it cannot listen', async () => {
    served = await serve({})
    const port = Number(new URL(served.url).port)
    await expect(serve({ port })).rejects.toThrow(`port ${port} of 127.0.0.1 is in use`)
    await expect(serve({ host: '203.0.113.7' })).rejects.toThrow('203.0.113.7 is no address of this machine')
  })
})
