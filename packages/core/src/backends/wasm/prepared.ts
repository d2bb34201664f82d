import type { Plan } from '../../plan/plan.ts'
import type { HostEvaluator } from '../../program/host.ts'
import type { StorageName } from '../../storage/storage.ts'
import type { KernelTable } from './generate.ts'

/** Elements per item of work. Fixed, because partial sums of reductions belong to items: so threads do not change results. */
export const chunkElements = 65536

/** One call of a kernel. */
export interface Item {
  readonly kernel: number
  readonly entry: number
  readonly first: number
  readonly last: number
  readonly chunk: number
}

/** A program made ready to run on one tensor. */
export interface Prepared {
  readonly plan: Plan
  readonly kernels: KernelTable
  readonly entry: number
  /** Addresses of host arguments and of scalars. */
  readonly hostArguments: number
  readonly scalars: number
  readonly evaluator: HostEvaluator
  readonly loopItems: readonly (readonly Item[])[]
  readonly routineItems: readonly (readonly Item[])[]
  readonly scalarOf: (target: string) => number | undefined
  /** Programs of one group have equal host arguments in equal environments. */
  readonly group: number
}

export interface TensorMemory {
  readonly parameter: number
  readonly gradient: number
  readonly average: number
  /** By name. */
  readonly inputs: ReadonlyMap<string, { readonly address: number; readonly size: number }>
  readonly arrays: ReadonlyMap<
    string,
    { readonly address: number; readonly size: number; readonly storage: StorageName }
  >
  readonly numbers: ReadonlyMap<string, number>
  readonly finiteEntry: number
  readonly flag: number
  readonly size: number
  /** The parameter and its state, with the entries of the kernel that settles them. */
  readonly settling: readonly { readonly entry: number; readonly size: number }[]
  /** The words that hold the address of the parameter, and of the gradient. */
  readonly pointers: Readonly<Record<ForeignArray, number[]>>
}

/** Where parameters and gradients lie when their memory belongs to someone else. */
export type ForeignArray = 'parameter' | 'gradient'

/** Where an instance keeps the lists of what its kernels do. */
export interface ListRegions {
  readonly items: number
  readonly rounds: number
  readonly counters: number
  readonly totals: number
  readonly finite: number
  readonly settling: number
}

/** Cuts so many elements or rows into parts. */
export function split(count: number, perPart: number): [number, number][] {
  const parts: [number, number][] = []
  for (let first = 0; first < count; first += perPart) parts.push([first, Math.min(first + perPart, count)])
  return parts
}
