import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { defineJaxTask, type HostArray, type Jax, type JaxArray } from '../jax.ts'
import type { Split, Task } from '../task.ts'
import { alphabet, loadBook } from './book.ts'
import { fillUniform, generator, glorotLimit, stream } from './random.ts'

const vocabulary = alphabet.length
const context = 32
const width = 32
const heads = 2
const hidden = 64
const batchSize = 8
const evaluationWindows = 64

const parameters = {
  'embedding/token': [vocabulary, width],
  'embedding/position': [context, width],
  'attention/norm': [width],
  'attention/query': [width, width],
  'attention/key': [width, width],
  'attention/value': [width, width],
  'attention/output': [width, width],
  'feedforward/norm': [width],
  'feedforward/in': [width, hidden],
  'feedforward/out': [hidden, width],
  'output/norm': [width],
  'output/kernel': [width, vocabulary],
} as const

/**
 * A character-level transformer (Vaswani et al., 2017) with one pre-norm block, on chapters 1 to 40 of "Moby-Dick":
 * windows of 32 characters, width 32, 2 heads, 64 hidden GELU units, RMS norms (Zhang and Sennrich, 2019). Loss: mean
 * cross-entropy of the next character.
 */
export function createCharacterTransformer(): Task {
  const book = loadBook()
  const evaluations: Record<Split, readonly CharacterBatch[]> = {
    validation: [spreadWindows(book.validation)],
    test: [spreadWindows(book.test)],
  }
  return defineJaxTask({
    name: 'character-transformer',
    title: 'Moby-Dick, character-level transformer',
    description:
      `A transformer (1 block, width 32, 2 heads, context 32, 11,616 parameters) that predicts the next character of "Moby-Dick", ` +
      `chapters 1 to 40; loss: mean cross-entropy over batches of ${batchSize} windows.`,
    parameters,
    layout: (name) => (name.startsWith('embedding/') ? 'outputFirst' : 'outputLast'),
    initialize(values, seed) {
      Object.entries<readonly number[]>(parameters).forEach(([name, shape], index) => {
        const random = generator(seed, stream.initialization, index)
        if (shape.length === 1) values[name]!.fill(1)
        else
          fillUniform(values[name]!, /^(embedding|output)/.test(name) ? 0.1 : glorotLimit(shape[0]!, shape[1]!), random)
      })
    },
    batch: (seed, step) => randomWindows(book.train, seed, step),
    evaluation: (split) => evaluations[split],
    loss(p, { inputs, targets }, jax) {
      const { numpy, nn } = jax
      let x = numpy.take(p['embedding/token'], inputs, 0).add(p['embedding/position'])

      const a = normalize(x.ref, p['attention/norm'], jax)
      const split = (y: JaxArray) => y.reshape([-1, context, heads, width / heads])
      const query = split(numpy.matmul(a.ref, p['attention/query'])).transpose([0, 2, 1, 3])
      const key = split(numpy.matmul(a.ref, p['attention/key'])).transpose([0, 2, 3, 1])
      const value = split(numpy.matmul(a, p['attention/value'])).transpose([0, 2, 1, 3])
      // Attention is written out because the one of jax-js 0.1.25 needs iterator helpers, which Node 20 lacks.
      // A large negative score keeps a character from seeing those after it.
      const future = numpy.tri(context).sub(1).mul(1e9)
      const scores = numpy
        .matmul(query, key)
        .mul((width / heads) ** -0.5)
        .add(future)
      const mixed = numpy.matmul(nn.softmax(scores, -1), value).transpose([0, 2, 1, 3]).reshape([-1, context, width])
      x = x.add(numpy.matmul(mixed, p['attention/output']))

      const f = nn.gelu(numpy.matmul(normalize(x.ref, p['feedforward/norm'], jax), p['feedforward/in']))
      x = x.add(numpy.matmul(f, p['feedforward/out']))

      const logits = numpy.matmul(normalize(x, p['output/norm'], jax), p['output/kernel'])
      const chosen = nn.logSoftmax(logits, -1).mul(nn.oneHot(targets, vocabulary))
      return numpy.mean(numpy.sum(chosen, -1)).neg()
    },
    metricName: 'cross-entropy',
    direction: 'minimize',
    // Percentiles 50 to 5, rounded, of the best validation metric of 48 baseline runs; see `builtinTasks`.
    targets: [2.575, 2.53, 2.515, 2.485, 2.47, 2.457],
    budget: { steps: 300, evaluateEvery: 20 },
  })
}

/** RMS norm over the last axis: x / sqrt(mean(x^2) + 1e-5) * scale. */
function normalize(x: JaxArray, scale: JaxArray, { numpy }: Jax): JaxArray {
  const meanSquare = numpy.mean(numpy.square(x.ref), -1, { keepdims: true })
  return x.div(numpy.sqrt(meanSquare.add(1e-5))).mul(scale)
}

type CharacterBatch = { inputs: HostArray; targets: HostArray }

/** Windows that start at random places, a pure function of (seed, step). */
function randomWindows(tokens: Int32Array, seed: number, step: number): CharacterBatch {
  const random = generator(seed, stream.dataOrder, step)
  const last = tokens.length - context - 1
  return windows(
    tokens,
    Array.from({ length: batchSize }, () => uniformInt(random, 0, last)),
  )
}

/** Windows spread evenly over the whole text. */
function spreadWindows(tokens: Int32Array): CharacterBatch {
  const last = tokens.length - context - 1
  const starts = Array.from({ length: evaluationWindows }, (_, index) =>
    Math.floor((index * last) / (evaluationWindows - 1)),
  )
  return windows(tokens, starts)
}

function windows(tokens: Int32Array, starts: readonly number[]): CharacterBatch {
  const inputs = new Int32Array(starts.length * context)
  const targets = new Int32Array(starts.length * context)
  starts.forEach((start, row) => {
    inputs.set(tokens.subarray(start, start + context), row * context)
    targets.set(tokens.subarray(start + 1, start + context + 1), row * context)
  })
  const shape = [starts.length, context]
  return { inputs: { values: inputs, shape }, targets: { values: targets, shape } }
}
