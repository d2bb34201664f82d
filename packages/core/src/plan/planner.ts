/**
 * The planner: cuts a Program into levels of fused loops.
 *
 * A level starts with the scalars that the reductions of earlier levels made known, then runs loops over elements, then
 * matrix functions. Everything between two reductions or matrix functions is one loop; cheap values are recomputed in a
 * later loop rather than stored, and new state is stored early where that saves traffic.
 */

import {
  callText,
  type Dimensions,
  type ElementOperation,
  isElement,
  type Node,
  type NodeOf,
  sameDimensions,
  sizeOf,
} from '../graph/node.ts'
import type { Output } from '../program/program.ts'
import { routineOf } from '../routines/table.ts'
import { bytesOf } from '../storage/provided.ts'
import type { StorageName } from '../storage/storage.ts'
import type { CanonicalProgram } from './canonical.ts'
import type {
  ArraySource,
  Extent,
  Instruction,
  Loop,
  LoopReduction,
  NumberReference,
  Plan,
  PlannedArray,
  PlannedScalar,
  RoutineCall,
  ScalarTarget,
  Stage,
} from './plan.ts'

/** Arrays of the parameter, its gradient, inputs and state: where a leaf is kept. */
function leafSource(node: Node): ArraySource | undefined {
  if (node.space !== 'array') return undefined
  if (node.operation === 'parameter' || node.operation === 'gradient') return { kind: node.operation }
  return node.operation === 'input' || node.operation === 'slot' ? { kind: node.operation, key: node.key } : undefined
}

/** How the array of a leaf is kept. */
function storageOfLeaf(node: Node): StorageName {
  return (node.operation === 'slot' && node.storage) || 'float32'
}

/** True for an array that only loops can read, element after element. */
function isStaged(node: Node): boolean {
  return storageOfLeaf(node) !== 'float32'
}

function strip(node: Node): Node {
  return node.operation === 'view' ? node.inputs[0]! : node
}

/** Reductions to rows or columns and matrix functions leave an array behind. */
function isProduced(node: Node): boolean {
  return node.space === 'array' && (node.operation === 'reduce' || node.operation === 'routine')
}

function isScalar(node: Node): boolean {
  return node.space === 'tensor' || node.space === 'global'
}

/** What takes a processor long; a quotient by a number can be a product. */
function isSlow({ operation, inputs }: Node): boolean {
  return operation === 'squareRoot' || (operation === 'divide' && inputs[1]!.space === 'array')
}

/** A root or a quotient takes a processor about as long as moving this many bytes, where it cannot do both at once. */
const slowBytes = 2

/** True when a node reads an input whole, element after element, or repeats it: not element by element. */
function repeats(node: Node, input: Node): boolean {
  return isElement(node) && !sameDimensions(input.dimensions, node.dimensions)
}

/**
 * Plans programs that run in the same step together, because a reduction over all tensors is known only when the last of
 * them has contributed.
 */
export function planTogether(programs: readonly CanonicalProgram[]): Plan[] {
  const globalLevels = new Map<string, number>()
  for (;;) {
    const before = [...globalLevels.values()].join()
    const planners = programs.map((program) => new Planner(program, globalLevels))
    if ([...globalLevels.values()].join() === before) return planners.map((planner) => planner.plan())
  }
}

interface StoredOutput {
  readonly array: number
  readonly node: Node
  readonly stream: Output['stream']
  readonly earliest: number
  level: number
}

interface LoopDraft {
  readonly level: number
  readonly domain: Node
  view: Node | undefined
  readonly roots: {
    readonly node: Node
    readonly array?: number
    readonly stream?: Output['stream']
    readonly reduction?: NodeOf<'reduce'>
  }[]
}

/** Rows and columns as a loop sees them: a trailing dimension of one is dropped, so that the last one is contiguous. */
function normalize<T extends Dimensions | Extent>(view: T): Dimensions {
  const [batch, rows, columns] = view
  return columns === 1 ? [1, batch, rows] : view
}

/**
 * Which dimensions hold equally many elements in all programs of a form: those with the same sizes, in any order, and
 * those that views made of each other.
 */
class Counts {
  private readonly sizes: readonly number[]
  private readonly parents = new Map<string, string>()

  constructor({ nodes, sizes }: CanonicalProgram) {
    this.sizes = sizes
    for (const node of nodes) {
      if (node.operation !== 'view') continue
      const [a, b] = [this.find(node.dimensions), this.find(node.inputs[0]!.dimensions)]
      if (a !== b) this.parents.set(a, b)
    }
  }

  /** One flat pass serves arrays of equally many elements; empty ones have equally many, so their dimensions must agree. */
  fit(a: Dimensions, b: Dimensions): boolean {
    return sizeOf(a) === 0 ? sameDimensions(a, b) : this.find(a) === this.find(b)
  }

  private find(dimensions: Dimensions): string {
    const factors = dimensions.filter((size) => size !== 1).map((size) => this.sizes.indexOf(size))
    let text = factors.sort((a, b) => a - b).join('*')
    for (let parent = this.parents.get(text); parent !== undefined; parent = this.parents.get(text)) text = parent
    return text
  }
}

class Planner {
  private readonly nodes: readonly Node[]
  private readonly program: CanonicalProgram
  private readonly globalLevels: Map<string, number>
  private readonly counts: Counts
  private readonly levelOf = new Map<Node, number>()
  /** All arrays, by the place that the plan gives them, and that place by what they are. */
  private readonly arrays: {
    readonly source: ArraySource
    readonly extent: Extent
    readonly storage: StorageName
    from: number
    to: number
  }[] = []
  private readonly places = new Map<string, number>()
  private readonly leafPlaces = new Map<Node, number | undefined>()
  /** Nodes kept in scratch because another shape of loop or a matrix function reads them. */
  private readonly kept = new Map<Node, number>()
  private readonly outputs: StoredOutput[] = []
  private readonly scalarOutputs: Output[] = []
  /** How many nodes and outputs use a node. */
  private readonly uses = new Map<Node, number>()
  /** The stores that would overwrite what a later loop still reads, as found by the last `cost()`. */
  private readonly conflicts = new Set<StoredOutput>()
  private readonly hostNodes: readonly Node[]
  private readonly scalars: PlannedScalar[] = []
  private readonly scalarPlaces = new Map<Node, number>()
  private readsOfRoutines: ReturnType<Planner['routineReads']> | undefined
  /** Where what a loop gives to a reduction over all tensors is kept. */
  private readonly partPlaces = new Map<Node, number>()
  private lastLevel = 0

  constructor(program: CanonicalProgram, globalLevels: Map<string, number>) {
    this.program = program
    this.nodes = program.nodes
    this.globalLevels = globalLevels
    this.counts = new Counts(program)
    this.hostNodes = this.nodes.filter((node) => node.space === 'host')
    const users = [...this.nodes.flatMap(({ inputs }) => inputs), ...program.program.outputs.map(({ node }) => node)]
    for (const node of users) this.uses.set(node, (this.uses.get(node) ?? 0) + 1)
    for (const node of this.nodes) this.findKept(node)
    for (const node of this.nodes)
      if (node.space !== 'host') this.lastLevel = Math.max(this.lastLevel, this.workLevel(node))
    for (const output of program.program.outputs) this.addOutput(output)
    for (const output of this.outputs) this.lastLevel = Math.max(this.lastLevel, output.earliest)
    for (const output of this.outputs) output.level = this.lastLevel
  }

  plan(): Plan {
    this.chooseStoreLevels()
    this.planScalars()
    const loops = this.draftLoops().map((draft) => this.buildLoop(draft))
    const routines = this.routineCalls()
    let levels = this.lastLevel + 1
    for (const { level } of this.scalars) levels = Math.max(levels, level + 1)
    this.findLifetimes(loops, routines)
    const scalarOutputs = this.scalarOutputs.map(({ target, node }) => ({
      target: target as ScalarTarget,
      value: this.reference(node),
    }))
    return {
      levels,
      arrays: this.arrays.map(({ source, extent, storage, from, to }): PlannedArray => {
        const kept = source.kind === 'scratch' ? { kind: source.kind, from, to } : source
        return { ...kept, extent, storage }
      }),
      loops,
      routines,
      scalars: this.scalars,
      scalarOutputs,
      arguments: this.hostNodes.map(({ mask }) => ({ mask })),
      stages: this.stages(levels, loops, routines, scalarOutputs),
    }
  }

  private extentOf(dimensions: Dimensions): Extent {
    const { sizes } = this.program
    const [batch, rows, columns] = dimensions
    return [sizes.indexOf(batch), sizes.indexOf(rows), sizes.indexOf(columns)]
  }

  /** The place of an array of the plan. */
  private arrayOf(source: ArraySource, dimensions: Dimensions, storage: StorageName = 'float32'): number {
    const text = JSON.stringify(source)
    const known = this.places.get(text)
    if (known !== undefined && source.kind !== 'scratch') return known
    this.places.set(text, this.arrays.length)
    const { from, to } = source.kind === 'scratch' ? source : { from: 0, to: 0 }
    return this.arrays.push({ source, extent: this.extentOf(dimensions), storage, from, to }) - 1
  }

  private leafArray(node: Node): number | undefined {
    if (this.leafPlaces.has(node)) return this.leafPlaces.get(node)
    const source = leafSource(node)
    const place = source && this.arrayOf(source, node.dimensions, storageOfLeaf(node))
    this.leafPlaces.set(node, place)
    return place
  }

  private addOutput({ target, node, storage, stream }: Output): void {
    if (target.kind === 'telemetry') this.scalarOutputs.push({ target, node })
    else if (target.kind === 'slot' && !this.program.program.arraySlots.has(target.key)) {
      this.scalarOutputs.push({ target, node })
    } else {
      const dimensions = node.space === 'array' ? node.dimensions : this.program.program.dimensions
      const source = target.kind === 'slot' ? { kind: target.kind, key: target.key } : target
      const array = this.arrayOf(source, dimensions, storage)
      // What stays as it is needs no store.
      if (this.leafArray(node) === array) return
      const earliest = node.space === 'host' ? 0 : this.level(node)
      this.outputs.push({ array, node, stream, earliest, level: 0 })
    }
  }

  private findKept(node: Node): void {
    if (node.space === 'host' || node.operation === 'view') {
      return
    }
    if (isProduced(node)) this.keep(node)
    for (const input of node.inputs) {
      if (input.space !== 'array') continue
      const source = strip(input)
      if ((leafSource(source) && !isStaged(source)) || isProduced(source)) continue
      if (node.operation === 'routine' || repeats(node, input)) this.keep(source)
    }
  }

  private keep(node: Node): void {
    if (this.kept.has(node)) return
    this.kept.set(node, this.arrayOf({ kind: 'scratch', from: 0, to: 0 }, node.dimensions))
  }

  /** The level at which a value can be computed, or for produced arrays and scalars first be read. */
  private level(node: Node): number {
    if (node.space === 'host') return 0
    const known = this.levelOf.get(node)
    if (known !== undefined) return known
    let level = 0
    for (const input of node.inputs) level = Math.max(level, this.inputLevel(node, input))
    if (node.operation === 'reduce' || node.operation === 'routine') level++
    if (node.operation === 'reduce' && node.axis === 'all') {
      level = Math.max(level, this.globalLevels.get(node.key) ?? 0)
      this.globalLevels.set(node.key, level)
    }
    this.levelOf.set(node, level)
    return level
  }

  private inputLevel(node: Node, input: Node): number {
    if (input.space !== 'array') return this.level(input)
    return node.operation === 'routine' || repeats(node, input)
      ? this.readLevel(strip(input))
      : this.level(strip(input))
  }

  /** The level from which an array lies in memory. */
  private readLevel(node: Node): number {
    return (leafSource(node) && !isStaged(node)) || isProduced(node) ? this.level(node) : this.level(node) + 1
  }

  /** The level in which something is done for this node: a loop, a reduction, a product, a scalar. */
  private workLevel(node: Node): number {
    const level = this.level(node)
    return node.operation === 'reduce' || node.operation === 'routine'
      ? Math.max(level - 1, 0)
      : this.kept.has(node)
        ? level
        : 0
  }

  private chooseStoreLevels(): void {
    let best = this.cost()
    // A store in the last level may stand beside a loop that still needs the old value: only that store moves on.
    for (let attempt = 0; !Number.isFinite(best); attempt++) {
      if (attempt > 2 * this.outputs.length) throw new Error('the new values of this rule cannot be put in an order')
      for (const output of this.conflicts) output.level++
      for (const output of this.outputs) this.lastLevel = Math.max(this.lastLevel, output.level)
      best = this.cost()
    }
    best = this.improveStoreLevels(best)
    if (this.keepSlow(best)) this.improveStoreLevels(this.cost())
  }

  /** Moves the stores of outputs to cheaper levels, and says what the plan costs then. */
  private improveStoreLevels(cheapest: number): number {
    let best = cheapest
    for (let pass = 0; pass < 2; pass++) {
      for (const output of this.outputs) {
        // Beside a loop that reads nothing of what it takes, a store is as dear as on its own.
        const beside = this.draftLoops().filter((loop) => this.shareReads(loop, output))
        const candidates = new Set([output.earliest, ...beside.map((loop) => loop.level)])
        for (const candidate of candidates) {
          if (candidate < output.earliest || candidate === output.level) continue
          const previous = output.level
          output.level = candidate
          const cost = this.cost()
          // At equal cost the earlier store wins: only several early stores together may spare a later read.
          if (cost < best || (cost === best && candidate < previous && Number.isFinite(cost))) best = cost
          else output.level = previous
        }
      }
    }
    return best
  }

  /** True when a loop reads or writes an array that it would read to store an output. */
  private shareReads(loop: LoopDraft, output: StoredOutput): boolean {
    const taken = new Set([output.array])
    const store: LoopDraft = { ...loop, roots: [output] }
    this.walk(store, (array) => taken.add(array))
    let shares = loop.roots.some(({ array }) => array !== undefined && taken.has(array))
    this.walk(loop, (array) => {
      if (taken.has(array)) shares = true
    })
    return shares
  }

  /** Keeps values in scratch whose roots and quotients later loops would compute, where that is cheaper. */
  private keepSlow(cost: number): boolean {
    let best = cost
    const late = new Set<Node>()
    for (const draft of this.draftLoops()) {
      const visit = (node: Node) => {
        if (this.level(node) < draft.level) late.add(node)
      }
      this.walk(draft, () => {}, visit)
    }
    if (![...late].some(isSlow)) return false
    // What is made of others comes first: it stands for their roots as well.
    for (const node of [...late].sort((a, b) => b.id - a.id)) {
      if (node.mask || node.operation === 'view' || this.kept.has(node)) continue
      this.keep(node)
      const kept = this.cost()
      if (kept < best) best = kept
      else {
        this.kept.delete(node)
        this.arrays.pop()
      }
    }
    return best < cost
  }

  /**
   * Bytes moved with the current store levels, and what roots and quotients take as bytes; infinite when an old value would
   * be read after it was overwritten.
   */
  private cost(): number {
    const drafts = this.draftLoops()
    let bytes = 0
    const reads: { array: number; level: number; draft: LoopDraft | undefined }[] = []
    for (const draft of drafts) {
      const loads = new Map<number, number>()
      this.walk(
        draft,
        (array, node) => loads.set(array, sizeOf(node.dimensions)),
        (node) => {
          if (isSlow(node)) bytes += slowBytes * sizeOf(node.dimensions)
        },
      )
      for (const [array, size] of loads) {
        bytes += bytesOf(this.arrays[array]!.storage, size)
        reads.push({ array, level: draft.level, draft })
      }
      for (const { array } of draft.roots) {
        if (array) bytes += bytesOf(this.arrays[array]!.storage, sizeOf(draft.domain.dimensions))
      }
    }
    reads.push(...this.routineReads())
    this.conflicts.clear()
    for (const output of this.outputs) {
      const { array, level } = output
      const store = drafts.find((draft) => draft.level === level && draft.roots.some((root) => root.array === array))
      for (const read of reads) {
        if (read.array !== array || read.level < level || read.draft === store) continue
        if (!this.readsNewValue(read.draft, array)) this.conflicts.add(output)
      }
    }
    return this.conflicts.size > 0 ? Number.POSITIVE_INFINITY : bytes
  }

  /** The arrays that matrix functions read, whatever the store levels. */
  private routineReads(): readonly { array: number; level: number; draft: undefined }[] {
    this.readsOfRoutines ??= this.nodes.flatMap((node) => {
      if (node.operation !== 'routine') return []
      const level = this.level(node) - 1
      return node.inputs.map((input) => {
        const array = this.arrayFor(strip(input), Number.POSITIVE_INFINITY)!
        return { array, level, draft: undefined }
      })
    })
    return this.readsOfRoutines
  }

  /** True when a loop after the store reads the array only as the new value. */
  private readsNewValue(draft: LoopDraft | undefined, array: number): boolean {
    if (!draft) return false
    const output = this.outputs.find((candidate) => candidate.array === array)!
    if (draft.level <= output.level) return false
    let readsOld = false
    this.walk(draft, (name, node) => {
      if (name === array && node !== output.node) readsOld = true
    })
    return !readsOld
  }

  private draftLoops(): LoopDraft[] {
    const drafts = new Map<number, LoopDraft[]>()
    const add = (level: number, domain: Node, view: Node | undefined, root: LoopDraft['roots'][number]) => {
      const fits = (draft: LoopDraft) =>
        this.counts.fit(draft.domain.dimensions, domain.dimensions) &&
        (!view || !draft.view || sameDimensions(draft.view.dimensions, view.dimensions))
      const sameLevel = drafts.get(level) ?? []
      drafts.set(level, sameLevel)
      let draft = sameLevel.find(fits)
      if (!draft) {
        draft = { level, domain, view: undefined, roots: [] }
        sameLevel.push(draft)
      }
      draft.view ??= view
      draft.roots.push(root)
    }
    for (const node of this.nodes) {
      if (node.operation === 'reduce' && node.inputs[0]!.space === 'array') {
        const input = node.inputs[0]!
        const level = Math.max(...node.inputs.map((factor) => this.level(strip(factor))))
        add(level, input, node.space === 'array' ? input : undefined, { node: input, reduction: node })
      } else if (this.kept.has(node) && !isProduced(node)) {
        add(this.level(node), node, undefined, { node, array: this.kept.get(node)! })
      }
    }
    for (const { array, node, stream, level } of this.outputs) {
      const domain = node.space === 'array' ? node : this.parameterNode()
      add(level, domain, undefined, { node, array, stream })
    }
    return [...drafts.values()].flat().sort((a, b) => a.level - b.level)
  }

  /** A node with the parameter's dimensions, for stores of scalars. */
  private parameterNode(): Node {
    const { dimensions } = this.program.program
    const found = this.nodes.find((node) => node.space === 'array' && sameDimensions(node.dimensions, dimensions))
    if (!found) throw new Error('a program must use the parameter, its gradient or state of its shape')
    return found
  }

  /** Calls `load` for every array a loop reads, with the node it stands for there, and `compute` for what it computes. */
  private walk(
    draft: LoopDraft,
    load: (array: number, node: Node) => void,
    compute: (node: Node) => void = () => {},
  ): void {
    const seen = new Set<Node>()
    const visit = (node: Node): void => {
      if (node.space !== 'array' || seen.has(node)) return
      seen.add(node)
      const array = this.arrayFor(node, draft.level)
      if (array !== undefined) {
        load(array, node)
        return
      }
      compute(node)
      for (const input of node.inputs) {
        if (input.space !== 'array') continue
        if (node.operation === 'view' || sameDimensions(input.dimensions, node.dimensions)) visit(input)
        else load(this.arrayFor(strip(input), Number.POSITIVE_INFINITY)!, strip(input))
      }
    }
    for (const root of draft.roots) {
      for (const node of root.reduction ? root.reduction.inputs : [root.node]) visit(node)
    }
  }

  /** The array that holds a node's value when a loop of this level runs; `undefined` when it must be computed. */
  private arrayFor(node: Node, level: number): number | undefined {
    const leaf = this.leafArray(node)
    if (leaf !== undefined && (level < Number.POSITIVE_INFINITY || !isStaged(node))) return leaf
    const kept = this.kept.get(node)
    if (kept !== undefined && (isProduced(node) || this.level(node) < level)) return kept
    const stored = this.outputs.find(
      ({ node: stored, level: from, array }) =>
        stored === node &&
        from < level &&
        this.arrays[array]!.source.kind !== 'average' &&
        // What fewer bits hold is not the value any more.
        this.arrays[array]!.storage === 'float32',
    )
    return level === Number.POSITIVE_INFINITY ? undefined : stored?.array
  }

  /** A quotient of arrays that a loop of this level computes for one product only. */
  private isOnlyFactor(node: Node, level: number): boolean {
    const quotient = node.operation === 'divide' && node.inputs[1]!.space === 'array'
    return quotient && this.arrayFor(node, level) === undefined && this.uses.get(node) === 1
  }

  /**
   * The numbers that a value is multiplied with and divided by, one after the other, in a loop of this level, and the first
   * of these operations; `undefined` where it is a single product.
   */
  private scaling(node: Node, level: number): { first: Node; times: Node[]; over: Node[] } | undefined {
    const [times, over]: [Node[], Node[]] = [[], []]
    const scales = ({ operation, space, inputs }: Node) =>
      (operation === 'multiply' || operation === 'divide') && space === 'array' && inputs[1]!.space !== 'array'
    if (!scales(node)) return undefined
    for (let first = node; ; first = first.inputs[0]!) {
      const list = first.operation === 'multiply' ? times : over
      list.unshift(first.inputs[1]!)
      const next = first.inputs[0]!
      const alone = this.uses.get(next) === 1 && !this.kept.has(next) && this.arrayFor(next, level) === undefined
      if (!alone || !scales(next)) return times.length > 1 || over.length > 0 ? { first, times, over } : undefined
    }
  }

  private buildLoop(draft: LoopDraft): Loop {
    const body: Instruction[] = []
    const registers = new Map<Node, number>()
    const repeated = new Map<string, number>()
    let { view } = draft
    let elementwise = false
    const emit = (instruction: Instruction): number => body.push(instruction) - 1
    const broadcast = (node: Node, input: Node): number => {
      view ??= node
      const apart = !sameDimensions(view.dimensions, node.dimensions)
      if (apart) elementwise = true
      const key = `${input.id}:${node.dimensions}`
      const known = repeated.get(key)
      if (known !== undefined) return known
      const array = this.arrayFor(strip(input), Number.POSITIVE_INFINITY)!
      // What the loop sees as rows and columns when the last dimension is 1.
      const [batch, row, column] = node.dimensions[2] === 1 ? [1, ...input.dimensions] : input.dimensions
      const [, rows, columns] = this.extentOf(normalize(node.dimensions))
      const register = emit({
        operation: 'broadcast',
        inputs: [],
        array,
        own: { batch: batch! > 1, row: row! > 1, column: column! > 1 },
        ...(apart ? { apart: { rows, columns } } : {}),
      })
      repeated.set(key, register)
      return register
    }
    const visit = (node: Node): number => {
      const known = registers.get(node)
      if (known !== undefined) return known
      const register = compute(node)
      registers.set(node, register)
      return register
    }
    const compute = (node: Node): number => {
      if (node.space !== 'array') return emit({ operation: 'scalar', inputs: [], value: this.reference(node) })
      // Before a view is seen through: its new value may be stored, and what it was made from overwritten.
      const array = this.arrayFor(node, draft.level)
      if (array !== undefined) return emit({ operation: 'load', inputs: [], array })
      if (node.operation === 'view') return visit(node.inputs[0]!)
      if (node.operation === 'stride') {
        elementwise = true
        return emit({ operation: node.operation, inputs: [], period: node.period })
      }
      if (node.operation === 'index') {
        elementwise = true
        return emit({ operation: node.operation, inputs: [] })
      }
      if (node.operation === 'random') {
        const { operation, distribution, draw } = node
        const [seed, step, tensor] = node.inputs.map((input) => this.reference(input)) as NumberReference[]
        return emit({ operation, inputs: [], distribution, draw, stream: [seed!, step!, tensor!] })
      }
      const [quotient, factor] = node.inputs
      if (node.operation === 'multiply' && factor!.space === 'host' && this.isOnlyFactor(quotient!, draft.level)) {
        // (x / y) h = (x h) / y: the product is done while y is still awaited. Numbers that the device finds, such as the
        // first step sizes of parameter-free methods, may be so small that x h underflows.
        const [x, y] = quotient!.inputs as [Node, Node]
        const product = emit({ operation: 'multiply', inputs: [operand(quotient!, x), visit(factor!)] })
        return emit({ operation: 'divide', inputs: [product, operand(quotient!, y)] })
      }
      const scaling = this.scaling(node, draft.level)
      if (scaling) {
        const [times, over] = [scaling.times, scaling.over].map((numbers) =>
          numbers.map((each) => this.reference(each)),
        )
        const inputs = [operand(scaling.first, scaling.first.inputs[0]!)] as const
        return emit({ operation: 'scale', inputs, times: times!, over: over! })
      }
      const inputs = node.inputs.map((input) => operand(node, input))
      return emit({ operation: node.operation as ElementOperation, inputs })
    }
    const operand = (node: Node, input: Node): number =>
      input.space !== 'array' || sameDimensions(input.dimensions, node.dimensions)
        ? visit(input)
        : broadcast(node, input)
    const stores: Loop['stores'][number][] = []
    const reductions: LoopReduction[] = []
    for (const { node, array, stream, reduction } of draft.roots) {
      if (reduction) reductions.push(this.loopReduction(reduction, reduction.inputs.map(visit)))
      else {
        const [seed, step, tensor] = stream?.map((each) => this.reference(each)) ?? []
        const random = seed && step && tensor ? { stream: [seed, step, tensor] as const } : {}
        stores.push({ array: array!, register: visit(node), ...random })
      }
    }
    const used = [...body, ...stores].flatMap((use) => ('array' in use ? [this.arrays[use.array]!] : []))
    return {
      level: draft.level,
      extent: this.extentOf(draft.domain.dimensions),
      ...(view ? { view: normalize(this.extentOf(view.dimensions)) } : {}),
      ...(used.some(({ storage }) => storage !== 'float32') ? { staged: true } : {}),
      elementwise,
      body,
      stores,
      reductions,
    }
  }

  private loopReduction(node: NodeOf<'reduce'>, registers: readonly number[]): LoopReduction {
    const { reduction, axis, space } = node
    if (space !== 'array') {
      return { reduction, registers, over: 'all', scalar: this.partPlaces.get(node) ?? this.scalarPlaces.get(node)! }
    }
    const column = axis === 'rows' && node.inputs[0]!.dimensions[2] !== 1
    return { reduction, registers, over: column ? 'column' : 'row', array: this.kept.get(node)! }
  }

  /** Lists the scalars in an order in which they can be computed. */
  private planScalars(): void {
    for (const node of this.nodes.filter(isScalar)) {
      const scalar = this.scalarOf(node)
      this.scalarPlaces.set(node, this.scalars.push({ level: this.level(node), mask: node.mask, ...scalar }) - 1)
    }
  }

  private scalarOf(node: Node) {
    if (isElement(node)) {
      const inputs = node.inputs.map((input) => this.reference(input))
      return { kind: 'element', operation: node.operation, inputs } as const
    }
    if (node.operation === 'slot') return { kind: node.operation, key: node.key, shared: !node.perTensor } as const
    if (node.operation !== 'reduce') throw new Error(`${node.operation} is not a scalar`)
    const { key, reduction } = node
    const input = node.inputs[0]!
    if (node.axis !== 'all') return { kind: 'reduced', reduction } as const
    if (input.space !== 'array') return { kind: 'total', key, reduction, part: this.reference(input) } as const
    // The loop's result is known before the level in which all tensors have theirs.
    const level = Math.max(...node.inputs.map((factor) => this.level(strip(factor)))) + 1
    const index = this.scalars.push({ level, mask: false, kind: 'reduced', reduction }) - 1
    this.partPlaces.set(node, index)
    return { kind: 'total', key, reduction, part: { kind: 'scalar', index } } as const
  }

  private reference(node: Node): NumberReference {
    return node.space === 'host'
      ? { kind: 'argument', index: this.hostNodes.indexOf(node) }
      : { kind: 'scalar', index: this.scalarPlaces.get(node)! }
  }

  /** The calls of matrix functions; results of equal operands come from one call. */
  private routineCalls(): RoutineCall[] {
    const calls = new Map<string, { call: RoutineCall & { results: number[] }; shapes: readonly Dimensions[] }>()
    for (const node of this.nodes) {
      if (node.operation !== 'routine') continue
      const { routine, inputs } = node
      const text = callText(node)
      const operands = inputs.map((input) => ({
        array: this.arrayFor(strip(input), Number.POSITIVE_INFINITY)!,
        extent: this.extentOf(input.dimensions),
      }))
      const given = inputs.map(({ dimensions }) => dimensions)
      const shapes = routineOf(routine).results(given, node.dimensions)
      const { call } = calls.get(text) ?? { call: { level: this.level(node) - 1, routine, operands, results: [] } }
      calls.set(text, { call, shapes })
      call.results[node.result] = this.kept.get(node)!
    }
    return [...calls.values()].map(({ call, shapes }) => {
      // A result that nobody reads is written all the same.
      const unread = { kind: 'scratch', from: call.level, to: call.level } as const
      const results = shapes.map((shape, result) => call.results[result] ?? this.arrayOf(unread, shape))
      return { ...call, results }
    })
  }

  private findLifetimes(loops: readonly Loop[], routines: readonly RoutineCall[]): void {
    for (const [node, array] of this.kept) {
      const lifetime = this.arrays[array]!
      lifetime.from = this.workLevel(node)
      lifetime.to = isProduced(node) ? this.level(node) : lifetime.from
    }
    const use = (array: number, level: number) => {
      const lifetime = this.arrays[array]!
      lifetime.to = Math.max(lifetime.to, level)
    }
    for (const { body, level } of loops) {
      for (const instruction of body) if ('array' in instruction) use(instruction.array, level)
    }
    for (const { operands, level } of routines) for (const { array } of operands) use(array, level)
  }

  /** The order of work. */
  private stages(
    levels: number,
    loops: readonly Loop[],
    routines: readonly RoutineCall[],
    scalarOutputs: Plan['scalarOutputs'],
  ): Stage[] {
    const stages: Stage[] = []
    const places = <T>(list: readonly T[], takes: (item: T) => boolean) =>
      list.flatMap((item, index) => (takes(item) ? [index] : []))
    for (let level = 0; level < levels; level++) {
      const reductions = loops.flatMap(({ level: earlier, reductions }, loop) =>
        // A row's number is stored by its loop.
        earlier === level - 1
          ? places(reductions, ({ over }) => over !== 'row').map((reduction) => ({ loop, reduction }))
          : [],
      )
      const at = (kind: PlannedScalar['kind']) => places(this.scalars, (s) => s.level === level && s.kind === kind)
      const totals = at('total')
      const scalars = at('element')
      if (totals.length > 0) {
        if (reductions.length > 0) stages.push({ kind: 'scalars', level, reductions, scalars: [], beforeTotals: true })
        stages.push({ kind: 'totals', level, scalars: totals })
        if (scalars.length > 0) stages.push({ kind: 'scalars', level, reductions: [], scalars, beforeTotals: false })
      } else if (reductions.length + scalars.length > 0) {
        stages.push({ kind: 'scalars', level, reductions, scalars, beforeTotals: false })
      }
      const inLevel = (item: { readonly level: number }) => item.level === level
      if (loops.some(inLevel)) stages.push({ kind: 'loops', level, loops: places(loops, inLevel) })
      if (routines.some(inLevel)) stages.push({ kind: 'routines', level, routines: places(routines, inLevel) })
    }
    for (const shared of [false, true]) {
      const outputs = places(scalarOutputs, ({ target }) => target.kind === 'slot' && target.shared === shared)
      if (outputs.length > 0) stages.push({ kind: 'commit', shared, outputs })
    }
    return stages
  }
}
