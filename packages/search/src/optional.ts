/**
 * Imports a package that only some need.
 *
 * @throws Error that says how to install it
 */
export async function optional<T>(name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new Error(`this needs the package ${name}: npm install ${name}`, { cause: error })
  }
}
