import type { ReductionKind } from '../../graph/node.ts'
import type { StageOrder } from '../../plan/schedule.ts'
import type { HostComputation } from '../../program/host.ts'
import type { StorageName } from '../../storage/storage.ts'
import type { LibraryIndices } from './kernels.ts'

/** Elements per item of work. Fixed, because partial sums of reductions belong to items: so threads do not change results. */
export const chunkElements = 65536

/** Calls of a kernel for parts of `count` elements, rows or matrices, `perItem` in each. */
export interface Items {
  readonly kernel: number
  readonly entry: number
  readonly count: number
  readonly perItem: number
  /** True where they read what others of their round make. */
  readonly waits?: true
}

/** One call of a kernel, of which it does not know what is not in its entry. */
export const oneItem = (kernel: number, entry: number): Items => ({ kernel, entry, count: 1, perItem: 1 })

/** How many calls of a kernel there are. */
export const itemCount = ({ count, perItem }: Items): number => (count > 0 ? Math.ceil(count / perItem) : 0)

/** A stage of a plan for one tensor. */
export interface PreparedStage extends StageOrder {
  readonly items: readonly Items[]
  /** Of totals over tensors: what is added up, and the address of this tensor's part. */
  readonly totals?: readonly { readonly key: string; readonly reduction: ReductionKind; readonly address: number }[]
  /** Of a shared commit: the numbers that it stores. */
  readonly keys?: readonly string[]
}

/** What a program made ready to run on one tensor is as plain data. */
export interface PreparedProgram {
  readonly entry: number
  readonly stages: readonly PreparedStage[]
  /** The address of the host arguments. */
  readonly hostArguments: number
  /** The addresses of what is computed for reporting. */
  readonly telemetry: Readonly<Record<string, number>>
}

/** A program made ready to run on one tensor. */
export interface Prepared extends PreparedProgram {
  readonly computation: HostComputation
  /** Programs of one group have equal host arguments in equal environments. */
  readonly group: number
}

/** Where an array of state lies. */
export interface SlotMemory {
  readonly address: number
  readonly size: number
  readonly storage: StorageName
}

export interface TensorMemory {
  readonly parameter: number
  readonly gradient: number
  readonly average: number
  /** By name. */
  readonly inputs: ReadonlyMap<string, { readonly address: number; readonly size: number }>
  readonly arrays: ReadonlyMap<string, SlotMemory>
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

/**
 * Where everything of an instance lies, and what its kernels are called with, before there is memory. Plain data but for its
 * maps.
 */
export interface LaidOut {
  /** The first address behind everything. */
  readonly end: number
  /** What memory holds at first, by runs of words that follow each other. */
  readonly words: readonly { readonly address: number; readonly values: readonly number[] }[]
  /** The addresses of the tables of storages other than float32. */
  readonly tables: ReadonlyMap<StorageName, number>
  readonly tensors: readonly TensorMemory[]
  readonly regions: ListRegions
  /** The addresses of the numbers that all tensors share, and of totals over them. */
  readonly shared: ReadonlyMap<string, number>
  readonly totals: ReadonlyMap<string, number>
  /** The address of the control block of threads. */
  readonly block: number
  readonly library: LibraryIndices
}
