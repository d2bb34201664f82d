import { type BuildOptions, build, type Metafile, type Plugin } from 'esbuild'

/** What an application loads at once, and where its bytes come from. */
export interface InitialLoad {
  /** The bytes of its files, one after the other. */
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

function settings(source: string, built: string | undefined): BuildOptions {
  return {
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: 'ts', sourcefile: 'application.ts' },
    bundle: true,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    external: ['node:*'],
    conditions: ['@fallline/source'],
    logLevel: 'silent',
    plugins: built === undefined ? [] : [moduleNamed('built', built)],
  }
}

/**
 * Bundles a module against the sources of this repository, all in one file.
 *
 * @param source its text; relative imports are resolved from this folder
 * @param built the text of the module `built`, where there is one
 */
export async function bundle(source: string, built?: string): Promise<Uint8Array> {
  const { outputFiles } = await build({ ...settings(source, built), write: false })
  return outputFiles[0]!.contents
}

/** The same as small files, without those that are loaded only when something needs them. */
export async function initialLoad(source: string, built?: string): Promise<InitialLoad> {
  const files = { minify: true, splitting: true, outdir: 'out', metafile: true, write: false } as const
  const { outputFiles, metafile } = await build({ ...settings(source, built), ...files })
  const { outputs } = metafile
  // The path of the application is relative to wherever this runs.
  const isEntry = ({ entryPoint }: Metafile['outputs'][string]) => entryPoint?.endsWith('application.ts')
  const loaded = new Set(Object.keys(outputs).filter((name) => isEntry(outputs[name]!)))
  if (loaded.size === 0) throw new Error('the application is not among the files that were bundled')
  for (const name of loaded) {
    for (const { path, kind } of outputs[name]!.imports) if (kind === 'import-statement') loaded.add(path)
  }
  const names = [...loaded]
  const sources = names.flatMap((name) =>
    Object.entries(outputs[name]!.inputs).map(([path, { bytesInOutput }]) => [path, bytesInOutput] as const),
  )
  const contents = outputFiles.filter(({ path }) => names.some((name) => path.endsWith(`/${name}`)))
  return {
    code: Buffer.concat(contents.map((file) => file.contents)),
    sources: Object.fromEntries(sources.filter(([, bytes]) => bytes > 0).sort((a, b) => b[1] - a[1])),
  }
}
