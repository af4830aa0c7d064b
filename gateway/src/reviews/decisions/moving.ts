import { randomBytes } from 'node:crypto'
import type { PersonRef } from '@countersign/contract/identity'
import type { ItemMove } from '@countersign/contract/review'
import { sql } from 'kysely'
import type { Tx } from '../../approvals/transitions.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import { appendAudit } from '../../store/audit.ts'
import { appendFeed } from '../../store/feed.ts'
import { EVERY_REVIEWER, nameKey, readItem } from '../campaigns/items.ts'
import { refOf } from '../campaigns/rows.ts'
import { closedWords, putReviewers, sentence } from './deciding.ts'
import type { CampaignFacts, ItemFacts } from './facts.ts'
import { mayAct, type Standing } from './may-act.ts'
import { DecisionRefused } from './refused.ts'

export interface Moving {
  kind: ItemMove['kind']
  to: string
  reason: string
}

/**
 * Hands an item over to somebody else who can decide it. Reassigned it is theirs, and no longer one's own; delegated they
 * may decide it in one's place, as oneself still may. What one has from another isn't handed on.
 * @throws DecisionRefused
 */
export async function moveIn(
  tx: Tx,
  person: PersonPrincipal,
  { kind, to: named, reason }: Moving,
  {
    campaign,
    item,
    standingOf,
    at,
  }: {
    campaign: CampaignFacts
    item: ItemFacts
    /** What somebody's acting depends on, as the store says it. */
    standingOf: (person: PersonPrincipal) => Promise<Standing>
    at: Date
  },
): Promise<ItemMove> {
  const { row } = item
  const standing = await standingOf(person)
  const now = async () => ({ item: await readItem(tx, row.id, person) })
  if (campaign.row.state !== 'active') throw new DecisionRefused('conflict', closedWords(campaign), await now())
  if (row.verdict !== 'undecided')
    throw new DecisionRefused('conflict', `It has been decided already: ${row.verdict}.`, await now())
  const acting = mayAct(person, item, campaign, standing)
  if (!acting.ok) throw new DecisionRefused('forbidden', sentence(acting.because))
  if (acting.handedOver)
    throw new DecisionRefused(
      'forbidden',
      `You decide this in the place of ${acting.inPlaceOf?.name}: what was handed over isn’t handed on.`,
    )
  const target = await personOf(tx, named)
  const to = refOf(target)
  if (standing.key(target) === standing.key(person))
    throw new DecisionRefused('invalid', `${target.name} is you: name somebody else, or decide it.`)
  const there = item.reviewers.includes(EVERY_REVIEWER) || item.reviewers.includes(target.id)
  if (kind === 'delegate' && there)
    throw new DecisionRefused('conflict', `${target.name} may decide it already.`, await now())
  // As if it were theirs already: what would keep them from deciding keeps it from going to them.
  const theirs = mayAct(target, { ...item, reviewers: [target.id], moves: [] }, campaign, await standingOf(target))
  if (!theirs.ok)
    throw new DecisionRefused('invalid', `${target.name} can’t decide it: ${theirs.because}. Name somebody who can.`)

  const people = peopleAfter(item, kind, person.id, target.id)
  const known = [...(JSON.parse(row.reviewers) as PersonRef[]), to]
  const reviewers = people.flatMap((id) => {
    const one = known.find((each) => each.id === id)
    return one ? [refOf(one)] : []
  })
  const by = refOf(person)
  const move: ItemMove = {
    ...{ id: `im_${randomBytes(12).toString('hex')}`, item: row.id, kind, from: by, to, by, reason },
    ...{ at: at.toISOString(), stage: row.stage },
  }
  await tx
    .updateTable('campaign_items')
    .set({ revision: row.revision + 1, reviewers: JSON.stringify(reviewers) })
    .where('id', '=', row.id)
    .execute()
  await putReviewers(tx, row, people)
  await tx
    .insertInto('item_moves')
    .values({
      ...{ id: move.id, campaign: row.campaign, item: row.id, kind, reason, at: move.at, stage: row.stage },
      ...{ from_ref: JSON.stringify(by), to_ref: JSON.stringify(to), by: JSON.stringify(by) },
    })
    .execute()
  await appendAudit(
    tx,
    'item.moved',
    {
      ...{ campaign: row.campaign, item: row.id, move: move.id, kind, from: by.id, to, by, reason },
      ...{ stage: row.stage, reviewers: people, revision: row.revision + 1 },
    },
    at,
  )
  await appendFeed(tx, 'campaign.item', (await readItem(tx, row.id))!, at)
  return move
}

/** Reassigned it is no longer theirs who did it, nor of those who had it from them; of everybody's it becomes one's. */
function peopleAfter({ reviewers, moves }: ItemFacts, kind: ItemMove['kind'], from: string, to: string): string[] {
  if (kind === 'delegate') return [...new Set([...reviewers, to])]
  if (reviewers.includes(EVERY_REVIEWER)) return [to]
  const lent = (id: string) => {
    const last = moves.findLast((move) => move.to.id === id)
    return last?.kind === 'delegate' && last.from?.id === from
  }
  return [...new Set([...reviewers.filter((id) => id !== from && !lent(id)), to])]
}

/** Who is meant by an id, an e-mail address or a subject, as they last signed in. @throws DecisionRefused */
async function personOf(tx: Tx, named: string): Promise<PersonPrincipal> {
  const key = nameKey(named)
  const rows = await tx
    .selectFrom('people')
    .selectAll()
    .where((e) =>
      e.or([e('id', '=', named), e(sql`lower(trim(email))`, '=', key), e(sql`lower(trim(subject))`, '=', key)]),
    )
    .limit(20)
    .execute()
  const byId = rows.find(({ id }) => id === named)
  const found = byId ? [byId] : rows
  const [row] = found
  if (!row)
    throw new DecisionRefused(
      'invalid',
      'Nobody of that name has signed in here: let them sign in once, then name them by id or e-mail address.',
    )
  if (found.length > 1)
    throw new DecisionRefused('invalid', `Several people are called ${named}: name the one you mean by their id.`)
  if (row.left_at !== null) throw new DecisionRefused('invalid', `${row.name} has left: name somebody else.`)
  const { id, issuer, subject, name, email } = row
  return {
    kind: 'person',
    ...{ id, issuer, subject, name },
    groups: JSON.parse(row.groups) as string[],
    roles: JSON.parse(row.roles) as PersonPrincipal['roles'],
    ...(email !== null && { email }),
    expiresAt: new Date(row.last_seen_at),
  }
}
