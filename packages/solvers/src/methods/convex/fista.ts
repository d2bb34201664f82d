import type { ConvexMethod } from '../../convex-problem.ts'
import { acceleratedGradient } from './accelerated-gradient.ts'

/**
 * FISTA: accelerated steps of which each ends in the proximal point of the second part g, for f + g with f smooth; within
 * 2 β |x₁ - x*|² / t² of the minimum (Bubeck's section 5.1). It is accelerated gradient descent without strong convexity, whose step takes
 * `prox` where the objective has one. The residual is the gradient mapping's, with the proximal step.
 */
export const fista: ConvexMethod = {
  name: 'fista',
  title: 'Fast iterative shrinkage-thresholding (FISTA)',
  paper:
    'A. Beck, M. Teboulle (2009), A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems; S. Bubeck (2015), arXiv 1405.4980, section 5.1',
  solve: (problem, start, settings) => acceleratedGradient.solve(problem, start, { ...settings, strongConvexity: 0 }),
}
