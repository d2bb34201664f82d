/** The code generator: turns the loops and scalars of a Plan into WGSL. */

import type { Instruction, Loop, LoopReduction, NumberReference, Plan, Stage } from '../../plan/plan.ts'
import { isMask } from '../../plan/plan.ts'
import { hostFormula, ownName } from '../../program/formula.ts'
import type { HostProgram } from '../../program/host.ts'
import type { StagedStorage } from '../../storage/storage.ts'
import { expression, randomName } from './expressions.ts'
import { type Growth, growthOf, heapName, type Kernel, type KernelWord, kernelOf, moduleOf } from './kernel.ts'
import { decodeName, encodeName } from './storages.ts'
import { columnsTogether, lanes } from './workgroup.ts'

/** How the elements of a loop are shared among workgroups. */
export type Split = 'elements' | 'rows' | 'columns'

export interface LoopKernel {
  readonly kernel: Kernel
  readonly split: Split
}

/** The kernels of one plan. */
export interface PlanKernels {
  /** For each loop those that reduce columns, or rows apart from the rest, and that which does the rest; they run in this order. */
  readonly loops: readonly (readonly LoopKernel[])[]
  /** By the place of the stage. */
  readonly stages: ReadonlyMap<number, Kernel>
}

/** A product of numbers of the host over others, which the host computes. */
export interface Factor {
  readonly times: readonly number[]
  readonly over: readonly number[]
}

/** What a generator is told besides the plan. */
export interface Surroundings {
  /** What the rule is called. */
  readonly title: string
  /** How the host computes the plan's arguments, for names. */
  readonly host: HostProgram
  /** The heap of every array. */
  readonly heaps: readonly number[]
  /** How many heaps there are. */
  readonly heapCount: number
}

const isArgument = ({ kind }: NumberReference) => kind === 'argument'
const place = ({ index }: NumberReference) => index
const factorOf = ({ times, over }: Extract<Instruction, { readonly operation: 'scale' }>): Factor => ({
  times: times.filter(isArgument).map(place),
  over: over.filter(isArgument).map(place),
})

/** The products of host numbers that loops of a plan scale with, each once. */
export function factorsOf({ loops }: Plan): Factor[] {
  const found = new Map<string, Factor>()
  for (const instruction of loops.flatMap(({ body }) => body)) {
    if (instruction.operation !== 'scale') continue
    const factor = factorOf(instruction)
    if (factor.times.length + factor.over.length > 0) found.set(JSON.stringify(factor), factor)
  }
  return [...found.values()]
}

/** The kernels of a plan. */
export function generateKernels(plan: Plan, surroundings: Surroundings): PlanKernels {
  const loops = plan.loops.map((loop, index) => {
    const columns = loop.reductions.flatMap((reduction, position) => (reduction.over === 'column' ? [position] : []))
    const others = loop.reductions.flatMap((reduction, position) => (reduction.over === 'column' ? [] : [position]))
    const kernels: LoopKernel[] = []
    const add = (split: Split, reductions: readonly number[], stores: Loop['stores']) => {
      const kernel = new LoopWriter(plan, surroundings, index, split, reductions, stores).kernel()
      kernels.push({ split, kernel })
    }
    // Before anything is stored that they read.
    if (columns.length > 0) add('columns', columns, [])
    const rows = others.filter((position) => loop.reductions[position]!.over === 'row')
    if (loop.staged && rows.length > 0) {
      // What is kept in blocks is written block by block, which does not follow rows.
      const all = others.filter((position) => !rows.includes(position))
      add('rows', rows, [])
      if (all.length + loop.stores.length > 0) add('elements', all, loop.stores)
    } else if (others.length + loop.stores.length > 0) add(rows.length > 0 ? 'rows' : 'elements', others, loop.stores)
    return kernels
  })
  const stages = new Map<number, Kernel>()
  plan.stages.forEach((stage, index) => {
    if (stage.kind === 'scalars') stages.set(index, new ScalarsWriter(plan, surroundings).scalars(stage))
    else if (stage.kind === 'commit') stages.set(index, new ScalarsWriter(plan, surroundings).commit(stage))
  })
  return { loops, stages }
}

/** Collects lines, words of the entry and the numbers that lines name. */
abstract class Writer {
  protected readonly plan: Plan
  protected readonly surroundings: Surroundings
  protected readonly words: KernelWord[] = []
  protected readonly top: string[] = []
  private readonly places = new Map<string, string>()
  private readonly numberNames = new Map<string, string>()
  private readonly taken = new Set<string>()
  private readonly scratch: number[] = []
  private readonly counts = new Map<string, number>()

  constructor(plan: Plan, surroundings: Surroundings) {
    this.plan = plan
    this.surroundings = surroundings
  }

  /** The name of a word, which is read at the top; without a name what reads it. */
  protected word(name: string | undefined, word: KernelWord): string {
    const text = JSON.stringify(word)
    const known = this.places.get(text)
    if (known) return known
    const value = `words[entry + ${this.words.length}u]`
    this.words.push(word)
    const own = name === undefined ? value : this.fresh(name)
    this.places.set(text, own)
    if (name !== undefined) this.top.push(`let ${own} = ${value};`)
    return own
  }

  /** The bits of a number of the host's. */
  protected argument(index: number): string {
    return `words[${this.word(undefined, { kind: 'argument', index })}]`
  }

  /** A number as a whole one, for random numbers. */
  protected wholeNumber(reference: NumberReference): string {
    if (!isArgument(reference)) return `u32(${this.number(reference)})`
    return `words[${this.word(undefined, { kind: 'argument', index: reference.index })} + 1u]`
  }

  /** The name of a number, which is read at the top. */
  protected number(reference: NumberReference): string {
    const key = `${reference.kind} ${reference.index}`
    const known = this.numberNames.get(key)
    if (known) return known
    const name = this.fresh(this.nameOf(reference))
    this.numberNames.set(key, name)
    const mask = isMask(this.plan, reference)
    if (isArgument(reference)) {
      const { host } = this.surroundings
      const word = this.argument(reference.index)
      const formula = hostFormula(host, host.results[reference.index]!)
      const value = mask ? `${word} != 0u` : `bitcast<f32>(${word})`
      // A name says what it is.
      const plain = /^[A-Za-z_]\w*$/.test(formula)
      this.top.push(`let ${name} = ${value};${plain ? '' : ` // ${formula}`}`)
    } else this.top.push(`let ${name} = ${this.stored(reference.index)}${mask ? ' != 0f' : ''};`)
    return name
  }

  /** Where a number of the device lies. */
  protected stored(index: number): string {
    const scalar = this.plan.scalars[index]!
    if (scalar.kind === 'slot')
      return `numbers[${this.word(`at_${identifier(scalar.key)}`, { kind: 'number', key: scalar.key })}]`
    if (scalar.kind === 'total') return `numbers[${this.word('at_total', { kind: 'total', key: scalar.key })}]`
    return `numbers[${this.word(undefined, { kind: 'scalar', index })}]`
  }

  /** What reads and writes an array in fewer bits is called with. */
  protected packed(array: number): { readonly storage: StagedStorage; readonly where: string } {
    const storage = this.plan.arrays[array]!.storage as StagedStorage
    const name = this.arrayName(array)
    const words = [
      this.word(`at_${name}`, { kind: 'bytes', array }),
      this.word(`size_of_${name}`, { kind: 'elements', array }),
      this.word(`codes_of_${name}`, { kind: 'table', storage }),
    ]
    return { storage, where: words.join(', ') }
  }

  protected isPacked(array: number): boolean {
    return this.plan.arrays[array]!.storage !== 'float32'
  }

  /** An element of an array. */
  protected element(array: number, index: string): string {
    const at = this.word(`at_${this.arrayName(array)}`, { kind: 'array', array })
    return `${heapName(this.surroundings.heaps[array]!)}[${at} + ${index}]`
  }

  protected arrayName(array: number): string {
    const planned = this.plan.arrays[array]!
    if (planned.kind === 'slot' || planned.kind === 'input') return identifier(planned.key)
    if (planned.kind !== 'scratch') return planned.kind
    // Numbered as they are used, so that kernels that differ in the array alone are one.
    if (!this.scratch.includes(array)) this.scratch.push(array)
    return `scratch${this.scratch.indexOf(array)}`
  }

  /** A name with a number of its own, counted from 0. */
  protected numbered(name: string): string {
    const count = this.counts.get(name) ?? 0
    this.counts.set(name, count + 1)
    return `${name}${count}`
  }

  /** A name that nothing has yet. */
  protected fresh(name: string): string {
    let own = name
    for (let count = 2; this.taken.has(own); count++) own = `${name}_${count}`
    this.taken.add(own)
    return own
  }

  private nameOf({ kind, index }: NumberReference): string {
    if (kind === 'scalar') return this.numbered('scalar')
    const { host } = this.surroundings
    const value = host.values[host.results[index]!]!
    if (value.operation === 'hyper' || value.operation === 'input') return `the_${identifier(value.key)}`
    return this.numbered(value.operation === 'constant' ? 'constant' : 'host')
  }
}

/** A word of the rule as WGSL takes it, which knows no dots, slashes or names with two underscores before them. */
const identifier = (key: string) => ownName(key).replace(/[^A-Za-z0-9]+/g, '_')

const indent = (lines: readonly string[], depth = 1) => lines.map((line) => `${'  '.repeat(depth)}${line}`)

/** Writes a kernel of a loop. */
class LoopWriter extends Writer {
  private readonly loop: Loop
  private readonly index: number
  private readonly split: Split
  private readonly reductions: readonly number[]
  private readonly stores: Loop['stores']

  constructor(
    plan: Plan,
    surroundings: Surroundings,
    index: number,
    split: Split,
    reductions: readonly number[],
    stores: Loop['stores'],
  ) {
    super(plan, surroundings)
    this.loop = plan.loops[index]!
    this.index = index
    this.split = split
    this.reductions = reductions
    this.stores = stores
  }

  kernel(): Kernel {
    const { title, heapCount } = this.surroundings
    const label = `${title}, level ${this.loop.level}: ${this.split === 'columns' ? 'reduce columns' : `a pass over ${this.split}`}`
    const elements = this.elements()
    const body = {
      elements: () => this.flat(elements),
      rows: () => this.rows(elements),
      columns: () => this.columns(elements),
    }
    const lines = body[this.split]()
    return kernelOf(label, moduleOf(label, heapCount, indent([...this.top, ...lines])), this.words)
  }

  /** What is done for the element `i`: an assignment a line, stores, and what reductions take up. */
  private elements(): string[] {
    const { loop } = this
    const lines: string[] = []
    const needed = new Set<number>()
    const need = (register: number) => {
      if (needed.has(register)) return
      needed.add(register)
      for (const input of loop.body[register]!.inputs) need(input)
    }
    for (const { register } of this.stores) need(register)
    for (const position of this.reductions) for (const register of loop.reductions[position]!.registers) need(register)
    const names: string[] = []
    loop.body.forEach((instruction, register) => {
      if (!needed.has(register)) return
      if (instruction.operation === 'scalar') {
        names[register] = this.number(instruction.value)
        return
      }
      const value = this.value(instruction, names)
      names[register] = this.fresh(
        instruction.operation === 'load' ? `old_${this.arrayName(instruction.array)}` : this.numbered('r'),
      )
      lines.push(`let ${names[register]} = ${value};`)
    })
    this.stores.forEach(({ array, register }, store) => {
      const target = this.isPacked(array) ? `new${store}` : this.element(array, 'i')
      lines.push(`${target} = ${names[register]!};`)
    })
    for (const position of this.reductions) {
      const value = loop.reductions[position]!.registers.map((register) => names[register]!).join(' * ')
      lines.push(this.growth(position).add(this.sum(position), value))
    }
    return lines
  }

  private value(instruction: Exclude<Instruction, { readonly operation: 'scalar' }>, names: readonly string[]): string {
    switch (instruction.operation) {
      case 'load': {
        const { array } = instruction
        if (!this.isPacked(array)) return this.element(array, 'i')
        const { storage, where } = this.packed(array)
        return `${decodeName(storage)}(${where}, i)`
      }
      case 'broadcast':
        return this.repeated(instruction)
      case 'index':
        return 'f32(i)'
      case 'stride':
        return `i % ${instruction.period}u == 0u`
      case 'random': {
        const stream = instruction.stream.map((number) => this.wholeNumber(number))
        return `${randomName(instruction.distribution)}(i, ${stream.join(', ')}, ${instruction.draw}u)`
      }
      case 'scale': {
        const factor = this.factor(instruction)
        return [
          names[instruction.inputs[0]]!,
          ...factor.map((text) => `* ${text}`),
          ...instruction.times.filter((number) => !isArgument(number)).map((number) => `* ${this.number(number)}`),
          ...instruction.over.filter((number) => !isArgument(number)).map((number) => `/ ${this.number(number)}`),
        ].join(' ')
      }
      default:
        return expression(
          instruction.operation,
          instruction.inputs.map((input) => names[input]!),
        )
    }
  }

  /** The name of what the host makes of its numbers for a scaling; nothing where it has none. */
  private factor(instruction: Extract<Instruction, { readonly operation: 'scale' }>): string[] {
    const factor = JSON.stringify(factorOf(instruction))
    const index = factorsOf(this.plan).findIndex((other) => JSON.stringify(other) === factor)
    if (index < 0) return []
    const { host } = this.surroundings
    const { times, over } = factorOf(instruction)
    const formula = (argument: number) => hostFormula(host, host.results[argument]!)
    const text = [times.map(formula).join(' * ') || '1', ...over.map(formula)].join(' / ')
    const name = this.numbered('factor')
    this.top.push(`let ${name} = bitcast<f32>(${this.argument(this.plan.arguments.length + index)}); // ${text}`)
    return [name]
  }

  /** An element of an array that repeats along some of batch, rows and columns. */
  private repeated({ array, own, apart }: Extract<Instruction, { readonly operation: 'broadcast' }>): string {
    const [rows, columns] = apart
      ? [
          this.word('apart_rows', { kind: 'size', size: apart.rows }),
          this.word('apart_columns', { kind: 'size', size: apart.columns }),
        ]
      : [this.rowCount, this.columnCount]
    // A pass over elements, and what goes its own way, finds row and column by division.
    const computed = apart !== undefined || this.split === 'elements'
    const column = computed ? `i % ${columns}` : 'column'
    const row = computed ? `i / ${columns} % ${rows}` : 'row'
    const batch = computed ? `i / ${columns} / ${rows}` : 'batch'
    let index = own.batch ? `(${batch})` : ''
    if (own.row) index = index ? `(${index} * ${rows} + (${row}))` : `(${row})`
    else if (index && own.column) index = `(${index})`
    if (own.column) index = index ? `${index} * ${columns} + (${column})` : `(${column})`
    return this.element(array, index || '0u')
  }

  private get rowCount(): string {
    return this.word('rows', { kind: 'size', size: this.loop.view![1] })
  }

  private get columnCount(): string {
    return this.word('columns', { kind: 'size', size: this.loop.view![2] })
  }

  private sum(position: number): string {
    return `${this.loop.reductions[position]!.reduction}${position}`
  }

  /** A lane takes sixteen elements at most in a pass over elements, else as many as there are rows or columns for. */
  private growth(position: number): Growth {
    return growthOf(this.loop.reductions[position]!.reduction, this.split === 'elements')
  }

  private start(position: number): string {
    return `var ${this.sum(position)} = ${this.growth(position).start};`
  }

  /** What a lane has in the end. */
  private end(position: number): string {
    return this.growth(position).end(this.sum(position))
  }

  private over(over: LoopReduction['over']): number[] {
    return this.reductions.filter((position) => this.loop.reductions[position]!.over === over)
  }

  /** What all lanes have together, a line each. */
  private together(position: number, width: string): string {
    const { reduction } = this.loop.reductions[position]!
    return `let all_${this.sum(position)} = ${reduction}_of_lanes(${this.end(position)}, lane, ${width});`
  }

  /** Lines at the end: every workgroup leaves its part of reductions over everything. */
  private parts(): string[] {
    return this.over('all').flatMap((reduction) => {
      const at = this.word(`at_${this.sum(reduction)}`, { kind: 'partial', loop: this.index, reduction })
      return [
        this.together(reduction, `${lanes}u`),
        `if (lane == 0u) { numbers[${at} + item.w] = all_${this.sum(reduction)}; }`,
      ]
    })
  }

  private flat(elements: readonly string[]): string[] {
    if (this.stores.some(({ array }) => this.isPacked(array))) return this.blocks(elements)
    return [
      ...this.over('all').map((position) => this.start(position)),
      `for (var i = item.y + lane; i < item.z; i += ${lanes}u) {`,
      ...indent(elements),
      '}',
      ...this.parts(),
    ]
  }

  /** All lanes have an element of the same blocks, or none behind the last, and write them together. */
  private blocks(elements: readonly string[]): string[] {
    const stored = this.stores.flatMap((store, index) => (this.isPacked(store.array) ? [{ ...store, index }] : []))
    const writes = stored.map(({ array, index, stream }) => {
      const { storage, where } = this.packed(array)
      const random = stream?.map((number) => `, ${this.wholeNumber(number)}`).join('') ?? ''
      return `${encodeName(storage, stream !== undefined)}(${where}, base, lane, new${index}${random});`
    })
    return [
      ...this.over('all').map((position) => this.start(position)),
      `for (var base = item.y; base < item.z; base += ${lanes}u) {`,
      ...indent([
        'let i = base + lane;',
        ...stored.map(({ index }) => `var new${index} = 0f;`),
        'if (i < item.z) {',
        ...indent(elements),
        '}',
        ...writes,
      ]),
      '}',
      ...this.parts(),
    ]
  }

  /** Some lanes share a row, and as many rows as there are lanes for are done side by side. */
  private rows(elements: readonly string[]): string[] {
    const [rows, columns] = [this.rowCount, this.columnCount]
    const width = this.word('width', { kind: 'width', columns: this.loop.view![2] })
    const byRow = this.over('row')
    const stores = byRow.map((position) => {
      const reduction = this.loop.reductions[position]! as Extract<LoopReduction, { readonly over: 'row' | 'column' }>
      return `${this.element(reduction.array, 'row_of_all')} = all_${this.sum(position)};`
    })
    return [
      ...this.over('all').map((position) => this.start(position)),
      `for (var first = item.y; first < item.z; first += ${lanes}u / ${width}) {`,
      ...indent([
        `let row_of_all = first + lane / ${width};`,
        `let row = row_of_all % ${rows};`,
        `let batch = row_of_all / ${rows};`,
        ...byRow.map((position) => this.start(position)),
        'if (row_of_all < item.z) {',
        ...indent([
          `for (var column = lane % ${width}; column < ${columns}; column += ${width}) {`,
          ...indent([`let i = row_of_all * ${columns} + column;`, ...elements]),
          '}',
        ]),
        '}',
        ...byRow.map((position) => this.together(position, width)),
        `if (row_of_all < item.z && lane % ${width} == 0u) {`,
        ...indent(stores),
        '}',
      ]),
      '}',
      ...this.parts(),
    ]
  }

  /** Columns lie side by side in the lanes, and every lane takes some of the rows. */
  private columns(elements: readonly string[]): string[] {
    const [rows, columns] = [this.rowCount, this.columnCount]
    const together = `${columnsTogether}u`
    const byColumn = this.over('column')
    return [
      'let batch = item.y;',
      `let column = item.z + lane % ${together};`,
      ...byColumn.map((position) => this.start(position)),
      `if (column < ${columns}) {`,
      ...indent([
        `for (var row = lane / ${together}; row < ${rows}; row += ${lanes / columnsTogether}u) {`,
        ...indent([`let i = (batch * ${rows} + row) * ${columns} + column;`, ...elements]),
        '}',
      ]),
      '}',
      ...byColumn.flatMap((position) => {
        const reduction = this.loop.reductions[position]! as Extract<LoopReduction, { readonly over: 'row' | 'column' }>
        // Lanes of a column are turned into neighbours, where they are put together.
        const groups = lanes / columnsTogether
        const sum = this.sum(position)
        return [
          `let turned_${sum} = turned(${this.end(position)}, lane);`,
          `let all_${sum} = ${reduction.reduction}_of_lanes(turned_${sum}, lane, ${groups}u);`,
          `let column_of_${sum} = item.z + lane / ${groups}u;`,
          `if (lane % ${groups}u == 0u && column_of_${sum} < ${columns}) {`,
          `  ${this.element(reduction.array, `batch * ${columns} + column_of_${sum}`)} = all_${sum};`,
          '}',
        ]
      }),
    ]
  }
}

type ScalarStage = Extract<Stage, { readonly kind: 'scalars' }>
type CommitStage = Extract<Stage, { readonly kind: 'commit' }>

/** Writes the kernels that put together what loops left, compute the numbers of a tensor, and store those kept as state. */
class ScalarsWriter extends Writer {
  scalars(stage: ScalarStage): Kernel {
    const label = `${this.surroundings.title}, level ${stage.level}: numbers`
    const reductions = stage.reductions.flatMap(({ loop, reduction }) => {
      const found = this.plan.loops[loop]!.reductions[reduction]!
      return found.over === 'all' ? [{ loop, reduction, found }] : []
    })
    const lines: string[] = []
    const stores: string[] = []
    const known = new Map<string, string>()
    for (const { loop, reduction, found } of reductions) {
      const name = this.numbered('scalar')
      const at = this.word(`at_parts_of_${name}`, { kind: 'partial', loop, reduction })
      const count = this.word('parts', { kind: 'parts', loop })
      const part = `numbers[${at} + part]`
      const { start, add, end } = growthOf(found.reduction)
      lines.push(
        `var own_${name} = ${start};`,
        `for (var part = lane; part < ${count}; part += ${lanes}u) {`,
        `  ${add(`own_${name}`, part)}`,
        '}',
        `let ${name} = ${found.reduction}_of_lanes(${end(`own_${name}`)}, lane, ${lanes}u);`,
      )
      known.set(`scalar ${found.scalar}`, name)
      stores.push(`${this.stored(found.scalar)} = ${name};`)
    }
    const value = (reference: NumberReference) =>
      known.get(`${reference.kind} ${reference.index}`) ?? this.number(reference)
    for (const index of stage.scalars) {
      const scalar = this.plan.scalars[index]!
      if (scalar.kind !== 'element') continue
      const inputs = scalar.inputs.map(value)
      const name = this.numbered('scalar')
      stores.push(
        `let ${name} = ${expression(scalar.operation, inputs)};`,
        `${this.stored(index)} = ${scalar.mask ? `select(0f, 1f, ${name})` : name};`,
      )
      known.set(`scalar ${index}`, name)
    }
    return this.finish(label, [...lines, ...this.byOneLane(stores)], reductions.length > 0)
  }

  commit({ outputs, shared }: CommitStage): Kernel {
    const label = `${this.surroundings.title}: ${shared ? 'store shared numbers' : 'store numbers'}`
    const values = outputs.map((output) => this.number(this.plan.scalarOutputs[output]!.value))
    const lines = outputs.flatMap((output, index) => {
      const { target } = this.plan.scalarOutputs[output]!
      if (target.kind !== 'slot') return []
      const at = this.word(`at_${identifier(target.key)}`, { kind: 'number', key: target.key })
      return [`numbers[${at}] = ${values[index]!};`]
    })
    return this.finish(label, this.byOneLane(lines), false)
  }

  private byOneLane(lines: readonly string[]): string[] {
    return ['if (lane == 0u) {', ...indent(lines), '}']
  }

  private finish(label: string, lines: readonly string[], reduces: boolean): Kernel {
    const code = moduleOf(label, this.surroundings.heapCount, indent([...this.top, ...lines]), {
      lanes: reduces ? lanes : 1,
    })
    return kernelOf(label, code, this.words)
  }
}
