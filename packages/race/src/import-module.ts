import { existsSync, statSync } from 'node:fs'
import { extname, isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'

/** How the names of TypeScript and JavaScript modules end. */
export const moduleExtensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']

/** Modules that people write for one purpose. */
export interface ModuleKind {
  /** What they are called in messages. */
  readonly what: string
  /** How the default export is written. */
  readonly example: string
  /** The error when one cannot be used. */
  readonly Failure: new (
    message: string,
    options?: ErrorOptions,
  ) => Error
}

/**
 * Imports a TypeScript or JavaScript module. Inside it, `@fallline/race`, `@fallline/search`, `@fallline/solvers`, `fallline` and `@jax-js/jax` are the
 * ones this package runs with, wherever the module lies.
 * @param given its path or file URL
 * @param directory what a relative path is relative to
 * @throws Failure when there is no such file, it is no module, or it cannot be imported
 */
export async function importModule(
  { what, Failure }: ModuleKind,
  given: string,
  directory: string,
): Promise<Record<string, unknown>> {
  const local = given.startsWith('file:') ? fileURLToPath(given) : given
  const path = isAbsolute(local) ? local : resolve(directory, local)
  if (!existsSync(path) || !statSync(path).isFile())
    throw new Failure(`${what} '${given}' is not a file (looked at ${path})`)
  if (!moduleExtensions.includes(extname(path).toLowerCase()))
    throw new Failure(`${what} '${given}' must end in one of ${moduleExtensions.join(', ')}`)
  const [race, core, search] = await Promise.all([
    import('@fallline/race'),
    import('fallline'),
    import('@fallline/search'),
  ])
  const jiti = createJiti(import.meta.url, {
    fsCache: false,
    interopDefault: false,
    virtualModules: { '@fallline/race': race, '@fallline/search': search, fallline: core },
    // Aliases rather than loaded modules, so that these are only loaded by modules that import them.
    alias: {
      '@jax-js/jax': fileURLToPath(import.meta.resolve('@jax-js/jax')),
      '@fallline/solvers': fileURLToPath(import.meta.resolve('@fallline/solvers')),
    },
  })
  try {
    return exportsOf(await jiti.import<Record<string, unknown>>(path))
  } catch (error) {
    throw new Failure(`${what} '${given}' could not be imported: ${messageOf(error)}`, { cause: error })
  }
}

/** The default export of a module; @throws Failure when it has none. */
export function defaultExport(
  module: Readonly<Record<string, unknown>>,
  { what, example, Failure }: ModuleKind,
  given: string,
): unknown {
  if (module.default !== undefined) return module.default
  const names = Object.keys(module)
  throw new Failure(
    `${what} '${given}' has no default export${names.length > 0 ? ` (it exports ${names.join(', ')})` : ''}; ` +
      `write \`export default ${example}\``,
  )
}

/** What an error says. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message.trim() : String(error)
}

/** CommonJS modules have their exports as the default export. */
function exportsOf(module: Record<string, unknown>): Record<string, unknown> {
  const { default: exported } = module
  return typeof exported === 'object' && exported !== null && 'default' in exported
    ? (exported as Record<string, unknown>)
    : module
}
