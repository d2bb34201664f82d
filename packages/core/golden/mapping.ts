import { adamRelatives } from './mappings/adam-relatives.ts'
import { adaptiveAndLayerwise } from './mappings/adaptive-and-layerwise.ts'
import { classics } from './mappings/classics.ts'
import { curvatureAndEvaluations } from './mappings/curvature-and-evaluations.ts'
import { established } from './mappings/established.ts'
import { layerStatistics } from './mappings/layer-statistics.ts'
import { littleMemory } from './mappings/little-memory.ts'
import type { Mapping } from './mappings/mapping.ts'
import { optax } from './mappings/optax.ts'
import { preconditioners } from './mappings/preconditioners.ts'
import { psgd } from './mappings/psgd.ts'
import { secondHand } from './mappings/second-hand.ts'
import { stepSizes } from './mappings/step-sizes.ts'

/** How the trajectories of every reference are replayed, by the reference's name. */
export const mappings: Readonly<Record<string, Mapping>> = {
  ...adamRelatives,
  ...adaptiveAndLayerwise,
  ...curvatureAndEvaluations,
  ...established,
  ...layerStatistics,
  ...littleMemory,
  ...optax,
  ...preconditioners,
  ...psgd,
  ...secondHand,
  ...stepSizes,
  ...classics,
}
