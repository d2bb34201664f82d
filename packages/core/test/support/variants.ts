import {
  accumulateGradients,
  adaGC,
  adaptiveBraking,
  adaptiveGradientClipping,
  cautious,
  centralizeGradients,
  clipByGlobalNorm,
  clipByNorm,
  clipByRootMeanSquare,
  clipByValue,
  coupledWeightDecay,
  decayTowardsStart,
  decoupledWeightDecay,
  defineOptimizer,
  registry as everyOptimizer,
  grokfast,
  lookahead,
  mechanize,
  type Optimizer,
  type OptimizerFactory,
  orthoGrad,
  parameterAverage,
  polynomialAverage,
  postHocAverage,
  projectOntoBall,
  projectOntoBox,
  projectOntoNonnegative,
  projectOntoSimplex,
  proximalWeightDecay,
  reduceVariance,
  scheduleFree,
  spectralSphere,
  stabilizeGradients,
  trac,
  zClip,
  zeroNans,
} from 'fallline'
import { programsOf } from '../../src/program/program.ts'
import { pointsOf } from '../../src/program/trace.ts'
import { traceModel } from '../../src/program/trace-model.ts'
import { everything, meets, sample } from './sample.ts'

const shortSphere = defineOptimizer({
  ...spectralSphere.definition,
  options: { ...spectralSphere.definition.options, newtonSchulzSteps: 2, solverSteps: 2, powerIterations: 2 },
})

/** The registry; what iterates long by default does so shortly here, because every step of an iteration is compiled on its own. */
export const registry: readonly OptimizerFactory[] = everyOptimizer.map((factory) =>
  factory === (spectralSphere as unknown) ? (shortSphere as unknown as OptimizerFactory) : factory,
)

const styles = ['decoupled', 'independent', 'corrected', 'proximal', 'coupled'] as const

/**
 * Rules that factor matrices: where one is singular, and wrappers make gradients so, any basis is right, and rounding chooses which, or how large
 * a negative power is. FOCUS takes signs of differences that may be rounding.
 */
export const sensitive: readonly string[] = [
  'alice',
  'conda',
  'cosmos',
  'distributedShampoo',
  'fira',
  'focus',
  'frugal',
  'gaLore',
  'grass',
  'shampoo',
  'soap',
  'sPlus',
  'subspaceMomentum',
]

/** An optimizer with one thing changed from its defaults, and what that is. */
export interface Variant {
  readonly title: string
  readonly settings: Readonly<Record<string, unknown>>
}

/** An optimizer of any factory with settings whose names are data. */
export function make(factory: OptimizerFactory, settings: Readonly<Record<string, unknown>> = {}): Optimizer {
  return factory(settings as never)
}

/** What distributed Shampoo is tried with: matrices that are quick to factor, and an epsilon that float32 holds beside singular ones. */
export const distributedShampooSettings = { epsilon: 1e-3, blockSize: 32 }

/** The defaults, or what an optimizer is tried with where its defaults are slow or leave too little to float32. */
export const tried = (factory: OptimizerFactory): Optimizer =>
  make(factory, factory.definition.name === 'distributedShampoo' ? distributedShampooSettings : {})

/** What goes with an option so that it does not take long: every step of an iteration is compiled on its own. */
const companions: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  '{roots:coupledNewton}': { rootSteps: 8 },
  '{dimensions:1}': { blockSize: 8 },
}

/** The defaults, and then each option, decay style and hyperparameter that is off by default changed on its own. */
export function variantsOf(factory: OptimizerFactory): Variant[] {
  const { hyper, options = {}, choices = {} } = factory.definition
  const variants: Variant[] = [{ title: 'defaults', settings: {} }]
  const add = (settings: Record<string, unknown>) => {
    const title = JSON.stringify(settings).replaceAll('"', '')
    variants.push({ title, settings: { ...settings, ...companions[title] } })
  }
  for (const [name, value] of Object.entries(options)) {
    if (choices[name]) for (const choice of choices[name].filter((other) => other !== value)) add({ [name]: choice })
    else if (typeof value === 'boolean') add({ [name]: !value })
    else if (typeof value === 'number') add({ [name]: value + 1 })
  }
  for (const [name, range] of Object.entries(hyper)) {
    if (range.default === 0 && name !== 'weightDecay') add({ [name]: range.whole ? 5 : 0.5 })
  }
  if ('weightDecay' in hyper) {
    for (const decay of styles) if (takesDecay(factory, decay)) add({ decay, weightDecay: 0.1 })
    add({ weightDecay: hyper.weightDecay!.default === 0 ? 0.1 : 0 })
  }
  add({ maximize: true })
  return variants
}

/** Rules that apply weight decay themselves take only some styles. */
function takesDecay(factory: OptimizerFactory, decay: (typeof styles)[number]): boolean {
  return !throws(() => trace(make(factory, { decay })), 'applies weight decay itself')
}

/** Every wrapper, with thresholds that act on gradients around 1. */
export const wrappers: Readonly<Record<string, (inner: Optimizer) => Optimizer>> = {
  clipByValue: (inner) => clipByValue(inner, { maximum: 0.5 }),
  clipByNorm: (inner) => clipByNorm(inner, { maximumNorm: 0.5 }),
  clipByGlobalNorm: (inner) => clipByGlobalNorm(inner, { maximumNorm: 0.5 }),
  clipByRootMeanSquare: (inner) => clipByRootMeanSquare(inner, { maximum: 0.5 }),
  zClip: (inner) => zClip(inner, { warmupSteps: 3, threshold: 0.5 }),
  adaGC: (inner) => adaGC(inner, { absolute: 0.5, warmupSteps: 3 }),
  adaptiveGradientClipping: (inner) => adaptiveGradientClipping(inner, { clipping: 0.07 }),
  adaptiveBraking: (inner) => adaptiveBraking(inner, { braking: 0.5 }),
  trac: (inner) => trac(inner, { initialScale: 1e-3 }),
  mechanize: (inner) => mechanize(inner, { initialScale: 0.1 }),
  zeroNans: (inner) => zeroNans(inner),
  grokfast: (inner) => grokfast(inner, { alpha: 0.8 }),
  'grokfast with a moving average': (inner) => grokfast(inner, { average: 'moving', window: 3, amplification: 0.5 }),
  orthoGrad: (inner) => orthoGrad(inner),
  reduceVariance: (inner) => reduceVariance(inner, { gamma: 0.1 }),
  stabilizeGradients: (inner) => stabilizeGradients(inner),
  cautious: (inner) => cautious(inner),
  decoupledWeightDecay: (inner) => decoupledWeightDecay(inner, { weightDecay: 0.1 }),
  coupledWeightDecay: (inner) => coupledWeightDecay(inner, { weightDecay: 0.1 }),
  proximalWeightDecay: (inner) => proximalWeightDecay(inner, { weightDecay: 0.1 }),
  lookahead: (inner) => lookahead(inner, { period: 3, alpha: 0.5 }),
  parameterAverage: (inner) => parameterAverage(inner, { beta: 0.9 }),
  polynomialAverage: (inner) => polynomialAverage(inner, { gamma: 1 }),
  postHocAverage: (inner) => postHocAverage(inner, { gamma1: 3, gamma2: 1 }),
  scheduleFree: (inner) => scheduleFree(inner, { momentum: 0.8 }),
  accumulateGradients: (inner) => accumulateGradients(inner, { period: 2 }),
  centralizeGradients: (inner) => centralizeGradients(inner),
  decayTowardsStart: (inner) => decayTowardsStart(inner, { weightDecay: 0.1 }),
  projectOntoBox: (inner) => projectOntoBox(inner, { lower: -0.5, upper: 0.5 }),
  projectOntoNonnegative: (inner) => projectOntoNonnegative(inner),
  projectOntoBall: (inner) => projectOntoBall(inner, { radius: 1.5 }),
  'projectOntoBall of outputs': (inner) => projectOntoBall(inner, { of: 'output' }),
  projectOntoSimplex: (inner) => projectOntoSimplex(inner, { total: 2 }),
  'projectOntoSimplex of outputs': (inner) => projectOntoSimplex(inner, { of: 'output' }),
  'clipByGlobalNorm inside accumulateGradients': (inner) =>
    accumulateGradients(clipByGlobalNorm(inner, { maximumNorm: 0.5 }), { period: 2 }),
  'lookahead inside accumulateGradients': (inner) =>
    accumulateGradients(lookahead(inner, { period: 2 }), { period: 2 }),
  'cautious around centralizeGradients around clipByNorm': (inner) =>
    cautious(centralizeGradients(clipByNorm(inner, { maximumNorm: 0.5 }))),
}

const refusals = {
  /** Wrappers that change the new parameter or the decay around rules that move several sequences. */
  parameter: /moves several sequences|applies weight decay itself/,
  /** Wrappers that change the gradient around rules that do not read it. */
  gradient: /does not read/,
}

/** What was found out: several files ask for the same, and each answer is a model traced. */
const known = new WeakMap<OptimizerFactory, Map<string, readonly string[]>>()

/** Why a wrapper cannot stand around an optimizer. */
function reasonsOf(factory: OptimizerFactory, wrapper: string): readonly string[] {
  const own = known.get(factory) ?? new Map<string, readonly string[]>()
  known.set(factory, own)
  const reasons = own.get(wrapper) ?? findReasons(factory, wrapper)
  own.set(wrapper, reasons)
  return reasons
}

function findReasons(factory: OptimizerFactory, wrapper: string): readonly string[] {
  const wrap = wrappers[wrapper] ?? ((inner: Optimizer) => inner)
  try {
    trace(wrap(factory()))
    return []
  } catch (error) {
    const { message } = error as Error
    const reasons = Object.entries(refusals).flatMap(([name, says]) => (says.test(message) ? [name] : []))
    if (reasons.length === 0) throw error
    return reasons
  }
}

/** True for wrappers that cannot stand around an optimizer, for one reason or for any. */
export function refuses(factory: OptimizerFactory, wrapper: string, why?: keyof typeof refusals): boolean {
  const reasons = reasonsOf(factory, wrapper)
  return why === undefined ? reasons.length > 0 : reasons.includes(why)
}

/** Says what does not fit, without planning or compiling. */
const trace = (optimizer: Optimizer) => traceModel(optimizer, { matrix: [4, 7] }, false)

/** True when the action throws an error with this message; other errors go on. */
function throws(action: () => unknown, message: string | RegExp): boolean {
  try {
    action()
    return false
  } catch (error) {
    if ((error as Error).message.search(message) < 0) throw error
    return true
  }
}

/** True when what happens to one tensor depends on the others, through a sum or a maximum over all of them or as parts of one vector. */
export function tiesTensors(factory: OptimizerFactory): boolean {
  if (factory.definition.joint) return true
  const { traced } = trace(factory()).parameters[0]!
  return [...programsOf(traced!.variants), ...pointsOf(traced!)].some((program) => program.leaves.collective)
}

/** The wrappers to try around an optimizer. What a wrapper does seldom depends on what it wraps. */
export function wrappersAround(factory: OptimizerFactory, all = everything): string[] {
  const { name: own } = factory.definition
  // A sorting of all elements takes dozens of passes.
  const met = (name: string) => !name.startsWith('projectOntoSimplex') || meets(name, own, all)
  const sampleOf = (names: readonly string[]) => sample(own, names, (name) => name, all).filter(met)
  const fitting = (names: readonly string[]) => names.filter((name) => !refuses(factory, name))
  const chosen = fitting(sampleOf(Object.keys(wrappers)))
  // Gradient-free methods refuse most of them. All are tried only then: each is traced for that.
  return chosen.length > 0 ? chosen : sampleOf(fitting(Object.keys(wrappers).filter(met)))
}

/** What to change from the defaults of an optimizer, one thing at a time. */
export function changesOf(factory: OptimizerFactory): Variant[] {
  return sample(factory.definition.name, variantsOf(factory).slice(1), ({ title }) => title)
}
