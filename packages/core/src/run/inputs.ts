import type { FloatArray, Work } from '../backends/backend.ts'
import { formatDimensions, sameDimensions } from '../graph/node.ts'
import { type Input, lossInput } from '../language/inputs.ts'
import type { Program } from '../program/program.ts'
import { lossKey, matrixDimensions, programsOfStep } from '../program/trace.ts'
import type { Conductor } from './conductor.ts'
import type { InputTaker, InputViews, StepInputs } from './no-inputs.ts'
import { within } from './running-optimizer.ts'
import type { StepOptions } from './step.ts'

/** What the steps of an optimizer take besides gradients. */
export class DeclaredInputs implements StepInputs {
  /** By name. */
  readonly needs: Readonly<Record<string, Input>>
  private readonly conductor: Conductor
  private readonly needsNumbers: boolean

  constructor(conductor: Conductor) {
    this.conductor = conductor
    this.needs = this.declared()
    const programs = conductor.trained.flatMap(({ traced }) => programsOfStep(traced!))
    this.needsNumbers = programs.some((program) => program.leaves.numbers.length > 0)
  }

  /** @throws Error for a name that is no input. */
  named(name: string): Input {
    if (Object.hasOwn(this.needs, name)) return this.needs[name]!
    const declared = Object.keys(this.needs)
    const known = declared.length > 0 ? `it takes ${declared.join(', ')}` : 'it takes none'
    throw new Error(
      `step: unknown input '${name}' of this optimizer; ${known}${this.conductor.suggestion(name, declared)}`,
    )
  }

  /**
   * The numbers among the inputs of a step.
   * @param check called for every array.
   * @throws Error for a name that is no input, or a value that is not what the input is.
   */
  numbers(inputs: StepOptions['inputs'], check?: (input: string, parameter: string, array: ArrayLike<number>) => void) {
    const numbers = new Map<string, number>()
    for (const [name, value] of Object.entries(inputs ?? {})) {
      if (this.named(name).kind === 'number') {
        if (typeof value !== 'number') throw new Error(`step: input '${name}' must be a number, not ${String(value)}`)
        numbers.set(name, value)
        if (name === 'loss') numbers.set(lossKey(0), value)
      } else {
        if (typeof value !== 'object' || value === null)
          throw new Error(`step: input '${name}' must be arrays by parameter name, not ${String(value)}`)
        for (const [parameter, array] of Object.entries(value)) check?.(name, parameter, array!)
      }
    }
    return numbers
  }

  take(inputs: StepOptions['inputs'], taker: InputTaker): Map<string, number> {
    const numbers = this.numbers(inputs, (name, parameter, array) => this.checkArray(name, parameter, array, taker))
    for (const [name, value] of Object.entries(inputs ?? {})) {
      if (typeof value === 'number') continue
      for (const [parameter, array] of Object.entries(value)) {
        const own = taker.inputs[name]?.[parameter]
        own?.set(array!)
        if (own && taker.device) taker.write('input', parameter, array!, name)
      }
    }
    return numbers
  }

  views(arrays: readonly ReadonlyMap<string, FloatArray>[]): InputViews {
    const result: Record<string, Record<string, FloatArray>> = Object.create(null)
    for (const part of this.conductor.parts) {
      for (const [name, array] of arrays[part.tensor]!) {
        result[name] ??= Object.create(null) as Record<string, FloatArray>
        result[name][part.shape.name] = within(array, part)
      }
    }
    for (const own of Object.values(result)) Object.freeze(own)
    return Object.freeze(result)
  }

  /** @throws Error when a program needs a number that was not given. */
  checkNumbers(work: readonly Work[], given: ReadonlyMap<string, number>): void {
    if (this.needsNumbers) for (const { program } of work) this.checkNumbersOf(program, given)
  }

  /** @throws Error when an array that is read was never written, or, with `finite`, has an element that is not finite. */
  checkArrays(
    { tensor, program }: Work,
    arrays: ReadonlyMap<string, FloatArray>,
    { finite }: { readonly finite: boolean },
  ): void {
    const { names, steps, tensors } = this.conductor
    const name = names[tensor]!
    const { shape } = tensors[tensor]!
    for (const { name: input, dimensions } of program.leaves.arrays) {
      const array = arrays.get(input)!
      if (array.length > 0 && array.every(Number.isNaN)) {
        const own = sameDimensions(dimensions, matrixDimensions(shape.shape))
        const shaped = own ? '' : `, of dimensions ${formatDimensions(dimensions)}`
        throw new Error(
          `step ${steps + 1}: ${this.titleOf(input)} needs ${this.needs[input]!.description}, for '${name}' too${shaped}: pass ` +
            `step({ inputs: { ${input}: { '${name}': ... } } }), or write inputs.${input} in minimize(evaluate)`,
        )
      }
      if (finite && !array.every(Number.isFinite)) {
        throw new Error(
          `step ${steps + 1}: the input '${input}' of '${name}' is not finite; parameters and state are unchanged`,
        )
      }
    }
  }

  /** The title of what evaluates the model. */
  evaluatingTitle(): string {
    return this.owners.find(({ evaluates }) => evaluates)!.title
  }

  /** What no step reads is ignored, of whatever length. */
  private checkArray(name: string, parameter: string, array: ArrayLike<number>, taker: InputTaker): void {
    const { size } = this.conductor.partOf('step', parameter).shape
    const own = taker.inputs[name]?.[parameter]
    if (!own) return
    if (own.length === size || typeof array !== 'object') taker.checkLength('step', parameter, array)
    else if (array.length !== own.length) {
      throw new Error(`step: the input '${name}' of '${parameter}' has ${own.length} elements, not ${array.length}`)
    }
  }

  private checkNumbersOf(program: Program, given: ReadonlyMap<string, number>): void {
    for (const name of program.leaves.numbers) {
      if (given.has(name)) continue
      const input = this.needs[name]
      throw new Error(
        `step ${this.conductor.steps + 1}: ${this.titleOf(name)} needs ${input?.description ?? lossInput.description}: pass ` +
          `step({ inputs: { ${input ? name : 'loss'}: ... } }), or use minimize(evaluate)`,
      )
    }
  }

  private declared(): Record<string, Input> {
    const result: Record<string, Input> = {}
    for (const owner of this.owners) Object.assign(result, owner.inputs)
    const { trained } = this.conductor
    const wants = trained.flatMap(({ traced }) => traced!.evaluations.flatMap((evaluation) => evaluation.wants))
    return wants.includes('loss') ? { loss: lossInput, ...result } : result
  }

  private get owners() {
    const { hyper } = this.conductor.model
    return [...hyper.groups.values()].flat().map((path) => hyper.owner(path))
  }

  /** What declares an input, or else wants the losses of its evaluations. */
  private titleOf(input: string): string {
    const owner = this.owners.find((candidate) => Object.hasOwn(candidate.inputs, input))
    return owner?.title ?? this.evaluatingTitle()
  }
}

/** @internal the inputs of an optimizer that takes some, for `start` */
export const declaredInputs = (conductor: Conductor) => new DeclaredInputs(conductor)
