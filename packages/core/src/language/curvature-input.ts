/**
 * What an input of curvature is made of, element by element: a probe z of random signs, the product H z of the Hessian with it, or
 * z ⊙ H z, whose mean is the diagonal of the Hessian (Hutchinson 1989).
 */
export type CurvatureInput = 'probe' | 'product' | 'diagonal'

/** What an input is by its name; `undefined` for one that has nothing to do with the Hessian. */
export function curvatureInput(name: string): CurvatureInput | undefined {
  if (name === 'probe') return 'probe'
  if (name === 'hessianVectorProduct') return 'product'
  return /hessian/i.test(name) ? 'diagonal' : undefined
}
