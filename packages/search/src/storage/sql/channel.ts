import { timingSafeEqual } from 'node:crypto'
import { createConnection, createServer, type Socket } from 'node:net'
import { deserialize, serialize } from 'node:v8'
import { type Cell, ConnectionLost, type Database, driverError, type Query, type Row } from './database.ts'

/** Where the owner of a folder listens on this machine, and what it asks of those who connect. */
export interface Address {
  readonly port: number
  readonly token: string
}

/** What an owner says first to who has given the token. */
export interface Greeting {
  /** The version of the tables that it has. */
  readonly version: number
}

interface Statement {
  readonly text: string
  readonly parameters: readonly Cell[]
}

type Answer = { readonly rows: readonly Row[] } | { readonly message: string; readonly code: string | undefined }

/** Milliseconds that an owner may take to greet. */
const patience = 60_000

const lengthBytes = 4

function send(socket: Socket, value: unknown): void {
  const content = serialize(value)
  const length = Buffer.alloc(lengthBytes)
  length.writeUInt32BE(content.length)
  socket.cork()
  socket.write(length)
  socket.write(content)
  socket.uncork()
}

/** Gives what has come once so many bytes are there. */
function frames(socket: Socket, take: (content: Buffer) => void): void {
  let parts: Buffer[] = []
  let size = 0
  socket.on('data', (part: Buffer) => {
    parts.push(part)
    size += part.length
    while (size >= lengthBytes) {
      const first = parts[0]!.length >= lengthBytes ? parts[0]! : Buffer.concat(parts)
      const end = lengthBytes + first.readUInt32BE(0)
      if (size < end) break
      const all = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      parts = [all.subarray(end)]
      size -= end
      take(all.subarray(lengthBytes, end))
    }
  })
}

/** What an owner does for other processes. */
export interface Channel {
  readonly port: number
  close(): Promise<void>
}

/**
 * Runs the statements of other processes of this machine, each as it arrives. Who does not give the token first is sent away before
 * anything else of it is read.
 *
 * @param stopped is called when the database has stopped
 */
export async function serve(query: Query, greeting: Greeting, token: string, stopped: () => void): Promise<Channel> {
  const expected = Buffer.from(token)
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    admit(socket, expected, () => {
      send(socket, greeting)
      let last: Promise<void> = Promise.resolve()
      frames(socket, (content) => {
        last = last.then(async () => {
          const { text, parameters } = deserialize(content) as Statement
          try {
            send(socket, { rows: await query(text, parameters) } satisfies Answer)
          } catch (error) {
            if (error instanceof ConnectionLost) return stopped()
            const { message, code } = ((error as Error).cause ?? error) as Error & { code?: string }
            send(socket, { message, code } satisfies Answer)
          }
        })
      })
    })
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    port: (server.address() as { port: number }).port,
    close: () => {
      for (const socket of sockets) socket.destroy()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
}

/** Waits for a token, which goes before all frames, and closes the connection when it is another one. */
function admit(socket: Socket, expected: Buffer, then: () => void): void {
  let given = Buffer.alloc(0)
  const read = (part: Buffer) => {
    given = Buffer.concat([given, part])
    if (given.length < expected.length) return
    socket.off('data', read)
    if (!timingSafeEqual(given.subarray(0, expected.length), expected)) {
      socket.destroy()
      return
    }
    then()
    const rest = given.subarray(expected.length)
    if (rest.length > 0) socket.emit('data', rest)
  }
  socket.on('data', read)
}

/** A connection to the owner of a folder. It keeps the process alive only while a statement is under way. */
export interface Connection extends Database {
  readonly greeting: Greeting
}

/**
 * Connects to the owner of a folder.
 *
 * @throws ConnectionLost when it does not answer, or with another token
 */
export async function connect(folder: string, { port, token }: Address): Promise<Connection> {
  const socket = createConnection({ port, host: '127.0.0.1', noDelay: true })
  const waiting: { resolve(content: Buffer): void; reject(error: Error): void }[] = []
  let broken: Error | undefined
  const fail = (error: unknown) => {
    broken ??= new ConnectionLost(`no connection to the owner of ${folder}: ${(error as Error).message}`, {
      cause: error,
    })
    for (const { reject } of waiting.splice(0)) reject(broken)
  }
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('it has closed it')))
  frames(socket, (content) => {
    waiting.shift()?.resolve(content)
    if (waiting.length === 0) socket.unref()
  })
  const next = () =>
    new Promise<Buffer>((resolve, reject) => {
      if (broken) return reject(broken)
      socket.ref()
      waiting.push({ resolve, reject })
    })
  const timer = setTimeout(() => socket.destroy(new Error(`no answer in ${patience / 1000} seconds`)), patience)
  socket.write(token)
  const greeting = deserialize(await next().finally(() => clearTimeout(timer))) as Greeting
  return {
    greeting,
    async query(text, parameters = []) {
      const answered = next()
      if (!broken) send(socket, { text, parameters } satisfies Statement)
      const answer = deserialize(await answered) as Answer
      if ('rows' in answer) return answer.rows
      throw driverError(folder, Object.assign(new Error(answer.message), { code: answer.code }))
    },
    async close() {
      socket.destroy()
    },
  }
}
