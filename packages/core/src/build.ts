/** `fallline/build`: optimizers made ready ahead of time. */
export { type BuildOptions, type BuiltModule, build } from './ahead/build.ts'
