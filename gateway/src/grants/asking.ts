import type { Grant } from '@countersign/contract/access'
import type { AgentRef } from '@countersign/contract/identity'
import { sql } from 'kysely'
import { findPendingAccess, openAccess } from '../approvals/access.ts'
import { ApprovalsFull } from '../approvals/approvals.ts'
import { newApprovalId } from '../approvals/rows.ts'
import type { ConnectionRef } from '../gate/command.ts'
import type { Policies, Requirement } from '../policy/policy.ts'
import { kindOf } from './actions.ts'
import { type Asked, checkKind } from './asked.ts'
import { type AskedAccess, digestOfAccess, textOf } from './card.ts'
import { type AccessDecision, decideAccess, requestEffect } from './deciding.ts'
import { GrantRefused, NOTHING_PERMITS } from './refused.ts'
import { newGrantRow, newId, readGrants } from './rows.ts'
import { type By, doerOf, ended, insertGrant, type Tx, theGateway } from './transitions.ts'

/** One grant that is asked for. A connection that there isn't looks like one that nothing permits. */
export interface Wanted {
  asked: Asked
  identity: AgentRef
  connection: ConnectionRef | undefined
  /** Of a step. */
  title?: string
}

export interface Wish {
  wanted: readonly Wanted[]
  by: By
  plan?: { title: string; purpose: string }
  extends?: { id: string; expiresAt: string }
}

/** How long people have to decide, and who is asked when they don't; how much may wait. */
export type AskingBounds = Parameters<typeof openAccess>[4] & { per_agent: number }

/** What became of a wish: `again` where it was asked for before, and people are still to decide. */
export type Answered =
  | { outcome: 'given' | 'held'; grants: Grant[]; plan?: string; again: boolean }
  | { outcome: 'denied'; grants: Grant[]; plan?: string; refused: GrantRefused }

/**
 * Decides what is asked for, as one, and writes down what it is then: active, requested, or denied.
 * @throws GrantRefused where it is asked for in a wrong way, or there are too many
 */
export async function ask(
  tx: Tx,
  wish: Wish,
  ground: { policies: Policies; bounds: AskingBounds; at: Date },
): Promise<Answered> {
  const { policies, bounds, at } = ground
  const { wanted } = wish
  const decisions = wanted.map(({ asked, identity, connection }) =>
    connection
      ? decideAccess(policies, { ...asked, identity, connection }, at)
      : absent(decideAccess(policies, { ...asked, identity, connection: standIn(asked) }, at)),
  )
  const no = decisions.findIndex(({ outcome }) => outcome === 'deny')
  if (no >= 0) return deny(tx, wish, no, decisions[no] as Extract<AccessDecision, { outcome: 'deny' }>, at)
  // Only now, since it tells of what kind a connection is.
  for (const { asked, connection } of wanted) checkKind(asked, connection!.kind)
  const access = accessOf(wish)
  const digest = digestOf(access)
  const pending = await findPendingAccess(tx, digest, at)
  if (pending !== undefined) {
    const rows = await tx.selectFrom('grants').selectAll().where('approval', '=', pending).orderBy('id').execute()
    const grants = await readGrants(tx, rows)
    const plan = grants[0]?.plan
    return { outcome: 'held', grants, ...(plan === undefined ? {} : { plan }), again: true }
  }
  await checkBound(tx, wish, bounds.per_agent)
  const held = decisions.filter((decision) => decision.outcome === 'hold')
  return held.length === 0
    ? give(tx, wish, decisions, at)
    : hold(tx, wish, access, digest, decisions, unionOf(held), bounds, at)
}

/** A connection that there isn't: what policy says to all of them it says to this one, or it could be told by that. */
function standIn({ connection, actions }: Asked): ConnectionRef {
  return { name: connection, kind: kindOf(actions), tags: [], mode: 'enforce' }
}

function absent(decision: AccessDecision): AccessDecision {
  if (decision.outcome === 'deny') return decision
  return { outcome: 'deny', policies: [], reason: 'no policy permits it', named: false }
}

async function deny(
  tx: Tx,
  wish: Wish,
  step: number,
  decision: Extract<AccessDecision, { outcome: 'deny' }>,
  at: Date,
): Promise<Answered> {
  const { wanted, by } = wish
  const { named, policies } = decision
  const { title } = wanted[step]!
  const where = wish.plan ? `step ${step + 1} (${title}): ` : ''
  const because = `${where}${decision.reason}`
  const plan = await insertPlan(tx, wish, undefined, at)
  const grants: Grant[] = []
  for (const [i, { asked, identity }] of wanted.entries()) {
    // Whoever was denied sees it, and must not see by it what there is.
    const row = {
      ...newGrantRow(newId('gr'), asked, { identity, tags: [], by: doerOf(by), at }),
      ...belonging(wish, plan, i),
      ...ended('denied', theGateway, because, at.toISOString()),
      policies: JSON.stringify(policies),
    }
    grants.push(await insertGrant(tx, row, by, at))
  }
  const ids = plan === undefined ? { grant: grants[0]!.id } : { plan }
  const refused = named
    ? new GrantRefused('denied', `Access is refused: ${because}`, ids)
    : new GrantRefused('not-permitted', wish.plan ? `${where}${NOTHING_PERMITS}` : NOTHING_PERMITS)
  return { outcome: 'denied', grants, ...(plan === undefined ? {} : { plan }), refused }
}

async function give(tx: Tx, wish: Wish, decisions: readonly AccessDecision[], at: Date): Promise<Answered> {
  const { wanted, by } = wish
  const plan = await insertPlan(tx, wish, undefined, at)
  const grants: Grant[] = []
  for (const [i, { asked, identity, connection }] of wanted.entries()) {
    const row = {
      ...newGrantRow(newId('gr'), asked, { identity, tags: connection!.tags, by: doerOf(by), at }),
      ...belonging(wish, plan, i),
      state: 'active' as const,
      policies: JSON.stringify(decisions[i]!.policies),
      active_from: at.toISOString(),
      expires_at: new Date(at.getTime() + asked.seconds * 1000).toISOString(),
    }
    grants.push(await insertGrant(tx, row, by, at))
  }
  return { outcome: 'given', grants, ...(plan === undefined ? {} : { plan }), again: false }
}

async function hold(
  tx: Tx,
  wish: Wish,
  access: AskedAccess,
  digest: string,
  decisions: readonly AccessDecision[],
  requirements: Requirement[],
  bounds: AskingBounds,
  at: Date,
): Promise<Answered> {
  const { wanted, by } = wish
  const approval = newApprovalId()
  const plan = await insertPlan(tx, wish, approval, at)
  const grants: Grant[] = []
  for (const [i, { asked, identity, connection }] of wanted.entries()) {
    const row = {
      ...newGrantRow(newId('gr'), asked, { identity, tags: connection!.tags, by: doerOf(by), at }),
      ...belonging(wish, plan, i),
      approval,
      policies: JSON.stringify(decisions[i]!.policies),
      expires_at: new Date(at.getTime() + bounds.expires).toISOString(),
    }
    grants.push(await insertGrant(tx, row, by, at))
  }
  const asker = by.kind === 'agent' ? refOf(by) : wanted[0]!.identity
  const others = uniqueBy(
    wanted.map(({ identity }) => identity).filter((one) => keyOf(one) !== keyOf(asker)),
    keyOf,
  )
  try {
    await openAccess(
      tx,
      approval,
      {
        identity: asker,
        connection: connectionOf(access),
        text: textOf(access),
        purpose: wish.plan?.purpose ?? wanted[0]!.asked.purpose,
        digest,
        effects: uniqueBy(
          access.grants.map(({ asked, connection }) => requestEffect({ ...asked, connection })),
          ({ resource }) => resource.id,
        ),
        requirements,
        access: {
          grants: grants.map(({ id }) => id),
          ...(plan === undefined ? {} : { plan }),
          ...(wish.plan ? { title: wish.plan.title } : {}),
          requestedBy: doerOf(by),
          seconds: Math.max(...wanted.map(({ asked }) => asked.seconds)),
          ...(others.length > 0 ? { agents: others } : {}),
        },
      },
      at,
      bounds,
    )
  } catch (error) {
    if (error instanceof ApprovalsFull) throw new GrantRefused('full', error.message)
    throw error
  }
  return { outcome: 'held', grants, ...(plan === undefined ? {} : { plan }), again: false }
}

/** What people must approve where several grants are decided as one: what any of them asks for, each policy once. */
export function unionOf(held: readonly Extract<AccessDecision, { outcome: 'hold' }>[]): Requirement[] {
  const all = held.flatMap(({ requirements }) => requirements)
  return uniqueBy(all, ({ policy }) => policy).sort((a, b) => (a.policy < b.policy ? -1 : 1))
}

async function insertPlan(tx: Tx, wish: Wish, approval: string | undefined, at: Date): Promise<string | undefined> {
  const { plan, by } = wish
  if (!plan) return undefined
  const id = newId('pl')
  const { title, purpose } = plan
  const requested_by = JSON.stringify(doerOf(by))
  await tx
    .insertInto('plans')
    .values({ id, title, purpose, requested_at: at.toISOString(), requested_by, approval: approval ?? null })
    .execute()
  return id
}

function belonging({ wanted, extends: prolonged }: Wish, plan: string | undefined, at: number) {
  const step = { number: at + 1, of: wanted.length, title: wanted[at]!.title ?? '' }
  return {
    ...(plan === undefined ? {} : { plan, step: JSON.stringify(step) }),
    ...(prolonged ? { extends: prolonged.id } : {}),
  }
}

/**
 * What other agents have planned for an agent doesn't take away what it may ask for itself, or they could bar it: with what
 * it has asked for, or people have, there is as much room again for theirs.
 * @throws GrantRefused `full`
 */
async function checkBound(tx: Tx, { wanted, by }: Wish, most: number): Promise<void> {
  for (const [agent, more] of Map.groupBy(wanted, ({ identity }) => identity.id)) {
    const theirs = by.kind === 'agent' && by.id !== agent
    const planned = sql<boolean>`requester != agent and json_extract(requested_by, '$.kind') = 'agent'`
    const { many } = await tx
      .selectFrom('grants')
      .select((e) => e.fn.countAll<number>().as('many'))
      .where('agent', '=', agent)
      .where('state', 'in', ['requested', 'active'])
      .where(theirs ? planned : sql<boolean>`not (${planned})`)
      .executeTakeFirstOrThrow()
    if (Number(many) + more.length <= most) continue
    throw new GrantRefused(
      'full',
      theirs
        ? `Agents have planned as much for another one as may be live or asked for (grants.per_agent, ${most}): give back what is not needed`
        : `This agent has ${many} grants that are live or asked for, and ${most} is as many as may be (grants.per_agent): give back what is not needed`,
    )
  }
}

function accessOf({ wanted, by, plan, extends: prolonged }: Wish): AskedAccess {
  const grants = wanted.map(({ connection, ...one }) => ({ ...one, connection: connection! }))
  return { grants, by: doerOf(by), ...(plan ? { plan } : {}), ...(prolonged ? { extends: prolonged } : {}) }
}

function digestOf(access: AskedAccess): string {
  try {
    return digestOfAccess(access)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new GrantRefused('invalid', 'There are characters in it that no text has')
  }
}

/** The connection that an approval names: of several, all their names. */
function connectionOf({ grants }: AskedAccess): ConnectionRef {
  const all = uniqueBy(
    grants.map(({ connection }) => connection),
    ({ name }) => name,
  )
  if (all.length === 1) return all[0]!
  const name = all.map((one) => one.name).join(', ')
  return { name, kind: 'several', tags: [...new Set(all.flatMap(({ tags }) => tags))], mode: 'enforce' }
}

function refOf(by: Extract<By, { kind: 'agent' }>): AgentRef {
  const { kind: _, ...ref } = by
  return ref
}

const keyOf = ({ id, onBehalfOf }: AgentRef) => JSON.stringify([id, onBehalfOf ?? ''])

function uniqueBy<T>(all: readonly T[], key: (one: T) => string): T[] {
  return [...new Map(all.map((one) => [key(one), one])).values()]
}
