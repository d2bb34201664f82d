import type { Work } from '../backends/backend.ts'
import { checkHyper } from '../language/definition.ts'
import { validateHyperparameter } from '../language/hyperparameters.ts'
import type { HostEnvironment } from '../program/host.ts'
import type { NamedShape, RunModel } from '../program/model.ts'
import { type Firing, firesAt, type Program, type SlotStorage, type VariantTree } from '../program/program.ts'
import type { TracedParameter } from '../program/trace.ts'
import { evaluateSchedule, type HyperValue } from '../schedules/schedule.ts'

/** One parameter with what the host keeps for it. */
export interface Tensor {
  readonly index: number
  readonly shape: NamedShape
  readonly traced: TracedParameter | undefined
  /** Steps of this tensor, by clock. */
  counts: Map<string, number>
  /** State that the host keeps. */
  readonly host: Map<string, number>
  /** The program of a tensor that has no cadences and no state on the host: all such tensors of one age share scalars. */
  readonly only: Program | undefined
}

/** A parameter as users know it: a tensor, or a part of one that was joined from several. */
export interface Part {
  readonly shape: NamedShape
  /** The index of the tensor. */
  readonly tensor: number
  /** The first of its elements there. */
  readonly offset: number
  /** How many elements the tensor has. */
  readonly total: number
}

/** One tensor's part in a step: what to run, and what to note when it has run. */
export interface Update {
  readonly tensor: Tensor
  readonly work: Work
  readonly counts: Map<string, number> | undefined
  readonly host: readonly number[]
}

/** What the host knows of a step that is being taken. */
export interface Moment {
  /** Steps by clock, this one included. */
  readonly counts: Map<string, number>
  /** The numbers that the user supplied. */
  readonly numbers: ReadonlyMap<string, number>
  /** The hyperparameters that were asked for. */
  readonly values: Map<string, number>
}

interface Opening {
  readonly clock: string
  readonly fires: Firing
  readonly count: number | string
  readonly opens: string
}

/**
 * The host half of an optimizer: step counts and clocks, hyperparameters and their schedules, the numbers that the host
 * keeps as state, and which program of each parameter runs in a step. Knows nothing of who runs it.
 */
export class Conductor {
  /** The names of the tensors in creation order. */
  readonly names: readonly string[]
  /** The parameters in creation order. */
  readonly parts: readonly Part[]
  readonly tensors: readonly Tensor[]
  /** The tensors that are not frozen. */
  readonly trained: readonly Tensor[]
  readonly model: RunModel
  /** Steps of all tensors together, by clock. */
  counts: Map<string, number> = new Map([['', 0]])
  /** Steps that were skipped. */
  skipped = 0
  private readonly partsByName: ReadonlyMap<string, Part>
  /** @internal state of one number for all tensors that the host keeps */
  readonly shared = new Map<string, number>()
  private readonly sharedKeys = new Set<string>()
  private readonly openings: readonly Opening[]
  /** The hyperparameters that are numbers and were asked for since the last `set`. */
  private readonly fixed = new Map<string, number>()

  constructor(model: RunModel) {
    this.model = model
    this.names = model.parameters.map(({ shape }) => shape.name)
    this.parts = model.parameters.flatMap(({ shape }, tensor) => partsOf(shape, tensor))
    this.partsByName = new Map(this.parts.map((part) => [part.shape.name, part]))
    const openings = new Map<string, Opening>()
    this.tensors = model.parameters.map(({ shape, traced }, index) => {
      const host = new Map<string, number>()
      for (const slot of traced?.slots ?? []) {
        if (slot.shared) this.sharedKeys.add(slot.key)
        if (slot.space === 'host') (slot.shared ? this.shared : host).set(slot.key, slot.start as number)
      }
      if (traced) collectOpenings(traced.variants, openings)
      const tree = traced?.variants
      const only =
        tree && 'program' in tree && tree.program.host.keys.length === 0 && host.size === 0 ? tree.program : undefined
      return { index, shape, traced, counts: startingCounts(tree), host, only }
    })
    this.openings = [...openings.values()]
    for (const { opens } of this.openings) this.counts.set(opens, 0)
    this.trained = this.tensors.filter((tensor) => tensor.traced)
  }

  /** Steps taken. */
  get steps(): number {
    return this.counts.get('')!
  }

  /** The hyperparameters of a group, schedules evaluated at the last step (before any, at the first). */
  hyperOf(group: string): Record<string, number> {
    const { hyper } = this.model
    const result: Record<string, number> = {}
    for (const path of [...this.pathsOf(group)].reverse()) {
      for (const name of Object.keys(hyper.owner(path).hyper)) {
        result[name] = evaluateSchedule(hyper.get(path, name), Math.max(this.counts.get(this.clockOf(path)) ?? 0, 1))
      }
    }
    return result
  }

  /**
   * Changes hyperparameters from the next step on.
   * @throws Error for an unknown group or name or an invalid value; nothing is changed then.
   */
  set(values: Readonly<Record<string, HyperValue>>, group: string): void {
    const { hyper, facts } = this.model
    const paths = this.pathsOf(group)
    const changes = Object.entries(values).map(([name, value]) => {
      const path = paths.find((candidate) => Object.hasOwn(hyper.owner(candidate).hyper, name))
      if (path === undefined) {
        const known = paths.flatMap((candidate) => Object.keys(hyper.owner(candidate).hyper))
        const names = [...new Set(known)]
        throw new Error(
          `set: unknown hyperparameter '${name}'; valid names are ${names.join(', ')}${this.suggestion(name, names)}`,
        )
      }
      const owner = hyper.owner(path)
      checkHyper(owner.title, name, value, owner.hyper[name]!)
      facts.check(hyper, path, name, value)
      return { path, name, value }
    })
    hyper.setAll(changes)
    this.fixed.clear()
  }

  /** The end of an error message about an unknown name. */
  suggestion(name: string, known: readonly string[]): string {
    return this.model.suggestion?.(name, known) ?? ''
  }

  /** @throws Error for a name that is no parameter. */
  partOf(caller: string, name: string): Part {
    const part = this.partsByName.get(name)
    if (part) return part
    const names = [...this.partsByName.keys()]
    throw new Error(
      `${caller}: unknown parameter '${name}'; there are ${names.join(', ')}${this.suggestion(name, names)}`,
    )
  }

  /** The tensors that take part in a step; @throws Error for a name that is no parameter, or some of those that are joined. */
  present(without: Iterable<string>): Tensor[] {
    const missing = new Map<number, Set<string>>()
    for (const name of without) {
      const { tensor } = this.partOf('step', name)
      missing.set(tensor, (missing.get(tensor) ?? new Set()).add(name))
    }
    for (const [index, names] of missing) {
      const { parts = [], name } = this.tensors[index]!.shape
      const rest = parts.filter((part) => !names.has(part.name))
      if (rest.length === 0 || rest.length === parts.length) continue
      throw new Error(
        `step: '${[...names][0]}' is a part of ${name}, which moves as a whole; give a gradient (of zeros) for it, or leave out ` +
          `'${rest[0]!.name}' too`,
      )
    }
    return this.trained.filter((tensor) => !missing.has(tensor.index))
  }

  /** The next step, with the numbers that the user supplies for it. Nothing is noted until `commit`. */
  next(numbers: ReadonlyMap<string, number>): Moment {
    return { counts: this.advanced(), numbers, values: new Map() }
  }

  /**
   * What the tensors run in a step.
   * @throws Error when a schedule gives an invalid value.
   */
  plan(tensors: readonly Tensor[], moment: Moment): Update[] {
    this.model.hyper.checkOrder((path, name) => this.hyperValue(`${path}.${name}`, this.clockOf(path), moment))
    const ages = new Map<number, HostEnvironment>()
    return tensors.map((tensor) => this.planUpdate(tensor, moment, ages))
  }

  /** Programs of tensors that run before the update of a step. */
  before(programs: readonly { readonly tensor: Tensor; readonly program: Program }[], moment: Moment): Work[] {
    return programs.map(({ tensor, program }) => {
      const { own } = this.choose(tensor, moment)
      return { tensor: tensor.index, program, environment: new StepEnvironment(this, tensor, own, moment) }
    })
  }

  /** The program that a tensor's next update runs, and its counts then. */
  choose(tensor: Tensor, moment: Moment): { program: Program; own: Map<string, number> } {
    const own = new Map(tensor.counts)
    own.set('', own.get('')! + 1)
    let tree: VariantTree = tensor.traced!.variants
    while (!('program' in tree)) {
      const count = this.cadence(tree.count, tree.clock, moment)
      const fires = firesAt(own.get(tree.clock)!, tree.fires, count)
      if (fires && tree.opens !== undefined) own.set(tree.opens, (own.get(tree.opens) ?? 0) + 1)
      tree = fires ? tree.fired : tree.held
    }
    return { program: tree.program, own }
  }

  /** The slots that start as a copy of the parameter and whose clock makes its first step. */
  copies(tensor: Tensor, own: ReadonlyMap<string, number> | undefined): string[] {
    if (!own && tensor.counts.get('') !== 0) return []
    return tensor.traced!.slots.flatMap(({ start, key }) => {
      if (start !== 'parameter') return []
      const clock = own ? this.clockOf(key) : ''
      return (tensor.counts.get(clock) ?? 0) === 0 && (!own || own.get(clock) === 1) ? [key] : []
    })
  }

  /** Notes that a step was taken. */
  commit(updates: readonly Update[], { counts }: Moment): void {
    for (const { tensor, work, counts: own, host } of updates) {
      if (!own) {
        tensor.counts.set('', tensor.counts.get('')! + 1)
        continue
      }
      work.program.host.keys.forEach((key, index) => {
        const target = this.sharedKeys.has(key) ? this.shared : tensor.host
        target.set(key, host[index]!)
      })
      tensor.counts = own
    }
    this.counts = counts
  }

  /** What to compute for the parameters where the average to evaluate with differs from them. */
  averages(): Work[] {
    const moment: Moment = { counts: this.counts, numbers: new Map(), values: new Map() }
    return this.trained.flatMap((tensor) => {
      // Before its first step a tensor has no average yet.
      const program = tensor.counts.get('')! > 0 ? tensor.traced!.average : undefined
      if (!program) return []
      return [{ tensor: tensor.index, program, environment: new StepEnvironment(this, tensor, tensor.counts, moment) }]
    })
  }

  /** A number that the host keeps as state. */
  number(tensor: Tensor, { key, shared }: SlotStorage): number {
    return (shared ? this.shared : tensor.host).get(key)!
  }

  writeNumber(tensor: Tensor, { key, shared }: SlotStorage, value: number): void {
    ;(shared ? this.shared : tensor.host).set(key, value)
  }

  private planUpdate(tensor: Tensor, moment: Moment, ages: Map<number, HostEnvironment>): Update {
    if (tensor.only) {
      const age = tensor.counts.get('')! + 1
      let environment = ages.get(age)
      if (!environment) {
        environment = new StepEnvironment(this, tensor, age, moment)
        ages.set(age, environment)
      }
      const work = { tensor: tensor.index, program: tensor.only, environment }
      return { tensor, work, counts: undefined, host: [] }
    }
    const { program, own } = this.choose(tensor, moment)
    const environment = new StepEnvironment(this, tensor, own, moment)
    const host: number[] = []
    program.host.computation.evaluate(environment, host)
    return { tensor, work: { tensor: tensor.index, program, environment }, counts: own, host }
  }

  private advanced(): Map<string, number> {
    const counts = new Map<string, number>()
    counts.set('', this.steps + 1)
    if (this.openings.length === 0) return counts
    const moment: Moment = { counts, numbers: new Map(), values: new Map() }
    // A clock opened by another clock comes after it, because outer wrappers are traced first.
    for (const { clock, fires, count, opens } of this.openings) {
      const before = this.counts.get(opens) ?? 0
      const moved = counts.get(clock) !== (this.counts.get(clock) ?? 0)
      const opened = moved && firesAt(counts.get(clock)!, fires, this.cadence(count, clock, moment))
      counts.set(opens, opened ? before + 1 : before)
    }
    return counts
  }

  private cadence(count: number | string, clock: string, moment: Moment): number {
    return typeof count === 'number' ? count : this.hyperValue(count, clock, moment)
  }

  /**
   * A hyperparameter at a step of a clock; @throws Error when its schedule gives an invalid value.
   * @internal
   */
  hyperValue(key: string, clock: string, { counts, values }: Moment): number {
    const fixed = this.fixed.get(key)
    if (fixed !== undefined) return fixed
    const { hyper } = this.model
    const [path, name] = hyper.placeOf(key)
    const given = hyper.get(path, name)
    const owner = hyper.owner(path)
    const { floor = Number.NEGATIVE_INFINITY } = owner.hyper[name]!
    // Numbers were checked when they were given.
    if (typeof given === 'number') {
      const value = Math.max(given, floor)
      this.fixed.set(key, value)
      return value
    }
    const known = values.get(key)
    if (known !== undefined) return known
    const scheduled = evaluateSchedule(given, Math.max(counts.get(clock) ?? 0, 1))
    validateHyperparameter(owner.title, name, scheduled, owner.hyper[name]!)
    const value = Math.max(scheduled, floor)
    values.set(key, value)
    return value
  }

  /** The clock that counts the updates of an optimizer: that of the innermost wrapper around it that skips steps. */
  private clockOf(path: string): string {
    const around = this.openings.map(({ opens }) => opens).filter((opens) => path.startsWith(`${opens}/`))
    return around.reduce((longest, opens) => (opens.length > longest.length ? opens : longest), '')
  }

  private pathsOf(group: string): readonly string[] {
    const paths = this.model.hyper.groups.get(group)
    if (!paths) {
      const known = [...this.model.hyper.groups.keys()].filter((name) => name !== '')
      throw new Error(
        `unknown group '${group}'; ${known.length > 0 ? `there are ${known.join(', ')}` : 'there are none'}`,
      )
    }
    return paths
  }
}

function partsOf(shape: NamedShape, tensor: number): Part[] {
  let offset = 0
  return (shape.parts ?? [shape]).map((part) => {
    offset += part.size
    return { shape: part, tensor, offset: offset - part.size, total: shape.size }
  })
}

/** What a tensor's host scalars are made of in a step. */
class StepEnvironment implements HostEnvironment {
  private readonly conductor: Conductor
  private readonly tensor: Tensor
  private readonly own: ReadonlyMap<string, number> | number
  private readonly moment: Moment

  /** @param own the tensor's steps by clock, or of the only one that it has. */
  constructor(conductor: Conductor, tensor: Tensor, own: ReadonlyMap<string, number> | number, moment: Moment) {
    this.conductor = conductor
    this.tensor = tensor
    this.own = own
    this.moment = moment
  }

  hyper(key: string, clock: string): number {
    return this.conductor.hyperValue(key, clock, this.moment)
  }

  count(clock: string, perTensor: boolean): number {
    const { own, moment } = this
    if (perTensor && typeof own === 'number') return own
    return (perTensor ? (own as ReadonlyMap<string, number>) : moment.counts).get(clock) ?? 0
  }

  slot(key: string): number {
    return this.tensor.host.get(key) ?? this.conductor.shared.get(key)!
  }

  input(key: string): number {
    return this.moment.numbers.get(key) ?? Number.NaN
  }
}

function collectOpenings(tree: VariantTree, found: Map<string, Opening>): void {
  if ('program' in tree) return
  if (tree.opens !== undefined) {
    const { clock, fires, count, opens } = tree
    found.set(opens, { clock, fires, count, opens })
  }
  collectOpenings(tree.held, found)
  collectOpenings(tree.fired, found)
}

/** All clocks of a tensor, before its first step. */
function startingCounts(tree: VariantTree | undefined): Map<string, number> {
  const openings = new Map<string, Opening>()
  if (tree) collectOpenings(tree, openings)
  return new Map([['', 0], ...[...openings.keys()].map((clock) => [clock, 0] as const)])
}
