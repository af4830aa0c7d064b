import { randomBytes } from 'node:crypto'
import type { Delegation, DelegationRequest } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { Kysely } from 'kysely'
import type { BaseLogger } from 'pino'
import type { z } from 'zod'
import { type Duty, type PersonPrincipal, personRef } from '../identity/principal.ts'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { Store } from '../store/store.ts'
import type { Tables } from '../store/tables.ts'
import type { Clock } from './clock.ts'
import {
  type DelegationRow,
  delegationOf,
  dutiesAt,
  dutiesIn,
  effective,
  type Facts,
  readOpen,
  readRows,
} from './delegation-rows.ts'
import { knownBy } from './same-person.ts'
import type { Tx } from './transitions.ts'

/** Why nothing was handed over, or taken back. */
export class DelegationRefused extends Error {
  override name = 'DelegationRefused'
  readonly code: 'invalid' | 'forbidden' | 'not-found' | 'conflict'
  constructor(code: DelegationRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

export const delegationBounds = {
  /** How long one may last, and how far ahead it may begin (ms). */
  longest: 90 * 86_400_000,
  /** How many of one person may be open at a time. */
  open: 20,
}

export interface Delegations extends AsyncDisposable {
  /** Whose duty is this person's now, from memory. */
  dutiesOf(person: string): readonly Duty[]
  /** The same, as the store says it within a transaction: what deciding goes by. */
  dutiesIn(tx: Tx, person: string, at: Date): Promise<Duty[]>
  /** Hands one's own duty over. @throws DelegationRefused */
  begin(from: PersonPrincipal, request: z.output<typeof DelegationRequest>): Promise<Delegation>
  /** Takes it back, or gives it back. @throws DelegationRefused */
  end(id: string, by: PersonPrincipal, reason: string): Promise<Delegation>
  /** Newest first. */
  list(query: { limit: number; after?: string }): Promise<{ items: Delegation[]; next: string | null }>
  /** At start-up, and whenever people have changed: ends what may not go on. */
  settle(): Promise<void>
}

/**
 * While somebody is away another person decides in their place. What is handed over are groups of the one who is away, as
 * long as they are in them: never what was handed over to them.
 */
export function createDelegations(options: {
  store: Store
  clock: Clock
  /** Groups that policy in force asks, or that are asked later. */
  askedGroups: () => ReadonlySet<string>
  log: Pick<BaseLogger, 'error'> | undefined
}): Delegations {
  const { store, clock, log } = options
  const { db } = store
  let open: readonly (DelegationRow & Facts)[] = []
  let callOff = () => {}
  let stopped = false
  /** What began since is said. */
  let settledAt = clock.now()
  let last: Promise<void> = Promise.resolve()

  /** One after another: what is read last is what is remembered. */
  const settle = (): Promise<void> => {
    last = last.then(settleNow, settleNow)
    return last
  }
  const settleNow = async (): Promise<void> => {
    if (stopped) return
    const at = clock.now()
    open = await db.transaction().execute(async (tx) => {
      const rows = await readOpen(tx)
      const going: typeof rows = []
      for (const row of rows) {
        const because = endBecause(row, at)
        if (because !== undefined) await endIn(tx, row, { kind: 'gateway' }, because, at)
        else {
          going.push(row)
          // Consoles look anew: what this person may decide is more from now on, or less.
          const began = row.since > settledAt.toISOString() && row.since <= at.toISOString()
          const before = open.find(({ id }) => id === row.id)
          if (began || (before && effective(before).join() !== effective(row).join()))
            await appendFeed(tx, 'delegation.changed', delegationOf(row, at), at)
        }
      }
      return going
    })
    settledAt = at
    callOff()
    const next = open
      .flatMap(({ since, until }) => [since, until])
      .filter((time) => time > at.toISOString())
      .sort()[0]
    if (next !== undefined) callOff = clock.wake(new Date(next), () => void settleOrLog())
  }
  const settleOrLog = () =>
    settle().catch((error) => {
      if (stopped) return
      log?.error({ error }, 'delegations could not be looked through; trying again in a second')
      callOff = clock.wake(new Date(clock.now().getTime() + 1000), () => void settleOrLog())
    })
  const unsubscribe = store.feed.subscribe(({ type, data }) => {
    if (type !== 'person.changed') return
    if (open.some(({ from, to }) => from.id === data.id || to.id === data.id)) void settleOrLog()
  })

  return {
    dutiesOf: (person) => dutiesAt(open, person, clock.now()),
    dutiesIn,

    async begin(from, request) {
      const at = clock.now()
      const since = new Date(Math.max(at.getTime(), Date.parse(request.since ?? at.toISOString())))
      const until = new Date(request.until)
      checkTimes(at, since, until)
      const groups = handedOver(from, request.groups, options.askedGroups())
      const id = `dg_${randomBytes(10).toString('hex')}`
      await db.transaction().execute(async (tx) => {
        const to = await recipient(tx, from, request.to)
        const { length } = (await readOpen(tx)).filter((row) => row.from.id === from.id)
        if (length >= delegationBounds.open)
          throw new DelegationRefused(
            'conflict',
            `You have handed over ${length} times already: end one of them first.`,
          )
        const ref = personRef(from)
        const row = { id, groups, since: since.toISOString(), until: until.toISOString(), reason: request.reason }
        await tx
          .insertInto('delegations')
          .values({
            ...row,
            groups: JSON.stringify(groups),
            made_at: at.toISOString(),
            from_person: ref.id,
            from_ref: JSON.stringify(ref),
            to_person: to.id,
            to_ref: JSON.stringify(to),
            ended_at: null,
            ended_by: null,
            ended_because: null,
          })
          .execute()
        const { id: delegation, ...rest } = row
        await appendAudit(tx, 'delegation.begun', { delegation, from: ref, to, ...rest }, at)
        const begun = { ...row, from: ref, to, madeAt: at.toISOString(), ended: undefined }
        const facts = { groupsOfFrom: undefined, gone: undefined }
        await appendFeed(tx, 'delegation.changed', delegationOf({ ...begun, ...facts }, at), at)
      })
      await settle()
      return (await one(db, id, at))!
    },

    async end(id, by, reason) {
      const at = clock.now()
      await db.transaction().execute(async (tx) => {
        const [row] = await readRows(tx, { id })
        if (!row) throw new DelegationRefused('not-found', `There is no delegation ${id}.`)
        if (row.from.id !== by.id && row.to.id !== by.id && !by.roles.includes('admin'))
          throw new DelegationRefused('forbidden', 'A delegation is ended by either side, or by an admin.')
        if (row.ended !== undefined || row.until <= at.toISOString())
          throw new DelegationRefused('conflict', 'It has ended already.')
        await endIn(tx, row, { kind: 'person', ...personRef(by) }, reason, at)
      })
      await settle()
      return (await one(db, id, at))!
    },

    async list({ limit, after }) {
      const rows = await readRows(db, { limit: limit + 1, ...(after === undefined ? {} : { before: after }) })
      const at = clock.now()
      const page = rows.slice(0, limit)
      return {
        items: page.map((row) => delegationOf(row, at)),
        next: rows.length > limit ? `${page.at(-1)!.since} ${page.at(-1)!.id}` : null,
      }
    },

    settle,

    async [Symbol.asyncDispose]() {
      stopped = true
      callOff()
      unsubscribe()
      await last.catch(() => {})
    },
  }
}

async function one(db: Kysely<Tables>, id: string, at: Date): Promise<Delegation | undefined> {
  const [row] = await readRows(db, { id })
  return row && delegationOf(row, at)
}

/** Why a delegation may not go on, or undefined. */
function endBecause(row: DelegationRow & Facts, at: Date): string | undefined {
  if (row.until <= at.toISOString()) return 'its time is over'
  if (row.gone !== undefined) return `${row.gone} has left`
  if (effective(row).length === 0) return `${row.from.name} is in none of the groups any more`
  return undefined
}

async function endIn(
  tx: Tx,
  row: DelegationRow & Facts,
  by: { kind: 'gateway' } | ({ kind: 'person' } & PersonRef),
  reason: string,
  at: Date,
): Promise<void> {
  const ended = { by, because: reason, at: at.toISOString() }
  await tx
    .updateTable('delegations')
    .set({ ended_at: ended.at, ended_by: JSON.stringify(by), ended_because: reason })
    .where('id', '=', row.id)
    .execute()
  await appendAudit(tx, 'delegation.ended', { delegation: row.id, by, reason }, at)
  await appendFeed(tx, 'delegation.changed', delegationOf({ ...row, ended }, at), at)
}

function checkTimes(at: Date, since: Date, until: Date): void {
  const invalid = (message: string) => new DelegationRefused('invalid', message)
  const days = delegationBounds.longest / 86_400_000
  if (until <= since) throw invalid('`until` is not after `since`, or is over: say until when you are away.')
  if (until.getTime() - since.getTime() > delegationBounds.longest)
    throw invalid(`A delegation lasts ${days} days at most: choose an earlier end.`)
  if (since.getTime() - at.getTime() > delegationBounds.longest)
    throw invalid(`A delegation begins within ${days} days: plan it later.`)
}

/** Only one's own groups, and only such as decide anything. */
function handedOver(from: PersonPrincipal, given: readonly string[] | undefined, asked: ReadonlySet<string>): string[] {
  const mine = from.groups.filter((group) => asked.has(group))
  if (given === undefined) {
    if (mine.length > 0) return [...new Set(mine)].sort()
    throw new DelegationRefused('invalid', 'None of your groups is asked by policy: there is nothing to hand over.')
  }
  const others = given.filter((group) => !from.groups.includes(group))
  if (others.length > 0)
    throw new DelegationRefused(
      'invalid',
      `You are not in ${others.join(', ')}: only one’s own groups are handed over, not what was handed over by others.`,
    )
  const idle = given.filter((group) => !asked.has(group))
  if (idle.length > 0) throw new DelegationRefused('invalid', `Policy asks nobody of ${idle.join(', ')}: leave it out.`)
  return [...new Set(given)].sort()
}

/** The person to whom something is handed over, who must be able to decide. */
async function recipient(tx: Tx, from: PersonPrincipal, id: string): Promise<PersonRef> {
  const invalid = (message: string) => new DelegationRefused('invalid', message)
  if (id === from.id) throw invalid('Nobody stands in for themselves: name somebody else.')
  const row = await tx.selectFrom('people').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row) {
    const agent = await tx.selectFrom('agents').select('id').where('id', '=', id).executeTakeFirst()
    if (agent) throw invalid('That is an agent, and agents decide nothing: name a person.')
    throw invalid('Nobody of that id has signed in here: let them sign in once, then name them by their id.')
  }
  const key = await knownBy(tx, [from.id])
  if (key({ id: row.id, email: row.email ?? '' }) === key(from))
    throw invalid(`${row.name} is you, signed in elsewhere with the same e-mail address: name somebody else.`)
  if (row.left_at !== null) throw invalid(`${row.name} has left: name somebody else.`)
  if (!(JSON.parse(row.roles) as string[]).includes('approver'))
    throw invalid(`${row.name} is no approver, and only approvers decide: name somebody who is.`)
  const { issuer, subject, name } = row
  return { id: row.id, issuer, subject, name }
}
