import { defineConfig } from 'vitest/config'

const conditions = ['@fallline/source', 'node', 'import', 'default']

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // By default one core is left idle, which on two cores doubles the time.
    maxWorkers: '100%',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        // The library keeps nothing that one file could leave to the next, so it is loaded once per worker.
        test: { name: 'core', isolate: false, include: ['packages/core/test/**/*.test.ts'] },
      },
      {
        extends: true,
        // Other libraries do: backends that have been started, modules that must not be loaded yet.
        test: {
          name: 'others',
          include: ['packages/{jax,race,tfjs}/test/**/*.test.ts', 'benchmarks/test/**/*.test.ts'],
        },
      },
    ],
  },
})
