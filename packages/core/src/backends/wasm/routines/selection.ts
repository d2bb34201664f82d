/** Places of the largest numbers of rows, and what stands at places. */

import { type FunctionBuilder, kernelParameters } from '../assembler.ts'
import { Code, exactly, Row, type Truth, type Whole, type WholeVariable } from '../code.ts'
import { batched } from './call.ts'

/** The places of the largest numbers of each row, by a heap whose root is the one that the next larger number takes the place of. */
export function largestPlaces(): FunctionBuilder {
  return batched(
    'largest_places',
    1,
    [({ rows, columns }) => [rows[1]!, columns[1]!]],
    (code, { operands, results, workspace, rows, columns }) => {
      const count = columns[1]!
      const size = code.real()
      /** What is not a number counts as infinite. */
      const sizeAt = (row: Row, place: Whole) => {
        code.set(size, row.at(place).abs())
        code.if(size.equals(size).not(), () => code.set(size, Number.POSITIVE_INFINITY))
        return size
      }
      const wordOf = (index: Whole) => workspace.plus(index.times(4))
      const placeAt = (index: Whole) => code.word(wordOf(index), 0)
      const [hole, child, place, other] = [code.whole(), code.whole(), code.whole(), code.whole()]
      const [own, childSize, otherSize] = [code.real(), code.real(), code.real()]
      const goesOn = code.whole()
      /** True where the first of two comes after the second in the result: it is smaller, or as large at a higher place. */
      const isAfter = (aSize: typeof own, a: Whole, bSize: typeof own, b: Whole): Truth =>
        aSize.isBelow(bSize).or(aSize.equals(bSize).and(a.isAbove(b)))
      /** Puts a place into the heap of so many places from the hole downwards: of two neighbours that which comes last goes up. */
      const sift = (row: Row, length: Whole) => {
        code.set(own, sizeAt(row, place))
        code.set(goesOn, 1)
        code.while(
          () => goesOn.isAbove(0),
          () => {
            code.set(goesOn, 0)
            code.set(child, hole.times(2).plus(1))
            code.if(child.isBelow(length), () => {
              code.set(childSize, sizeAt(row, placeAt(child)))
              code.if(child.plus(1).isBelow(length), () => {
                code.set(other, placeAt(child.plus(1)))
                code.set(otherSize, sizeAt(row, other))
                code.if(isAfter(otherSize, other, childSize, placeAt(child)), () => {
                  code.set(child, child.plus(1))
                  code.set(childSize, otherSize)
                })
              })
              code.if(isAfter(childSize, placeAt(child), own, place), () => {
                code.storeWord(wordOf(hole), placeAt(child))
                code.set(hole, child)
                code.set(goesOn, 1)
              })
            })
          },
        )
        code.storeWord(wordOf(hole), place)
      }
      const from = (index: Whole | number, of: WholeVariable) => {
        code.set(hole, index)
        code.set(place, of)
      }
      code.up(0, rows[0]!, (r) => {
        const row = new Row(code.whole(operands[0]!.row(r).address), 4)
        code.up(0, count, (index) => code.storeWord(wordOf(index), index))
        const kept = code.whole()
        code.down(0, count, (index) => {
          code.set(kept, placeAt(index))
          from(index, kept)
          sift(row, count)
        })
        code.up(count, columns[0]!, (candidate) => {
          code.set(own, sizeAt(row, candidate))
          code.set(childSize, sizeAt(row, placeAt(code.whole(0))))
          code.if(childSize.isBelow(own), () => {
            from(0, candidate)
            sift(row, count)
          })
        })
        // The root is the last of those that are left.
        code.down(0, count, (last) => {
          code.store(results[0]!.row(r), last, placeAt(code.whole(0)).real())
          code.set(kept, placeAt(last))
          code.if(last.isAbove(0), () => {
            from(0, kept)
            sift(row, last)
          })
        })
      })
    },
    true,
  )
}

/** Does something with the place at an index of a row of places, where a row of so many columns has it. */
function atPlace(code: Code, places: Row, index: Whole, columns: WholeVariable, then: (place: Whole) => void): void {
  const place = code.real(places.at(index))
  code.if(exactly(0).isAtMost(place).and(place.isBelow(columns.real())), () => then(place.whole()))
}

/** The elements of each row of the first operand at the places of the second. */
export function gather(): FunctionBuilder {
  return batched(
    'gather',
    2,
    [({ rows, columns }) => [rows[1]!, columns[1]!]],
    (code, { operands, results, rows, columns }) => {
      code.up(0, rows[0]!, (r) => {
        const [from, places, to] = [operands[0]!, operands[1]!, results[0]!].map(
          (matrix) => new Row(code.whole(matrix.row(r).address), 4),
        ) as [Row, Row, Row]
        code.up(0, columns[1]!, (index) => {
          code.store(to, index, 0)
          atPlace(code, places, index, columns[0]!, (place) => code.store(to, index, from.at(place)))
        })
      })
    },
  )
}

/** Rows of zeros with the elements of the first operand added at the places of the second. */
export function scatter(): FunctionBuilder {
  return batched(
    'scatter',
    2,
    [({ rows, columns }) => [rows[2]!, columns[2]!]],
    (code, { operands, results, rows, columns }) => {
      code.up(0, rows[0]!, (r) => {
        const [from, places, to] = [operands[0]!, operands[1]!, results[0]!].map(
          (matrix) => new Row(code.whole(matrix.row(r).address), 4),
        ) as [Row, Row, Row]
        code.clear(to, columns[2]!)
        code.up(0, columns[0]!, (index) => {
          atPlace(code, places, index, columns[2]!, (place) => code.store(to, place, to.at(place).plus(from.at(index))))
        })
      })
    },
    true,
  )
}

/** As many numbers as the result has, and zeros where there are fewer. Entry: operand, result, the sizes of both. */
export function resized(): FunctionBuilder {
  const code = new Code('resized', kernelParameters)
  const [entry] = code.wholes() as [WholeVariable]
  const [from, to, given, asked] = [0, 1, 2, 3].map((index) => code.whole(code.word(entry, index))) as WholeVariable[]
  const copied = code.whole(given!.minimum(asked!))
  code.copy(new Row(to!, 4), new Row(from!, 4), copied)
  code.clear(new Row(to!, 4).from(copied), asked!.minus(copied))
  return code.f
}
