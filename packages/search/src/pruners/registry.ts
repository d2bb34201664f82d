import type { Pruner } from './pruner.ts'

/** All pruners by name, each as it is made without options. */
export const pruners = {} satisfies Readonly<Record<string, () => Pruner>>
