/**
 * WebAssembly text as assignments, one line each instead of one per stack operation: `v13 = f32x4.mul(v11, v6)`. Loads
 * show their address, `v11 = v128.load[v9 + 16]`.
 */
export function listing(text: string): string[] {
  const stack: string[] = []
  const lines: string[] = []
  let depth = 0
  const pop = () => stack.pop() ?? '?'
  const emit = (line: string) => lines.push('  '.repeat(depth) + line)
  for (const line of text.split('\n').slice(1)) {
    const [operation = '', ...rest] = line.trim().replace(/\)$/, '').split(' ')
    const offset = rest.find((word) => word.startsWith('offset='))?.slice('offset='.length)
    const place = (address: string) => `[${address}${offset ? ` + ${offset}` : ''}]`
    if (operation === '') continue
    else if (operation === 'local.get') stack.push(`v${rest[0]}`)
    else if (operation === 'local.set') emit(`v${rest[0]} = ${pop()}`)
    else if (operation === 'local.tee') {
      emit(`v${rest[0]} = ${pop()}`)
      stack.push(`v${rest[0]}`)
    } else if (operation.endsWith('.const')) stack.push(rest.join(' '))
    else if (operation.includes('.load')) stack.push(`${operation}${place(pop())}`)
    else if (operation.includes('.store')) {
      const value = pop()
      emit(`${operation}${place(pop())} = ${value}`)
    } else if (operation === 'if') {
      emit(`if ${pop()}`)
      depth++
    } else if (operation === 'loop') {
      emit('loop')
      depth++
    } else if (operation === 'end') depth--
    else if (operation === 'br_if') emit(`repeat while ${pop()}`)
    else {
      const single = /splat|sqrt|abs|neg|demote|promote|eqz|not$|convert|any_true/.test(operation)
      const operands = single ? [pop()] : [pop(), pop()].reverse()
      stack.push(`${operation}(${operands.join(', ')})`)
    }
  }
  return lines
}

/** The body of the `index`-th loop of a listing, its indentation removed. */
export function loopBody(lines: readonly string[], index: number): string[] {
  const starts = lines.flatMap((line, at) => (line.trim() === 'loop' ? [at] : []))
  const start = starts[index]!
  const indent = lines[start]!.length - 'loop'.length + 2
  const body = lines.slice(start + 1)
  const end = body.findIndex((line) => line.length - line.trimStart().length < indent)
  return (end < 0 ? body : body.slice(0, end)).map((line) => line.slice(indent))
}
