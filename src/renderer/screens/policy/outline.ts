import type { PolicyText } from '@countersign/contract/policies'
import { type CedarToken, cedarString, lexCedar } from '../../parts/cedar-lexer.ts'

/** A policy as it stands in its file: for finding and showing; what it means is for Cedar to say. */
export interface OutlinedPolicy {
  /** As the gateway calls it: `@id`, FILE#N without one, overlay/ID#N of an overlay. */
  readonly id: string
  readonly file: string
  readonly effect: 'permit' | 'forbid'
  readonly annotations: ReadonlyMap<string, string>
  /** Of `@hold`. */
  readonly holds: readonly string[]
  readonly quorum: number
  readonly reason: string | undefined
  /** The overlay whose policy that is. */
  readonly overlay: string | undefined
  /** Its first and last line, from 1. */
  readonly from: number
  readonly to: number
  readonly text: string
  /** What it is about in brief: `Group::"shop-agents" · sql:read, sql:connect · Connection::"orders"`. */
  readonly scope: string
}

/** The overlay whose file that is. */
export const overlayOf = (file: string): string | undefined =>
  file.startsWith('overlay:') ? file.slice('overlay:'.length).replace(/\.cedar$/, '') : undefined

/** The folder’s own files, tests too: what a draft begins as. */
export function folderOf(inForce: {
  texts: readonly PolicyText[]
  tests?: readonly PolicyText[] | undefined
}): PolicyText[] {
  const own = inForce.texts.filter(({ file }) => overlayOf(file) === undefined)
  return [...own, ...(inForce.tests ?? []).filter(({ file }) => !own.some((one) => one.file === file))]
}

export const isTest = (file: string): boolean => file.endsWith('.test.yaml')

/** The policies of a file, in their order. Never throws: what has no end goes to the end of the file. */
export function outlineOf({ file, text }: PolicyText): OutlinedPolicy[] {
  if (isTest(file)) return []
  const found: OutlinedPolicy[] = []
  let line = 1
  let begun: { tokens: CedarToken[]; from: number } | undefined
  for (const token of lexCedar(text)) {
    const breaks = token.text.split('\n').length - 1
    if (!begun && token.kind !== 'space' && token.kind !== 'comment') begun = { tokens: [], from: line }
    begun?.tokens.push(token)
    line += breaks
    if (begun && token.kind === 'punctuation' && token.text === ';') {
      const policy = policyOf(file, found.length + 1, begun.tokens, begun.from, line)
      if (policy) found.push(policy)
      begun = undefined
    }
  }
  if (begun) {
    const policy = policyOf(file, found.length + 1, begun.tokens, begun.from, line)
    if (policy) found.push(policy)
  }
  return found
}

function policyOf(
  file: string,
  number: number,
  tokens: readonly CedarToken[],
  from: number,
  to: number,
): OutlinedPolicy | undefined {
  const said = tokens.filter(({ kind }) => kind !== 'space' && kind !== 'comment')
  const at = said.findIndex(({ kind }) => kind === 'effect')
  if (at < 0) return undefined
  const annotations = new Map<string, string>()
  for (let i = 0; i < at; i += 1) {
    if (said[i]!.kind !== 'annotation') continue
    const value = said[i + 1]?.text === '(' && said[i + 2]?.kind === 'string' ? cedarString(said[i + 2]!.text) : ''
    annotations.set(said[i]!.text.slice(1), value)
  }
  const overlay = overlayOf(file)
  const quorum = Number(annotations.get('quorum') ?? 1)
  return {
    id: overlay === undefined ? (annotations.get('id') ?? `${file}#${number}`) : `overlay/${overlay}#${number}`,
    file,
    effect: said[at]!.text as 'permit' | 'forbid',
    annotations,
    holds: (annotations.get('hold') ?? '')
      .split(',')
      .map((group) => group.trim())
      .filter(Boolean),
    quorum: Number.isSafeInteger(quorum) && quorum > 0 ? quorum : 1,
    reason: annotations.get('reason'),
    overlay,
    from,
    to,
    text: tokens.map((token) => token.text).join(''),
    scope: scopeOf(said.slice(at + 1)),
  }
}

/** What stands between the parentheses of the head, without the words that are always there. */
function scopeOf(tokens: readonly CedarToken[]): string {
  const parts: string[] = ['']
  let depth = 0
  for (const { text, kind } of tokens) {
    if (text === ')' && --depth === 0) break
    if (text === '(' && depth++ === 0) continue
    if (text === '[') depth += 1
    if (text === ']') depth -= 1
    if (text === ',' && depth === 1) parts.push('')
    else if (depth > 0) parts[parts.length - 1] += kind === 'operator' && text === '==' ? ' ' : wordOf(text)
  }
  return parts
    .map((part) =>
      part
        .replace(/^(principal|action|resource)\s*/, '')
        .replaceAll(/Action::"([^"]*)"/g, '$1')
        .trim(),
    )
    .filter(Boolean)
    .join(' · ')
}

const wordOf = (text: string) => (text === 'in' || text === 'is' ? ` ${text} ` : text === ',' ? ', ' : text)

/** All policies, overlays after the folder's. */
export function outline(texts: readonly PolicyText[]): OutlinedPolicy[] {
  const all = texts.flatMap(outlineOf)
  return [...all.filter(({ overlay }) => overlay === undefined), ...all.filter(({ overlay }) => overlay !== undefined)]
}

/** Those that say every one of these words: in their id, file, annotations or text. */
export function fitting(policies: readonly OutlinedPolicy[], words: string): OutlinedPolicy[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
  if (wanted.length === 0) return [...policies]
  return policies.filter((policy) => {
    const text = `${policy.id} ${policy.file} ${policy.text}`.toLowerCase()
    return wanted.every((word) => text.includes(word))
  })
}
