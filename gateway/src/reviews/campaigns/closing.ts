import { setImmediate as turn } from 'node:timers/promises'
import type { PersonRef } from '@countersign/contract/identity'
import type { CampaignPlan, ItemEvidence, Recommendation, Verdict } from '@countersign/contract/review'
import { type Selectable, sql, type Transaction } from 'kysely'
import { appendAudit } from '../../store/audit.ts'
import type { CampaignItemsTable } from '../../store/review-tables.ts'
import type { Store } from '../../store/store.ts'
import type { Tables } from '../../store/tables.ts'
import { newId } from './ids.ts'
import { countsOf, planOf } from './items.ts'
import { rowOf, sayChanged } from './making.ts'
import { CampaignRefused } from './refused.ts'
import { actorOf, type CampaignRow, refOf } from './rows.ts'

type Tx = Transaction<Tables>

/** What closing asks of the rooms that enforce decisions. */
export interface Enforcing {
  propose(
    tx: Tx,
    proposal: {
      kind: 'reduce' | 'revoke'
      title: string
      agent?: string
      connection: string
      policy: string
      campaign: string
      item: string
      decision: string
      reason: string
    },
    at: Date,
  ): Promise<{ id: string } | 'not-supported'>
  /** The forbid of all that an item is about; undefined where there can be none. */
  revoking(item: OpenItem, evidence: ItemEvidence): string | undefined
}

export interface Closing {
  /** By a person: what nobody has decided is skipped, and stays as it is. @throws CampaignRefused */
  close(campaign: string, by: PersonRef, reason: string): Promise<void>
  /** Those that are due now: what nobody has decided becomes what the campaign says. Answers how many were. */
  closeDue(): Promise<number>
  /** Once a person, when it is closed; the same again changes nothing. @throws CampaignRefused */
  signOff(campaign: string, by: PersonRef & { roles: readonly string[] }, statement: string): Promise<void>
}

const DUE = 'It was due.'
/** So many items are one transaction: each may be a policy that is checked, and others wait for the store. */
const AT_ONCE = 50

export function createClosing(options: { store: Store; enforcing: Enforcing; clock: () => number }): Closing {
  const { store, enforcing, clock } = options
  const { db } = store

  const close = async (id: string, by: PersonRef, reason: string) => {
    const isDue = await db.transaction().execute(async (tx) => {
      const at = new Date(clock())
      const row = await rowOf(tx, id)
      mustBeActive(row)
      // Whoever closes it a moment after it was due gets no other end than its plan says.
      if (row.due_at !== null && Date.parse(row.due_at) <= at.getTime()) return true
      const skipped = await openItems(tx, id)
      await tx
        .updateTable('campaign_items')
        .set({ how: 'skipped', decided_at: at.toISOString(), revision: sql`revision + 1` as never })
        .where('campaign', '=', id)
        .where('verdict', '=', 'undecided')
        .execute()
      await closed(tx, row, { by, reason, at, skipped: skipped.map((item) => item.id) })
      return false
    })
    if (isDue) await expire(id)
  }
  /** It was due: each open item becomes what its plan says, by nobody, and comes to be enforced as any decision. */
  const expire = async (id: string) => {
    for (let more = true; more; await turn())
      more = await db.transaction().execute(async (tx) => {
        const at = new Date(clock())
        const row = await rowOf(tx, id)
        if (row.state !== 'active') return false
        const open = await openItems(tx, id, AT_ONCE)
        for (const item of open) await settleByDefault(tx, item, planOf(row.plan).onExpiry, enforcing, at)
        if (open.length === AT_ONCE) return true
        await closed(tx, row, { by: undefined, reason: DUE, at })
        return false
      })
  }

  return {
    close,
    async closeDue() {
      const now = new Date(clock()).toISOString()
      const due = await db
        .selectFrom('campaigns')
        .select('id')
        .where('state', '=', 'active')
        .where('due_at', '<=', now)
        .orderBy('due_at')
        .execute()
      for (const { id } of due) await expire(id)
      return due.length
    },
    signOff: (id, by, statement) =>
      db.transaction().execute(async (tx) => {
        const at = new Date(clock())
        const row = await rowOf(tx, id)
        if (!by.roles.includes('reviewer') && row.owner !== by.id)
          throw new CampaignRefused('forbidden', 'A campaign is signed off by reviewers, or by whose it is.')
        if (row.state !== 'closed')
          throw new CampaignRefused('conflict', `This campaign is ${row.state}: it is signed off when it is closed.`)
        const before = await tx
          .selectFrom('campaign_sign_offs')
          .select('statement')
          .where('campaign', '=', id)
          .where('person', '=', by.id)
          .executeTakeFirst()
        if (before?.statement === statement) return
        if (before) throw new CampaignRefused('conflict', 'You have signed it off already, in other words.')
        await tx
          .insertInto('campaign_sign_offs')
          .values({ campaign: id, person: by.id, by: JSON.stringify(refOf(by)), statement, at: at.toISOString() })
          .execute()
        await appendAudit(tx, 'campaign.signed-off', { campaign: id, by: refOf(by), statement }, at)
        await sayChanged(tx, id, at)
      }),
  }
}

function mustBeActive({ state }: CampaignRow): void {
  if (state === 'draft') throw new CampaignRefused('conflict', 'This campaign has not begun: a draft is taken away.')
  if (state === 'closed') throw new CampaignRefused('conflict', 'This campaign is closed already.')
}

export type OpenItem = Pick<
  Selectable<CampaignItemsTable>,
  | ('id' | 'campaign' | 'kind' | 'agent' | 'name' | 'connection' | 'stage' | 'revision')
  | ('recommendation' | 'evidence_sha256')
>

/** Those that nobody has decided. */
function openItems(tx: Tx, campaign: string, most = Number.MAX_SAFE_INTEGER): Promise<OpenItem[]> {
  return tx
    .selectFrom('campaign_items')
    .select(['id', 'campaign', 'kind', 'agent', 'name', 'connection', 'stage', 'revision'])
    .select(['recommendation', 'evidence_sha256'])
    .where('campaign', '=', campaign)
    .where('verdict', '=', 'undecided')
    .orderBy('number')
    .limit(most)
    .execute()
}

async function settleByDefault(
  tx: Tx,
  item: OpenItem,
  onExpiry: CampaignPlan['onExpiry'],
  enforcing: Enforcing,
  at: Date,
): Promise<void> {
  const { id, campaign, stage, kind, agent, name, connection } = item
  const recommended = JSON.parse(item.recommendation) as Recommendation
  const { verdict, policy } = await defaultOf(tx, item, onExpiry, recommended, enforcing)
  const decision = newId('de')
  const reason = `Nobody decided it until the campaign was due: ${expiryWords[onExpiry]}.`
  const followed = verdict === recommended.verdict
  const revision = item.revision + 1
  await tx
    .insertInto('item_decisions')
    .values({
      ...{ id: decision, campaign, item: id, stage, verdict, reason },
      policy: verdict === 'reduce' ? (policy ?? null) : null,
      at: at.toISOString(),
      how: 'expired-default',
      followed: followed ? 1 : 0,
    })
    .execute()
  await appendAudit(
    tx,
    'item.decided',
    {
      ...{ campaign, item: id, decision, stage, verdict, reason, revision, followed },
      by: { kind: 'gateway' },
      how: 'expired-default',
      ...(verdict === 'reduce' && policy !== undefined && { policy }),
      evidence: item.evidence_sha256,
    },
    at,
  )
  await tx
    .updateTable('campaign_items')
    .set({ verdict, how: 'expired-default', decision, decided_at: at.toISOString(), revision })
    .where('id', '=', id)
    .execute()
  if (verdict !== 'reduce' && verdict !== 'revoke') return
  const proposal = {
    kind: verdict,
    title: `${verdict === 'revoke' ? 'Revoke' : 'Reduce'} ${name} on ${connection}`,
    ...(kind === 'access' && { agent }),
    ...{ connection, campaign, item: id, decision, reason },
  }
  const proposed = policy === undefined ? 'not-supported' : await enforcing.propose(tx, { ...proposal, policy }, at)
  await tx
    .updateTable('campaign_items')
    .set(
      proposed === 'not-supported'
        ? { application: 'not-supported', overlay: null }
        : { application: 'pending', overlay: proposed.id },
    )
    .where('id', '=', id)
    .execute()
}

/** What an open item becomes. A recommendation to reduce that says not to what is none to follow: it is revoked. */
async function defaultOf(
  tx: Tx,
  item: OpenItem,
  onExpiry: CampaignPlan['onExpiry'],
  recommended: Recommendation,
  enforcing: Enforcing,
): Promise<{ verdict: Verdict; policy?: string }> {
  if (onExpiry === 'keep') return { verdict: 'certify' }
  const verdict = onExpiry === 'revoke' ? 'revoke' : recommended.verdict
  if (verdict === 'certify' || verdict === 'abstain') return { verdict }
  if (verdict === 'reduce' && recommended.policy !== undefined) return { verdict, policy: recommended.policy }
  const { evidence } = await tx
    .selectFrom('campaign_items')
    .select('evidence')
    .where('id', '=', item.id)
    .executeTakeFirstOrThrow()
  const policy = enforcing.revoking(item, JSON.parse(evidence) as ItemEvidence)
  return { verdict: 'revoke', ...(policy !== undefined && { policy }) }
}

const expiryWords: Record<CampaignPlan['onExpiry'], string> = {
  keep: 'its access is kept',
  revoke: 'its access is revoked',
  recommendation: 'what is recommended is taken',
}

async function closed(
  tx: Tx,
  row: CampaignRow,
  how: { by: PersonRef | undefined; reason: string; at: Date; skipped?: string[] },
): Promise<void> {
  const { by, reason, at, skipped } = how
  await tx
    .updateTable('campaigns')
    .set({
      state: 'closed',
      closed_at: at.toISOString(),
      closed_by: by ? JSON.stringify(refOf(by)) : null,
      closed_because: reason,
    })
    .where('id', '=', row.id)
    .execute()
  const { applications: _, mine: __, ...counts } = (await countsOf(tx, [row.id])).get(row.id)!
  await appendAudit(
    tx,
    'campaign.closed',
    { campaign: row.id, by: actorOf(by), reason, counts, ...(skipped && { skipped }) },
    at,
  )
  await sayChanged(tx, row.id, at, 'campaign.closed')
}
