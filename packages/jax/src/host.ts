import type { HyperValue, Input, LayoutChoice, Loaded, LoadOptions, Optimizer, Shapes } from 'fallline'
import {
  Conductor,
  checkParameters,
  checkpointPlaces,
  copiesOf,
  DeclaredInputs,
  encodeRun,
  type FloatArray,
  HostEvaluator,
  hostProgram,
  type Node,
  nodesOf,
  type Place,
  type Program,
  pointsOf,
  programsOf,
  type Readback,
  type SlotStorage,
  type TracedModel,
  takeRun,
  traceModel,
  type VariantTree,
  visit,
  type Work,
} from 'fallline/internal'
import type { Asked } from './model.ts'

type Traced = NonNullable<TracedModel['parameters'][number]['traced']>

/** One parameter with its programs; `traced` is missing when it is frozen. */
export interface ModelParameter {
  readonly name: string
  readonly shape: readonly number[]
  readonly traced: Traced | undefined
}

/** Numbers of one tensor that the host computes for every step. */
interface Entry {
  readonly tensor: number
  readonly evaluator: HostEvaluator
  readonly offset: number
}

/** A choice between two programs: its place among the values, and the programs of the branch that fires. */
interface Choice {
  readonly tensor: number
  readonly place: number
  readonly fired: ReadonlySet<Program>
}

/**
 * What the host knows of a model's optimizer: its programs, and, for every step, the numbers that enter them from
 * outside. They are computed in float64 and laid out as one vector, in the same places at every step.
 */
export class Host {
  readonly parameters: readonly ModelParameter[]
  /** How many numbers a step takes. */
  readonly count: number
  private readonly model: TracedModel
  /** Counts, schedules, cadences and numbers of the host; the arrays stay in jax-js. */
  private conductor: Conductor
  private readonly places = new Map<Node, number>()
  private readonly choicePlaces = new Map<VariantTree, number>()
  private readonly entries: Entry[] = []
  private readonly averages: Entry[] = []
  private readonly choices: Choice[] = []
  private current: Float64Array
  /** The inputs that the step of the values reads, with the parameters that read them. */
  private wanted: Record<string, string[]> = {}
  private conditions: () => void = () => {}

  /**
   * @param supplied whether a step is given the inputs that the optimizer declares.
   * @throws Error when an update needs what only the host can give; it says what and why.
   */
  constructor(optimizer: Optimizer, shapes: Shapes, layout: LayoutChoice, supplied = false) {
    this.model = traceModel(optimizer, shapes, false, { layout, separate: 'jax-js' })
    checkParameters(this.model, 'jax-js')
    const obstacle = findObstacle(this.model, supplied)
    if (obstacle !== undefined) throw new Error(obstacle)
    this.parameters = this.model.parameters.map(({ shape, traced }) => ({
      name: shape.name,
      shape: shape.shape,
      traced,
    }))
    this.conductor = new Conductor(this.model)
    let count = 0
    const common = new Map<string, number>()
    this.parameters.forEach(({ traced }, tensor) => {
      if (!traced) return
      const nodes: Node[] = []
      const offset = count
      const alone = 'program' in traced.variants && traced.slots.every((slot) => slot.space !== 'host' || slot.shared)
      for (const node of programsOf(traced.variants).flatMap(hostNodes)) {
        if (this.places.has(node)) continue
        // Tensors without cadences and numbers of their own have the same scalars: one place serves all.
        const key = alone ? describe(node) : undefined
        const known = key === undefined ? undefined : common.get(key)
        if (known !== undefined) this.places.set(node, known)
        else {
          if (key !== undefined) common.set(key, count)
          this.places.set(node, count++)
          nodes.push(node)
        }
      }
      if (nodes.length > 0) this.entries.push({ tensor, evaluator: new HostEvaluator(hostProgram(nodes)), offset })
      const branch = (tree: VariantTree): void => {
        if ('program' in tree) return
        this.choicePlaces.set(tree, count)
        this.choices.push({ tensor, place: count++, fired: new Set(programsOf(tree.fired)) })
        branch(tree.held)
        branch(tree.fired)
      }
      branch(traced.variants)
      const average = traced.average ? hostNodes(traced.average) : []
      if (average.length > 0) {
        this.averages.push({ tensor, evaluator: new HostEvaluator(hostProgram(average)), offset: count })
        for (const node of average) this.places.set(node, count++)
      }
    })
    // An array of no elements is a special case in jax-js; one unused number is not.
    this.count = Math.max(count, 1)
    this.current = new Float64Array(this.count)
  }

  /**
   * Takes steps from now on that are not given the parameters.
   * @throws Error when an update reads them: now, or from `values` when a hyperparameter makes it.
   */
  leaveOutParameters(): void {
    const title = titleOf(this.model.optimizer)
    const conditions = this.parameters.flatMap(({ name, traced }) => {
      if (!traced) return []
      const found = conditionsOf(traced.variants)
      if (!found) throw new Error(readsParameters(title, name))
      return [...found].map(([node, value]) => ({ name, node, value }))
    })
    const check = () => {
      for (const { name, node, value } of conditions) {
        const found = node.operation === 'constant' ? node.value : this.current[this.place(node)]!
        if (found !== value) throw new Error(readsParameters(title, name))
      }
    }
    if (this.steps > 0) check()
    this.conditions = check
  }

  /** Whether an update multiplies or factors matrices. */
  get matrices(): boolean {
    const programs = this.parameters.flatMap(({ traced }) => (traced ? programsOf(traced.variants) : []))
    return programs.some(({ outputs }) => [...nodesOf(outputs)].some(({ operation }) => operation === 'routine'))
  }

  /** What the optimizer declares as inputs. */
  get needs(): Readonly<Record<string, Input>> {
    return new DeclaredInputs(this.conductor).needs
  }

  /** What the step of the values asks for besides gradients. */
  get asked(): Asked {
    return this.wanted
  }

  /** The steps that the values are at. */
  get steps(): number {
    return this.conductor.steps
  }

  /** The slot that lies at a place. */
  slotAt({ tensor, key }: { readonly tensor: number; readonly key: string }): SlotStorage {
    return this.parameters[tensor]!.traced!.slots.find((slot) => slot.key === key)!
  }

  /** Where a host value lies in the vector. */
  place(node: Node): number {
    return this.places.get(node)!
  }

  /** Where the vector says, by 1 or 0, whether a choice fires. */
  choicePlace(tree: VariantTree): number {
    return this.choicePlaces.get(tree)!
  }

  /**
   * The numbers of a step, counted from 1. Going on by one step is cheap; going back repeats all steps before.
   * @throws Error when a schedule gives an invalid value, or the step is no whole number from 1 up, or an update would read
   * parameters that it is not given.
   */
  values(step: number): Float32Array<ArrayBuffer> {
    if (!Number.isInteger(step) || step < 1) {
      throw new Error(`scalars: the step must be a whole number from 1 up, not ${String(step)}`)
    }
    if (step < this.steps) this.conductor = new Conductor(this.model)
    while (this.steps < step) this.advance()
    this.conditions()
    return Float32Array.from(this.current)
  }

  /** The hyperparameters of a group, schedules evaluated at the last step. */
  hyperOf(group: string): Readonly<Record<string, number>> {
    return this.conductor.hyperOf(group)
  }

  set(values: Readonly<Record<string, HyperValue>>, { group = '' }: { readonly group?: string } = {}): void {
    this.conductor.set(values, group)
  }

  /** The bytes of a checkpoint of arrays and numbers that `read` gives. */
  async save(read: (places: readonly Place[]) => Promise<readonly FloatArray[]>): Promise<Uint8Array> {
    return encodeRun(this.conductor, await read(checkpointPlaces(this.conductor, 'all')))
  }

  /** Reads a checkpoint; `write` gets the arrays and numbers. */
  load(bytes: Uint8Array, options: LoadOptions, write: Readback['write']): Loaded {
    const loaded = takeRun(this.conductor, { write }, bytes, options)
    this.current = new Float64Array(this.count)
    this.fill(this.conductor.averages(), this.averages)
    return loaded
  }

  /** The state, and where copies of parameters lie in it. */
  copies(): ReturnType<typeof copiesOf> {
    return copiesOf(this.conductor, this.conductor.names)
  }

  private advance(): void {
    this.current = new Float64Array(this.count)
    const { conductor } = this
    const moment = conductor.next(new Map())
    const updates = conductor.plan(conductor.trained, moment)
    const work = updates.map((update) => update.work)
    // While the numbers of the host are still those before the step.
    this.fill(work, this.entries)
    const programs = new Map(work.map(({ tensor, program }) => [tensor, program]))
    this.wanted = {}
    for (const [tensor, { leaves }] of programs) {
      for (const { name } of leaves.arrays) {
        this.wanted[name] = [...(this.wanted[name] ?? []), this.parameters[tensor]!.name]
      }
    }
    for (const { tensor, place, fired } of this.choices) this.current[place] = fired.has(programs.get(tensor)!) ? 1 : 0
    conductor.commit(updates, moment)
    this.fill(conductor.averages(), this.averages)
  }

  private fill(work: readonly Work[], entries: readonly Entry[]): void {
    const byTensor = new Map(work.map((item) => [item.tensor, item]))
    for (const { tensor, evaluator, offset } of entries) {
      // Before a tensor's first step there is nothing to evaluate.
      const item = byTensor.get(tensor)
      if (item) evaluator.evaluate(item.environment, this.current, offset)
    }
  }
}

/** Why a model's update cannot be a pure function of gradients, state and numbers known before the step. */
function findObstacle({ optimizer, parameters }: TracedModel, supplied: boolean): string | undefined {
  const trainer = "createTrainer takes such steps on the path 'fused'"
  for (const { shape, traced } of parameters) {
    if (!traced) continue
    const who = `${titleOf(optimizer)} (parameter '${shape.name}')`
    if (traced.evaluations.length > 1 || pointsOf(traced).length > 0) {
      return `${who} evaluates the model at other points within a step, but an update is given gradients at one; ${trainer}`
    }
    for (const program of programsOf(traced.variants)) {
      const { numbers, arrays } = program.leaves
      const inputs = [...numbers, ...(supplied ? [] : arrays.map((array) => array.name))]
      if (inputs.length > 0) {
        const advice = numbers.length > 0 ? trainer : 'createTrainer takes such steps'
        return `${who} needs ${inputs.join(' and ')}, but an update is given only gradients; ${advice}`
      }
      if (hasRandom(program)) return `${who} draws random numbers, which jax-js would draw differently; ${trainer}`
    }
  }
  return undefined
}

function titleOf(optimizer: Optimizer): string {
  return visit(optimizer, {
    base: ({ definition }) => definition.title,
    wrapped: ({ definition, inner }) => `${definition.title} around ${titleOf(inner)}`,
    grouped: ({ base }) => titleOf(base),
  })
}

function hasRandom(program: Program): boolean {
  return [...nodesOf(program.outputs)].some((node) => node.operation === 'random')
}

function readsParameters(title: string, name: string): string {
  return (
    `update: ${title} reads the parameters, here '${name}' (weight decay does, for example): pass them as the third ` +
    'argument, update(gradients, state, params)'
  )
}

/** Numbers of the host and what they must be. */
type Conditions = ReadonlyMap<Node, number>

const unite = (all: readonly (Conditions | undefined)[]): Conditions | undefined =>
  all.every((one) => one !== undefined) ? new Map(all.flatMap((one) => [...one!])) : undefined

/** When an update moves the parameter alike wherever it stands; `undefined`: never. */
function conditionsOf(variants: VariantTree): Conditions | undefined {
  const readers = new Map<Node, boolean>()
  const reads = (node: Node): boolean => {
    const found = readers.get(node) ?? (node.operation === 'parameter' || node.inputs.some(reads))
    readers.set(node, found)
    return found
  }
  /** The factor that the host knows, and the other one. */
  const scaled = ({ operation, inputs: [a, b] }: Node): readonly [number: Node, array: Node] | undefined => {
    if (operation !== 'multiply') return undefined
    return a!.space === 'host' ? [a!, b!] : b!.space === 'host' ? [b!, a!] : undefined
  }
  const without = (node: Node): Conditions | undefined => {
    if (!reads(node)) return new Map()
    const product = scaled(node)
    if (product) return without(product[1]) ?? new Map([[product[0], 0]])
    return node.operation === 'parameter' ? undefined : unite(node.inputs.map(without))
  }
  /** The parameter and something without it, added up. */
  const moved = (node: Node): Conditions | undefined => {
    const { operation, inputs } = node
    const [a, b, c] = inputs as [Node, Node, Node]
    const product = scaled(node)
    if (product) return unite([new Map([[product[0], 1]]), moved(product[1])])
    if (operation === 'parameter') return new Map()
    if (operation === 'view') return moved(a)
    if (operation === 'subtract') return unite([moved(a), without(b)])
    if (operation === 'add') return unite([moved(a), without(b)]) ?? unite([without(a), moved(b)])
    return operation === 'select' ? unite([without(a), moved(b), moved(c)]) : undefined
  }
  const outputs = programsOf(variants).flatMap((program) => program.outputs)
  return unite(outputs.map(({ target, node }) => (target.kind === 'parameter' ? moved(node) : without(node))))
}

/** The host values that the rest of a program uses; constants are written into it. */
function hostNodes(program: Program): Node[] {
  const found = new Set<Node>()
  const seen = new Set<Node>()
  const visit = (node: Node): void => {
    if (seen.has(node)) return
    seen.add(node)
    if (node.space !== 'host') node.inputs.forEach(visit)
    else if (node.operation !== 'constant') found.add(node)
  }
  for (const { node, stream = [] } of program.outputs) for (const each of [node, ...stream]) visit(each)
  return [...found]
}

const descriptions = new WeakMap<Node, string>()

/** A text that is equal for equal host values of different graphs. */
function describe(node: Node): string {
  const known = descriptions.get(node)
  if (known !== undefined) return known
  const text = JSON.stringify(hostProgram([node]))
  descriptions.set(node, text)
  return text
}
