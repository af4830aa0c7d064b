import type { AgentRef, PersonRef } from '@countersign/contract/identity'
import { dutiesIn } from '../../approvals/delegation-rows.ts'
import { ownBecause } from '../../approvals/own.ts'
import { type KnownBy, knownBy } from '../../approvals/same-person.ts'
import type { Tx } from '../../approvals/transitions.ts'
import type { Duty, PersonPrincipal } from '../../identity/principal.ts'
import type { AgentEntry } from '../../identity/registry/agent-entry.ts'
import { EVERY_REVIEWER } from '../campaigns/items.ts'
import type { CampaignFacts, ItemFacts } from './facts.ts'

/** A person as they are compared with those whom an item is about, and with those who have decided it. */
export type Somebody = PersonRef & { email?: string }

/** What acting on items depends on besides the items. */
export interface Standing {
  entry: (agent: string) => AgentEntry | undefined
  /** Whose duty is handed over to the person now. */
  duties: readonly Duty[]
  /** Tells sign-ins of one person by several issuers. */
  key: KnownBy
  /** Ids of people who have left. */
  gone: ReadonlySet<string>
}

/** Whether somebody acts on an item in their own right, or in whose place; or why they can't, in words. */
export type Acting = { ok: true; inPlaceOf?: PersonRef; handedOver: boolean } | { ok: false; because: string }

/** What acting on these items depends on, as the store says it. */
export async function standingFor(
  tx: Tx,
  person: PersonPrincipal,
  items: Iterable<ItemFacts>,
  of: {
    entry: Standing['entry']
    at: Date
  },
): Promise<Standing> {
  const ids = new Set([person.id])
  for (const { moves, decisions } of items) {
    for (const { from, to } of moves) for (const one of [from, to]) if (one) ids.add(one.id)
    for (const { by, inPlaceOf } of decisions) for (const one of [by, inPlaceOf]) if (one) ids.add(one.id)
  }
  const duties = await dutiesIn(tx, person.id, of.at)
  for (const { from } of duties) ids.add(from.id)
  const left = await tx
    .selectFrom('people')
    .select('id')
    .where('id', 'in', [...ids])
    .where('left_at', 'is not', null)
    .execute()
  return {
    entry: of.entry,
    duties,
    key: await knownBy(tx, ids),
    gone: new Set(left.map(({ id }) => id)),
  }
}

/**
 * Whether a person may act on an item as it is now, whatever its verdict: they have the role reviewer, it is not about
 * them, they are of those who are asked at its stage, or stand in for one of them, and have not decided it at an earlier
 * stage: each stage is another pair of eyes.
 */
export function mayAct(person: PersonPrincipal, item: ItemFacts, campaign: CampaignFacts, standing: Standing): Acting {
  const no = (because: string): Acting => ({ ok: false, because })
  if (!person.roles.includes('reviewer')) return no('only reviewers decide items of a campaign')
  if (standing.gone.has(person.id)) return no('you were marked as having left')
  const about = aboutBecause(person, item, standing)
  if (about !== undefined) return no(about)
  const before = decidedBefore(person, item, standing)
  if (before) return no(before)
  const { reviewers, moves } = item
  if (reviewers.includes(EVERY_REVIEWER)) return { ok: true, handedOver: false }
  if (reviewers.includes(person.id)) {
    const last = moves.findLast(({ to }) => to.id === person.id)
    if (last?.kind !== 'delegate' || !last.from) return { ok: true, handedOver: false }
    return inPlaceOf(last.from)
  }
  const asked = campaign.plan.stages[item.row.stage]?.reviewers ?? []
  const groups = asked.flatMap((rule) => (rule.kind === 'group' ? [rule.group] : []))
  const duty = standing.duties.find(
    ({ from, groups: handedOver }) => reviewers.includes(from.id) && groups.some((group) => handedOver.includes(group)),
  )
  return duty ? inPlaceOf(duty.from) : no(`you are not of those who may decide it now${namesOf(item)}`)

  /** Nobody does in another's place what that one couldn't. */
  function inPlaceOf(from: Somebody): Acting {
    if (standing.gone.has(from.id)) return no(`you would decide in the place of ${from.name}, who has left`)
    const because = aboutBecause(from, item, standing) ?? decidedBefore(from, item, standing)
    if (because !== undefined) return no(`you would decide in the place of ${from.name}, who can’t: ${because}`)
    const { id, issuer, subject, name } = from
    return { ok: true, inPlaceOf: { id, issuer, subject, name }, handedOver: true }
  }
}

/** Why an item is about a person themselves: they are its agent, or it comes on their behalf. */
export function aboutBecause(
  person: Somebody,
  { row }: Pick<ItemFacts, 'row'>,
  { entry }: Pick<Standing, 'entry'>,
): string | undefined {
  if (row.agent === '') return undefined
  const known = entry(row.agent)
  const cut = row.agent.indexOf('#')
  const identity: AgentRef = {
    id: row.agent,
    issuer: known?.issuer ?? row.agent.slice(0, Math.max(cut, 0)),
    subject: known?.subject ?? row.agent.slice(cut + 1),
    name: known?.identity?.name ?? row.name,
    groups: [],
    // Whoever answers for an agent is the right one to review it: only those it acts for are left out.
    chain: [...(known?.actsFor ?? [])],
  }
  const because = ownBecause(person, { identity }, () => [])
  return because === undefined ? undefined : `nobody reviews what is their own: ${wordsOf(because)}`
}

const wordsOf = (because: string) => because.replace('you are the agent that asks', 'you are the agent')

/** Those of these people who have decided an item at its stage or an earlier one: they aren't asked at the next. */
export async function earlierDeciders(
  tx: Tx,
  { row }: Pick<ItemFacts, 'row'>,
  people: readonly { id: string; email?: string | undefined }[],
): Promise<Set<string>> {
  const made = await tx
    .selectFrom('item_decisions')
    .select(['by', 'in_place_of'])
    .where('item', '=', row.id)
    .where('stage', '<=', row.stage)
    .execute()
  const before = made.flatMap(({ by, in_place_of }) =>
    [by, in_place_of].flatMap((one) => (one === null ? [] : [JSON.parse(one) as PersonRef])),
  )
  const key = await knownBy(
    tx,
    before.map(({ id }) => id),
  )
  const keys = new Set(before.map(key))
  const of = ({ id, email }: (typeof people)[number]) => key({ id, ...(email !== undefined && { email }) })
  return new Set(people.filter((person) => keys.has(of(person))).map(({ id }) => id))
}

function decidedBefore(person: Somebody, { row, decisions }: ItemFacts, { key }: Standing): string | undefined {
  const me = key(person)
  const before = decisions.find(
    ({ stage, by, inPlaceOf }) =>
      stage < row.stage && [by, inPlaceOf].some((one) => one !== undefined && key(one) === me),
  )
  if (!before) return undefined
  const by = before.by && key(before.by) === me ? '' : `${before.by?.name}, in the place of `
  return `it was decided by ${by}${person.name} at stage ${before.stage + 1} already: each stage is another person’s look at it`
}

function namesOf({ row }: ItemFacts): string {
  const names = (JSON.parse(row.reviewers) as PersonRef[]).map(({ name }) => name)
  if (names.length === 0) return ''
  return `: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ' and others are' : names.length > 1 ? ' are' : ' is'}`
}
