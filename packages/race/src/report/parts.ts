import { Html, type HtmlValue, html } from './html.ts'
import { style } from './style.ts'

/** A column of a table: heading, and whether it holds words rather than numbers. */
export type Column = string | { heading: string; words: true }

/** A table whose rows become cards on a phone. */
export function table(columns: readonly Column[], rows: readonly (readonly HtmlValue[])[], caption?: string): Html {
  const heading = (column: Column) => (typeof column === 'string' ? column : column.heading)
  const kind = (column: Column | undefined) => (typeof column === 'object' ? 'text' : 'number')
  return html`<div class="scroll"><table class="cards">${caption ? html`<caption>${caption}</caption>` : null}
<thead><tr>${columns.map((column) => html`<th scope="col" class="${kind(column)}">${heading(column)}</th>`)}</tr></thead>
<tbody>${rows.map(
    (row) =>
      html`<tr>${row.map((cell, index) =>
        index === 0
          ? html`<th scope="row">${cell}</th>`
          : html`<td class="${kind(columns[index])}" data-label="${heading(columns[index]!)}"><span>${cell}</span></td>`,
      )}</tr>
`,
  )}</tbody></table></div>`
}

/** A list of terms with what they mean here. */
export function definitions(entries: readonly (readonly [string, HtmlValue])[]): Html {
  return html`<dl>${entries.map(([term, value]) => html`<dt>${term}</dt><dd>${value}</dd>`)}</dl>`
}

/** What a page says. */
export interface PageParts {
  readonly title: string
  /** What the style sheet of all reports lacks. */
  readonly style?: string
  readonly header: Html
  /** What is seen first. */
  readonly first: Html
  readonly sections: readonly Html[]
}

/** What of a page is below its header. */
export function contentOf({ first, sections }: Pick<PageParts, 'first' | 'sections'>): Html {
  return html`${first}
${sections.map(
  (section) => html`<section>${section}</section>
`,
)}`
}

/** A report: one HTML file that needs no network and no script. */
export function page({ title, style: own = '', header, ...content }: PageParts): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${new Html(style)}${new Html(own)}</style>
</head>
<body>
<header>
${header}
</header>
<main>
${contentOf(content)}</main>
</body>
</html>
`.text
}
