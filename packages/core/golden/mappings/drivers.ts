import {
  adam,
  compile,
  type Evaluate,
  egn,
  type FloatArray,
  fosi,
  lBfgs,
  type Optimizer,
  reference,
  sgd,
  wasm,
} from 'fallline'
import type { Fields } from '../fields.ts'
import { biases, exampleAt, examples, wantedAt, weights } from '../network.ts'
import { gradientAt, hessianDiagonalAt, lossAt, normal, total, writeEach, writeInitial } from '../problem.ts'
import type { DriverMapping, DriverSettings } from '../replay-driver.ts'

/** Arrays by name, in the order of the trajectory. */
function named(arrays: readonly FloatArray[]): Record<string, FloatArray> {
  return Object.fromEntries(arrays.map((array, k) => [`tensor${k}`, array]))
}

/** The closed-form problem at step `t`. */
function closedForm(t: number, { salt, disturb }: Pick<DriverSettings, 'salt' | 'disturb'>): Evaluate {
  return ({ parameters, gradients }) => {
    const arrays = Object.values(parameters)
    Object.values(gradients).forEach((gradient, k) => {
      writeEach(gradient, gradientAt, arrays[k]!, k, t, salt)
    })
    disturb(Object.values(gradients))
    return total(lossAt, arrays, t, salt)
  }
}

/** The base optimizers of FOSI, all from optax. */
function fosiBase(base: 'adam' | 'heavy_ball' | 'nesterov' | 'sgd', fields: Fields): Optimizer {
  const learningRate = fields.number('base_lr')
  if (base === 'adam') return adam({ learningRate })
  const momentum = fields.optional('base_momentum') ?? 0
  return sgd({ learningRate, momentum, nesterov: base === 'nesterov' })
}

/** Methods that are drivers of their own, by the reference's name. */
export const drivers: Readonly<Record<string, DriverMapping>> = {
  torch_lbfgs: {
    amplifies:
      'differences of gradients of other steps decide the direction, a comparison of losses the step, and both become as small as rounding',
    start(fields, _run, settings) {
      const { salt, zeros } = settings
      zeros.forEach((array, k) => {
        writeInitial(array, k, salt)
      })
      const maximumEvaluations = fields.optional('max_eval')
      const optimizer = lBfgs(named(zeros), {
        learningRate: fields.number('lr'),
        maximumIterations: fields.number('max_iter'),
        ...(maximumEvaluations === undefined ? {} : { maximumEvaluations }),
        toleranceGradient: fields.number('tolerance_grad'),
        toleranceChange: fields.number('tolerance_change'),
        history: fields.number('history_size'),
        lineSearch: fields.optionalString('line_search_fn') === undefined ? 'none' : 'strongWolfe',
      })
      return { parameters: zeros, step: (t) => optimizer.minimize(closedForm(t, settings)) }
    },
  },

  fosi: {
    async start(fields, run, { salt, backend, disturb }) {
      const base = fields.string('base', ['adam', 'heavy_ball', 'nesterov', 'sgd'])
      const optimizer = await compile(
        fosiBase(base, fields),
        Object.fromEntries(run.shapes.map((shape, k) => [`tensor${k}`, shape])),
        { backend: backend === 'reference' ? reference() : wasm() },
      )
      const arrays = optimizer.names.map((name) => optimizer.parameters[name]!)
      arrays.forEach((array, k) => {
        writeInitial(array, k, salt)
      })
      const size = arrays.reduce((sum, { length }) => sum + length, 0)
      const warmUp = fields.optional('warmup_w')
      const driver = fosi(optimizer, {
        largest: fields.number('approx_k'),
        smallest: fields.number('approx_l'),
        period: fields.number('num_iters_to_approx_eigs'),
        ...(warmUp === undefined ? {} : { warmUp }),
        newtonRate: fields.number('alpha'),
        // For Adam it is 1 and no setting.
        largestScale: base === 'adam' ? 1 : fields.number('learning_rate_clip'),
        velocity: ({ adam: 'average', heavy_ball: 'heavyBall', nesterov: 'nesterov', sgd: 'none' } as const)[base],
        ...(base === 'sgd' ? {} : { decay: fields.number('decay') }),
        start: Array.from({ length: size }, (_, i) => normal(0, 0, i)),
      })
      const curvatures = () =>
        arrays.flatMap((array, k) => Array.from(array, (p, i) => hessianDiagonalAt({ p, i, k, t: 0, salt })))
      return {
        parameters: arrays,
        step(t) {
          const diagonal = curvatures()
          return driver.minimize(closedForm(t, { salt, disturb }), (vector) =>
            vector.map((value, i) => value * diagonal[i]!),
          )
        },
      }
    },
  },

  egn: {
    start(fields, _run, { salt, zeros }) {
      fields.expect('method', 'egn_mse', 'the network has squared errors')
      fields.expect('lam_policy', 'const', 'another rule for the damping')
      const [w1, b1, w2, b2] = zeros as [FloatArray, FloatArray, FloatArray, FloatArray]
      for (const [layer, [w, b]] of [[w1, b1] as const, [w2, b2] as const].entries()) {
        const columns = w.length / b.length
        for (let k = 0; k < w.length; k++) w[k] = weights[layer]!(Math.floor(k / columns), k % columns, salt)
        for (let o = 0; o < b.length; o++) b[o] = biases[layer]!(o, salt)
      }
      const largestNorm = fields.has('clip_norm') ? fields.number('clip_norm') : Number.POSITIVE_INFINITY
      const optimizer = egn(named(zeros), {
        learningRate: fields.number('learning_rate'),
        damping: fields.number('lam0'),
        momentum: fields.number('direction_momentum', 0),
        largestNorm,
        weightDecay: fields.number('weight_decay', 0),
      })
      /** The first output of the network, z = w2 tanh(W1 x + b1) + b2, and its derivatives. */
      const linearize = (t: number) => () => {
        const [residuals, jacobian]: [number[], number[]] = [[], []]
        for (let b = 0; b < examples; b++) {
          const x = exampleAt(t, b, salt)
          const y = wantedAt(t, b, salt)[0]!
          const h = Array.from(b1, (bias, o) =>
            Math.tanh(x.reduce((sum, value, i) => sum + w1[o * x.length + i]! * value, bias)),
          )
          const back = h.map((value, o) => w2[o]! * (1 - value ** 2))
          residuals.push(h.reduce((sum, value, o) => sum + w2[o]! * value, b2[0]!) - y)
          jacobian.push(...back.flatMap((slope) => x.map((value) => slope * value)), ...back, ...h, 1)
        }
        return { residuals, jacobian }
      }
      return { parameters: zeros, step: (t) => optimizer.minimize(linearize(t)) }
    },
  },
}
