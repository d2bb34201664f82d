import { defaultDevice, init } from '@jax-js/jax'
import { describe, expect, it } from 'vitest'
import { adamDefaults, jaxJsAdam, numbers } from '../src/peers/jax-js.ts'
import { PeerProcess } from '../src/peers/process.ts'
import { gradientScale, parameterScale } from '../src/values.ts'

/** A peer that needs nothing: every step of subject `id` takes `id` seconds, and subject 2 is broken. */
const script = `
const send = (answer) => console.log(JSON.stringify(answer))
send({ ok: true, versions: { fake: '1.2.3' } })
require('node:readline').createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line)
  if (request.optimizer === 'unknown') send({ ok: false, error: 'there is no unknown' })
  else if (request.command === 'run' && request.id === 2) process.exit(3)
  else send({ ok: true, seconds: Array(request.steps ?? 0).fill(request.id) })
})`

const start = (name: string, code: string) => PeerProcess.start(name, process.execPath, ['-e', code])

describe('PeerProcess', () => {
  it('tells versions and runs the steps it is asked for', async () => {
    const peer = await start('fake', script)
    expect(peer.versions).toEqual({ fake: '1.2.3' })
    const contender = await peer.contender('one', 'fake', 'adam', [2, 2])
    expect(await contender.run(3)).toEqual([1, 1, 1])
    await contender.dispose!()
    peer.stop()
  })

  it('rejects what the process refuses and stays usable', async () => {
    const peer = await start('fake', script)
    await expect(peer.contender('bad', 'fake', 'unknown', [1])).rejects.toThrow('there is no unknown')
    const contender = await peer.contender('broken', 'fake', 'adam', [1])
    await expect(contender.run(1)).rejects.toThrow('fake ended')
    await expect(contender.run(1)).rejects.toThrow('fake ended')
    peer.stop()
  })

  it('says why a process could not start', async () => {
    await expect(start('missing', 'throw new Error("no library here")')).rejects.toThrow(/missing ended/)
    await expect(PeerProcess.start('nobody', 'no-such-command-anywhere', [])).rejects.toThrow(/ENOENT/)
  })
})

describe('Adam in jax-js operations', () => {
  it.each(['adam', 'adamW'])('%s equals a float64 loop', async (name) => {
    await init('wasm')
    defaultDevice('wasm')
    const size = 24
    const subject = await jaxJsAdam(name, [4, 6])
    const { learningRate, beta1, beta2, epsilon } = adamDefaults
    const weightDecay = name === 'adamW' ? adamDefaults.weightDecay : 0
    const parameters = Float64Array.from(numbers(size, parameterScale))
    const gradients = numbers(size, gradientScale)
    const first = new Float64Array(size)
    const second = new Float64Array(size)
    for (let t = 1; t <= 10; t++) {
      await subject.step()
      gradients.forEach((g, i) => {
        first[i] = beta1 * first[i]! + (1 - beta1) * g
        second[i] = beta2 * second[i]! + (1 - beta2) * g * g
        const root = Math.sqrt(second[i]! / (1 - beta2 ** t)) + epsilon
        const kept = parameters[i]! * (1 - learningRate * weightDecay)
        parameters[i] = kept - (learningRate * first[i]!) / (1 - beta1 ** t) / root
      })
    }
    const actual = await subject.parameters()
    parameters.forEach((value, i) => {
      expect(Math.abs(actual[i]! - value)).toBeLessThan(2e-6)
    })
    expect(Math.abs(actual[0]! - numbers(size, parameterScale)[0]!)).toBeGreaterThan(5e-3)
    subject.dispose()
  })
})
