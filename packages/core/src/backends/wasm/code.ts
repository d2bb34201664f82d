/** Kernels written as formulas: variables, expressions and loops in place of instructions of a stack machine. */

import { FunctionBuilder, type Local, type PlainInstruction, type ValueType } from './assembler.ts'

type Push = (f: FunctionBuilder) => void

/** An instruction on what others push. */
const apply =
  (instruction: PlainInstruction, ...operands: readonly Push[]): Push =>
  (f) => {
    for (const push of operands) push(f)
    f.op(instruction)
  }

/** A truth value. */
export class Truth {
  readonly push: Push

  constructor(push: Push) {
    this.push = push
  }

  or(other: Truth): Truth {
    return new Truth(apply('i32.or', this.push, other.push))
  }

  and(other: Truth): Truth {
    return new Truth(apply('i32.and', this.push, other.push))
  }

  not(): Truth {
    return new Truth(apply('i32.eqz', this.push))
  }

  /** 1 if it holds, else 0. */
  count(): Whole {
    return new Whole(this.push)
  }
}

const pushWhole = (value: Whole | number): Push => (typeof value === 'number' ? (f) => f.i32(value) : value.push)
const pushReal = (value: Real | number): Push => (typeof value === 'number' ? (f) => f.f64(value) : value.push)

/** A whole number from 0 up: a count, a place or an address. */
export class Whole {
  readonly push: Push

  constructor(push: Push) {
    this.push = push
  }

  plus(other: Whole | number): Whole {
    return new Whole(this.both(other, 'i32.add'))
  }

  minus(other: Whole | number): Whole {
    return new Whole(this.both(other, 'i32.sub'))
  }

  times(other: Whole | number): Whole {
    return new Whole(this.both(other, 'i32.mul'))
  }

  isBelow(other: Whole | number): Truth {
    return new Truth(this.both(other, 'i32.lt_u'))
  }

  isAbove(other: Whole | number): Truth {
    return new Truth(this.both(other, 'i32.gt_u'))
  }

  /** As a float64. */
  real(): Real {
    return new Real(apply('f64.convert_i32_u', this.push))
  }

  /** The smaller of both. */
  minimum(other: Whole | number): Whole {
    return new Whole(apply('select', this.push, pushWhole(other), this.isBelow(other).push))
  }

  private both(other: Whole | number, instruction: PlainInstruction): Push {
    return apply(instruction, this.push, pushWhole(other))
  }
}

/** A float64. */
export class Real {
  readonly push: Push

  constructor(push: Push) {
    this.push = push
  }

  plus(other: Real | number): Real {
    return new Real(this.both(other, 'f64.add'))
  }

  minus(other: Real | number): Real {
    return new Real(this.both(other, 'f64.sub'))
  }

  times(other: Real | number): Real {
    return new Real(this.both(other, 'f64.mul'))
  }

  over(other: Real | number): Real {
    return new Real(this.both(other, 'f64.div'))
  }

  maximum(other: Real | number): Real {
    return new Real(this.both(other, 'f64.max'))
  }

  minimum(other: Real | number): Real {
    return new Real(this.both(other, 'f64.min'))
  }

  /** Of this size and of the sign of the other. */
  withSignOf(other: Real): Real {
    return new Real(this.both(other, 'f64.copysign'))
  }

  square(): Real {
    return this.times(this)
  }

  sqrt(): Real {
    return new Real(apply('f64.sqrt', this.push))
  }

  abs(): Real {
    return new Real(apply('f64.abs', this.push))
  }

  negated(): Real {
    return new Real(apply('f64.neg', this.push))
  }

  /** Without what lies behind the point. */
  whole(): Whole {
    return new Whole(apply('i32.trunc_sat_f64_u', this.push))
  }

  equals(other: Real | number): Truth {
    return new Truth(this.both(other, 'f64.eq'))
  }

  /** False for what is not a number. */
  isBelow(other: Real | number): Truth {
    return new Truth(this.both(other, 'f64.lt'))
  }

  /** False for what is not a number. */
  isAtMost(other: Real | number): Truth {
    return new Truth(this.both(other, 'f64.le'))
  }

  private both(other: Real | number, instruction: PlainInstruction): Push {
    return apply(instruction, this.push, pushReal(other))
  }
}

/** A number that is known while the code is written. */
export const exactly = (value: number): Real => new Real(pushReal(value))

/** A variable of a function. */
export class WholeVariable extends Whole {
  readonly local: Local

  constructor(local: Local) {
    super((f) => f.get(local))
    this.local = local
  }
}

export class RealVariable extends Real {
  readonly local: Local

  constructor(local: Local) {
    super((f) => f.get(local))
    this.local = local
  }
}

/** Numbers that lie side by side. */
export class Row {
  readonly address: Whole
  private readonly bytes: 4 | 8

  /** @param bytes 8 for float64 (default), 4 for float32. */
  constructor(address: Whole, bytes: 4 | 8 = 8) {
    this.address = address
    this.bytes = bytes
  }

  /** Where the number at a place lies. */
  place(index: Whole | number): Whole {
    return this.address.plus(typeof index === 'number' ? index * this.bytes : index.times(this.bytes))
  }

  /** How many bytes so many numbers take. */
  bytesOf(count: Whole): Whole {
    return count.times(this.bytes)
  }

  /** The numbers from a place on. */
  from(index: Whole | number): Row {
    return new Row(this.place(index), this.bytes)
  }

  at(index: Whole | number): Real {
    const address = this.place(index)
    return new Real((f) => {
      address.push(f)
      if (this.bytes === 8) f.at('f64.load')
      else f.at('f32.load').op('f64.promote_f32')
    })
  }

  /** @internal */
  store(f: FunctionBuilder, index: Whole | number, value: Real | number): void {
    this.place(index).push(f)
    pushReal(value)(f)
    if (this.bytes === 8) f.at('f64.store')
    else f.op('f32.demote_f64').at('f32.store')
  }
}

/** A matrix, row by row. */
export class Rows {
  readonly address: Whole
  private readonly columns: Whole
  private readonly bytes: 4 | 8

  constructor(address: Whole, columns: Whole, bytes: 4 | 8 = 8) {
    this.address = address
    this.columns = columns
    this.bytes = bytes
  }

  row(index: Whole | number): Row {
    const start = typeof index === 'number' ? this.columns.times(index) : index.times(this.columns)
    return new Row(this.address.plus(start.times(this.bytes)), this.bytes)
  }
}

/** Writes one function. */
export class Code {
  readonly f: FunctionBuilder

  constructor(name: string, parameters: readonly ValueType[], results: readonly ValueType[] = []) {
    this.f = new FunctionBuilder(name, parameters, results)
  }

  /** The parameters, all whole numbers. */
  wholes(): WholeVariable[] {
    return this.f.parameters.map((local) => new WholeVariable(local))
  }

  parameter(index: number): RealVariable {
    return new RealVariable(this.f.parameters[index]!)
  }

  whole(value?: Whole | number): WholeVariable {
    const variable = new WholeVariable(this.f.local('i32'))
    if (value !== undefined) this.set(variable, value)
    return variable
  }

  real(value?: Real | number): RealVariable {
    const variable = new RealVariable(this.f.local('f64'))
    if (value !== undefined) this.set(variable, value)
    return variable
  }

  set(variable: WholeVariable, value: Whole | number): void
  set(variable: RealVariable, value: Real | number): void
  set(variable: WholeVariable | RealVariable, value: Whole | Real | number): void {
    if (variable instanceof WholeVariable) pushWhole(value as Whole | number)(this.f)
    else pushReal(value as Real | number)(this.f)
    this.f.set(variable.local)
  }

  store(row: Row, index: Whole | number, value: Real | number): void {
    row.store(this.f, index, value)
  }

  /** Fills so many numbers of a row with zeros. */
  clear(row: Row, count: Whole): void {
    row.place(0).push(this.f)
    this.f.i32(0)
    row.bytesOf(count).push(this.f)
    this.f.fill()
  }

  /** Copies so many numbers of a row to another one that holds as many bytes for each. */
  copy(to: Row, from: Row, count: Whole): void {
    to.place(0).push(this.f)
    from.place(0).push(this.f)
    from.bytesOf(count).push(this.f)
    this.f.push(0xfc, 0x0a, 0x00, 0x00)
  }

  /** The 32-bit word that lies so many words behind an address. */
  word(address: Whole, index: number): Whole {
    return new Whole((f) => {
      address.push(f)
      f.at('i32.load', 4 * index)
    })
  }

  /** Which thread this is, from 0 up. */
  thread(): Whole {
    return new Whole((f) => f.thread('get'))
  }

  storeWord(address: Whole, value: Whole): void {
    address.push(this.f)
    value.push(this.f)
    this.f.at('i32.store')
  }

  if(condition: Truth, then: () => void, otherwise?: () => void): void {
    condition.push(this.f)
    this.f.if(() => {
      then()
      if (!otherwise) return
      this.f.op('else')
      otherwise()
    })
  }

  while(condition: () => Truth, body: () => void): void {
    condition().push(this.f)
    this.f.if(() => {
      this.f.loop(() => {
        body()
        condition().push(this.f)
        this.f.branchIf(0)
      })
    })
  }

  /** For every place from the first up to before the last. */
  up(first: Whole | number, last: Whole | number, body: (place: WholeVariable) => void): void {
    const place = this.whole(first)
    this.while(
      () => place.isBelow(last),
      () => {
        body(place)
        this.set(place, place.plus(1))
      },
    )
  }

  /** The same places from the last to the first. */
  down(first: Whole | number, last: Whole | number, body: (place: WholeVariable) => void): void {
    const place = this.whole(last)
    this.while(
      () => place.isAbove(first),
      () => {
        this.set(place, place.minus(1))
        body(place)
      },
    )
  }

  /** Calls a function of the module for what it does. */
  call(name: string, ...operands: readonly (Whole | Real | number)[]): void {
    this.push(name, operands)
  }

  /** Calls a function of the module for the number that it gives. */
  result(name: string, ...operands: readonly (Whole | Real | number)[]): Real {
    return new Real(() => this.push(name, operands))
  }

  /** The function, which gives this number. */
  gives(value: Real): FunctionBuilder {
    value.push(this.f)
    return this.f
  }

  private push(name: string, operands: readonly (Whole | Real | number)[]): void {
    for (const operand of operands) {
      if (typeof operand === 'number') this.f.i32(operand)
      else operand.push(this.f)
    }
    this.f.callHelper(name)
  }
}
