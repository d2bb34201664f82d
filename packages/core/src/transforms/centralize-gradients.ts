import { defineTransform } from '../language/definition.ts'
import { centralized } from '../parts/centralized.ts'

/**
 * Gradient centralization: for parameters of two or more dimensions, subtracts from each output's gradient (by
 * the layout) its mean over the inputs. Vectors and scalars are left as they are. One more read of the gradient.
 *
 * Yong, Huang, Hua, Zhang 2020, Gradient Centralization, arXiv 2004.01461.
 */
export const centralizeGradients = defineTransform({
  name: 'centralizeGradients',
  title: 'Gradient centralization',
  paper: {
    title: 'Gradient Centralization: A New Optimization Technique for Deep Neural Networks',
    authors: 'Yong, Huang, Hua, Zhang',
    year: 2020,
    arxiv: '2004.01461',
  },
  hyper: {},
  gradient: ({ g, shape }) => ({ gradient: centralized(g, shape) }),
})
