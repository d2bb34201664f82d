import { lionK } from 'fallline'
import { norm, restate, type Step, sum } from '../support/restate.ts'

/** Lion with the gradient of K written out for each tensor. */
const paper = (gradient: (u: readonly number[], shape: readonly number[]) => number[]) => (): Step => (tensors) => {
  for (const { p, g, s, shape } of tensors) {
    const u = p.map((_, i) => 0.8 * s.m![i]! + 0.2 * g[i]!)
    const step = gradient(u, shape)
    for (let i = 0; i < p.length; i++) {
      p[i] = (1 - 0.02 * 0.1) * p[i]! - 0.02 * step[i]!
      s.m![i] = 0.95 * s.m![i]! + 0.05 * g[i]!
    }
  }
}

const settings = { learningRate: 0.02, beta1: 0.8, beta2: 0.95, weightDecay: 0.1, width: 0.3 } as const

restate(lionK, {
  'l1, which is Lion': {
    optimizer: lionK(settings),
    salt: 0.2,
    signs: true,
    paper: paper((u) => u.map(Math.sign)),
  },
  l2: {
    optimizer: lionK({ ...settings, convexFunction: 'l2' }),
    salt: 0.8,
    paper: paper((u) => u.map((x) => x / norm(u))),
  },
  rows: {
    optimizer: lionK({ ...settings, convexFunction: 'rows' }),
    salt: 1.1,
    paper: paper((u, shape) => {
      const columns = shape.at(-1) ?? 1
      return u.map((x, i) => {
        const start = i - (i % columns)
        return x / norm(u.slice(start, start + columns))
      })
    }),
    layout: 'matrices',
  },
  huber: {
    optimizer: lionK({ ...settings, convexFunction: 'huber' }),
    salt: 1.6,
    paper: paper((u) => u.map((x) => (Math.abs(x) <= 0.3 ? x / 0.3 : Math.sign(x)))),
  },
  threshold: {
    optimizer: lionK({ ...settings, convexFunction: 'threshold' }),
    salt: 2.4,
    signs: true,
    paper: paper((u) => u.map((x) => (Math.abs(x) > 0.3 ? Math.sign(x) : 0))),
  },
  largest: {
    optimizer: lionK({ ...settings, convexFunction: 'largest', share: 0.27 }),
    salt: 0.5,
    layout: 'large',
    signs: true,
    paper: paper((u) => {
      const sizes = u.map(Math.abs).sort((a, b) => b - a)
      const limit = sizes[Math.max(1, Math.floor(0.27 * u.length)) - 1]!
      return u.map((x) => (Math.abs(x) >= limit ? Math.sign(x) : 0))
    }),
  },
  'the norm ‖x‖₃': {
    optimizer: lionK({ ...settings, convexFunction: 'lp', exponent: 3 }),
    salt: 1.3,
    paper: paper((u) => {
      const length = sum(u.map((x) => Math.abs(x) ** 3)) ** (1 / 3)
      return u.map((x) => (Math.sign(x) * Math.abs(x) ** 2) / length ** 2)
    }),
  },
  'the norm ‖x‖₁.₂': {
    optimizer: lionK({ ...settings, convexFunction: 'lp', exponent: 1.2 }),
    salt: 2.2,
    layout: 'matrices',
    paper: paper((u) => {
      const length = sum(u.map((x) => Math.abs(x) ** 1.2)) ** (1 / 1.2)
      return u.map((x) => Math.sign(x) * (Math.abs(x) / length) ** 0.2)
    }),
  },
  square: {
    optimizer: lionK({ ...settings, convexFunction: 'square' }),
    salt: 3.1,
    paper: paper((u) => [...u]),
  },
})
