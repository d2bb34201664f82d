import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Storage } from '@fallline/search'
import { Html, html } from '../report/html.ts'
import { page, table } from '../report/parts.ts'
import { readStudy, renderStudy, studyContent } from './study-page.ts'

/** Where and how studies are shown. */
export interface ServeOptions {
  readonly storage: Storage
  /** Default: 127.0.0.1, which only this machine reaches. Any other asks for a token. */
  readonly host?: string
  /** Default: 0, any that is free. */
  readonly port?: number
  /** What has to stand in the address as `?token=`. Default: none on this machine, a random one elsewhere. */
  readonly token?: string
  /** Milliseconds between two looks at the storage. Default: 1000. */
  readonly every?: number
}

/** A running server. */
export interface Served {
  /** The page, with its token. */
  readonly url: string
  close(): Promise<void>
}

const localHosts: readonly string[] = ['127.0.0.1', 'localhost', '::1']

/** Replaces what changes, whenever the server says that it has; keeps the place that somebody reads. */
const live = html`<script>${new Html(`
const search = new URLSearchParams(location.search)
const events = new EventSource(location.pathname.replace(/\\/$/, '') + '/events?' + search)
events.onmessage = async () => {
  const answer = await fetch(location.pathname.replace(/\\/$/, '') + '/content?' + search)
  if (answer.ok) document.querySelector('#content').innerHTML = await answer.text()
}
`)}</script>`

/**
 * Serves pages that show studies while they run. It reads and never writes. Names and notes are shown as text.
 *
 * @throws Error when the address cannot be used
 */
export async function serve({
  storage,
  host = '127.0.0.1',
  port = 0,
  token,
  every = 1000,
}: ServeOptions): Promise<Served> {
  const secret = token ?? (localHosts.includes(host) ? null : randomBytes(18).toString('base64url'))
  const open = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      send(response, 500, 'text/plain', error instanceof Error ? error.message : String(error))
    })
  })

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server')
    if (request.method !== 'GET')
      return send(response, 405, 'text/plain', 'This server only shows studies: GET is all it takes.')
    // Another site must not reach a local server by a name of its own that points here.
    if (secret === null && !localHosts.includes(hostOf(request))) {
      return send(response, 403, 'text/plain', 'This server answers to 127.0.0.1 and localhost alone.')
    }
    if (secret !== null && !matches(searchParams.get('token'), secret)) {
      return send(response, 401, 'text/plain', 'The address lacks the token that the server printed when it started.')
    }
    const query = secret === null ? '' : `?token=${encodeURIComponent(secret)}`
    if (pathname === '/') return send(response, 200, 'text/html', await listPage(storage, query))
    const [, first, encoded, part] = pathname.split('/')
    const shown = first === 'studies' && encoded ? await readStudy(storage, decodeURIComponent(encoded)) : null
    if (!shown) return send(response, 404, 'text/plain', `There is nothing at ${pathname}.`)
    if (part === undefined || part === '')
      return send(response, 200, 'text/html', await renderStudy(shown, Date.now(), live))
    if (part === 'content') return send(response, 200, 'text/html', (await studyContent(shown, Date.now())).text)
    if (part === 'study.json') return send(response, 200, 'application/json', JSON.stringify(shown))
    if (part !== 'events') return send(response, 404, 'text/plain', `There is nothing at ${pathname}.`)
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    open.add(response)
    const { name } = shown.record
    let { version } = await storage.changes(name, Number.MAX_SAFE_INTEGER)
    const timer = setInterval(() => {
      storage.changes(name, version).then(
        (changes) => {
          if (changes.version !== version) response.write(`data: ${changes.version}\n\n`)
          version = changes.version
        },
        () => response.end(),
      )
    }, every)
    response.on('close', () => {
      clearInterval(timer)
      open.delete(response)
    })
  }

  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const address = server.address() as AddressInfo
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${shownHost}:${address.port}/${secret === null ? '' : `?token=${secret}`}`,
    close: () =>
      new Promise((resolve) => {
        for (const response of open) response.end()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function hostOf({ headers }: IncomingMessage): string {
  return new URL(`http://${headers.host ?? ''}`).hostname.replace(/^\[|\]$/g, '')
}

function matches(given: string | null, secret: string): boolean {
  const [a, b] = [Buffer.from(given ?? ''), Buffer.from(secret)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function send(response: ServerResponse, status: number, type: string, body: string): void {
  if (response.headersSent) {
    response.end()
    return
  }
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
  })
  response.end(body)
}

async function listPage(storage: Storage, query: string): Promise<string> {
  const names = await storage.names()
  const rows = await Promise.all(
    names.map(async (name) => {
      const [record, { count }] = await Promise.all([
        storage.find(name),
        storage.changes(name, Number.MAX_SAFE_INTEGER),
      ])
      const link = html`<a href="/studies/${encodeURIComponent(name)}${query}">${name}</a>`
      return [link, count, record?.sampler ?? '', record?.objectives.map((each) => each.name).join(', ') ?? '']
    }),
  )
  return page({
    title: 'Studies',
    header: html`<h1>Studies</h1>`,
    first:
      rows.length === 0
        ? html`<p>There is no study here yet.</p>`
        : table(['study', 'trials', { heading: 'sampler', words: true }, { heading: 'objectives', words: true }], rows),
    sections: [],
  })
}
