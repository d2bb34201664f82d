import { defineConfig } from 'vitest/config'

const conditions = ['@fallline/source', 'node']
/** Counts what jax-js holds, so nobody else may have loaded it. */
const counting = 'packages/race/test/tasks/jax.test.ts'

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
        // Neither do the races, which have a project of their own so that others' libraries stay out of it.
        test: {
          name: 'race',
          isolate: false,
          include: ['packages/{race,search}/test/**/*.test.ts', 'benchmarks/test/**/*.test.ts'],
          exclude: [counting],
        },
      },
      {
        extends: true,
        // Other libraries do: backends that have been started, modules that must not be loaded yet.
        test: { name: 'others', include: ['packages/{jax,tfjs}/test/**/*.test.ts', counting] },
      },
    ],
  },
})
