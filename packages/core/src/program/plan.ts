/**
 * The planner: cuts a Program into levels of fused loops.
 *
 * A level starts with the scalars that the reductions of earlier levels made known, then runs loops over elements, then
 * matrix products and transpositions. Everything between two reductions or products is one loop; cheap values are
 * recomputed in a later loop rather than stored, and new state is stored early where that saves traffic.
 */

import { type Dimensions, type ElementOperation, type Node, sameDimensions, sizeOf } from '../graph/graph.ts'
import type { Output, Program, Target } from './program.ts'

/** Names an array in the memory of one tensor: `parameter`, `gradient`, `evaluation`, `input:KEY`, `slot:KEY` or `scratch:NUMBER`. */
export type ArrayName = string

/** One operation of a loop's body. Its position in the body is its register. */
export interface Instruction {
  readonly operation: 'load' | 'broadcast' | 'scalar' | 'stride' | 'index' | 'random' | ElementOperation
  /** Registers. */
  readonly inputs: readonly number[]
  /** `load`, `broadcast`: what is read. */
  readonly array?: ArrayName
  /** `scalar`: the host, global or tensor value. `stride`, `random`: the node itself. */
  readonly node?: Node
  /** `broadcast`: the node whose dimensions the loop runs over here, and the one whose elements repeat. */
  readonly to?: Node
  readonly from?: Node
}

/** One pass over elements. */
export interface Loop {
  readonly level: number
  /** A node of the size that the loop runs over. */
  readonly domain: Node
  /** The node whose rows and columns the loop must follow; absent for a flat pass. */
  readonly view: Node | undefined
  /** True when a broadcast or a stride needs the position of each element: no vectors then. */
  readonly elementwise: boolean
  readonly body: readonly Instruction[]
  readonly stores: readonly { readonly array: ArrayName; readonly register: number }[]
  readonly reductions: readonly { readonly node: Node; readonly registers: readonly number[] }[]
}

/** A matrix product or a transposition. */
export interface MatrixOperation {
  readonly level: number
  readonly node: Node
  readonly operands: readonly ArrayName[]
  readonly result: ArrayName
}

/** An array that exists only during a step. */
export interface ScratchArray {
  readonly name: ArrayName
  readonly node: Node
  /** The levels from which to which its contents are needed. */
  readonly from: number
  to: number
}

export interface ScalarStep {
  readonly node: Node
  readonly level: number
}

export interface Plan {
  readonly program: CanonicalProgram
  readonly levels: number
  readonly loops: readonly Loop[]
  readonly matrices: readonly MatrixOperation[]
  readonly scratch: readonly ScratchArray[]
  /** Scalars of the tensor and of all tensors in the order in which they can be computed, reductions included. */
  readonly scalars: readonly ScalarStep[]
  /** Where scalars go at the end of the step. */
  readonly scalarOutputs: readonly { readonly target: Target; readonly node: Node }[]
  /** Host values that the kernels take as arguments. */
  readonly hostArguments: readonly Node[]
  readonly readBytes: number
  readonly writtenBytes: number
}

/** A program with its nodes numbered in a fixed order, and a text that equal programs of any size share. */
export interface CanonicalProgram {
  readonly program: Program
  /** Device nodes and the host nodes they use directly, inputs first. */
  readonly nodes: readonly Node[]
  readonly signature: string
}

/**
 * Numbers the nodes of a program. Two programs have the same signature when one kernel serves both: they differ in sizes,
 * in the values of constants and in which hyperparameters enter, all of which are arguments.
 */
export function canonicalize(program: Program): CanonicalProgram {
  const nodes: Node[] = []
  const index = new Map<Node, number>()
  // 0 and 1 shape the plan: nothing to do, and nothing to repeat.
  const sizes = new Map<number, string>([
    [0, '0'],
    [1, '1'],
  ])
  const texts: string[] = []
  const token = (size: number): string => {
    const known = sizes.get(size)
    if (known) return known
    const fresh = `s${sizes.size}`
    sizes.set(size, fresh)
    return fresh
  }
  const visit = (node: Node): number => {
    const known = index.get(node)
    if (known !== undefined) return known
    const inputs = node.space === 'host' ? [] : node.inputs.map(visit)
    const position = nodes.length
    index.set(node, position)
    nodes.push(node)
    const { key, period, axis, kind, draw } = node.attributes
    texts.push(
      node.space === 'host'
        ? 'host'
        : `${node.operation}:${node.space}:${inputs}:${node.dimensions.map(token)}:${key}:${period}:${axis}:${kind}:${draw}`,
    )
    return position
  }
  for (const { target, node } of program.outputs) {
    const position = visit(node)
    texts.push(`>${targetText(target)}:${position}`)
  }
  return { program, nodes, signature: `${program.dimensions.map(token)}|${texts.join('|')}` }
}

function targetText(target: Target): string {
  if (target.kind === 'slot') return `slot:${target.key}:${target.shared}`
  return target.kind === 'telemetry' ? `telemetry:${target.name}` : target.kind
}

/** The array that a leaf is kept in. */
function leafArray(node: Node): ArrayName | undefined {
  if (node.space !== 'array') return undefined
  if (node.operation === 'parameter' || node.operation === 'gradient') return node.operation
  if (node.operation === 'input') return `input:${node.attributes.key}`
  return node.operation === 'slot' ? `slot:${node.attributes.key}` : undefined
}

function strip(node: Node): Node {
  return node.operation === 'view' ? node.inputs[0]! : node
}

/** Reductions to rows or columns, products and transpositions leave an array behind. */
function isProduced(node: Node): boolean {
  return node.space === 'array' && (node.operation === 'reduce' || isMatrixOperation(node))
}

function isMatrixOperation(node: Node): boolean {
  return node.operation === 'matmul' || node.operation === 'transpose'
}

function isScalar(node: Node): boolean {
  return node.space === 'tensor' || node.space === 'global'
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
  readonly array: ArrayName
  readonly node: Node
  readonly size: number
  readonly earliest: number
  level: number
}

interface LoopDraft {
  readonly level: number
  readonly domain: Node
  view: Node | undefined
  readonly roots: { readonly node: Node; readonly array?: ArrayName; readonly reduction?: Node }[]
}

class Planner {
  private readonly nodes: readonly Node[]
  private readonly program: CanonicalProgram
  private readonly globalLevels: Map<string, number>
  private readonly levelOf = new Map<Node, number>()
  /** Nodes kept in scratch because another shape of loop or a product reads them. */
  private readonly kept = new Map<Node, ScratchArray>()
  private readonly outputs: StoredOutput[] = []
  private readonly scalarOutputs: Output[] = []
  /** How many nodes and outputs use a node. */
  private readonly uses = new Map<Node, number>()
  /** The stores that would overwrite what a later loop still reads, as found by the last `cost()`. */
  private readonly conflicts = new Set<StoredOutput>()
  private lastLevel = 0

  constructor(program: CanonicalProgram, globalLevels: Map<string, number>) {
    this.program = program
    this.nodes = program.nodes
    this.globalLevels = globalLevels
    const users = [...this.nodes.flatMap(({ inputs }) => inputs), ...program.program.outputs.map(({ node }) => node)]
    for (const node of users) this.uses.set(node, (this.uses.get(node) ?? 0) + 1)
    for (const node of this.nodes) this.findKept(node)
    for (const node of this.nodes)
      if (node.space !== 'host') this.lastLevel = Math.max(this.lastLevel, this.workLevel(node))
    for (const { target, node } of program.program.outputs) this.addOutput(target, node)
    for (const output of this.outputs) this.lastLevel = Math.max(this.lastLevel, output.earliest)
    for (const output of this.outputs) output.level = this.lastLevel
  }

  plan(): Plan {
    this.chooseStoreLevels()
    const drafts = this.draftLoops()
    const loops = drafts.map((draft) => this.buildLoop(draft))
    const matrices = this.matrixOperations()
    const scalars = this.nodes.filter(isScalar).map((node) => ({ node, level: this.level(node) }))
    let levels = this.lastLevel + 1
    for (const { level } of scalars) levels = Math.max(levels, level + 1)
    this.findLifetimes(loops, matrices)
    const { read, written } = this.traffic(loops, matrices)
    return {
      program: this.program,
      levels,
      loops,
      matrices,
      scratch: [...this.kept.values()],
      scalars,
      scalarOutputs: this.scalarOutputs,
      hostArguments: this.nodes.filter((node) => node.space === 'host'),
      readBytes: read,
      writtenBytes: written,
    }
  }

  private addOutput(target: Target, node: Node): void {
    if (target.kind === 'telemetry') this.scalarOutputs.push({ target, node })
    else if (target.kind === 'slot' && !this.program.program.arraySlots.has(target.key)) {
      this.scalarOutputs.push({ target, node })
    } else {
      const array = target.kind === 'slot' ? `slot:${target.key}` : target.kind
      // What stays as it is needs no store.
      if (leafArray(node) === array) return
      const size = node.space === 'array' ? sizeOf(node.dimensions) : sizeOf(this.program.program.dimensions)
      const earliest = node.space === 'host' ? 0 : this.level(node)
      this.outputs.push({ array, node, size, earliest, level: 0 })
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
      if (leafArray(source) || isProduced(source)) continue
      const repeated = node.operation !== 'reduce' && !sameDimensions(input.dimensions, node.dimensions)
      if (isMatrixOperation(node) || repeated) this.keep(source)
    }
  }

  private keep(node: Node): void {
    if (!this.kept.has(node)) this.kept.set(node, { name: `scratch:${this.kept.size}`, node, from: 0, to: 0 })
  }

  /** The level at which a value can be computed, or for produced arrays and scalars first be read. */
  private level(node: Node): number {
    if (node.space === 'host') return 0
    const known = this.levelOf.get(node)
    if (known !== undefined) return known
    let level = 0
    for (const input of node.inputs) level = Math.max(level, this.inputLevel(node, input))
    if (node.operation === 'reduce' || isMatrixOperation(node)) level++
    const { key, axis } = node.attributes
    if (node.operation === 'reduce' && axis === 'all') {
      level = Math.max(level, this.globalLevels.get(key!) ?? 0)
      this.globalLevels.set(key!, level)
    }
    this.levelOf.set(node, level)
    return level
  }

  private inputLevel(node: Node, input: Node): number {
    if (input.space !== 'array') return this.level(input)
    const repeated =
      node.operation !== 'reduce' && node.operation !== 'view' && !sameDimensions(input.dimensions, node.dimensions)
    return isMatrixOperation(node) || repeated ? this.readLevel(strip(input)) : this.level(strip(input))
  }

  /** The level from which an array lies in memory. */
  private readLevel(node: Node): number {
    return leafArray(node) || isProduced(node) ? this.level(node) : this.level(node) + 1
  }

  /** The level in which something is done for this node: a loop, a reduction, a product, a scalar. */
  private workLevel(node: Node): number {
    const level = this.level(node)
    return node.operation === 'reduce' || isMatrixOperation(node)
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
    for (let pass = 0; pass < 2; pass++) {
      for (const output of this.outputs) {
        const candidates = new Set([output.earliest, ...this.draftLoops().map((loop) => loop.level)])
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
  }

  /** Bytes moved with the current store levels; infinite when an old value would be read after it was overwritten. */
  private cost(): number {
    const drafts = this.draftLoops()
    let bytes = 0
    const reads: { array: ArrayName; level: number; draft: LoopDraft | undefined }[] = []
    for (const draft of drafts) {
      for (const [array, size] of this.loads(draft)) {
        bytes += 4 * size
        reads.push({ array, level: draft.level, draft })
      }
      for (const root of draft.roots) if (root.array) bytes += 4 * this.rootSize(draft)
    }
    for (const { level, operands } of this.matrixOperations()) {
      for (const array of operands) reads.push({ array, level, draft: undefined })
    }
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

  private rootSize(draft: LoopDraft): number {
    return sizeOf(draft.domain.dimensions)
  }

  /** True when a loop after the store reads the array only as the new value. */
  private readsNewValue(draft: LoopDraft | undefined, array: ArrayName): boolean {
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
    const drafts: LoopDraft[] = []
    const add = (level: number, domain: Node, view: Node | undefined, root: LoopDraft['roots'][number]) => {
      const fits = (draft: LoopDraft) =>
        draft.level === level &&
        fitsTogether(draft.domain.dimensions, domain.dimensions) &&
        (!view || !draft.view || sameDimensions(draft.view.dimensions, view.dimensions))
      let draft = drafts.find(fits)
      if (!draft) {
        draft = { level, domain, view: undefined, roots: [] }
        drafts.push(draft)
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
        add(this.level(node), node, undefined, { node, array: this.kept.get(node)!.name })
      }
    }
    for (const { array, node, level } of this.outputs) {
      const domain = node.space === 'array' ? node : this.parameterNode()
      add(level, domain, undefined, { node, array })
    }
    return drafts.sort((a, b) => a.level - b.level)
  }

  /** A node with the parameter's dimensions, for stores of scalars. */
  private parameterNode(): Node {
    const { dimensions } = this.program.program
    const found = this.nodes.find((node) => node.space === 'array' && sameDimensions(node.dimensions, dimensions))
    if (!found) throw new Error('a program must use the parameter, its gradient or state of its shape')
    return found
  }

  /** Calls `load` for every array a loop reads, with the node it stands for there. */
  private walk(draft: LoopDraft, load: (array: ArrayName, node: Node) => void): void {
    const seen = new Set<Node>()
    const visit = (node: Node): void => {
      if (node.space !== 'array' || seen.has(node)) return
      seen.add(node)
      const array = this.arrayFor(node, draft.level)
      if (array) {
        load(array, node)
        return
      }
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
  private arrayFor(node: Node, level: number): ArrayName | undefined {
    const leaf = leafArray(node)
    if (leaf) return leaf
    const kept = this.kept.get(node)
    if (kept && (isProduced(node) || this.level(node) < level)) return kept.name
    const stored = this.outputs.find(
      (output) => output.node === node && output.level < level && output.array !== 'evaluation',
    )
    return level === Number.POSITIVE_INFINITY ? undefined : stored?.array
  }

  /** A quotient that a loop of this level computes for one product only. */
  private isOnlyFactor(node: Node, level: number): boolean {
    const computed = node.operation === 'divide' && node.space === 'array' && !this.arrayFor(node, level)
    return computed && this.uses.get(node) === 1
  }

  private loads(draft: LoopDraft): Map<ArrayName, number> {
    const loads = new Map<ArrayName, number>()
    this.walk(draft, (array, node) => loads.set(array, sizeOf(node.dimensions)))
    return loads
  }

  private buildLoop(draft: LoopDraft): Loop {
    const body: Instruction[] = []
    const registers = new Map<Node, number>()
    const repeats = new Map<string, number>()
    let { view } = draft
    let elementwise = false
    const emit = (instruction: Instruction): number => body.push(instruction) - 1
    const broadcast = (node: Node, input: Node): number => {
      view ??= node
      if (!sameDimensions(view.dimensions, node.dimensions)) elementwise = true
      const key = `${input.id}:${node.dimensions}`
      const known = repeats.get(key)
      if (known !== undefined) return known
      const array = this.arrayFor(strip(input), Number.POSITIVE_INFINITY)!
      const register = emit({ operation: 'broadcast', inputs: [], array, to: node, from: input })
      repeats.set(key, register)
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
      if (node.space !== 'array') return emit({ operation: 'scalar', inputs: [], node })
      if (node.operation === 'view') return visit(node.inputs[0]!)
      const array = this.arrayFor(node, draft.level)
      if (array) return emit({ operation: 'load', inputs: [], array })
      if (node.operation === 'stride' || node.operation === 'index') {
        elementwise = true
        return emit({ operation: node.operation, inputs: [], node })
      }
      if (node.operation === 'random') return emit({ operation: 'random', inputs: [], node })
      const [quotient, factor] = node.inputs
      if (node.operation === 'multiply' && factor!.space === 'host' && this.isOnlyFactor(quotient!, draft.level)) {
        // (x / y) h = (x h) / y: the product is done while y is still awaited. Numbers that the device finds, such as the
        // first step sizes of parameter-free methods, may be so small that x h underflows.
        const [x, y] = quotient!.inputs as [Node, Node]
        const product = emit({ operation: 'multiply', inputs: [operand(quotient!, x), visit(factor!)] })
        return emit({ operation: 'divide', inputs: [product, operand(quotient!, y)] })
      }
      const inputs = node.inputs.map((input) => operand(node, input))
      return emit({ operation: node.operation as ElementOperation, inputs })
    }
    const operand = (node: Node, input: Node): number =>
      input.space !== 'array' || sameDimensions(input.dimensions, node.dimensions)
        ? visit(input)
        : broadcast(node, input)
    const stores: { array: ArrayName; register: number }[] = []
    const reductions: { node: Node; registers: number[] }[] = []
    for (const root of draft.roots) {
      if (root.reduction) reductions.push({ node: root.reduction, registers: root.reduction.inputs.map(visit) })
      else stores.push({ array: root.array!, register: visit(root.node) })
    }
    return { level: draft.level, domain: draft.domain, view, elementwise, body, stores, reductions }
  }

  private matrixOperations(): MatrixOperation[] {
    return this.nodes.filter(isMatrixOperation).map((node) => ({
      level: this.level(node) - 1,
      node,
      operands: node.inputs.map((input) => this.arrayFor(strip(input), Number.POSITIVE_INFINITY)!),
      result: this.kept.get(node)!.name,
    }))
  }

  private findLifetimes(loops: readonly Loop[], matrices: readonly MatrixOperation[]): void {
    const byName = new Map<ArrayName, ScratchArray>()
    for (const [node, array] of this.kept) {
      const from = this.workLevel(node)
      byName.set(array.name, { ...array, from, to: isProduced(node) ? this.level(node) : from })
    }
    const use = (array: ArrayName | undefined, level: number) => {
      const scratch = array === undefined ? undefined : byName.get(array)
      if (scratch) scratch.to = Math.max(scratch.to, level)
    }
    for (const { body, level } of loops) for (const { array } of body) use(array, level)
    for (const { operands, level } of matrices) for (const array of operands) use(array, level)
    for (const [node, array] of this.kept) this.kept.set(node, byName.get(array.name)!)
  }

  private traffic(loops: readonly Loop[], matrices: readonly MatrixOperation[]): { read: number; written: number } {
    let read = 0
    let written = 0
    for (const loop of loops) {
      const size = sizeOf(loop.domain.dimensions)
      const seen = new Set<ArrayName>()
      for (const { operation, array, from } of loop.body) {
        if (array === undefined || seen.has(array)) continue
        seen.add(array)
        read += 4 * (operation === 'broadcast' ? sizeOf(from!.dimensions) : size)
      }
      written += 4 * size * loop.stores.length
      for (const { node } of loop.reductions) if (node.space === 'array') written += 4 * sizeOf(node.dimensions)
    }
    for (const { node } of matrices) {
      for (const input of node.inputs) read += 4 * sizeOf(input.dimensions)
      written += 4 * sizeOf(node.dimensions)
    }
    return { read, written }
  }
}

/** One flat pass serves arrays of equal size; empty ones are all of equal size, so their dimensions must be equal. */
function fitsTogether(a: Dimensions, b: Dimensions): boolean {
  return sizeOf(a) === 0 ? sameDimensions(a, b) : sizeOf(a) === sizeOf(b)
}

/** Rows and columns as a loop sees them: a trailing dimension of one is dropped, so that the last one is contiguous. */
export function normalizeView(dimensions: Dimensions): Dimensions {
  const [batch, rows, columns] = dimensions
  return columns === 1 ? [1, batch, rows] : dimensions
}
