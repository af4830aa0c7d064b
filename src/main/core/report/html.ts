import { visibleText } from '../../../visible.ts'

/** HTML that is safe to stand where it is put. Only `html` makes it. */
export interface Html {
  readonly html: string
}

type Value = Html | string | number | undefined | false | readonly Value[]

/**
 * A template whose values are escaped, with everything that hides made visible (the text of commands, names and reasons
 * comes from outside); what `html` made stays as it is. Lists are joined, undefined and false are nothing.
 */
export function html(parts: TemplateStringsArray, ...values: Value[]): Html {
  let all = parts[0]!
  for (const [i, value] of values.entries()) all += inserted(value) + parts[i + 1]!
  return { html: all }
}

function inserted(value: Value): string {
  if (value === undefined || value === false) return ''
  if (typeof value === 'string') return escaped(visibleText(value))
  if (typeof value === 'number') return String(value)
  return 'html' in value ? value.html : value.map(inserted).join('')
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`)
}
