import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { ItemEvidence } from '@countersign/contract/review'
import { OVERLAY_MOST, type OverlayBounds, readOverlay } from '../../policy/overlay-text.ts'
import { checkShape } from '../../policy/shape-check.ts'
import type { ItemFacts } from './facts.ts'

/**
 * Why a text can't be what an item is reduced to, as a sentence; undefined where it can. A reviewer writes it, so it may
 * only take: forbids about the item's agent (or those whom the rule is about) on its connection, without a word of holds
 * or approvals, and the validator has to find nothing, not even that it says nothing.
 * @param through the policies that give the item's access, as its evidence has them
 */
export function tighterProblem(
  text: string,
  { row }: Pick<ItemFacts, 'row'>,
  through: ItemEvidence['through'],
): string | undefined {
  if (text.trim() === '') return 'This policy is empty: write the forbid that is to be in force, or certify the item.'
  if (text.length > OVERLAY_MOST.characters)
    return `This policy is longer than ${OVERLAY_MOST.characters} characters: forbid what matters.`
  const unseen = UNSEEN.exec(text)
  if (unseen) {
    const code = unseen[0].codePointAt(0)!.toString(16)
    return `This policy has a character that nobody sees, which could make it look like another: write \\u{${code}} instead.`
  }
  const read = readOverlay(text, boundsOf(row, through))
  if (!read.ok) return sentence('This policy can’t be decided on', read.problems)
  const { problems, warnings } = checkShape(text)
  // Tables may have such names, and are named here as they are.
  const found = [...problems, ...warnings.filter(({ message }) => !UNUSUAL_NAME.test(message))]
  return found.length === 0
    ? undefined
    : sentence(
        'This policy isn’t as it should be',
        found.map(({ line, message, mend }) => `line ${line}: ${message} (${mend})`),
      )
}

/** Whoever applies it reads it: nothing in it turns text around, or hides. */
const UNSEEN = /[^\p{L}\p{M}\p{N}\p{P}\p{S} \t\r\n]/u

/** What Cedar's validator says of names in other scripts than ASCII's. */
const UNUSUAL_NAME = /General Security Profile|mixed scripts|BIDI|confusable/i

function boundsOf(row: ItemFacts['row'], through: ItemEvidence['through']): OverlayBounds {
  if (row.kind === 'access') return { agent: row.agent, connection: row.connection }
  const rule = through.filter(({ policy }) => policy === row.name)
  const principals = rule.flatMap(({ text }) => {
    const parsed = cedar.policyToJson(text)
    return parsed.type === 'failure' ? [] : [parsed.json.principal]
  })
  return { connection: row.connection, principals }
}

function sentence(what: string, problems: readonly string[]): string {
  const more = problems.length > 3 ? `; and ${problems.length - 3} more` : ''
  return `${what}: ${problems.slice(0, 3).join('; ')}${more}.`
}
