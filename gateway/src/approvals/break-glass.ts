import { randomBytes } from 'node:crypto'
import type { BreakGlass, BreakGlassReview } from '@countersign/contract/access'
import type { Approval } from '@countersign/contract/approval'
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import { type PersonPrincipal, personRef } from '../identity/principal.ts'
import type { BreakGlassTable } from '../store/access-tables.ts'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import type { Clock } from './clock.ts'
import { knownBy } from './same-person.ts'
import type { Tx } from './transitions.ts'

/** `approvals.break_glass` of the configuration. */
export interface BreakGlassRules {
  /** Whose people may. */
  groups: string[]
  /** How long access that was given so lasts at most (ms). */
  max: number
  /** So many uses may wait for being reviewed; then nobody may until one is. */
  unreviewed: number
}

/** A reason says something: so many characters at least. */
export const shortestReason = 10

/** Why a use was not reviewed. */
export class ReviewRefused extends Error {
  override name = 'ReviewRefused'
  readonly code: 'forbidden' | 'not-found' | 'conflict'
  constructor(code: ReviewRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

export interface BreakGlassRoom {
  /** Whether a person is of those who may, by their groups alone. */
  isOf(person: PersonPrincipal): boolean
  /** Whether so many uses wait for being reviewed that nobody may; from memory. */
  readonly full: boolean
  /** Newest first. */
  list(query: { limit: number; after?: string }): Promise<{ items: BreakGlass[]; next: string | null }>
  /** Another person says whether it was justified. The same again changes nothing. @throws ReviewRefused */
  review(id: string, by: PersonPrincipal, review: z.output<typeof BreakGlassReview>): Promise<BreakGlass>
  /** At start-up. */
  recover(): Promise<void>
  /** A use was written down in a transaction that is committed by now. */
  wasUsed(): Promise<void>
}

/** Deciding alone in an emergency: loud, bounded, and reviewed by somebody else afterwards. */
export function createBreakGlass(options: {
  store: Store
  clock: Clock
  rules: () => BreakGlassRules | undefined
}): BreakGlassRoom {
  const { store, clock, rules } = options
  const { db } = store
  let waiting = 0
  const isOf = (person: PersonPrincipal) => mayBreakGlass(person, rules()) === true
  const count = async () => {
    waiting = await unreviewed(db)
  }

  return {
    isOf,
    get full() {
      return waiting >= (rules()?.unreviewed ?? 0)
    },
    recover: count,
    wasUsed: count,

    async list({ limit, after }) {
      const [at = '', id = ''] = after?.split(' ') ?? []
      const rows = await db
        .selectFrom('break_glass')
        .selectAll()
        .$if(after !== undefined, (q) => q.where((e) => e.or([e('at', '<', at), e('at', '=', at).and('id', '<', id)])))
        .orderBy('at', 'desc')
        .orderBy('id', 'desc')
        .limit(limit + 1)
        .execute()
      const page = rows.slice(0, limit)
      const last = page.at(-1)
      return { items: page.map(breakGlassOf), next: rows.length > limit && last ? `${last.at} ${last.id}` : null }
    },

    async review(id, by, { verdict, reason }) {
      const at = clock.now()
      const reviewed = await db.transaction().execute(async (tx) => {
        const row = await tx.selectFrom('break_glass').selectAll().where('id', '=', id).executeTakeFirst()
        if (!row) throw new ReviewRefused('not-found', `There is no use of break-glass ${id}.`)
        const use = breakGlassOf(row)
        const key = await knownBy(tx, [use.person.id])
        if (use.person.id === by.id || key({ id: use.person.id }) === key(by))
          throw new ReviewRefused('forbidden', 'Nobody reviews what they did themselves.')
        if (!by.roles.includes('reviewer') && !by.roles.includes('auditor') && !isOf(by))
          throw new ReviewRefused(
            'forbidden',
            'Uses of break-glass are reviewed by reviewers, auditors and people of the break-glass groups.',
          )
        if (use.review) {
          const same = use.review.by.id === by.id && use.review.verdict === verdict && use.review.reason === reason
          if (same) return use
          throw new ReviewRefused('conflict', `${use.review.by.name} has reviewed it already: ${use.review.verdict}.`)
        }
        await tx
          .updateTable('break_glass')
          .set({
            reviewed_at: at.toISOString(),
            reviewed_by: JSON.stringify(personRef(by)),
            verdict,
            review_reason: reason,
          })
          .where('id', '=', id)
          .execute()
        await appendAudit(tx, 'break-glass.reviewed', { use: id, by: personRef(by), verdict, reason }, at)
        const after = { ...use, review: { by: personRef(by), verdict, reason, at: at.toISOString() } }
        await appendFeed(tx, 'break-glass.reviewed', after, at)
        return after
      })
      await count()
      return reviewed
    },
  }
}

async function unreviewed(db: Kysely<Tables>): Promise<number> {
  const row = await db
    .selectFrom('break_glass')
    .select((e) => e.fn.countAll<number>().as('waiting'))
    .where('reviewed_at', 'is', null)
    .executeTakeFirstOrThrow()
  return Number(row.waiting)
}

/** Whether a person is of those who may decide alone, by their groups: true, or why not in words. */
export function mayBreakGlass(person: PersonPrincipal, rules: BreakGlassRules | undefined): true | string {
  if (!rules) return 'nobody decides alone here: approvals.break_glass is not configured'
  if (!person.roles.includes('approver')) return 'only approvers decide'
  // Not by what was handed over: whoever breaks the glass answers for it with their own name.
  if (rules.groups.some((group) => person.groups.includes(group))) return true
  return `you are in none of the groups that may break the glass: ${rules.groups.join(', ')}`
}

/** What is wrong with a decision to break the glass, asked within its transaction; undefined: nothing. */
export async function breakGlassProblem(
  tx: Tx,
  rules: BreakGlassRules,
  request: { verdict: string; reason: string; window: string; access: boolean },
): Promise<{ problem: 'conflict' | 'invalid'; message: string } | undefined> {
  if (request.verdict !== 'approve')
    return { problem: 'invalid', message: 'break-glass approves: leave it out to deny' }
  if (request.reason.trim().length < shortestReason)
    return { problem: 'invalid', message: `say why, in ${shortestReason} characters or more` }
  if (!request.access && request.window !== 'once')
    return { problem: 'invalid', message: 'what one person approves alone runs once: choose no window' }
  const waiting = await unreviewed(tx)
  if (waiting < rules.unreviewed) return undefined
  return {
    problem: 'conflict',
    message: `${waiting} uses of break-glass wait for being reviewed, as many as may (approvals.break_glass.unreviewed): have one of them reviewed first`,
  }
}

/** Writes a use down, in the transaction of the decision. */
export async function useBreakGlass(
  tx: Tx,
  approval: Pick<Approval, 'id' | 'agent' | 'connection'>,
  person: PersonPrincipal,
  reason: string,
  at: Date,
): Promise<void> {
  const use: BreakGlass = {
    id: `bg_${randomBytes(10).toString('hex')}`,
    approval: approval.id,
    agent: approval.agent,
    connection: approval.connection,
    person: personRef(person),
    reason,
    at: at.toISOString(),
  }
  await tx
    .insertInto('break_glass')
    .values({
      ...use,
      person: JSON.stringify(use.person),
      reviewed_at: null,
      reviewed_by: null,
      verdict: null,
      review_reason: null,
    })
    .execute()
  const { id, at: _, ...rest } = use
  await appendAudit(tx, 'break-glass.used', { use: id, ...rest }, at)
  await appendFeed(tx, 'break-glass.used', use, at)
}

function breakGlassOf(row: BreakGlassTable): BreakGlass {
  const { id, approval, agent, connection, reason, at } = row
  return {
    id,
    approval,
    agent,
    connection,
    person: JSON.parse(row.person),
    reason,
    at,
    ...(row.reviewed_at === null || row.verdict === null
      ? {}
      : {
          review: {
            by: JSON.parse(row.reviewed_by!),
            verdict: row.verdict,
            reason: row.review_reason ?? '',
            at: row.reviewed_at,
          },
        }),
  }
}
