import { hash } from 'node:crypto'

/** HTML that is finished: made by `html` only, so that what others wrote can't get into it but escaped. */
export class Markup {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

type Part = Markup | string | number | undefined | false | null | readonly Part[]

/** A piece of the page. Everything put into it is escaped, but pieces. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Markup {
  return new Markup(strings.reduce((all, text, i) => all + written(parts[i - 1]) + text))
}

function written(part: Part): string {
  if (part === undefined || part === null || part === false) return ''
  if (part instanceof Markup) return part.text
  if (Array.isArray(part)) return part.map(written).join('')
  return escaped(String(part))
}

/**
 * Text of others, for an element or a quoted attribute. Characters that can't be seen, or that change how their
 * neighbours are read (controls, format characters such as those that turn the direction, fillers), are shown by their
 * code points.
 */
export function escaped(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0&<>"']/gu,
    (one) => {
      return entities[one] ?? `\\u{${one.codePointAt(0)!.toString(16)}}`
    },
  )
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** A text of several lines as it is. */
export const lines = (text: string): Markup =>
  new Markup(
    `<pre>${text
      .replace(/\r\n/g, '\n')
      .split('\n')
      .map((line) => escaped(line.replaceAll('\t', '  ')))
      .join('\n')}</pre>`,
  )

/** An instant as it is read on paper: UTC, to the minute. */
export const when = (at: string | undefined): string => {
  const time = Date.parse(at ?? '')
  return Number.isNaN(time) ? (at ?? 'never') : `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`
}

export const count = (n: number, one: string, many = `${one}s`): string =>
  `${n.toLocaleString('en-US')} ${n === 1 ? one : many}`

/** Names and values; what has no value is left out. */
export const facts = (rows: readonly (readonly [string, Part])[]): Markup =>
  html`<dl>${rows
    .filter(([, value]) => value !== undefined && value !== '' && value !== false && value !== null)
    .map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`

export const table = (head: readonly string[], rows: readonly (readonly Part[])[]): Markup =>
  html`<table><thead><tr>${head.map((one) => html`<th scope="col">${one}</th>`)}</tr></thead><tbody>${rows.map(
    (row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`,
  )}</tbody></table>`

const style = `
:root { color-scheme: light }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 52rem; padding: 2.5rem 1.5rem; background: #fff; color: #1d1d1b;
  font: 10.5pt/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; unicode-bidi: isolate }
h1 { font-size: 20pt; line-height: 1.2; margin: 0 0 .25rem }
h2 { font-size: 14pt; margin: 2.25rem 0 .5rem; padding-top: .5rem; border-top: 1.5pt solid #1d1d1b }
h3 { font-size: 12pt; margin: 0 0 .25rem }
h4 { font-size: 10.5pt; margin: 1rem 0 .25rem }
p { margin: .4rem 0 }
.lead, .dim { color: #55544f }
.note { border-left: 3pt solid #e4e3de; padding: .1rem .75rem; color: #55544f }
.open { color: #a1271f; font-weight: 600 }
.good { color: #1a6a42; font-weight: 600 }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .15rem .75rem; margin: .5rem 0 }
dt { color: #55544f } dd { margin: 0 }
table { border-collapse: collapse; width: 100%; margin: .5rem 0; font-size: 9pt }
th, td { text-align: left; vertical-align: top; padding: .2rem .5rem .2rem 0; border-bottom: .5pt solid #d9d8d2 }
th { color: #55544f; font-weight: 600 }
thead { display: table-header-group } tr { break-inside: avoid }
pre, code { font: 8.5pt/1.45 ui-monospace, "SF Mono", Menlo, Consolas, monospace }
pre { white-space: pre-wrap; background: #f7f7f5; border: .5pt solid #e4e3de; padding: .4rem .6rem; margin: .4rem 0 }
section.item { margin-top: 1.75rem; padding-top: .75rem; border-top: .75pt solid #b9b8b1 }
h1, h2, h3, h4 { break-after: avoid } dl, .keep { break-inside: avoid }
@page { size: A4; margin: 18mm 16mm 20mm }
@page { @bottom-left { content: "Countersign · access review"; font: 8pt sans-serif; color: #6d6c66 }
  @bottom-right { content: counter(page) " / " counter(pages); font: 8pt sans-serif; color: #6d6c66 } }
@media print { body { padding: 0; max-width: none; font-size: 9.5pt } h2.page { break-before: page } }
`

/**
 * How the file begins. Nothing in it may run or be fetched: the policy allows this one style and nothing else.
 * @param title of the window
 */
export const pageHead = (title: string): Markup =>
  html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${hash('sha256', style, 'base64')}'; base-uri 'none'; form-action 'none'">
<meta name="referrer" content="no-referrer"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${new Markup(style)}</style></head><body>
`

export const pageEnd = '</body></html>\n'
