import type { Layout } from 'fallline'

/**
 * Which dimensions of a variable of TensorFlow.js are its outputs, by its name. Kernels are `[in, out]` and
 * `[height, width, in, out]`, so the last; of a `depthwise_kernel`, `[height, width, in, multiplier]`, the last two; of
 * `embeddings`, `[words, width]`, the first: each word has weights of its own. A recurrent kernel holds its gates side by side
 * and counts each as outputs. The kernel of a transposed convolution, `[height, width, out, in]`, is not told apart: its last
 * dimension counts as outputs, as its first does in PyTorch.
 */
export function layoutOf(name: string): Layout {
  if (/depthwise_kernel(_\d+)?$/.test(name)) return 'depthwise'
  return /embeddings(_\d+)?$/.test(name) ? 'outputFirst' : 'outputLast'
}
