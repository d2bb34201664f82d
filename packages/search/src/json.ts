/** What can be written to JSON and read back. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }
