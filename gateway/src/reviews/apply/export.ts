import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { canonical } from '@countersign/contract/canonical'
import { blankComments, splitPolicies } from '../../policy/cedar-text.ts'
import { overlayOf } from '../../policy/overlay-text.ts'
import type { Policies } from '../../policy/policy.ts'
import type { OverlayRow } from './rows.ts'

/** Whether the folder in force has every policy of an overlay: the same, whatever it is called and why it is there. */
export function isRedundant({ policy }: Pick<OverlayRow, 'policy'>, { texts }: Pick<Policies, 'texts'>): boolean {
  const folder = new Set(
    texts.filter(({ file }) => overlayOf(file) === undefined).flatMap(({ text }) => meaningsOf(text)),
  )
  const own = meaningsOf(policy)
  return own.length > 0 && own.every((meaning) => folder.has(meaning))
}

/** Policies of a text as Cedar parses them, without @id and @reason; one that holds is never like one that doesn't. */
function meaningsOf(text: string): string[] {
  return splitPolicies(blankComments(text)).flatMap((part) => {
    const parsed = cedar.policyToJson(part.text)
    if (parsed.type === 'failure') return []
    const { id: _, reason: __, ...annotations } = parsed.json.annotations ?? {}
    return [canonical({ ...parsed.json, annotations })]
  })
}
