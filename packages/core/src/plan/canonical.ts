import { identity, type Node } from '../graph/node.ts'
import { type HostProgram, hostProgram } from '../program/host.ts'
import type { Program, Target } from '../program/program.ts'
import type { Sizes } from './plan.ts'

/** A program with its nodes and sizes numbered in a fixed order, and a text that equal programs of any size share. */
export interface CanonicalProgram {
  readonly program: Program
  /** Device nodes and the host nodes they use directly, inputs first. */
  readonly nodes: readonly Node[]
  readonly sizes: Sizes
  readonly signature: string
}

/**
 * Numbers the nodes of a program. Two programs have the same signature when one plan serves both: they differ in sizes,
 * in the values of constants and in which hyperparameters enter, all of which are arguments.
 */
export function canonicalize(program: Program): CanonicalProgram {
  const nodes: Node[] = []
  const index = new Map<Node, number>()
  // 0 and 1 shape the plan: nothing to do, and nothing to repeat.
  const sizes = [0, 1]
  const texts: string[] = []
  const token = (size: number): number => {
    const known = sizes.indexOf(size)
    return known < 0 ? sizes.push(size) - 1 : known
  }
  const visit = (node: Node): number => {
    const known = index.get(node)
    if (known !== undefined) return known
    if (node.space !== 'host') node.inputs.forEach(visit)
    const position = nodes.length
    index.set(node, position)
    nodes.push(node)
    texts.push(node.space === 'host' ? `host:${node.mask}` : identity(node, node, (input) => index.get(input)!, token))
    return position
  }
  const shape = program.dimensions.map(token)
  for (const { target, node, storage = '', stream = [] } of program.outputs) {
    texts.push(`>${targetText(target)}:${storage}:${visit(node)}:${stream.map(visit)}`)
  }
  return { program, nodes, sizes, signature: `${shape}|${texts.join('|')}` }
}

function targetText(target: Target): string {
  if (target.kind === 'slot') return `slot:${target.key}:${target.shared}`
  return target.kind === 'telemetry' ? `telemetry:${target.name}` : target.kind
}

/** The computation of the numbers that the host supplies to a program's plan. */
export function argumentsOf({ nodes }: CanonicalProgram): HostProgram {
  return hostProgram(nodes.filter((node) => node.space === 'host'))
}
