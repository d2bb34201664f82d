import type { RunModel } from '../program/model.ts'

/** Why something that keeps state in float32 alone cannot run a model; `undefined` where it can. */
export function quantizedObstacle({ parameters }: Pick<RunModel, 'parameters'>, where: string): string | undefined {
  const found = parameters.find(({ traced }) => traced?.slots.some(({ storage }) => storage !== 'float32'))
  if (!found) return undefined
  return `${where} keeps all state in float32: leave out quantized(...), or take the step with compile of 'fallline'`
}
