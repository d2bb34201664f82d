import type { Transporter } from '../../shipment.ts'
import { Entropic } from './entropic.ts'

/**
 * Sinkhorn's matrix scaling for entropic transport, in logarithms: rows and columns of exp(-C / ε) are scaled in turn until both have the
 * right sums. The error falls linearly, the more slowly the smaller ε is.
 */
export const sinkhorn: Transporter = {
  name: 'sinkhorn',
  title: 'Sinkhorn scaling in the log domain',
  paper: 'M. Cuturi (2013), Sinkhorn Distances: Lightspeed Computation of Optimal Transport, arXiv 1306.0895',
  *solve(shipment, { regularization, tolerance }) {
    const dual = new Entropic(shipment, regularization)
    for (;;) {
      dual.scaleRows()
      dual.scaleColumns()
      const { plan, residual } = dual.plan()
      yield { plan, residual, potentials: dual.potentials, stage: 'sinkhorn' }
      if (residual <= tolerance * dual.mass) return { kind: 'converged', test: 'residual' }
    }
  },
}
