import { type FunctionBuilder, kernelParameters } from '../assembler.ts'
import { Code, Rows, type Whole, type WholeVariable } from '../code.ts'

/** What a kernel of a matrix function finds in its entry, for one matrix of each batch. */
export interface Call {
  /** Operands and results, in float32. */
  readonly operands: readonly Rows[]
  readonly results: readonly Rows[]
  readonly workspace: Whole
  /** Rows and columns of each operand, and then of the result if the function is `sized`. */
  readonly rows: readonly WholeVariable[]
  readonly columns: readonly WholeVariable[]
}

/** Dimensions of an operand or a result, as the kernel counts them. */
export type Extent = (call: Pick<Call, 'rows' | 'columns'>) => readonly [rows: Whole | number, columns: Whole]

/**
 * The kernel of a matrix function that does one matrix of a batch after the other. Entry: operands, results, workspace, then rows and
 * columns of each operand, and of the result if it is `sized`.
 */
export function batched(
  name: string,
  operands: number,
  results: readonly Extent[],
  body: (code: Code, call: Call) => void,
  sized = false,
): FunctionBuilder {
  const code = new Code(name, kernelParameters)
  const [entry, first, last] = code.wholes() as [WholeVariable, WholeVariable, WholeVariable]
  let next = 0
  const word = () => code.whole(code.word(entry, next++))
  const addresses = Array.from({ length: operands }, word)
  const targets = results.map(word)
  const workspace = word()
  const rows: WholeVariable[] = []
  const columns: WholeVariable[] = []
  for (let shape = 0; shape < operands + (sized ? 1 : 0); shape++) {
    rows.push(word())
    columns.push(word())
  }
  // Where there is no element, there is nothing to find.
  const end = code.whole(0)
  code.if(rows[0]!.times(columns[0]!).isAbove(0), () => code.set(end, last))
  code.up(first, end, (batch) => {
    const matrix = (address: Whole, height: Whole | number, width: Whole) =>
      new Rows(code.whole(address.plus(batch.times(width.times(height).times(4)))), width, 4)
    body(code, {
      operands: addresses.map((address, index) => matrix(address, rows[index]!, columns[index]!)),
      results: targets.map((address, index) => {
        const [height, width] = results[index]!({ rows, columns })
        return matrix(address, height, width)
      }),
      workspace,
      rows,
      columns,
    })
  })
  return code.f
}
