import type { Dimension, ParameterValue, Storage, StudyRecord } from '@fallline/search'
import { formatNumber } from '../report/format.ts'
import { type Html, html } from '../report/html.ts'
import { openKept } from '../studies/kept.ts'

/** What a page may do to a study. */
export const changes = ['enqueue', 'retry', 'note', 'stop', 'resume'] as const

export type Change = (typeof changes)[number]

/** Forms for all changes. `addressOf` says where one is sent to. */
export function studyForms({ space }: StudyRecord, addressOf: (change: Change) => string): Html {
  const form = (change: Change, button: string, fields: Html | null) =>
    html`<form method="post" action="${addressOf(change)}">${fields}<button>${button}</button></form>`
  const unchecked =
    space.constraints.length === 0
      ? null
      : html`<p class="soft">Constraints are not checked here: ${space.constraints.join(', ')}.</p>`
  return html`<section><h2>Change this study</h2>
<details><summary>Try parameters of your own</summary>
${unchecked}${form('enqueue', 'Enqueue', html`${space.dimensions.map((dimension, place) => field(dimension, place, space.dimensions))}`)}</details>
<details><summary>Try a trial once more</summary>
${form('retry', 'Enqueue again', html`<label>trial <input type="number" name="trial" min="0" step="1" required></label>`)}</details>
<details><summary>Write a note</summary>
${form('note', 'Note', html`<label>name <input name="name" required></label><label>text <input name="text" required></label>`)}</details>
<details><summary>Stop, or go on</summary>
<p class="soft">Workers finish the trials that they run and begin no other. After Go on they have to be started again.</p>
${form('stop', 'Stop', null)}${form('resume', 'Go on', null)}</details></section>`
}

function field({ name, domain, condition }: Dimension, place: number, dimensions: readonly Dimension[]): Html {
  const when = condition
    ? html` <span class="soft">if ${dimensions[condition.dimension]!.name} is ${String(condition.value)}</span>`
    : null
  const key = `parameter ${place}`
  if (domain.kind === 'choice') {
    const empty = condition ? html`<option value=""></option>` : null
    return html`<label>${name}${when} <select name="${key}">${empty}${domain.values.map((value, index) => html`<option value="${index}">${String(value)}</option>`)}</select></label>`
  }
  const range = html`<span class="soft">${formatNumber(domain.minimum)} to ${formatNumber(domain.maximum)}</span>`
  return html`<label>${name}${when} ${range} <input type="number" name="${key}" min="${domain.minimum}" max="${domain.maximum}" step="any"${condition ? null : html` required`}></label>`
}

/**
 * Does to a study what a form says.
 *
 * @throws RangeError for parameters that are none of its space, and for a trial that is not there
 */
export async function applyChange(
  storage: Storage,
  name: string,
  change: Change,
  fields: URLSearchParams,
): Promise<void> {
  const study = await openKept(storage, name)
  if (study === null) throw new RangeError(`there is no study '${name}'`)
  if (change === 'stop') await study.stop('on its page')
  else if (change === 'resume') await study.resume()
  else if (change === 'retry') await study.retry(numberIn(fields, 'trial'))
  else if (change === 'note') await study.annotate(fields.get('name') ?? '', fields.get('text') ?? '')
  else {
    const given = study.space.dimensions.flatMap((dimension, place): [string, ParameterValue][] => {
      const text = fields.get(`parameter ${place}`) ?? ''
      if (text === '') return []
      const { name: parameter, domain } = dimension
      const value = domain.kind === 'choice' ? domain.values[Number(text)] : Number(text)
      return [[parameter, value ?? text]]
    })
    await study.enqueue(Object.fromEntries(given))
  }
}

function numberIn(fields: URLSearchParams, name: string): number {
  const text = fields.get(name) ?? ''
  const value = Number(text)
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name} must be a whole number from 0 on, not '${text}'`)
  }
  return value
}
