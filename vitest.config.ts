import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['@fallline/source', 'node', 'import', 'default'] },
  ssr: { resolve: { conditions: ['@fallline/source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'benchmarks/test/**/*.test.ts'],
    // By default one core is left idle, which on two cores doubles the time.
    maxWorkers: '100%',
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
})
