import { hash } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import type { PersonRef } from '@countersign/contract/identity'
import type { ApplicationState, ItemDecisionRequest, ItemEvidence, Verdict } from '@countersign/contract/review'
import type { z } from 'zod'
import type { Tx } from '../../approvals/transitions.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import { readItem } from '../campaigns/items.ts'
import { sayChanged } from '../campaigns/making.ts'
import { actorOf, campaignsOf, refOf } from '../campaigns/rows.ts'
import type { CampaignFacts, ItemFacts } from './facts.ts'
import { aboutBecause, mayAct, type Standing } from './may-act.ts'
import { DecisionRefused } from './refused.ts'
import { tighterProblem } from './tighter-policy.ts'

type Request = z.output<typeof ItemDecisionRequest>

/** What an overlay is to be, by a decision (policy/overlays.ts). */
export interface Proposal {
  kind: 'reduce' | 'revoke'
  title: string
  agent?: string
  connection: string
  policy: string
  campaign: string
  item: string
  decision: string
  by: PersonRef
  reason: string
}

/** What decisions ask of other rooms. */
export interface Neighbours {
  /** What is to be enforced comes before people who apply it; the item says how far that is. */
  propose(tx: Tx, proposal: Proposal, at: Date): Promise<unknown>
  /** Takes a proposal back that nobody has answered yet. */
  withdraw(tx: Tx, overlay: string, by: PersonRef, reason: string, at: Date): Promise<void>
  /** The forbid of all that an item is about; undefined where it can't be said in a policy. */
  revoking(item: ItemFacts['row'], evidence: ItemEvidence): string | undefined
  /** Who decides at a stage: the ids (`*` for every reviewer) and their names. */
  reviewersAt(tx: Tx, campaign: CampaignFacts, item: ItemFacts, stage: number): Promise<StageReviewers>
}
export interface StageReviewers {
  people: string[]
  reviewers: PersonRef[]
}

export interface Deciding {
  neighbours: Neighbours
  standing: Standing
  at: Date
  /** What is decided together bears the same, and is told of once. */
  bulk?: string
}

/** Where a decision can still be made otherwise: nothing of it is enforced; what was refused or taken back isn't. */
const open: ReadonlySet<ApplicationState | null> = new Set([null, 'pending', 'not-supported', 'failed'])

/** Said of a proposal. */
const WITHDRAWN = 'It was decided otherwise before anybody applied it.'

/** The same of it again is known by this. */
export function requestHash(item: string, person: string, request: Request): string {
  return hash('sha256', canonical({ item, person, ...request }))
}

/** Whether a decision of that id is there already, the same. @throws DecisionRefused where another one is */
export async function sameDecision(tx: Tx, id: string, request: string): Promise<boolean> {
  const before = await tx.selectFrom('item_decisions').select('request_sha256').where('id', '=', id).executeTakeFirst()
  if (!before) return false
  if (before.request_sha256 === request) return true
  throw new DecisionRefused('conflict', `Another decision was made as ${id} already: make this one under another id.`)
}

/** Why somebody can't decide an item as they ask, or in whose place they do. Reads nothing but what it is given. */
export function judge(
  person: PersonPrincipal,
  request: Pick<Request, 'verdict' | 'revision'>,
  campaign: CampaignFacts,
  item: ItemFacts,
  standing: Standing,
): { code: 'forbidden' | 'conflict'; because: string } | { code: 'ok'; inPlaceOf?: PersonRef } {
  const { row } = item
  const conflict = (because: string) => ({ code: 'conflict' as const, because })
  if (campaign.row.state !== 'active') return conflict(closedWords(campaign))
  if (row.how !== null && row.how !== 'reviewer') return conflict('It is closed: nobody decides it any more.')
  const about = aboutBecause(person, item, standing)
  if (about !== undefined) return { code: 'forbidden', because: sentence(about) }
  if (row.revision !== request.revision)
    return conflict('It has changed since you looked at it: look at it as it is now, and decide then.')
  const acting = mayAct(person, item, campaign, standing)
  if (!acting.ok) return { code: 'forbidden', because: sentence(acting.because) }
  if (row.verdict !== 'undecided' && row.verdict !== 'abstain') {
    const last = item.decisions.find(({ id }) => id === row.decision)
    if (!last?.by || standing.key(last.by) !== standing.key(person))
      return conflict(`${last?.by?.name ?? 'Somebody'} has decided it already: ${row.verdict}.`)
    if (item.enforced || !open.has(row.application))
      return conflict('What you have decided is being enforced already: have it rolled back first.')
  }
  return { code: 'ok', ...(acting.inPlaceOf && { inPlaceOf: acting.inPlaceOf }) }
}

/**
 * One decision on one item, in a transaction: at the last stage it is the item's verdict, and what is to be enforced is
 * proposed; before, the item goes on to the next stage, whatever was decided.
 * @param id made by who decides
 * @throws DecisionRefused
 */
export async function decideIn(
  tx: Tx,
  id: string,
  person: PersonPrincipal,
  request: Request,
  campaign: CampaignFacts,
  item: ItemFacts,
  deciding: Deciding,
): Promise<void> {
  const { neighbours, standing, at, bulk } = deciding
  const { row } = item
  const judged = judge(person, request, campaign, item, standing)
  if (judged.code !== 'ok') {
    const [now] = campaign.row.state === 'active' ? [] : await campaignsOf(tx, [campaign.row], () => undefined, person)
    throw new DecisionRefused(judged.code, judged.because, {
      item: await readItem(tx, row.id, person),
      campaign: now,
    })
  }
  const { verdict, reason } = request
  const evidence = await evidenceOf(tx, row.id)
  const policy = policyOf(request, item, evidence)
  const last = row.stage >= campaign.plan.stages.length - 1
  const by = refOf(person)
  const followed =
    verdict === item.recommendation.verdict && (verdict !== 'reduce' || policy === item.recommendation.policy)
  const made = requestHash(row.id, person.id, request)
  // First: what the ledger says of the item from then on is what is decided now.
  const withdrawn = last && row.overlay !== null && row.application === 'pending'
  if (withdrawn) await neighbours.withdraw(tx, row.overlay!, by, WITHDRAWN, at)
  const revision = (withdrawn ? await revisionOf(tx, row.id) : row.revision) + 1

  await tx
    .insertInto('item_decisions')
    .values({
      ...{ id, campaign: row.campaign, item: row.id, stage: row.stage, verdict, reason },
      policy: policy ?? null,
      person: person.id,
      by: JSON.stringify(by),
      in_place_of: judged.inPlaceOf ? JSON.stringify(judged.inPlaceOf) : null,
      at: at.toISOString(),
      made_at: request.madeAt ?? null,
      how: 'reviewer',
      bulk: bulk ?? null,
      seconds: request.seconds ?? null,
      evidence_opened: request.evidenceOpened ? JSON.stringify(request.evidenceOpened) : null,
      followed: followed ? 1 : 0,
      request_sha256: made,
    })
    .execute()
  await appendAudit(
    tx,
    'item.decided',
    {
      ...{ campaign: row.campaign, item: row.id, decision: id, stage: row.stage, verdict, reason },
      by: actorOf(by),
      how: 'reviewer',
      ...(bulk !== undefined && { bulk }),
      ...(policy !== undefined && { policy }),
      ...(request.madeAt !== undefined && { madeAt: request.madeAt }),
      evidence: row.evidence_sha256,
      ...{ revision, followed, request: made },
      ...(judged.inPlaceOf && { inPlaceOf: judged.inPlaceOf }),
      ...(request.seconds !== undefined && { seconds: request.seconds }),
      ...(request.evidenceOpened && { evidenceOpened: request.evidenceOpened }),
    },
    at,
  )
  if (last) await settle(tx, id, by, { verdict, reason, policy }, { item, evidence, revision, deciding })
  else await advance(tx, campaign, item, revision, deciding)
  await appendFeed(tx, 'campaign.item', (await readItem(tx, row.id))!, at)
  if (bulk === undefined) await sayChanged(tx, row.campaign, at)
}

/** The last stage has spoken: what is to be enforced is proposed. */
async function settle(
  tx: Tx,
  decision: string,
  by: PersonRef,
  { verdict, reason, policy }: { verdict: Verdict; reason: string; policy: string | undefined },
  {
    item: { row },
    evidence,
    revision,
    deciding,
  }: { item: ItemFacts; evidence: ItemEvidence; revision: number; deciding: Deciding },
): Promise<void> {
  const { neighbours, at } = deciding
  // First, so that a proposal finds the item as it is decided: from then on the item follows the overlay.
  await tx
    .updateTable('campaign_items')
    .set({
      ...{ verdict, how: 'reviewer' as const, decision, decided_at: at.toISOString() },
      ...{ application: null, overlay: null, revision },
    })
    .where('id', '=', row.id)
    .execute()
  if (verdict !== 'reduce' && verdict !== 'revoke') return
  const forbids = policy ?? neighbours.revoking(row, evidence)
  if (forbids === undefined) {
    await tx.updateTable('campaign_items').set({ application: 'not-supported' }).where('id', '=', row.id).execute()
    return
  }
  await neighbours.propose(
    tx,
    {
      kind: verdict,
      title: `${verdict === 'revoke' ? 'Revoke' : 'Reduce'} ${row.name} on ${row.connection}`,
      ...(row.agent !== '' && { agent: row.agent }),
      connection: row.connection,
      policy: forbids,
      ...{ campaign: row.campaign, item: row.id, decision, by, reason },
    },
    at,
  )
}

/** On to the next stage, with the people who are asked there. */
async function advance(
  tx: Tx,
  campaign: CampaignFacts,
  item: ItemFacts,
  revision: number,
  deciding: Deciding,
): Promise<void> {
  const stage = item.row.stage + 1
  const { people, reviewers } = await deciding.neighbours.reviewersAt(tx, campaign, item, stage)
  await tx
    .updateTable('campaign_items')
    .set({ stage, revision, reviewers: JSON.stringify(reviewers.map(refOf)) })
    .where('id', '=', item.row.id)
    .execute()
  await putReviewers(tx, item.row, people)
  const { id, campaign: of } = item.row
  await appendAudit(tx, 'item.staged', { campaign: of, item: id, stage, reviewers: people }, deciding.at)
}

/** Who may decide an item from now on. */
export async function putReviewers(
  tx: Tx,
  { id, campaign }: ItemFacts['row'],
  people: readonly string[],
): Promise<void> {
  await tx.deleteFrom('item_reviewers').where('item', '=', id).execute()
  for (const person of people) await tx.insertInto('item_reviewers').values({ item: id, person, campaign }).execute()
}

async function revisionOf(tx: Tx, item: string): Promise<number> {
  const of = tx.selectFrom('campaign_items').select('revision').where('id', '=', item)
  return (await of.executeTakeFirstOrThrow()).revision
}

async function evidenceOf(tx: Tx, item: string): Promise<ItemEvidence> {
  const { evidence } = await tx
    .selectFrom('campaign_items')
    .select('evidence')
    .where('id', '=', item)
    .executeTakeFirstOrThrow()
  return JSON.parse(evidence) as ItemEvidence
}

/** What a reduce comes to: the policy of who decides, or else the one that is recommended. @throws DecisionRefused */
function policyOf({ verdict, policy }: Request, item: ItemFacts, evidence: ItemEvidence): string | undefined {
  if (verdict !== 'reduce') {
    if (policy === undefined) return undefined
    throw new DecisionRefused('invalid', `Only a reduce has a policy: leave it out, or decide to reduce.`)
  }
  const { recommendation } = item
  const text = policy ?? (recommendation.verdict === 'revoke' ? undefined : recommendation.policy)
  if (text === undefined)
    throw new DecisionRefused('invalid', 'No smaller access is known here: say what is to be forbidden (policy).')
  const problem = tighterProblem(text, item, evidence.through)
  if (problem !== undefined) throw new DecisionRefused('invalid', problem)
  return text
}

export function closedWords({ row }: CampaignFacts): string {
  if (row.state === 'draft') return 'This campaign hasn’t begun: nothing is decided before it is started.'
  return `This campaign is closed${row.closed_because ? ` (${row.closed_because.replace(/\.$/, '')})` : ''}: nothing of it is decided any more.`
}

export function sentence(text: string): string {
  const whole = /[.!?]$/.test(text) ? text : `${text}.`
  return whole[0]!.toUpperCase() + whole.slice(1)
}
