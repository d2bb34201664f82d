import type { Optimizer } from 'fallline'
import {
  canonicalize,
  elementsOf,
  generateFunctions,
  planTogether,
  programsOfStep,
  rowsTogether,
  textOf,
  traceModel,
} from 'fallline/internal'

/** Vector instructions, and their like for single numbers, by what they keep busy. */
const kinds = {
  loads: /^(v128|f32)\.load$/,
  stores: /^(v128|f32)\.store$/,
  products: /^(f32x4|f64x2|f32)\.mul$/,
  sums: /^(f32x4|f64x2|f32|i32x4)\.(add|sub|pmin|pmax|min|max|abs|floor)$/,
  comparisons: /^((f32x4|f64x2|f32)\.(eq|ne|lt|le|gt|ge)|v128\.(and|or|xor|not|bitselect)|select)$/,
  roots: /^(f32x4|f32)\.sqrt$/,
  quotients: /^(f32x4|f64x2|f32)\.div$/,
} as const

type InstructionKind = keyof typeof kinds

/** How many operations of each kind the generated loops do for an element, all passes together. */
export type InstructionMix = Readonly<Record<InstructionKind, number>>

const names = Object.keys(kinds) as InstructionKind[]

const mixOf = (count: (name: InstructionKind) => number) =>
  Object.fromEntries(names.map((name) => [name, count(name)])) as Record<InstructionKind, number>

const countOf = (mix: InstructionMix): number => names.reduce((sum, name) => sum + mix[name], 0)

/** A turn is four vectors of four elements each, and moves on by as many bytes. */
const vectorsPerTurn = 4
const turnBytes = 64

/** The mix of the program that does most, for one parameter of that shape, counted in the code that is generated for it. */
export function instructionsOf(optimizer: Optimizer, shape: readonly number[], telemetry = false): InstructionMix {
  const { traced } = traceModel(optimizer, { weight: shape }, telemetry).parameters[0]!
  const programs = programsOfStep(traced!).map(canonicalize)
  const size = shape.reduce((product, length) => product * length, 1)
  const mixes = planTogether(programs).map((plan, index) => {
    const { functions, tables } = generateFunctions([plan])
    const passes = plan.loops.map((loop, place) => ({
      share: elementsOf(loop.extent, programs[index]!.sizes) / size,
      mix: mainLoop(textOf(functions[tables[0]!.loops[place]!]!), rowsTogether(loop)),
    }))
    return mixOf((name) => passes.reduce((sum, { share, mix }) => sum + share * mix[name], 0))
  })
  return mixes.reduce((a, b) => (countOf(b) > countOf(a) ? b : a))
}

/**
 * What the turns of a function do for an element; where it takes none, the innermost loop with most instructions. Where rows go
 * together, those turns come first, and others are for short rows and what is left over. Turns that read ahead drop what they read; the
 * same turns without that are beside them.
 */
function mainLoop(text: string, rows: number): InstructionMix {
  const turns = mixOf(() => 0)
  const vectors = rows * vectorsPerTurn
  let largest = mixOf(() => 0)
  const open: {
    loop: boolean
    innermost: boolean
    turn: boolean
    ahead: boolean
    mix: Record<InstructionKind, number>
  }[] = []
  for (const line of text.split('\n')) {
    const [instruction, immediate] = line.trim().replace(/\)+$/, '').split(' ') as [string, string?]
    if (instruction === 'loop') for (const outer of open) outer.innermost = false
    if (instruction === 'loop' || instruction === 'if') {
      open.push({ loop: instruction === 'loop', innermost: true, turn: false, ahead: false, mix: mixOf(() => 0) })
    } else if (instruction === 'end') {
      const { loop, innermost, turn, ahead, mix } = open.pop()!
      if (!loop || !innermost || ahead) continue
      if (turn && (rows === 1 || countOf(turns) === 0)) for (const name of names) turns[name] += mix[name] / vectors
      if (countOf(mix) > countOf(largest)) largest = mix
    } else {
      const name = names.find((kind) => kinds[kind].test(instruction))
      for (const block of open) {
        block.turn ||= instruction === 'i32.const' && Number(immediate) === turnBytes
        block.ahead ||= instruction === 'drop'
        if (name) block.mix[name]++
      }
    }
  }
  return countOf(turns) > 0 ? turns : largest
}

/** A mix in words. */
export function inWords(mix: InstructionMix): string {
  return names
    .filter((name) => mix[name] >= 0.05)
    .map((name) => `${Number(mix[name].toFixed(1))} ${mix[name] === 1 ? name.slice(0, -1) : name}`)
    .join(', ')
}
