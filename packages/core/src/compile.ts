import { type Backend, backendTensors } from './backends/backend.ts'
import { wasm } from './backends/wasm/backend.ts'
import { checkNames, checkOptimizer, type Optimizer } from './language/definition.ts'
import { checkLayout, type Layout, type LayoutChoice } from './language/layout.ts'
import { checkParameters, checkShapes, type Shapes, traceAlone } from './program/model.ts'
import { CompiledOptimizer } from './run/compiled-optimizer.ts'
import { noInputs, takesInputs } from './run/no-inputs.ts'
import { RunningOptimizer } from './run/running-optimizer.ts'
import type { GradientMemory, NonFinitePolicy } from './run/step.ts'

export interface CompileOptions {
  /** Where the kernels run: `wasm()` (default), `reference()`, or `webgpu()` of `fallline/webgpu`. */
  readonly backend?: Backend
  /**
   * `throw` (default): an error names the tensors. `skip`: the step is skipped and counted. Both leave parameters and
   * state untouched and cost one more read of the gradients. `allow`: no check, a single pass.
   */
  readonly nonFinite?: NonFinitePolicy
  /**
   * Which dimensions of a parameter are its outputs, for rules that treat outputs and inputs unlike (Muon, gradient
   * centralization, Nero and so on). `outputFirst` (default) is `[out, in, height, width]`, as in PyTorch, `outputLast` is
   * `[height, width, in, out]`, as in TensorFlow and JAX, `depthwise` is `[height, width, in, multiplier]`; a function chooses
   * for each parameter by name and shape.
   */
  readonly layout?: LayoutChoice
  /**
   * `together` (default): the gradients of all parameters have memory of their own. `oneAtATime`: there is room for the largest alone, and
   * each is used as soon as backpropagation has made it, with `fusedBackward`.
   */
  readonly gradients?: GradientMemory
  /** Norms of gradient, update and parameter and the count of non-finite gradients, from the same pass. Default false. */
  readonly telemetry?: boolean
}

/**
 * Compiles an optimizer for a model: traces the rule for every parameter, plans it, and generates one kernel for each
 * distinct plan. Hyperparameters are arguments of the kernels, so changing them never compiles again.
 *
 * ```ts
 * import { adan, compile, cosine } from 'fallline'
 *
 * const optimizer = await compile(adan({ learningRate: cosine({ from: 1e-3, to: 0, steps: 1000 }) }), {
 *   'dense/kernel': [784, 128],
 *   'dense/bias': [128],
 * })
 * optimizer.parameters['dense/kernel']!.fill(0.01)
 * optimizer.gradients['dense/kernel']!.fill(0.1)
 * optimizer.step()
 * ```
 *
 * @throws Error for an invalid shape, a group that matches nothing, or a rule that does not fit a parameter; the message
 * names the optimizer and the parameter.
 */
export async function compile<const Name extends string, H extends string>(
  optimizer: Optimizer<H>,
  shapes: Shapes<Name>,
  options: CompileOptions = {},
): Promise<CompiledOptimizer<Name, H>> {
  const known = ['backend', 'nonFinite', 'telemetry', 'layout', 'gradients']
  const { model, instance, settings } = await prepare('compile', optimizer, shapes, options, known)
  return new CompiledOptimizer<Name, H>(model, instance, settings)
}

/**
 * Compiles as `compile` does, for pages that count bytes: what only some need of an optimizer is no method, but a function of
 * `fallline/runtime` (`save`, `load`, `minimize`), so that bundlers leave out what is not called. Not for backends that keep parameters
 * on a device.
 *
 * ```ts
 * import { adamW, compileRunning } from 'fallline'
 * import { load, save } from 'fallline/runtime'
 *
 * const optimizer = await compileRunning(adamW(), { w: [2] })
 * optimizer.step({ gradients: { w: [1, -1] } })
 * load(optimizer, save(optimizer))
 * console.log(optimizer.steps) // 1
 * ```
 *
 * @throws Error as `compile` does.
 */
export async function compileRunning<const Name extends string, H extends string>(
  optimizer: Optimizer<H>,
  shapes: Shapes<Name>,
  options: Omit<CompileOptions, 'gradients'> = {},
): Promise<RunningOptimizer<Name, H>> {
  const known = ['backend', 'nonFinite', 'telemetry', 'layout']
  const { model, instance, settings } = await prepare('compileRunning', optimizer, shapes, options, known)
  try {
    checkParameters(model, 'compileRunning')
    if (!instance.memory)
      throw new Error('compileRunning: this backend keeps parameters and state on a device; use compile')
  } catch (error) {
    instance.dispose()
    throw error
  }
  return new RunningOptimizer<Name, H>(model, instance, settings)
}

/** What an optimizer is made of that runs. */
async function prepare(
  caller: string,
  optimizer: Optimizer,
  shapes: Shapes,
  options: CompileOptions,
  known: readonly string[],
) {
  checkOptimizer(`${caller}: the first argument`, optimizer)
  checkShapes(caller, shapes)
  checkNames(caller, options, known)
  if (options.backend !== undefined && typeof options.backend?.create !== 'function') {
    throw new Error(`${caller}: backend must be wasm(), reference() or webgpu(), not ${String(options.backend)}`)
  }
  const nonFinite = options.nonFinite ?? 'throw'
  if (!['throw', 'skip', 'allow'].includes(nonFinite)) {
    throw new Error(`${caller}: nonFinite must be throw, skip or allow, not ${String(nonFinite)}`)
  }
  const { telemetry = false, layout: choice = 'outputFirst', gradients = 'together' } = options
  if (!['together', 'oneAtATime'].includes(gradients)) {
    throw new Error(`${caller}: gradients must be together or oneAtATime, not ${String(gradients)}`)
  }
  checkLayout(caller, choice)
  const layout = askedOnce(choice)
  const { delaysEigendecompositions = false } = options.backend ?? {}
  const model =
    (telemetry ? undefined : traceAlone(optimizer, shapes, layout)) ??
    (await import('./program/trace-model.ts')).traceModel(optimizer, shapes, telemetry, {
      layout,
      delaysEigendecompositions,
    })
  const title = model.rule
  const instance = await (options.backend ?? wasm()).create(backendTensors(model), { gradients, title })
  const inputs = takesInputs(model) ? (await import('./run/inputs.ts')).declaredInputs : () => noInputs
  return { model, instance, settings: { nonFinite, telemetry, gradients, inputs } }
}

/** Asks for the layout of a parameter once, however often that is traced. */
function askedOnce(choice: LayoutChoice): LayoutChoice {
  if (typeof choice !== 'function') return choice
  const known = new Map<string, Layout>()
  return (name, shape) => {
    const layout = known.get(name) ?? choice(name, shape)
    known.set(name, layout)
    return layout
  }
}
