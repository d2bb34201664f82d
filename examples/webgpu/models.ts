import { nn, numpy as np } from '@jax-js/jax'

/** Parameters by name. */
export type Parameters = Record<string, np.Array>

/** A model with its data. Every use of an array of jax-js consumes it, so all uses but the last take `.ref`. */
export interface Task {
  readonly parameters: () => Parameters
  /** The mean loss of a batch. */
  readonly loss: (parameters: Parameters, inputs: np.Array, targets: np.Array) => np.Array
  /** The batch of a step, the same on every device. */
  readonly batch: (step: number) => [inputs: np.Array, targets: np.Array]
}

/** Numbers between -1 and 1, the same on every device. */
function uniform(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 31 - 1
  }
}

function matrix(rows: number, columns: number, limit: number, random: () => number): np.Array {
  return np.array(Float32Array.from({ length: rows * columns }, () => limit * random())).reshape([rows, columns])
}

const limitOf = (inputs: number, outputs: number) => Math.sqrt(6 / (inputs + outputs))

/** Handwritten digits of 8 by 8 pixels: a network with 64 hidden units. */
async function digits(): Promise<Task> {
  const [pixels, hidden, classes, batchSize] = [64, 64, 10, 64]
  const text = await (await fetch('/digits.csv')).text()
  const lines = text.trim().split('\n')
  const rows = lines.map((line) => line.split(',').map(Number))
  return {
    parameters() {
      const random = uniform(1)
      return {
        'hidden/w': matrix(pixels, hidden, limitOf(pixels, hidden), random),
        'hidden/b': np.zeros([hidden]),
        'output/w': matrix(hidden, classes, limitOf(hidden, classes), random),
        'output/b': np.zeros([classes]),
      }
    },
    loss(p, images, labels) {
      const h = nn.relu(np.matmul(images, p['hidden/w']!).add(p['hidden/b']!))
      const logits = np.matmul(h, p['output/w']!).add(p['output/b']!)
      return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(nn.oneHot(labels, classes)), -1)).neg()
    },
    batch(step) {
      const chosen = Array.from(
        { length: batchSize },
        (_, place) => rows[((step * batchSize + place) * 7919) % rows.length]!,
      )
      const images = Float32Array.from(chosen.flatMap((row) => row.slice(0, pixels).map((value) => value / 16)))
      return [np.array(images).reshape([batchSize, pixels]), np.array(Int32Array.from(chosen, (row) => row[pixels]!))]
    },
  }
}

/** x / √(mean of x² + 1e-5) · scale over the last axis. */
function normalize(x: np.Array, scale: np.Array): np.Array {
  const meanSquare = np.mean(np.square(x.ref), -1, { keepdims: true })
  return x.div(np.sqrt(meanSquare.add(1e-5))).mul(scale)
}

/** The next character of "Moby-Dick": a transformer of one block. */
async function characters(): Promise<Task> {
  const alphabet = `abcdefghijklmnopqrstuvwxyz .,;:!?'"-`
  const [context, width, heads, hidden, batchSize] = [32, 32, 2, 64, 8]
  const book = await (await fetch('/moby-dick.txt')).text()
  const places = [...book.toLowerCase().replace(/\s+/g, ' ')].map((character) => alphabet.indexOf(character))
  const tokens = Int32Array.from(places.filter((place) => place >= 0))
  const square = limitOf(width, width)
  return {
    parameters() {
      const random = uniform(2)
      return {
        'embedding/token': matrix(alphabet.length, width, 0.1, random),
        'embedding/position': matrix(context, width, 0.1, random),
        'attention/norm': np.ones([width]),
        'attention/query': matrix(width, width, square, random),
        'attention/key': matrix(width, width, square, random),
        'attention/value': matrix(width, width, square, random),
        'attention/output': matrix(width, width, square, random),
        'feedforward/norm': np.ones([width]),
        'feedforward/in': matrix(width, hidden, limitOf(width, hidden), random),
        'feedforward/out': matrix(hidden, width, limitOf(width, hidden), random),
        'output/norm': np.ones([width]),
        'output/kernel': matrix(width, alphabet.length, 0.1, random),
      }
    },
    loss(p, inputs, targets) {
      let x = np.take(p['embedding/token']!, inputs, 0).add(p['embedding/position']!)
      const a = normalize(x.ref, p['attention/norm']!)
      const split = (y: np.Array) => y.reshape([batchSize, context, heads, width / heads])
      const [query, key] = [np.matmul(a.ref, p['attention/query']!), np.matmul(a.ref, p['attention/key']!)]
      const value = np.matmul(a, p['attention/value']!)
      const mixed = nn.dotProductAttention(split(query), split(key), split(value), { isCausal: true })
      x = x.add(np.matmul(mixed.reshape([batchSize, context, width]), p['attention/output']!))
      const f = nn.gelu(np.matmul(normalize(x.ref, p['feedforward/norm']!), p['feedforward/in']!))
      x = x.add(np.matmul(f, p['feedforward/out']!))
      const logits = np.matmul(normalize(x, p['output/norm']!), p['output/kernel']!)
      return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(nn.oneHot(targets, alphabet.length)), -1)).neg()
    },
    batch(step) {
      const windows = (shift: number) => {
        const starts = Array.from(
          { length: batchSize },
          (_, row) => ((step * batchSize + row) * 7919) % (tokens.length - context - 1),
        )
        const values = starts.flatMap((start) => [...tokens.subarray(start + shift, start + shift + context)])
        return np.array(Int32Array.from(values)).reshape([batchSize, context])
      }
      return [windows(0), windows(1)]
    },
  }
}

/** The tasks of the page, with what they are called there. */
export const tasks: Readonly<Record<string, () => Promise<Task>>> = { digits, characters }
