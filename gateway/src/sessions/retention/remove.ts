import { setImmediate as turn } from 'node:timers/promises'
import type { RetentionPart } from '@countersign/contract/evidence'
import { sql } from 'kysely'
import { say } from '../../approvals/transitions.ts'
import { appendFeed } from '../../store/feed.ts'
import type { SessionRow } from '../../store/tables.ts'
import { eraseAnnotations } from '../annotations/annotations.ts'
import { sessionOf } from '../rows.ts'
import { removeFiles } from './files.ts'
import { ground, type RetentionDb, type RetentionTx } from './tables.ts'

/** What finds words of commands, beside the store. */
export interface SearchIndex {
  /** Takes everything of these sessions out of it; their words are nowhere in its files when it resolves. */
  forget(sessions: readonly string[]): Promise<void>
}

export interface Removing {
  db: RetentionDb
  /** The data folder. */
  folder: string
  search: SearchIndex
  now: () => Date
  /** Called at each step, in whose place a test may end everything. */
  step?: (name: string) => void
}

/** So many sessions are one transaction. */
const TOGETHER = 25
/** So many messages of the feed are looked through at a time. */
const MESSAGES = 2000

interface Item {
  session: string
  takes: readonly RetentionPart[]
  digests: boolean
}

/**
 * Removes everything that a run names and its entry explains: files, index, rows, messages, and what they leave in the
 * store's own files. Begun again after whatever moment it was ended at, it comes to the same end. The run is then `done`.
 * @throws what disk or store say: then it is to be called again
 */
export async function removeRun(run: string, removing: Removing): Promise<void> {
  const { db, folder, search, step = () => {} } = removing
  const rows = await db.selectFrom('retention_items').selectAll().where('run', '=', run).execute()
  const items = rows.map(({ session, takes, digests }) => ({
    session,
    takes: JSON.parse(takes) as RetentionPart[],
    digests: digests === 1,
  }))
  const of = (part: RetentionPart) => items.filter(({ takes }) => takes.includes(part)).map(({ session }) => session)

  const recordings = of('recording')
  for (const some of slices(recordings)) {
    const places = await db.selectFrom('sessions').select(['id', 'opened_at']).where('id', 'in', some).execute()
    await removeFiles(folder, places)
    step('files')
    await turn()
  }
  if (recordings.length > 0) await search.forget(recordings)
  step('search')

  for (const some of slices(items)) {
    await db.transaction().execute((tx) => eraseRows(tx, some, removing.now()))
    step('rows')
    await turn()
  }
  await eraseMessages(db, of('approvals'), items)
  step('feed')
  await emptyWriteAheadLog(db)
  await db.updateTable('retention_runs').set({ state: 'done' }).where('id', '=', run).execute()
  step('done')
}

function slices<T>(all: readonly T[]): T[][] {
  const some: T[][] = []
  for (let at = 0; at < all.length; at += TOGETHER) some.push(all.slice(at, at + TOGETHER))
  return some
}

async function eraseRows(tx: RetentionTx, items: readonly Item[], at: Date): Promise<void> {
  const of = (fits: (item: Item) => boolean) => items.filter(fits).map(({ session }) => session)
  const approvals = of(({ takes }) => takes.includes('approvals'))
  if (approvals.length > 0)
    await tx
      .updateTable('approvals')
      .set({
        text: '',
        parameters: '[]',
        effects: '[]',
        outcome: sql`json_remove(outcome, '$.message')`,
      })
      .where('session', 'in', approvals)
      .execute()
  await tellApprovals(tx, approvals, at)
  const digests = of(({ digests }) => digests)
  const all = of(({ takes }) => takes.includes('entries'))
  const approvalsOf = (sessions: string[]) => tx.selectFrom('approvals').select('id').where('session', 'in', sessions)
  if (digests.length > 0) {
    await tx.deleteFrom('windows').where('approval', 'in', approvalsOf(digests)).execute()
    await tx.updateTable('approvals').set({ digest: '' }).where('session', 'in', digests).execute()
  }
  if (all.length > 0) {
    await tx.deleteFrom('decisions').where('approval', 'in', approvalsOf(all)).execute()
    await tx.deleteFrom('approvals').where('session', 'in', all).execute()
    for (const table of ['playbacks', 'offline_playbacks'])
      await sql`delete from ${sql.table(table)} where session in (select value from json_each(${JSON.stringify(all)}))`.execute(
        tx,
      )
    await tx
      .updateTable('sessions')
      .set({ purpose: null, client: '{"address":""}', identity: bareIdentity, closed_because: '' })
      .where('id', 'in', all)
      .execute()
  }
  await eraseAnnotations(
    ground(tx),
    of(({ takes }) => takes.includes('annotations')),
  )

  for (const { session, takes } of items) {
    const gone = Object.fromEntries(takes.map((part) => [`${part}_erased_at`, at.toISOString()]))
    const row = await tx
      .updateTable('sessions')
      .set(gone)
      .where('id', '=', session)
      // Begun again, it stays at the time at which it went first.
      .where(`${takes[0]!}_erased_at`, 'is', null)
      .returningAll()
      .executeTakeFirst()
    // Consoles keep copies: they are told that there is none here any more.
    if (row && takes.includes('recording'))
      await appendFeed(ground(tx), 'session.closed', sessionOf(row as SessionRow), at)
  }
}

/** Consoles keep what approvals said: they are told once what is left of them. */
async function tellApprovals(tx: RetentionTx, sessions: readonly string[], at: Date): Promise<void> {
  if (sessions.length === 0) return
  const rows = await tx
    .selectFrom('approvals')
    .innerJoin('sessions', 'sessions.id', 'approvals.session')
    .select('approvals.id')
    .where('approvals.session', 'in', sessions)
    .where('sessions.approvals_erased_at', 'is', null)
    .execute()
  for (const { id } of rows) await say(ground(tx), 'approval.closed', id, at)
}

/** Who it was stays: the agent. On whose behalf and in which groups it was goes. */
const bareIdentity = sql<string>`json_remove(json_set(identity, '$.groups', json('[]')), '$.owner', '$.onBehalfOf', '$.chain')`

/** Messages keep their place, so that nobody who comes back believes that something is as it was: what they say goes. */
async function eraseMessages(db: RetentionDb, approvals: readonly string[], items: readonly Item[]): Promise<void> {
  const entries = items.filter(({ takes }) => takes.includes('entries')).map(({ session }) => session)
  const digests = items.filter(({ digests }) => digests).map(({ session }) => session)
  if (approvals.length + entries.length + digests.length === 0) return
  const among = (sessions: readonly string[]) => sql`(select value from json_each(${JSON.stringify(sessions)}))`
  const ends = await db
    .selectFrom('feed')
    .select((e) => [e.fn.min('seq').as('first'), e.fn.max('seq').as('last')])
    .executeTakeFirstOrThrow()
  const { first, last } = ends as { first: number | null; last: number | null }
  if (first === null || last === null) return
  for (let from = first; from <= last; from += MESSAGES) {
    const here = sql`seq >= ${from} and seq < ${from + MESSAGES}`
    const ofApprovals = sql`${here} and type in ('approval.opened', 'approval.decided', 'approval.closed', 'approval.escalated', 'approval.outcome')
      and json_extract(data, '$.session')`
    await sql`update feed set data = json_remove(json_set(data, '$.command.text', '', '$.command.parameters', json('[]'),
      '$.command.effects', json('[]')), '$.outcome.message') where ${ofApprovals} in ${among(approvals)}`.execute(db)
    if (digests.length > 0)
      await sql`update feed set data = json_set(data, '$.command.digest', '') where ${ofApprovals} in ${among(digests)}`.execute(
        db,
      )
    if (entries.length > 0) {
      await sql`update feed set data = json_remove(json_set(data, '$.decisions', json('[]'), '$.identity.groups', json('[]')),
        '$.identity.owner', '$.identity.onBehalfOf', '$.identity.chain', '$.purpose', '$.closedBecause')
        where ${ofApprovals} in ${among(entries)}`.execute(db)
      await sql`update feed set data = json_remove(json_set(data, '$.client', json('{"address":""}'), '$.identity.groups', json('[]')),
        '$.identity.owner', '$.identity.onBehalfOf', '$.identity.chain', '$.purpose', '$.closedBecause')
        where ${here} and type in ('session.opened', 'session.closed')
        and json_extract(data, '$.id') in ${among(entries)}`.execute(db)
    }
    await turn()
  }
}

/** A reader of the store holds on to what was before. */
export class StillRead extends Error {
  override name = 'StillRead'
}

/** What was overwritten in the store still stands in its write-ahead log, until that is written over from its beginning. */
async function emptyWriteAheadLog(db: RetentionDb): Promise<void> {
  const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(db)
  if (rows[0]?.busy !== 0)
    throw new StillRead(
      'Another program reads the store (a backup, or verify): what was erased leaves its write-ahead log once it has ended.',
    )
}
