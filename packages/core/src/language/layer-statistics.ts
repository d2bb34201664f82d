import { shapedInput } from './inputs.ts'

const activations =
  'a the inputs of the layer for one example, with a 1 at the end where the last weight of each output is its bias'
const gradients =
  "s the gradient of one example's own loss with respect to the outputs of the layer, before any activation"

/**
 * Statistics of a dense layer over the examples of a batch, as declared inputs, for a parameter of its weights: y = W a, with
 * outputs and inputs as the parameter's layout says. A layer's bias takes part as the last weight of each output, `[out, in + 1]`
 * with outputs first: then a ends in a 1. Statistics are means over examples, and s is the gradient of an example's own loss: where
 * the loss is a mean, that is the size of the batch times the gradient of the mean. So nothing depends on the size of the batch.
 *
 * - `activationMoment`, `[in, in]`, and `outputGradientMoment`, `[out, out]`: the means of a aᵀ and of s sᵀ;
 * - `activationSquares`, `[in]`, and `outputGradientSquares`, `[out]`: the diagonals of these, the means of a² and of s²;
 * - `activationMean`, `[in]`, and `outputGradientMean`, `[out]`: the means of a and of s.
 *
 * Where labels are drawn from the predictions of the model for s, these are statistics of the Fisher information; with the labels
 * of the data, of the empirical one.
 */
export const layerStatistics = {
  activationMoment: shapedInput(`the mean of a aᵀ over examples, ${activations}`, ({ inputs }) => [1, inputs, inputs]),
  activationSquares: shapedInput(`the mean of a² over examples, ${activations}`, ({ inputs }) => [1, 1, inputs]),
  activationMean: shapedInput(`the mean of a over examples, ${activations}`, ({ inputs }) => [1, 1, inputs]),
  outputGradientMoment: shapedInput(`the mean of s sᵀ over examples, ${gradients}`, ({ outputs }) => [
    1,
    outputs,
    outputs,
  ]),
  outputGradientSquares: shapedInput(`the mean of s² over examples, ${gradients}`, ({ outputs }) => [1, outputs, 1]),
  outputGradientMean: shapedInput(`the mean of s over examples, ${gradients}`, ({ outputs }) => [1, outputs, 1]),
} as const
