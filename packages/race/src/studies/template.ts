import { readFileSync } from 'node:fs'

/** What starts workers on several machines, with its template. */
export const templates = { slurm: 'slurm.sh', kubernetes: 'kubernetes.yaml', ray: 'ray.py' } as const

/** What a template says of a study and its workers. */
export interface TemplateParts {
  readonly study: string
  readonly name: string
  readonly module: string
  readonly image: string
  readonly trials: number
  readonly workers: number
  readonly machines: number
}

const quotes = {
  slurm: (text: string) => `'${text.replaceAll("'", `'\\''`)}'`,
  // A text of JSON is one of YAML and of Python too.
  kubernetes: (text: string) => JSON.stringify(text),
  ray: (text: string) => JSON.stringify(text),
}

/** A script that starts workers, with its places filled. */
export function filledTemplate(kind: keyof typeof templates, parts: TemplateParts): string {
  const text = readFileSync(new URL(`../../templates/${templates[kind]}`, import.meta.url), 'utf8')
  return text.replace(/\{\{(\w+)\}\}/g, (_, name: keyof TemplateParts) => {
    const part = parts[name]
    return typeof part === 'number' ? `${part}` : quotes[kind](part)
  })
}
