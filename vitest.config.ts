import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const conditions = ['@fallline/source', 'node']

/** What counts memory or arrays of another library, or shows it a device: nobody else may have used that library before. */
const alone = [
  'packages/jax/test/{page,transformation,webgpu}.test.ts',
  'packages/race/test/tasks/jax.test.ts',
  'packages/tfjs/test/{layers,lifetime,optimizer,quantized,webgpu}.test.ts',
]

/** The longest files, first of their projects, so that the workers end together. */
const longest = [
  'core/test/generic/backends',
  'core/test/documentation',
  'core/test/golden',
  'core/test/generic/adversarial',
  'core/test/generic/errors',
  'core/test/generic/groups',
  'jax/test/registry',
  'race/test/command',
  'race/test/choose/command',
  'race/test/choose/choose',
  'race/test/race',
  'tfjs/test/agreement',
]

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification) => {
      const place = longest.findIndex((name) => moduleId.endsWith(`packages/${name}.test.ts`))
      return place < 0 ? longest.length : place
    }
    const sorted = await super.sort(files)
    const projects = [...new Set(sorted.map(({ project }) => project))]
    return projects.flatMap((project) =>
      sorted.filter((file) => file.project === project).sort((a, b) => placeOf(a) - placeOf(b)),
    )
  }
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // By default one core is left idle, which on two cores doubles the time.
    maxWorkers: '100%',
    testTimeout: 120_000,
    hookTimeout: 120_000,
    sequence: { sequencer: LongestFirst },
    projects: [
      { extends: true, test: { name: 'alone', include: alone } },
      // The others leave nothing to each other, so what they test is loaded once per worker, other libraries apart.
      ...[
        { name: 'core', include: ['packages/core/test/**/*.test.ts'] },
        { name: 'jax', include: ['packages/jax/test/**/*.test.ts'] },
        { name: 'race', include: ['packages/{race,search,solvers}/test/**/*.test.ts', 'benchmarks/test/**/*.test.ts'] },
        { name: 'tfjs', include: ['packages/tfjs/test/**/*.test.ts'] },
      ].map((test) => ({ extends: true as const, test: { ...test, isolate: false, exclude: alone } })),
    ],
  },
})
