import { existsSync, statSync } from 'node:fs'
import { extname, isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createJiti } from 'jiti'

/** How the names of TypeScript and JavaScript modules end. */
export const moduleExtensions = ['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs']

/**
 * The path of a module.
 * @param what what it is, for messages
 * @param given its path or file URL
 * @param directory what a relative path is relative to
 * @throws Error when there is no such file, or it is no module
 */
export function modulePath(what: string, given: string, directory: string): string {
  const local = given.startsWith('file:') ? fileURLToPath(given) : given
  const path = isAbsolute(local) ? local : resolve(directory, local)
  if (!existsSync(path) || !statSync(path).isFile())
    throw new Error(`${what} '${given}' is not a file (looked at ${path})`)
  if (!moduleExtensions.includes(extname(path).toLowerCase())) {
    throw new Error(`${what} '${given}' must end in one of ${moduleExtensions.join(', ')}`)
  }
  return path
}

/**
 * Imports a TypeScript or JavaScript module. Inside it, `@fallline/race`, `fallline` and `@jax-js/jax` are the ones this package
 * runs with, wherever the module lies.
 */
export async function importModule(path: string): Promise<Record<string, unknown>> {
  const [race, core] = await Promise.all([import('@fallline/race'), import('fallline')])
  const jiti = createJiti(import.meta.url, {
    fsCache: false,
    interopDefault: false,
    virtualModules: { '@fallline/race': race, fallline: core },
    // An alias rather than a loaded module, so that jax-js is only loaded by modules that import it.
    alias: { '@jax-js/jax': fileURLToPath(import.meta.resolve('@jax-js/jax')) },
  })
  return exportsOf(await jiti.import<Record<string, unknown>>(path))
}

/** CommonJS modules have their exports as the default export. */
function exportsOf(module: Record<string, unknown>): Record<string, unknown> {
  const { default: exported } = module
  return typeof exported === 'object' && exported !== null && 'default' in exported
    ? (exported as Record<string, unknown>)
    : module
}
