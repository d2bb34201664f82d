/** Eigendecompositions by the host, while the device goes on. */

import { compile } from '../../compile.ts'
import { defineOptimizer } from '../../language/definition.ts'
import { eigen } from '../../language/factorizations.ts'
import { nonNegative, oneOf } from '../../language/hyperparameters.ts'
import { shaped, zeros } from '../../language/slots.ts'
import type { Program } from '../../program/program.ts'
import type { CompiledOptimizer } from '../../run/compiled-optimizer.ts'
import type { Delayed, Prepared } from './builder.ts'

/** Leaves its parameter as it is, and its eigenvalues and eigenvectors as state. */
const decomposition = defineOptimizer({
  name: 'eigendecomposition',
  title: 'eigendecomposition',
  paper: {
    title: 'The QR and QL algorithms for symmetric matrices',
    authors: 'Bowdler, Martin, Reinsch, Wilkinson',
    year: 1968,
  },
  hyper: { learningRate: nonNegative(1) },
  state: {
    values: shaped(({ shape: [batch, order] }) => [batch!, 1, order!]),
    vectors: zeros(),
  },
  decay: 'decoupled',
  search: { learningRate: oneOf(1) },
  rule: ({ p }) => ({ direction: p.times(0), state: { ...eigen(p) } }),
})

/** What is known of a matrix. */
interface Known {
  readonly dimensions: Delayed['dimensions']
  /** How often it has changed. */
  version: number
  /** Its values, and behind them its vectors; absent until the host has found them. */
  found: Float32Array | undefined
}

/** Decomposes the matrices that wait in the state of a device, each as soon as it has changed. */
export class Eigendecompositions {
  private readonly read: (tensor: number, key: string) => Promise<Float32Array>
  private readonly matrices: readonly ReadonlyMap<string, Known>[]
  private readonly solvers = new Map<string, Promise<CompiledOptimizer<'matrix'>>>()
  private readonly running = new Set<Promise<void>>()

  /**
   * @param read copies a matrix as it is when all that was submitted is done.
   * @param prepared all programs of each tensor.
   */
  constructor(
    read: (tensor: number, key: string) => Promise<Float32Array>,
    prepared: readonly ReadonlyMap<Program, Prepared>[],
  ) {
    this.read = read
    this.matrices = prepared.map((programs) => {
      const delayed = [...programs.values()].flatMap((program) => program.delayed)
      return new Map(delayed.map(({ key, dimensions }) => [key, { dimensions, version: 0, found: undefined }]))
    })
  }

  /** Takes note that something was written to a state, and decomposes it anew if it is such a matrix. */
  changed(tensor: number, key: string): void {
    const matrix = this.matrices[tensor]!.get(key)
    if (!matrix) return
    matrix.found = undefined
    const version = ++matrix.version
    // Where nothing is found the device decomposes; a lost one tells everybody else who waits for it.
    const run = this.decompose(matrix, this.read(tensor, key), version).catch(() => {})
    this.running.add(run)
    run.then(() => this.running.delete(run))
  }

  /** The eigenvalues of a matrix, and behind them its eigenvectors, if they have been found. */
  of(tensor: number, key: string): Float32Array | undefined {
    return this.matrices[tensor]!.get(key)?.found
  }

  /** Waits for those that are being found. */
  async settled(): Promise<void> {
    await Promise.all(this.running)
  }

  dispose(): void {
    for (const solver of this.solvers.values()) {
      solver.then(
        (optimizer) => optimizer.dispose(),
        () => {},
      )
    }
  }

  private async decompose(matrix: Known, reading: Promise<Float32Array>, version: number): Promise<void> {
    const [solver, values] = await Promise.all([this.solver(matrix.dimensions), reading])
    // Nobody will ask for one that has changed meanwhile.
    if (matrix.version !== version) return
    solver.parameters.matrix.set(values)
    solver.step()
    const { values: ascending, vectors } = solver.state('matrix') as Record<string, Float32Array>
    matrix.found = Float32Array.from([...ascending!, ...vectors!])
  }

  private solver(dimensions: Delayed['dimensions']): Promise<CompiledOptimizer<'matrix'>> {
    const key = dimensions.join()
    const known = this.solvers.get(key) ?? compile(decomposition(), { matrix: dimensions }, { nonFinite: 'allow' })
    this.solvers.set(key, known)
    return known
  }
}
