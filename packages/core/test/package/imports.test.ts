import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../../../../', import.meta.url))

interface Import {
  readonly to: string
  /** Gone when it is compiled. */
  readonly type: boolean
}

type Imports = ReadonlyMap<string, readonly Import[]>

/** What the files of a package import from each other, also when it is asked for later. */
function importsOf(name: string): Imports {
  const folder = join(root, name, 'src')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  return new Map(
    files.map((file) => {
      const path = join(folder, file)
      const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest)
      const found: Import[] = []
      const add = (specifier: ts.Node | undefined, type: boolean) => {
        if (specifier && ts.isStringLiteral(specifier) && specifier.text.startsWith('.'))
          found.push({ to: join(dirname(path), specifier.text), type })
      }
      const visit = (node: ts.Node): void => {
        if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, isType(node.importClause))
        if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly)
        if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword)
          add(node.arguments[0], false)
        if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true)
        node.forEachChild(visit)
      }
      visit(source)
      return [path, found]
    }),
  )
}

function isType(clause: ts.ImportClause | undefined): boolean {
  if (!clause) return false
  const { isTypeOnly, name, namedBindings } = clause
  const named = !name && namedBindings && ts.isNamedImports(namedBindings) ? namedBindings.elements : []
  return isTypeOnly || (named.length > 0 && named.every((element) => element.isTypeOnly))
}

/** Files that lead back to themselves, each group that hangs together (Tarjan 1972). */
function circles(imports: Imports, followed: (one: Import) => boolean): string[][] {
  const order = new Map<string, number>()
  const lowest = new Map<string, number>()
  const stack: string[] = []
  const found: string[][] = []
  const go = (file: string): void => {
    order.set(file, order.size)
    lowest.set(file, order.get(file)!)
    stack.push(file)
    for (const { to } of (imports.get(file) ?? []).filter(followed)) {
      if (!order.has(to)) go(to)
      if (stack.includes(to)) lowest.set(file, Math.min(lowest.get(file)!, lowest.get(to)!))
    }
    if (lowest.get(file) !== order.get(file)) return
    const group = stack.splice(stack.indexOf(file))
    if (group.length > 1 || imports.get(file)?.some(({ to }) => to === file)) found.push(group)
  }
  for (const file of imports.keys()) if (!order.has(file)) go(file)
  return found.map((group) => group.map((file) => relative(root, file).split(sep).join('/')).sort())
}

/** Backends know types of runs, and runs those of backends: interfaces of one room with two doors. */
const known = [
  'packages/core/src/backends/backend.ts',
  'packages/core/src/run/conductor.ts',
  'packages/core/src/run/step.ts',
  'packages/core/src/run/telemetry.ts',
  'packages/core/src/run/verdicts.ts',
]

describe.each([
  'packages/core',
  'packages/tfjs',
  'packages/jax',
  'packages/race',
  'packages/search',
  'packages/solvers',
  'benchmarks',
])('%s', (name) => {
  const imports = importsOf(name)

  it('has no files that import each other', () => {
    expect(imports.size).toBeGreaterThan(5)
    expect(circles(imports, ({ type }) => !type)).toEqual([])
  })

  it('has none that do so by their types, but for those that are known', () => {
    expect(circles(imports, () => true)).toEqual(name === 'packages/core' ? [known] : [])
  })
})

describe('the search for circles', () => {
  const file = (name: string) => join(root, name)
  const imports = (edges: readonly (readonly [string, string, boolean?])[]): Imports => {
    const names = [...new Set(edges.flatMap((edge) => edge.slice(0, 2) as string[]))]
    return new Map(
      names.map((name) => [
        file(name),
        edges.filter(([from]) => from === name).map(([, to, type = false]) => ({ to: file(to), type })),
      ]),
    )
  }

  it('finds those that there are', () => {
    const found = imports([
      ['a', 'b'],
      ['b', 'c'],
      ['c', 'a'],
      ['c', 'd'],
      ['d', 'e', true],
      ['e', 'd'],
      ['f', 'f'],
    ])
    expect(circles(found, ({ type }) => !type)).toEqual([['a', 'b', 'c'], ['f']])
    expect(circles(found, () => true)).toEqual([['d', 'e'], ['a', 'b', 'c'], ['f']])
  })
})
