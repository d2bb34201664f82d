// A character-level transformer in jax-js, trained with Muon on its matrices and AdamW elsewhere. It saves a checkpoint on
// the way: stop it and start it again, and it goes on where it was.
//
// npm run build && npx tsx examples/character-transformer.ts
import { existsSync } from 'node:fs'
import { readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { createTrainer } from '@fallline/jax'
import { init, nn, numpy as np, random } from '@jax-js/jax'
import { adamW, clipByGlobalNorm, cosine, groups, muon } from 'fallline'
import { loadFile, saveFile } from 'fallline/files'

const alphabet = `abcdefghijklmnopqrstuvwxyz .,;:!?'"-`
const vocabulary = alphabet.length
const [context, width, heads, hidden, batchSize] = [32, 32, 2, 64, 8]

/** One pre-norm block: attention, then a feedforward network, and a read-out. */
type Params = {
  embedding: { token: np.Array; position: np.Array }
  attention: { norm: np.Array; query: np.Array; key: np.Array; value: np.Array; output: np.Array }
  feedforward: { norm: np.Array; in: np.Array; out: np.Array }
  output: { norm: np.Array; kernel: np.Array }
}

function initialize(): Params {
  const keys = [...random.split(random.key(0), 9)]
  const normal = (rows: number, columns: number, scale: number) =>
    random.normal(keys.pop()!, [rows, columns]).mul(scale)
  const square = () => normal(width, width, width ** -0.5)
  return {
    embedding: { token: normal(vocabulary, width, 0.1), position: normal(context, width, 0.1) },
    attention: { norm: np.ones([width]), query: square(), key: square(), value: square(), output: square() },
    feedforward: { norm: np.ones([width]), in: normal(width, hidden, 0.2), out: normal(hidden, width, 0.1) },
    output: { norm: np.ones([width]), kernel: normal(width, vocabulary, 0.1) },
  }
}

/** x / √(mean of x² + 1e-5) · scale over the last axis. */
function normalize(x: np.Array, scale: np.Array): np.Array {
  const meanSquare = np.mean(np.square(x.ref), -1, { keepdims: true })
  return x.div(np.sqrt(meanSquare.add(1e-5))).mul(scale)
}

/** The mean cross-entropy of the next character. Every use of an array consumes it, so all but the last take `.ref`. */
function loss({ embedding, attention, feedforward, output }: Params, inputs: np.Array, targets: np.Array): np.Array {
  let x = np.take(embedding.token, inputs, 0).add(embedding.position)
  const a = normalize(x.ref, attention.norm)
  const split = (y: np.Array) => y.reshape([-1, context, heads, width / heads])
  const query = split(np.matmul(a.ref, attention.query)).transpose([0, 2, 1, 3])
  const key = split(np.matmul(a.ref, attention.key)).transpose([0, 2, 3, 1])
  const value = split(np.matmul(a, attention.value)).transpose([0, 2, 1, 3])
  const future = np.tri(context).sub(1).mul(1e9) // a large negative score hides the characters that come later
  const scores = np
    .matmul(query, key)
    .mul((width / heads) ** -0.5)
    .add(future)
  const mixed = np.matmul(nn.softmax(scores, -1), value).transpose([0, 2, 1, 3]).reshape([-1, context, width])
  x = x.add(np.matmul(mixed, attention.output))
  const f = nn.gelu(np.matmul(normalize(x.ref, feedforward.norm), feedforward.in))
  x = x.add(np.matmul(f, feedforward.out))
  const logits = np.matmul(normalize(x, output.norm), output.kernel)
  return np.mean(np.sum(nn.logSoftmax(logits, -1).mul(nn.oneHot(targets, vocabulary)), -1)).neg()
}

/** A text as places in the alphabet. */
function tokenize(text: string): Int32Array {
  const plain = text.toLowerCase().replace(/\s+/g, ' ')
  return Int32Array.from([...plain].map((character) => alphabet.indexOf(character)).filter((token) => token >= 0))
}

/** Windows of the text for a step; the same for the same step, so that a resumed run sees what it would have seen. */
function batchFor(tokens: Int32Array, step: number): [np.Array, np.Array] {
  const inputs = new Int32Array(batchSize * context)
  const targets = new Int32Array(batchSize * context)
  for (let row = 0; row < batchSize; row++) {
    const start = ((step * batchSize + row) * 7919) % (tokens.length - context - 1)
    inputs.set(tokens.subarray(start, start + context), row * context)
    targets.set(tokens.subarray(start + 1, start + context + 1), row * context)
  }
  return [np.array(inputs, { shape: [batchSize, context] }), np.array(targets, { shape: [batchSize, context] })]
}

/** Trains until `until` of `total` steps, from the checkpoint if there is one; gives the loss of every step it took. */
export async function train(tokens: Int32Array, checkpoint: string, until: number, total: number): Promise<number[]> {
  await init('wasm')
  const schedule = (peak: number) => cosine({ from: peak, to: 0, steps: total })
  const isHiddenMatrix = ({ name, rank }: { name: string; rank: number }) =>
    rank === 2 && /^(attention|feedforward)\//.test(name)
  const rule = groups(adamW({ learningRate: schedule(0.01), weightDecay: 0 }), [
    { name: 'matrices', match: isHiddenMatrix, optimizer: muon({ learningRate: schedule(0.02) }) },
  ])
  const trainer = await createTrainer(loss, clipByGlobalNorm(rule, { maximumNorm: 1 }), initialize())
  if (existsSync(checkpoint)) trainer.load(await loadFile(checkpoint))
  const losses: number[] = []
  while (trainer.steps < until) {
    losses.push((await trainer.step(...batchFor(tokens, trainer.steps))).item())
    if (trainer.steps % 20 === 0) {
      await saveFile(checkpoint, await trainer.save())
      console.error(`step ${trainer.steps}: loss ${losses.at(-1)!.toFixed(2)}`)
    }
  }
  trainer.dispose()
  return losses
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const text = gunzipSync(
    await readFile(new URL('data/moby-dick.txt.gz', import.meta.resolve('@fallline/race/package.json'))),
  ).toString('utf8')
  const checkpoint = join(tmpdir(), `character-transformer-${process.pid}.safetensors`)
  const tokens = tokenize(text)
  const first = await train(tokens, checkpoint, 40, 100) // as if it were stopped here
  const rest = await train(tokens, checkpoint, 100, 100)
  await rm(checkpoint)
  console.log(first[0]! > 3.4, rest.length, rest.at(-1)! < 3) // true 60 true
}
