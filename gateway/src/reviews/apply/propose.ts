import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import type { PersonRef } from '@countersign/contract/identity'
import type { OverlayState } from '@countersign/contract/review'
import { blankComments, splitPolicies } from '../../policy/cedar-text.ts'
import { readOverlay } from '../../policy/overlay-text.ts'
import { overlayDigest } from '../../policy/overlays.ts'
import type { Policies } from '../../policy/policy.ts'
import { checkShape } from '../../policy/shape-check.ts'
import { actorOf, refOf } from '../campaigns/rows.ts'
import { newOverlayId, sayOverlay, type Tx } from './rows.ts'

/** What a decision of a review is to change of what is enforced. */
export interface Proposal {
  kind: 'reduce' | 'revoke'
  title: string
  /** Absent of a rule. */
  agent?: string | undefined
  connection: string
  /** Cedar: forbids about this agent, or those whom the rule gives access, on this connection. */
  policy: string
  campaign?: string | undefined
  item?: string | undefined
  decision?: string | undefined
  /** Whose decision it is; absent where the campaign was due. */
  by?: PersonRef | undefined
  reason: string
}

export type Proposed = { id: string; state: OverlayState } | 'not-supported'

/**
 * Why a text can't be an overlay, in sentences; empty where it can.
 * @param rule of one about a rule: id of its policy
 */
export function overlayProblems(
  { agent, connection, policy }: Pick<Proposal, 'agent' | 'connection' | 'policy'>,
  rule: string | undefined,
  policies: Pick<Policies, 'texts' | 'list'>,
): string[] {
  const principals = agent === undefined ? principalsOf(rule, policies) : undefined
  if (principals?.length === 0) return ['the rule that it is about is no policy in force any more']
  const read = readOverlay(policy, { agent, connection, ...(principals && { principals }) })
  if (!read.ok) return read.problems
  const { problems, warnings } = checkShape(policy)
  if (problems.length > 0) return problems.map(({ line, message }) => `line ${line}: ${message}`)
  // The validator only warns of what can never apply.
  return warnings.filter(({ message }) => /impossible/i.test(message)).map(({ message }) => message)
}

/** Writes an overlay down that is to be applied, in the transaction of its decision. Nothing of it is enforced yet. */
export async function propose(
  tx: Tx,
  proposal: Proposal,
  parts: { policies: () => Policies; at: Date; log: { warn(fields: object, text: string): void } },
): Promise<Proposed> {
  const { kind, title, agent, connection, policy, campaign, item, decision, by, reason } = proposal
  const { at } = parts
  const about =
    item === undefined
      ? undefined
      : await tx.selectFrom('campaign_items').select('name').where('id', '=', item).executeTakeFirst()
  const problems = overlayProblems(proposal, about?.name, parts.policies())
  if (problems.length > 0) {
    parts.log.warn({ item, decision, problems }, 'what was decided can’t be made an overlay: change the policy folder')
    if (item !== undefined)
      await tx.updateTable('campaign_items').set({ application: 'not-supported' }).where('id', '=', item).execute()
    return 'not-supported'
  }
  const { last } = await tx
    .selectFrom('overlays')
    .select((e) => e.fn.max('number').as('last'))
    .executeTakeFirstOrThrow()
  const id = newOverlayId()
  const number = Number(last ?? 0) + 1
  await tx
    .insertInto('overlays')
    .values({
      ...{ id, number, kind, title, connection, policy },
      state: 'proposed',
      agent: agent ?? '',
      campaign: campaign ?? null,
      item: item ?? null,
      decision: decision ?? null,
      digest: overlayDigest(policy),
      proposed_at: at.toISOString(),
      proposed_by: by ? JSON.stringify(refOf(by)) : null,
      proposed_because: reason,
    })
    .execute()
  await sayOverlay(tx, id, { type: 'overlay.proposed', by: actorOf(by), payload: { policy, title, reason }, at })
  return { id, state: 'proposed' }
}

/** Whom a policy in force is about, by its scope. */
function principalsOf(rule: string | undefined, policies: Pick<Policies, 'texts' | 'list'>) {
  const text = rule === undefined ? undefined : textOf(rule, policies)
  const parsed = text === undefined ? undefined : cedar.policyToJson(text)
  return parsed?.type === 'success' ? [parsed.json.principal] : []
}

/** A policy in force as it stands in its file. */
export function textOf(id: string, { texts, list }: Pick<Policies, 'texts' | 'list'>): string | undefined {
  const policy = list.find((one) => one.id === id)
  const file = texts.find((one) => one.file === policy?.file)
  if (!policy || !file) return undefined
  const place = list.filter((one) => one.file === policy.file).indexOf(policy)
  return splitPolicies(blankComments(file.text))[place]?.text
}
