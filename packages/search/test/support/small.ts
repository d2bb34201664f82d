import { everything } from './everything.ts'

/** Options for the samplers that fit models, to few trials, which takes little time; the others do not know them. */
export const small: object = everything ? {} : { largest: 12, paths: 16 }
