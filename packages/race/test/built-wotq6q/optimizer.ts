// optimizer.ts
import { adamW, cosine } from 'fallline'

export default adamW({ learningRate: cosine({ from: 1e-3, to: 0, steps: 1000 }) })
