/**
 * The planner: cuts a Program into levels of fused loops.
 *
 * A level starts with the scalars that the reductions of earlier levels made known, then runs loops over elements, then
 * matrix functions. Everything between two reductions or matrix functions is one loop; cheap values are recomputed in a
 * later loop rather than stored, and new state is stored early where that saves traffic.
 */

import { callText } from '../graph/call-text.ts'
import { type Dimensions, isElement, type Node, type NodeOf, sameDimensions, sizeOf } from '../graph/node.ts'
import type { Output } from '../program/program.ts'
import { routineOf } from '../routines/table.ts'
import { bytesOf } from '../storage/provided.ts'
import type { CanonicalProgram } from './canonical.ts'
import { FlatPlanner, isFlat, LoopWriter, leafSource, type Store, storageOfLeaf } from './flat-planner.ts'
import type {
  Extent,
  Loop,
  LoopReduction,
  NumberReference,
  Plan,
  PlannedScalar,
  RoutineCall,
  ScalarTarget,
  Stage,
} from './plan.ts'

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
    const planners = programs.map((program) =>
      isFlat(program) ? new FlatPlanner(program) : new Planner(program, globalLevels),
    )
    if ([...globalLevels.values()].join() === before) return planners.map((planner) => planner.plan())
  }
}

interface StoredOutput extends Store {
  readonly earliest: number
  level: number
}

interface LoopDraft {
  readonly level: number
  readonly domain: Node
  view: Node | undefined
  readonly roots: (
    | (Store & { readonly reduction?: undefined })
    | { readonly node: Node; readonly array?: undefined; readonly reduction: NodeOf<'reduce'> }
  )[]
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

class Planner extends FlatPlanner {
  private readonly globalLevels: Map<string, number>
  private readonly counts: Counts
  private readonly levelOf = new Map<Node, number>()
  /** Nodes kept in scratch because another shape of loop or a matrix function reads them. */
  private readonly kept = new Map<Node, number>()
  private readonly outputs: StoredOutput[] = []
  private readonly scalarOutputs: Output[] = []
  /** The stores that would overwrite what a later loop still reads, as found by the last `cost()`. */
  private readonly conflicts = new Set<StoredOutput>()
  private readonly scalars: PlannedScalar[] = []
  private readonly scalarPlaces = new Map<Node, number>()
  private readsOfRoutines: ReturnType<Planner['routineReads']> | undefined
  /** Where what a loop gives to a reduction over all tensors is kept. */
  private readonly partPlaces = new Map<Node, number>()
  private lastLevel = 0

  constructor(program: CanonicalProgram, globalLevels: Map<string, number>) {
    super(program)
    this.globalLevels = globalLevels
    this.counts = new Counts(program)
    for (const node of this.nodes) this.findKept(node)
    for (const node of this.nodes)
      if (node.space !== 'host') this.lastLevel = Math.max(this.lastLevel, this.workLevel(node))
    for (const output of program.program.outputs) this.addOutput(output)
    for (const output of this.outputs) this.lastLevel = Math.max(this.lastLevel, output.earliest)
    for (const output of this.outputs) output.level = this.lastLevel
  }

  override plan(): Plan {
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
      arrays: this.plannedArrays(),
      loops,
      routines,
      scalars: this.scalars,
      scalarOutputs,
      arguments: this.plannedArguments(),
      stages: this.stages(levels, loops, routines, scalarOutputs),
    }
  }

  private addOutput(output: Output): void {
    const { target, node, stream } = output
    if (target.kind === 'telemetry') this.scalarOutputs.push({ target, node })
    else if (target.kind === 'slot' && !this.program.program.arraySlots.has(target.key)) {
      this.scalarOutputs.push({ target, node })
    } else {
      const array = this.outputArray(output)
      if (array === undefined) return
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
  override arrayFor(node: Node, level: number): number | undefined {
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

  override isAlone(node: Node, level: number): boolean {
    return super.isAlone(node, level) && !this.kept.has(node)
  }

  private buildLoop(draft: LoopDraft): Loop {
    const writer = new WholeLoopWriter(this, draft.level, draft.view)
    const stores: Loop['stores'][number][] = []
    const reductions: LoopReduction[] = []
    for (const root of draft.roots) {
      if (root.array !== undefined) stores.push(writer.store(root))
      else reductions.push(this.loopReduction(root.reduction, root.reduction.inputs.map(writer.register)))
    }
    const { body, view, elementwise } = writer
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

  override reference(node: Node): NumberReference {
    return node.space === 'host' ? super.reference(node) : { kind: 'scalar', index: this.scalarPlaces.get(node)! }
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

/** Writes loops that repeat arrays, follow rows, or know where an element is. */
class WholeLoopWriter extends LoopWriter {
  /** What its rows and columns are of, if it follows them. */
  view: Node | undefined
  elementwise = false
  private readonly repeated = new Map<string, number>()
  private readonly whole: Planner

  constructor(planner: Planner, level: number, view: Node | undefined) {
    super(planner, level)
    this.whole = planner
    this.view = view
  }

  protected override operand(node: Node, input: Node): number {
    return input.space !== 'array' || sameDimensions(input.dimensions, node.dimensions)
      ? super.operand(node, input)
      : this.broadcast(node, input)
  }

  private broadcast(node: Node, input: Node): number {
    this.view ??= node
    const apart = !sameDimensions(this.view.dimensions, node.dimensions)
    if (apart) this.elementwise = true
    const key = `${input.id}:${node.dimensions}`
    const known = this.repeated.get(key)
    if (known !== undefined) return known
    const array = this.whole.arrayFor(strip(input), Number.POSITIVE_INFINITY)!
    // What the loop sees as rows and columns when the last dimension is 1.
    const [batch, row, column] = node.dimensions[2] === 1 ? [1, ...input.dimensions] : input.dimensions
    const [, rows, columns] = this.whole.extentOf(normalize(node.dimensions))
    const register = this.emit({
      operation: 'broadcast',
      inputs: [],
      array,
      own: { batch: batch! > 1, row: row! > 1, column: column! > 1 },
      ...(apart ? { apart: { rows, columns } } : {}),
    })
    this.repeated.set(key, register)
    return register
  }

  protected override compute(node: Node): number {
    switch (node.operation) {
      case 'view':
        return this.register(node.inputs[0]!)
      case 'stride':
        this.elementwise = true
        return this.emit({ operation: node.operation, inputs: [], period: node.period })
      case 'index':
        this.elementwise = true
        return this.emit({ operation: node.operation, inputs: [] })
      case 'random': {
        const { operation, distribution, draw } = node
        return this.emit({ operation, inputs: [], distribution, draw, stream: this.stream(node.inputs) })
      }
      default:
        return super.compute(node)
    }
  }
}
