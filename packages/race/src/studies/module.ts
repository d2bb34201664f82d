import {
  openStudy,
  type Pruner,
  type Sampler,
  type Space,
  type Storage,
  type Study,
  type StudyOptions,
  samplers,
  type Trial,
} from '@fallline/search'
import { importModule, type ModuleKind } from '../import-module.ts'
import { TaskLoadError } from '../load-task.ts'

const studyModules: ModuleKind = {
  what: 'study module',
  example: "const network = space({ learningRate: float(1e-5, 1, { scale: 'log' }) })",
  Failure: TaskLoadError,
}

/** What a study module exports. */
export interface StudyModule {
  readonly space: Space
  readonly objective: (trial: Trial<never>) => ReturnType<Parameters<Study['optimize']>[0]>
  readonly objectives?: StudyOptions<unknown>['objectives']
  readonly resource?: StudyOptions<unknown>['resource']
  /** A sampler, or the name of one. Default: `tpe`. */
  readonly sampler?: Sampler | string
  readonly pruner?: Pruner
  readonly seed?: number
}

/**
 * Imports a study module: a TypeScript or JavaScript file that exports `space` and `objective`, and may export `objectives`, `resource`,
 * `sampler`, `pruner` and `seed`.
 *
 * @throws TaskLoadError for a file that is no such module
 */
export async function loadStudyModule(given: string, directory: string = process.cwd()): Promise<StudyModule> {
  const module = await importModule(studyModules, given, directory)
  const { space, objective, sampler } = module as Partial<StudyModule>
  if (typeof space?.point !== 'function') {
    throw new TaskLoadError(`study module '${given}' must export 'space', made by space({ ... }) of @fallline/search`)
  }
  if (typeof objective !== 'function') {
    throw new TaskLoadError(
      `study module '${given}' must export 'objective', a function of a trial that returns its value`,
    )
  }
  if (typeof sampler === 'string' && !(sampler in samplers)) {
    throw new TaskLoadError(
      `study module '${given}': there is no sampler '${sampler}': ${Object.keys(samplers).join(', ')}`,
    )
  }
  return module as unknown as StudyModule
}

/** Opens the study of a module; makes it when it is not there. */
export function openStudyOf(
  { space, objectives, resource, sampler, pruner, seed }: StudyModule,
  options: { readonly storage: Storage; readonly name: string; readonly worker?: string; readonly patience?: number },
): Promise<Study> {
  const named = typeof sampler === 'string' ? samplers[sampler as keyof typeof samplers]() : sampler
  return openStudy({
    space,
    ...options,
    ...(objectives && { objectives }),
    ...(resource && { resource }),
    ...(named && { sampler: named }),
    ...(pruner && { pruner }),
    ...(seed !== undefined && { seed }),
  })
}
