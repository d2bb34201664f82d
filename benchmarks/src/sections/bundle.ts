import { build, type Plugin } from 'esbuild'

/** A bundle and where its bytes come from. */
export interface Bundle {
  code: Uint8Array
  /** Bytes of the result by source file. */
  sources: Record<string, number>
}

/** Gives a module of this name its text. */
function moduleNamed(name: string, contents: string): Plugin {
  return {
    name,
    setup({ onResolve, onLoad }) {
      onResolve({ filter: new RegExp(`^${name}$`) }, ({ path }) => ({ path, namespace: name }))
      onLoad({ filter: /.*/, namespace: name }, () => ({ contents, resolveDir: import.meta.dirname, loader: 'js' }))
    },
  }
}

/**
 * Bundles a module against the sources of this repository.
 *
 * @param source its text; relative imports are resolved from this folder
 * @param minify whether to make it small
 * @param built the text of the module `built`, where there is one
 */
export async function bundle(source: string, minify: boolean, built?: string): Promise<Bundle> {
  const result = await build({
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: 'ts', sourcefile: 'application.ts' },
    bundle: true,
    write: false,
    minify,
    metafile: true,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    external: ['node:*'],
    conditions: ['@fallline/source'],
    logLevel: 'silent',
    plugins: built === undefined ? [] : [moduleNamed('built', built)],
  })
  const output = Object.values(result.metafile.outputs)[0]!
  const sources = Object.entries(output.inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput] as const)
  return {
    code: result.outputFiles[0]!.contents,
    sources: Object.fromEntries(sources.filter(([, bytes]) => bytes > 0).sort((a, b) => b[1] - a[1])),
  }
}
