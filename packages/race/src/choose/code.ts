import type { HyperValue, Layout, Optimizer, Schedule } from 'fallline'
import * as core from 'fallline'
import { type BaseOptimizer, type GroupedOptimizer, inputsOf, visit, type WrappedOptimizer } from 'fallline/internal'
import type { Setting } from '../search/space.ts'
import type { Task } from '../task.ts'
import { type ContenderLike, enter } from '../training/contenders.ts'

/** Where code is to run: plain `fallline`, inside TensorFlow.js, or inside jax-js. */
export type CodeTarget = 'fallline' | 'tfjs' | 'jax'

/** All targets, with their names in print. */
export const codeTargets: Readonly<Record<CodeTarget, string>> = {
  fallline: 'Plain TypeScript',
  tfjs: 'TensorFlow.js',
  jax: 'jax-js',
}

/**
 * The code of a contender with a setting, to be pasted: its wrappers, its hyperparameters as numbers where they are not the default, and
 * the schedule of the race (linear warm-up over 5 % of the steps, then cosine to zero or constant), and the layout of the task. The last
 * line uses what a model of yours has: `shapes`, or `model` and `loss`, or `loss` and `parameters`.
 *
 * ```ts
 * import { codeFor } from '@fallline/race'
 *
 * console.log(codeFor('adan', { learningRate: 0.01 }, 600, 'fallline'))
 * ```
 *
 * @param contender a registered name or a contender
 * @param setting values of the tuned hyperparameters
 * @param steps optimizer steps of a run, over which the schedule goes
 * @param task the task that the setting was found on: where it says which dimensions are outputs, so does the code. In jax-js
 * `outputLast` goes without saying, and TensorFlow.js knows the layout of its own kernels.
 * @throws Error for an unknown optimizer, and for what cannot be written as code, such as a schedule that is a function of its own
 */
export function codeFor(
  contender: ContenderLike,
  setting: Setting,
  steps: number,
  target: CodeTarget,
  task: Pick<Task, 'layout' | 'parameters'> = { parameters: {} },
): string {
  const optimizer = enter([contender])[0]!.create(setting, steps)
  const writer = new Writer(new Set(Object.keys(setting)))
  const rule = writer.optimizer(optimizer)
  const own = [...writer.own].sort()
  const names = [...writer.names]
  const lines = own.map((name) => `import { ${name} } from './${name}.ts' // where you define it`)
  const imports = (from: string, list: readonly string[]) =>
    list.length === 0 ? [] : [`import { ${[...list].sort(byName).join(', ')} } from '${from}'`]
  const layout = layoutText(task)
  const unlikeJax = layout !== undefined && layout !== literal('outputLast')
  const rate = writer.learningRate === null ? [] : [`const learningRate = ${writer.learningRate}`]
  if (target === 'fallline') {
    const step = writer.minimizes
      ? 'await optimizer.minimize(evaluate)'
      : 'write optimizer.gradients, then optimizer.step()'
    return join(
      [...imports('fallline', ['compile', ...names]), ...lines],
      [
        ...rate,
        `const rule = ${rule}`,
        '// shapes: the shape of every parameter by name',
        `const optimizer = await compile(rule, shapes${layout === undefined ? '' : `, { layout: ${layout} }`})`,
        `// every step: ${step}`,
      ],
    )
  }
  if (target === 'tfjs') {
    // A rule of one's own is one of fallline, so all of it is, and is brought to TensorFlow.js as a whole.
    const foreign = own.length > 0
    return join(
      foreign
        ? [...imports('@fallline/tfjs', ['toTensorFlow']), ...imports('fallline', names), ...lines]
        : imports('@fallline/tfjs', names),
      [...rate, `const optimizer = ${foreign ? `toTensorFlow(${rule})` : rule}`, 'model.compile({ optimizer, loss })'],
    )
  }
  return join(
    [...imports('@fallline/jax', ['createTrainer']), ...imports('fallline', names), ...lines],
    [
      ...rate,
      `const optimizer = ${rule}`,
      '// loss(parameters, ...batch) and parameters: those of your model',
      `const trainer = await createTrainer(loss, optimizer, parameters${unlikeJax ? `, { layout: ${layout} }` : ''})`,
      '// every step: await trainer.step(...batch)',
    ],
  )
}

/** The layout of a task as code: what a function says of the parameters, most of which are alike. */
function layoutText({ layout, parameters }: Pick<Task, 'layout' | 'parameters'>): string | undefined {
  if (typeof layout !== 'function') return layout && literal(layout)
  const named = new Map<Layout, string[]>()
  for (const [name, shape] of Object.entries(parameters)) {
    if (shape.length < 2) continue
    const own = layout(name, shape)
    named.set(own, [...(named.get(own) ?? []), name])
  }
  const [most, ...others] = [...named].sort(([, a], [, b]) => b.length - a.length)
  if (!most) return undefined
  const choice = others.reduceRight(
    (rest, [own, names]) => `${literal(names)}.includes(name) ? ${literal(own)} : ${rest}`,
    literal(most[0]),
  )
  return others.length === 0 ? choice : `(name) => (${choice})`
}

const byName = (a: string, b: string) => a.localeCompare(b, 'en')

function join(head: readonly string[], body: readonly string[]): string {
  return `${head.join('\n')}\n\n${body.join('\n')}\n`
}

const width = 80

/** Writes optimizers as code and notes what has to be imported. */
class Writer {
  /** Exports of fallline. */
  readonly names = new Set<string>()
  /** Factories that fallline does not export. */
  readonly own = new Set<string>()
  /** Whether a step evaluates the model itself. */
  minimizes = false
  /** The first schedule of a learning rate, which gets a line of its own. */
  learningRate: string | null = null
  readonly #tuned: ReadonlySet<string>

  /** @param tuned hyperparameters that are written even where they are the default */
  constructor(tuned: ReadonlySet<string>) {
    this.#tuned = tuned
  }

  optimizer(optimizer: Optimizer): string {
    return visit(optimizer, {
      base: (base) => this.#base(base),
      wrapped: (wrapped) => this.#wrapped(wrapped),
      grouped: (grouped) => this.#groups(grouped),
    })
  }

  #base(optimizer: BaseOptimizer): string {
    const { definition, decay, maximize, fallback } = optimizer
    const settings = this.#settings(optimizer, true)
    if (decay !== definition.decay) settings.push(`decay: '${decay}'`)
    if (maximize) settings.push('maximize: true')
    if (fallback) settings.push(`fallback: ${this.optimizer(fallback)}`)
    return `${this.#factory(definition.name)}(${object(settings)})`
  }

  #wrapped(optimizer: WrappedOptimizer): string {
    const { definition, inner, earlier } = optimizer
    const settings = this.#settings(optimizer, false)
    const wrapped = [...(earlier ? [earlier] : []), inner].map((one) => this.optimizer(one))
    const given = [...wrapped, ...(settings.length > 0 ? [object(settings)] : [])]
    return `${this.#factory(definition.name)}(${given.join(', ')})`
  }

  #factory(name: string): string {
    if (name in core) this.names.add(name)
    else this.own.add(name)
    return name
  }

  /**
   * Hyperparameters and options that differ from the default.
   * @param isRule of a rule, what was tuned is written even where it is the default, and the learning rate may have a line of its own
   */
  #settings(optimizer: BaseOptimizer | WrappedOptimizer, isRule: boolean): string[] {
    const { definition, hyper, options } = optimizer
    if (definition.evaluations !== undefined || Object.keys(inputsOf(optimizer)).length > 0) this.minimizes = true
    const changed = Object.entries(hyper).filter(
      ([name, value]) => value !== definition.hyper[name]?.default || (isRule && this.#tuned.has(name)),
    )
    const chosen = Object.entries(options).filter(([name, value]) => value !== definition.options?.[name])
    return [
      ...changed.map(([name, value]) => {
        const text = this.#value(value, definition.title, name)
        if (!isRule || name !== 'learningRate' || typeof value === 'number') return `${name}: ${text}`
        this.learningRate ??= text
        return this.learningRate === text ? name : `${name}: ${text}`
      }),
      ...chosen.map(([name, value]) => `${name}: ${literal(value)}`),
    ]
  }

  #groups({ base, groups }: GroupedOptimizer): string {
    this.names.add('groups')
    const list = groups.map(({ name, match, hyper, optimizer, frozen }) => {
      if (typeof match === 'function') {
        throw new Error(
          `the group '${name}' matches by a function, which cannot be written as code; use a regular expression`,
        )
      }
      const said = [`name: ${literal(name)}`, `match: ${match instanceof RegExp ? String(match) : literal(match)}`]
      if (hyper) {
        const values = Object.entries(hyper).map(([key, value]) => `${key}: ${this.#value(value, name, key)}`)
        said.push(`hyper: ${object(values)}`)
      }
      if (optimizer) said.push(`optimizer: ${this.optimizer(optimizer)}`)
      if (frozen) said.push('frozen: true')
      return object(said)
    })
    return `groups(${this.optimizer(base)}, [${list.join(', ')}])`
  }

  #value(value: HyperValue, owner: string, name: string): string {
    if (typeof value === 'number') return literal(value)
    if (typeof value === 'function') {
      throw new Error(`${owner}: ${name} is a function of the step, which cannot be written as code; use a schedule`)
    }
    return this.#schedule(value, owner, name)
  }

  #schedule(schedule: Schedule, owner: string, name: string): string {
    const { kind, arguments: given } = schedule
    if (given === undefined || !(kind in core)) {
      throw new Error(`${owner}: the schedule '${kind}' of ${name} cannot be written as code; use one of fallline`)
    }
    const shorter = asWarmupCosine(kind, given)
    if (shorter !== null) {
      this.names.add('warmupCosine')
      return `warmupCosine(${shorter})`
    }
    this.names.add(kind)
    const nested = (argument: unknown): string =>
      isSchedule(argument) ? this.#schedule(argument, owner, name) : literal(argument, nested)
    return `${kind}(${given.map(nested).join(', ')})`
  }
}

function isSchedule(value: unknown): value is Schedule {
  return typeof value === 'object' && value !== null && 'kind' in value && 'at' in value
}

/** `warmup({ steps }, cosine({ from, to, steps }))` is what `warmupCosine` is short for, and tells the peak by name. */
function asWarmupCosine(kind: string, [options, then]: readonly unknown[]): string | null {
  if (kind !== 'warmup' || !isSchedule(then) || then.kind !== 'cosine') return null
  const { steps, from = 0 } = options as { steps: number; from?: number }
  const decay = then.arguments?.[0] as { from: number; to: number; steps: number }
  if (from !== 0) return null
  const final = decay.to === 0 ? '' : `, final: ${literal(decay.to)}`
  return `{ peak: ${literal(decay.from)}, warmup: ${steps}, steps: ${steps + decay.steps}${final} }`
}

/** An object literal, on several lines where one would be long. */
function object(entries: readonly string[]): string {
  if (entries.length === 0) return ''
  const line = `{ ${entries.join(', ')} }`
  if (line.length <= width && !line.includes('\n')) return line
  return `{\n${entries.map((entry) => `  ${entry.replaceAll('\n', '\n  ')},`).join('\n')}\n}`
}

/** A value as JavaScript writes it. */
function literal(value: unknown, nested: (value: unknown) => string = literal): string {
  if (typeof value === 'string')
    return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('\n', '\\n')}'`
  if (Array.isArray(value)) return `[${value.map(nested).join(', ')}]`
  if (typeof value === 'object' && value !== null) {
    return `{ ${Object.entries(value)
      .map(([name, inner]) => `${name}: ${nested(inner)}`)
      .join(', ')} }`
  }
  return String(value)
}

/** The code for every target. `failure` says why there is none. */
export interface CodeRecord {
  code: Record<CodeTarget, string> | null
  failure: string | null
}

/** The code of a contender for every target, or why it cannot be written. */
export function codesFor(
  contender: ContenderLike,
  setting: Setting,
  steps: number,
  task?: Pick<Task, 'layout' | 'parameters'>,
): CodeRecord {
  try {
    const targets = Object.keys(codeTargets) as CodeTarget[]
    const code = Object.fromEntries(targets.map((target) => [target, codeFor(contender, setting, steps, target, task)]))
    return { code: code as Record<CodeTarget, string>, failure: null }
  } catch (error) {
    return { code: null, failure: error instanceof Error ? error.message : String(error) }
  }
}
