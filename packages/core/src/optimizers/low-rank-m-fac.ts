import type { Dimensions } from '../graph/node.ts'
import { defineOptimizer } from '../language/definition.ts'
import { qr } from '../language/factorizations.ts'
import { fraction, logUniform, nonNegative, positive, seed } from '../language/hyperparameters.ts'
import { outputSide } from '../language/layout.ts'
import { type ParameterShape, type SlotFacts, shaped, zeros } from '../language/slots.ts'
import { ema, type Value, where } from '../language/value.ts'
import { ageOf } from '../parts/age.ts'
import { efcpPaper, exchanged, inverseFisherShares } from '../parts/gradient-window.ts'

/**
 * Low-rank M-FAC (EFCP): M-FAC of each tensor, whose window holds of each gradient only a matrix of low rank; what is left out is added to
 * the next gradient.
 *
 * ```text
 * a ← e + g + λ θ                         as a matrix: outputs and all else
 * P R ← a Q;  Q ← aᵀ P                    QR factors; Q is N(0, 1) at first
 * s ← P Qᵀ;   e ← a - s
 * row (t - 1) mod m of S ← s              S: the last m of them, as P and Q, 0 at first
 * u ← (δ I + SᵀS / m)⁻¹ s
 * M ← μ M + (1 - μ) u
 * θ ← θ - η M
 * ```
 *
 * Inner products of rows are sums of products of those of P and of Q, so S is never formed. Defaults of the official code: η 1e-3,
 * μ 0, λ 0, rank of P and Q 1; δ (`damping`) is 1e-5 there and 1e-3 here, because a tensor of few elements has small gradients, and float32 few
 * digits of the inverse; m (`window`) is 1024 there and 32 here, as in `mFac`. What has no second dimension, or one of
 * at most `rank` elements, is kept whole by it. State: `left` and `right` (m times rank times the outputs, and the rest), `products` (S Sᵀ), `error` (e), and with momentum `M`.
 *
 * That of the official code's two forms that treats each tensor by itself; the other adds the inner products of all. Where Q has become
 * 0, as after a gradient of zeros, its columns stay so there; here QR factors find others. Each δ is at least 2⁻²² of the squared norm of its
 * row, which float32 needs.
 *
 * Modoranu, Kalinov, Kurtic, Frantar, Alistarh 2023, Error Feedback Can Accurately Compress Preconditioners, arXiv 2306.06098.
 */
export const lowRankMFac = defineOptimizer({
  name: 'lowRankMFac',
  title: 'Low-rank M-FAC',
  family: 'curvature',
  paper: efcpPaper,
  hyper: {
    learningRate: nonNegative(1e-3),
    momentum: fraction(0),
    damping: positive(1e-3),
    seed: seed(),
    weightDecay: nonNegative(0),
  },
  options: { window: 32, rank: 1 },
  state: {
    left: shaped((shape, options) => seen(shape, options).left),
    right: shaped((shape, options) => seen(shape, options).right),
    products: shaped((_, { window }) => [1, window as number, window as number]),
    error: zeros({ when: ({ shape, options }) => isCompressed(shape, options) }),
    M: zeros({ when: ({ disabled }) => !disabled('momentum') }),
  },
  decay: 'coupled',
  search: { learningRate: logUniform(1e-5, 1e-2), damping: logUniform(1e-6, 1e-2) },
  // Inner products of such gradients stay in the range of float32.
  largestGradient: 2 ** 50,
  rule({ g, t, state, hyper, options, shape, disabled, random, firstSteps }) {
    const { left, right } = seen(shape, options)
    const [window, rank, inputs] = right
    const newest = ageOf(t, window).minus(1)
    const compresses = isCompressed(shape, options)
    // Outputs as rows, whichever way the parameter is kept; applied twice it is as it was.
    const turn = (value: Value) => (outputSide(shape) === 'rows' ? value : value.transposed())
    const a = turn((compresses ? state.error.plus(g) : g).as(shape.matrix))
    const held = () => {
      const last = where(newest.equals(0), window, newest).minus(1)
      const ofLast = where(state.right.batchIndex().equals(last), state.right, 0)
      return ofLast
        .as([1, window, rank * inputs])
        .sum('rows')
        .as([1, rank, inputs])
        .transposed()
    }
    const drawn = () => random.normal({ seed: hyper.seed, dimensions: [1, inputs, rank] })
    const P = qr(a.matmul(firstSteps(1, drawn, held()))).q
    const Q = a.transposed().matmul(P)

    const isNewest = state.right.batchIndex().equals(newest)
    const allLeft = where(isNewest, P.transposed(), state.left)
    const allRight = where(isNewest, Q.transposed(), state.right)
    const flat = (value: Value, [batch, height, width]: Dimensions) => value.as([1, batch * height, width])
    const R = flat(allRight, right)
    const both = flat(allLeft, left).matmul(P).times(R.matmul(Q))
    const products = exchanged(state.products, both.as([1, window, rank * rank]).sum('columns'), newest)
    const shares = inverseFisherShares(products, newest, hyper.damping).as([window, 1, 1])
    const step = flat(allLeft.times(shares), left).transposed().matmul(R)
    const u = turn(step).as(g)
    const error = compresses ? { error: turn(a.minus(P.matmul(Q.transposed()))).as(g) } : {}
    const kept = { left: allLeft, right: allRight, products, ...error }
    if (disabled('momentum')) return { direction: u, state: kept }
    const M = ema(state.M, u, hyper.momentum)
    return { direction: M, state: { ...kept, M } }
  },
})

/** Whether something is left out: a matrix whose shorter side is not above the rank is kept whole. */
function isCompressed({ outputs, inputs }: ParameterShape, { rank }: SlotFacts['options']): boolean {
  return Math.min(outputs, inputs) > (rank as number)
}

/** The windows of the factors of a gradient as a matrix of outputs and inputs. */
function seen({ outputs, inputs }: ParameterShape, { window, rank }: SlotFacts['options']) {
  const dimensions = (size: number): Dimensions => [window as number, Math.min(rank as number, outputs, inputs), size]
  return { left: dimensions(outputs), right: dimensions(inputs) }
}
