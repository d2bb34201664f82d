import { randomBytes, timingSafeEqual } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Storage } from '@fallline/search'
import { Html, html } from '../report/html.ts'
import { page } from '../report/parts.ts'
import { listSource } from './list-page.ts'
import { raceSource } from './race-page.ts'
import { RaceReader } from './race-reader.ts'
import type { Source } from './source.ts'
import { applyChange, type Change, changes } from './study-forms.ts'
import { studySource } from './study-page.ts'
import { StudyReader } from './study-reader.ts'

/** Where and how studies and races are shown. */
export interface ServeOptions {
  /** The studies; a function is asked until it has some. Default: none. */
  readonly storage?: Storage | (() => Promise<Storage | null>)
  /** A folder with a folder of results for each race. Default: none. */
  readonly races?: string
  /** Default: 127.0.0.1, which only this machine reaches. Any other asks for a token. */
  readonly host?: string
  /** Default: 0, any that is free. */
  readonly port?: number
  /** What has to stand in the address as `?token=`. Default: none for reading on this machine, otherwise a random one. */
  readonly token?: string
  /** Whether studies can be changed: parameters enqueued, trials tried again, notes written, studies stopped. Default: they cannot. */
  readonly writable?: boolean
  /** Milliseconds between two looks for something new. Default: 1000. */
  readonly every?: number
}

/** A running server. */
export interface Served {
  /** The page, with its token. */
  readonly url: string
  close(): Promise<void>
}

const localHosts: readonly string[] = ['127.0.0.1', 'localhost', '::1']

/** The most bytes that a form may send. */
const mostBytes = 100_000

/** How many times as long as a page took to make is waited until it is made anew, so that large studies leave time to others. */
const rest = 3

/** Puts what the server sends in the place of what is shown, and says so where it cannot. Opened details stay open. */
const live = `
const content = document.querySelector('#content')
const line = document.querySelector('#live')
const query = new URLSearchParams(location.search)
query.set('seen', content.dataset.version)
const events = new EventSource(location.pathname.replace(/\\/$/, '') + '/events?' + query)
const opened = () => [...content.querySelectorAll('details')]
const keyOf = (details) => details.querySelector('summary').textContent
events.onopen = () => { line.textContent = 'Live: changes appear by themselves.' }
events.onerror = () => { line.textContent = 'Not live: the server does not answer. This is how it was at ' + new Date().toLocaleTimeString() + '.' }
events.onmessage = ({ data }) => {
  const open = new Set(opened().filter((each) => each.open).map(keyOf))
  content.innerHTML = JSON.parse(data)
  for (const details of opened()) details.open = open.has(keyOf(details))
}
`

/** What is shown to somebody instead of what they asked for. */
class Refusal extends Error {
  readonly status: number
  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

interface Rendered {
  readonly version: string
  readonly text: string
  readonly milliseconds: number
}

/**
 * Serves pages that show studies and races while they run, kept up to date by server-sent events. It reads and does not write unless it
 * is `writable`. Names and notes are shown as text.
 *
 * ```ts
 * import { serve } from '@fallline/race'
 * import { float, memoryStorage, openStudy, space } from '@fallline/search'
 *
 * const storage = memoryStorage()
 * const { url, close } = await serve({ storage })
 * console.log(url) // http://127.0.0.1:42800/
 * const study = await openStudy({ space: space({ x: float(-1, 1) }), storage })
 * await study.optimize(({ parameters }) => parameters.x ** 2, { trials: 100 })
 * await close()
 * ```
 *
 * @throws Error when the address cannot be used
 */
export async function serve({
  storage: given,
  races: folder,
  host = '127.0.0.1',
  port = 0,
  token,
  writable = false,
  every = 1000,
}: ServeOptions): Promise<Served> {
  const isOpen = localHosts.includes(host) && !writable
  const secret = token ?? (isOpen ? null : randomBytes(18).toString('base64url'))
  const query = secret === null ? '' : `?token=${encodeURIComponent(secret)}`
  const closing = new AbortController()
  const races = folder === undefined ? null : new RaceReader(folder)
  const kept = new Map<string, Rendered>()
  let studies: { readonly reader: StudyReader; readonly storage: Storage } | null = null

  const findStudies = async () => {
    const storage = typeof given === 'function' && studies === null ? await given() : given
    if (storage && typeof storage !== 'function') studies ??= { storage, reader: new StudyReader(storage) }
    return studies
  }

  const sourceAt = async (kind: string, name: string): Promise<Source | null> => {
    const found = await findStudies()
    if (kind === '') return listSource(found?.reader ?? null, races, query)
    if (kind === 'races') return races && raceSource(races, name, `/${query}`)
    if (kind !== 'studies' || !found) return null
    const addressOf = (change: Change) => `/studies/${encodeURIComponent(name)}/${change}${query}`
    return studySource(found.reader, name, `/${query}`, writable ? addressOf : null)
  }

  const rendered = async (key: string, source: Source): Promise<Rendered> => {
    const version = await source.version()
    const known = kept.get(key)
    if (known?.version === version) return known
    const start = performance.now()
    const { text } = await source.content()
    const made = { version, text, milliseconds: performance.now() - start }
    kept.set(key, made)
    return made
  }

  const follow = async (response: ServerResponse, key: string, source: Source, seen: string | null) => {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    response.flushHeaders()
    const gone = new AbortController()
    const signal = AbortSignal.any([gone.signal, closing.signal])
    response.on('close', () => gone.abort())
    let last = seen
    try {
      while (!signal.aborted) {
        let pause = every
        if (!response.writableNeedDrain && (await source.version()) !== last) {
          const { version, text, milliseconds } = await rendered(key, source)
          response.write(`id: ${version}\ndata: ${JSON.stringify(text)}\n\n`)
          last = version
          pause = Math.max(every, rest * milliseconds)
        }
        await sleep(pause, undefined, { signal })
      }
    } catch {
      // The reader has gone, or what it read: it asks again, and is told then.
    }
    response.end()
  }

  const change = async (request: IncomingMessage, response: ServerResponse, name: string, what: string) => {
    if (!writable) throw new Refusal(405, 'This server only shows studies: one that is started writable takes changes.')
    const wanted = changes.find((each) => each === what)
    const storage = (await findStudies())?.storage
    if (wanted === undefined || !storage) throw new Refusal(404, `There is nothing to change at ${request.url}.`)
    try {
      await applyChange(storage, name, wanted, new URLSearchParams(await bodyOf(request)))
    } catch (error) {
      throw error instanceof RangeError ? new Refusal(400, error.message) : error
    }
    response.writeHead(303, { location: `/studies/${encodeURIComponent(name)}${query}` }).end()
  }

  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    // Another site must not reach a local server by a name of its own that points here.
    if (secret === null && !localHosts.includes(hostOf(request))) {
      throw new Refusal(403, 'This server answers to 127.0.0.1 and localhost alone.')
    }
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://server')
    if (secret !== null && !matches(searchParams.get('token'), secret)) {
      throw new Refusal(401, 'The address lacks the token that the server printed when it started.')
    }
    const parts = pathname.split('/').slice(1).map(decoded)
    const [kind, name, part = ''] =
      parts[0] === 'events' ? ['', '', 'events'] : [parts[0] ?? '', parts[1] ?? '', parts[2]]
    if (request.method === 'POST' && kind === 'studies') return change(request, response, name, part)
    if (request.method !== 'GET') throw new Refusal(405, `${request.method} is not taken at ${pathname}.`)
    const source = parts.length <= 3 ? await sourceAt(kind, name) : null
    const key = `${kind}/${name}`
    if (source && part === '') return sendPage(response, source, await rendered(key, source))
    if (source && part === 'events') {
      const seen = request.headers['last-event-id'] ?? searchParams.get('seen')
      return follow(response, key, source, typeof seen === 'string' ? seen : null)
    }
    if (source?.data && part === 'data.json') return send(response, 200, 'application/json', await source.data())
    throw new Refusal(404, `There is nothing at ${pathname}.`)
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      const status = error instanceof Refusal ? error.status : 500
      send(response, status, 'text/plain', error instanceof Error ? error.message : String(error))
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)))
    server.listen(port, host, resolve)
  })
  const address = server.address() as AddressInfo
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address
  return {
    url: `http://${shownHost}:${address.port}/${query}`,
    close: () =>
      new Promise((resolve) => {
        closing.abort()
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  const why =
    error.code === 'EADDRINUSE'
      ? `port ${port} of ${host} is in use: name another one, or 0 for any that is free`
      : error.code === 'EACCES'
        ? `port ${port} of ${host} needs rights that this process lacks: name one from 1024 on`
        : `${host} is no address of this machine (${error.message}): 127.0.0.1 is for itself alone, 0.0.0.0 for all others too`
  return new Error(why, { cause: error })
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new Refusal(400, `${part} in the address is not encoded as addresses are.`)
  }
}

function bodyOf(request: IncomingMessage): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => {
      text += chunk
      // What follows is read and forgotten, so that the answer arrives.
      if (text.length > mostBytes) reject(new Refusal(413, `A form may have ${mostBytes} bytes.`))
      text = text.slice(0, mostBytes + 1)
    })
    request.on('end', () => resolve(text))
    request.on('error', reject)
  })
}

function hostOf({ headers }: IncomingMessage): string {
  const address = `http://${headers.host ?? ''}`
  return URL.canParse(address) ? new URL(address).hostname.replace(/^\[|\]$/g, '') : ''
}

function matches(given: string | null, secret: string): boolean {
  const [a, b] = [Buffer.from(given ?? ''), Buffer.from(secret)]
  return a.length === b.length && timingSafeEqual(a, b)
}

function sendPage(response: ServerResponse, { title, header, footer }: Source, { version, text }: Rendered): void {
  const nonce = randomBytes(12).toString('base64')
  const body = page({
    title,
    header: html`${header}<p class="soft" id="live"></p>`,
    first: html`<div id="content" data-version="${version}">${new Html(text)}</div>${footer}`,
    sections: [html`<script nonce="${nonce}">${new Html(live)}</script>`],
  })
  // Nothing but what this server wrote may run, should a name ever be taken for markup.
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-${nonce}'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`
  send(response, 200, 'text/html', body, { 'content-security-policy': policy })
}

function send(
  response: ServerResponse,
  status: number,
  type: string,
  body: string,
  more: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent) {
    response.end()
    return
  }
  response.writeHead(status, {
    'content-type': `${type}; charset=utf-8`,
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    ...more,
  })
  response.end(body)
}
