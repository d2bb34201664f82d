import type { Html } from '../report/html.ts'

/** A page that is shown while what it is about changes. */
export interface Source {
  readonly title: string
  readonly header: Html
  /** What stands below and is left alone when the rest changes. */
  readonly footer: Html | null
  /** Another one whenever the content would be another one. */
  version(): Promise<string>
  content(): Promise<Html>
  /** Everything that it is made of, as JSON; `null` for a page that is made of others. */
  readonly data: (() => Promise<string>) | null
}
