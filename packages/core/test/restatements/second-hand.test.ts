import { adaGC, bcos, focus, racs, ranger25, sgd } from 'fallline'
import { elementwise, norm, restate, type Step, sum } from '../support/restate.ts'

/** The conditional estimator and its simple form, with the momentum before the step; m begins as the first gradient. */
function conditional(rate: number, beta: number, eps: number, decay: number, simple?: number): Step {
  return elementwise(({ p, g, s }, i, t) => {
    const before = t === 1 ? g[i]! : s.m![i]!
    const v =
      simple === undefined
        ? (3 * beta ** 2 - 2 * beta ** 3) * before ** 2 +
          (1 - beta) ** 2 * g[i]! ** 2 +
          2 * beta * (1 - beta) ** 2 * before * g[i]!
        : simple * before ** 2 + (1 - simple) * g[i]! ** 2
    s.m![i] = beta * before + (1 - beta) * g[i]!
    p[i] = (1 - rate * decay) * p[i]! - (rate * s.m![i]!) / (Math.sqrt(v) + eps)
  })
}

/** The two forms that average squares, of the momentum and of the gradient. */
function averaged(rate: number, beta: number, beta2: number, eps: number, of: 'momentum' | 'gradient'): Step {
  return elementwise(({ p, g, s }, i, t) => {
    if (t === 1) {
      s.m![i] = g[i]!
      s.v![i] = g[i]! ** 2
    }
    s.m![i] = beta * s.m![i]! + (1 - beta) * g[i]!
    const d = of === 'momentum' ? s.m![i]! : g[i]!
    s.v![i] = beta2 * s.v![i]! + (1 - beta2) * d ** 2
    p[i]! -= (rate * d) / (Math.sqrt(s.v![i]!) + eps)
  })
}

restate(bcos, {
  defaults: { optimizer: bcos({ learningRate: 0.01 }), salt: 0.2, paper: () => conditional(0.01, 0.9, 1e-6, 0.1) },
  'other settings': {
    optimizer: bcos({ learningRate: 0.03, beta: 0.6, epsilon: 1e-3, weightDecay: 0 }),
    salt: 1.4,
    paper: () => conditional(0.03, 0.6, 1e-3, 0),
  },
  'the simple estimator': {
    optimizer: bcos({ learningRate: 0.02, beta: 0.8, estimator: 'simple', weightDecay: 0.2 }),
    salt: 2.3,
    paper: () => conditional(0.02, 0.8, 1e-6, 0.2, 1 - 0.2 ** 2),
  },
  'the average of squared momenta': {
    optimizer: bcos({ learningRate: 0.01, beta: 0.8, estimator: 'momentum', weightDecay: 0 }),
    salt: 0.9,
    paper: () => averaged(0.01, 0.8, 0.8, 1e-6, 'momentum'),
  },
  'the average of squared gradients': {
    optimizer: bcos({ learningRate: 0.01, beta2: 0.95, estimator: 'gradient', weightDecay: 0 }),
    salt: 3.1,
    paper: () => averaged(0.01, 0.9, 0.95, 1e-6, 'gradient'),
  },
})

/** As the authors' code, but for the first step, at which the parameter is its own average. */
function drawn(rate: number, beta1: number, beta2: number, gamma: number, decay: number): Step {
  return elementwise(({ p, g, s }, i, t) => {
    s.m![i] = beta1 * s.m![i]! + (1 - beta1) * g[i]!
    s.average![i] = beta2 * s.average![i]! + (1 - beta2) * p[i]!
    const average = s.average![i]! / (1 - beta2 ** t)
    const away = t === 1 ? 0 : Math.sign(p[i]! - average)
    p[i]! -= rate * (Math.sign(s.m![i]!) + gamma * away)
    p[i]! -= rate * decay * average
  })
}

restate(focus, {
  defaults: { optimizer: focus(), salt: 0.5, signs: true, paper: () => drawn(0.01, 0.9, 0.999, 0.1, 0) },
  'with decay towards zero by the average': {
    optimizer: focus({ learningRate: 0.02, beta1: 0.7, beta2: 0.95, gamma: 0.4, weightDecay: 0.3 }),
    salt: 1.9,
    signs: true,
    paper: () => drawn(0.02, 0.7, 0.95, 0.4, 0.3),
  },
})

/** Algorithm 1 of the paper with the fixed-point iteration of its equation for S and Q, and ε below the roots. */
function scaled(
  rate: number,
  beta: number,
  alpha: number,
  gamma: number,
  eps: number,
  turns: number,
  decay: number,
): Step {
  const lengths: number[] = []
  return (tensors, t) => {
    tensors.forEach(({ p, g, s, shape }, k) => {
      const outputs = shape.length === 0 ? 1 : shape[0]!
      const inputs = p.length / outputs
      const at = (i: number, j: number) => g[i * inputs + j]!
      let q = new Array<number>(inputs).fill(1)
      let r = new Array<number>(outputs).fill(0)
      for (let turn = 0; turn < turns; turn++) {
        const squares = sum(q.map((x) => x * x))
        r = r.map((_, i) => sum(q.map((x, j) => at(i, j) ** 2 * x)) / squares)
        const others = sum(r.map((x) => x * x))
        q = q.map((_, j) => sum(r.map((x, i) => at(i, j) ** 2 * x)) / others)
      }
      r.forEach((x, i) => {
        s.r![i] = beta * s.r![i]! + (1 - beta) * x
      })
      q.forEach((x, j) => {
        s.q![j] = beta * s.q![j]! + (1 - beta) * x
      })
      const d = g.map((x, index) => {
        const [i, j] = [Math.floor(index / inputs), index % inputs]
        return x / (Math.sqrt(s.r![i]! + eps) * Math.sqrt(s.q![j]! + eps))
      })
      const n = t === 1 ? 1 : gamma / Math.max(norm(d) / lengths[k]!, gamma)
      lengths[k] = n * norm(d)
      for (let i = 0; i < p.length; i++) p[i] = (1 - rate * decay) * p[i]! - rate * alpha * n * d[i]!
    })
  }
}

restate(racs, {
  defaults: { optimizer: racs({ scale: 0.5 }), salt: 0.3, paper: () => scaled(0.02, 0.9, 0.5, 1.01, 1e-8, 5, 0) },
  'one turn, fast growth, decay': {
    optimizer: racs({ learningRate: 0.1, beta: 0.7, growth: 1.5, epsilon: 1e-4, iterations: 1, weightDecay: 0.1 }),
    salt: 1.2,
    layout: 'matrices',
    paper: () => scaled(0.1, 0.7, 0.05, 1.5, 1e-4, 1, 0.1),
  },
})

/** Algorithm 1 of the paper around plain gradient descent. */
function clipped(rate: number, absolute: number, relative: number, beta: number, warmup: number): Step {
  const usual: number[] = []
  return (tensors, t) => {
    const all = Math.sqrt(sum(tensors.map(({ g }) => norm(g) ** 2)))
    tensors.forEach(({ p, g }, k) => {
      const h = t < warmup ? Math.min(absolute / all, 1) : Math.min((relative * usual[k]!) / norm(g), 1)
      const length = norm(g) * h
      usual[k] = t === 1 ? length : t < warmup ? Math.min(usual[k]!, length) : beta * usual[k]! + (1 - beta) * length
      for (let i = 0; i < p.length; i++) p[i]! -= rate * h * g[i]!
    })
  }
}

restate(adaGC, {
  'before and after the warm-up': {
    optimizer: adaGC(sgd({ learningRate: 0.05 }), { warmupSteps: 10 }),
    salt: 0.4,
    paper: () => clipped(0.05, 1, 1.05, 0.98, 10),
  },
  'a low bound, then a loose one': {
    optimizer: adaGC(sgd({ learningRate: 0.2 }), { absolute: 0.3, relative: 2, beta: 0.6, warmupSteps: 4 }),
    salt: 2.1,
    layout: 'matrices',
    paper: () => clipped(0.2, 0.3, 2, 0.6, 4),
  },
})

/** The library's order of its parts, each tensor with its own ratio. */
function mixed(
  rate: number,
  [beta1, beta2, beta3]: readonly [number, number, number],
  alpha: number,
  decay: number,
  on: boolean,
): Step {
  return (tensors, t) => {
    for (const { p, g: given, s, shape } of tensors) {
      const g = [...given]
      if (on && p.length > 1) {
        const share = sum(p.map((x, i) => x * g[i]!)) / sum(p.map((x) => x * x))
        const rest = g.map((x, i) => x - share * p[i]!)
        rest.forEach((x, i) => {
          g[i] = (x * norm(given)) / norm(rest)
        })
      }
      if (t === 1) s.slow!.splice(0, p.length, ...p)
      for (let i = 0; i < p.length; i++) p[i]! *= 1 - rate * decay
      const unit = shape.length > 1 ? p.length / shape[0]! : p.length
      for (let from = 0; from < p.length; from += unit) {
        const bound = 0.01 * Math.max(norm(p.slice(from, from + unit)), 1e-3)
        const length = norm(g.slice(from, from + unit))
        if (length > bound) for (let i = from; i < from + unit; i++) g[i]! *= bound / length
      }
      const kept: boolean[] = []
      for (let i = 0; i < p.length; i++) {
        const u = Math.min(Math.max(g[i]! / Math.max(Math.sqrt(s.v![i]!), 1e-8), -(t ** 0.25)), t ** 0.25)
        s.m![i] = beta1 * s.m![i]! + (1 - beta1) * u
        s.s![i] = beta3 * s.s![i]! + (1 - beta3) * u
        s.v![i] = beta2 * s.v![i]! + (1 - beta2) * g[i]! ** 2
        kept[i] = s.m![i]! * g[i]! > 0
      }
      const agreeing = kept.filter(Boolean).length
      const ratio = Math.sqrt(sum(g.map((x, i) => x ** 2 / Math.max(s.v![i]!, 1e-16))) / p.length)
      const step = rate / (1 - beta1 ** t) / (on ? Math.max(1, ratio) : 1)
      for (let i = 0; i < p.length; i++) {
        const m = on ? (kept[i] ? (s.m![i]! * p.length) / (agreeing + 1) : 0) : s.m![i]!
        p[i]! -= (step * (m + alpha * s.s![i]!)) / (Math.sqrt(s.v![i]! / (1 - beta2 ** t)) + 1e-8)
        if (t % 5 === 0) {
          s.slow![i] = 0.5 * s.slow![i]! + 0.5 * p[i]!
          p[i] = s.slow![i]!
        }
      }
    }
  }
}

restate(ranger25, {
  defaults: {
    optimizer: ranger25(),
    salt: 0.6,
    signs: true,
    paper: () => mixed(1e-3, [0.9, 0.98, 0.9999], 5, 1e-3, true),
  },
  'without masks, ratios and projections': {
    optimizer: ranger25({
      learningRate: 3e-4,
      beta1: 0.8,
      beta2: 0.95,
      beta3: 0.99,
      alpha: 2,
      weightDecay: 0.1,
      orthogonal: false,
      cautious: false,
      stable: false,
    }),
    salt: 1.8,
    signs: true,
    paper: () => mixed(3e-4, [0.8, 0.95, 0.99], 2, 0.1, false),
  },
})
