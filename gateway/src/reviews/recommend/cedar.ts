import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { schema } from '../../policy/schema.ts'

/** A string of Cedar, in quotes: whatever may not be seen for what it is, is written by its code point. */
export function quoted(text: string): string {
  return `"${escaped(text)}"`
}

/** The same of a pattern (`like`): what begins so, and ends so. */
export function pattern(begins: string, ends = ''): string {
  const literal = (text: string) => escaped(text).replaceAll('*', '\\*')
  return `"${literal(begins)}*${literal(ends)}"`
}

export const uid = (type: string, id: string): string => `${type}::${quoted(id)}`

/** Letters, marks, digits, punctuation and symbols are themselves, and the space; nothing else is (Cedar grammar, STR). */
function escaped(text: string): string {
  let written = ''
  for (const character of text.toWellFormed()) {
    if (character === '"' || character === '\\') written += `\\${character}`
    else if (character === ' ' || /^[\p{L}\p{N}\p{P}\p{S}]$/u.test(character)) written += character
    else written += `\\u{${character.codePointAt(0)!.toString(16)}}`
  }
  return written
}

/** Policies as Cedar's own formatter writes them. @throws Error where Cedar can't read them */
export function formatted(text: string): string {
  const answer = cedar.formatPolicies({ policyText: text, lineWidth: 100, indentWidth: 2 })
  if (answer.type === 'failure') throw new Error(`a generated policy can’t be read: ${answer.errors[0]?.message}`)
  return answer.formatted_policy
}

/** What the validator, strict, says against policies; nothing where they are good. */
export function faultsOf(text: string): string[] {
  const answer = cedar.validate({
    schema,
    policies: { staticPolicies: text },
    validationSettings: { mode: 'strict' },
  })
  if (answer.type === 'failure') return answer.errors.map(({ message }) => message)
  return answer.validationErrors.map(({ error }) => error.message)
}
