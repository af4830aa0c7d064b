import type { RetentionRun } from '@countersign/contract/evidence'
import type { Actor } from '@countersign/contract/ledger/payloads'
import { type Selectable, sql } from 'kysely'
import type { z } from 'zod'
import type { Entries } from '../ledger/entries.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { type Holds, holdsInForce } from './holds.ts'
import type { LooseEntries } from './loose.ts'
import { itemOf, type Plan, type PlannedItem } from './plan.ts'
import { lengthOf, merged } from './ranges.ts'
import { newId, type RetentionDb, type RetentionRunsTable } from './tables.ts'

/** Who has a run done. */
export type RunBy = z.input<typeof Actor>

/** Items that an answer shows. */
export const MOST_SHOWN = 10_000

export interface Committing {
  db: RetentionDb
  ledger: Pick<Ledger, 'erase'>
  entries: () => Entries
  now: Date
  by: RunBy
  /** Entries of no session that may go with these holds in force. */
  loose: (holds: Holds) => Promise<LooseEntries>
  /** Whether a session may still be written to. */
  live: (session: string) => boolean
  step?: (name: string) => void
}

/**
 * Makes a plan a fact: what may go by now, holds looked at again, is written down as a run, then explained by an entry
 * of the ledger, which erases payloads and salts. Nobody may place a hold until it resolves. Afterwards the run is
 * `explained`, and everything that it names has to go.
 * @throws LedgerStopped: the run stays `planned`, and `settleRuns` finds out whether its entry came to be
 */
export async function commitRun(plan: Plan, committing: Committing): Promise<RetentionRun> {
  const { db, ledger, entries, now, by, step = () => {} } = committing
  const id = newId('rt')
  const size = await sizeOf(entries)
  const { items, kept, loose } = await stillToGo(plan, committing)
  const rule = ruleOf(items, { loose })
  const ranges = merged([...items.map((item) => item.entries), loose.entries])
  const run = {
    id,
    at: now.toISOString(),
    by: JSON.stringify(by),
    rule,
    state: 'planned' as const,
    ledger_size: size,
    entry: null,
    ...countsOf(items, { loose }),
    kept: kept.count,
    more: plan.more ? (1 as const) : (0 as const),
  }
  await db.transaction().execute(async (tx) => {
    await tx.insertInto('retention_runs').values(run).execute()
    for (const item of items)
      await tx
        .insertInto('retention_items')
        .values({
          run: id,
          session: item.session,
          rule: item.rule,
          takes: JSON.stringify(item.takes),
          digests: item.digests ? 1 : 0,
          bytes: item.bytes,
          entries: lengthOf(item.entries),
        })
        .execute()
  })
  step('planned')
  const entry = await ledger.erase({
    run: id,
    rule,
    by,
    entries: ranges,
    recordings: sessionsTaking(items, 'recording'),
    // What the store loses besides, so that nothing goes that is not explained.
    approvals: sessionsTaking(items, 'approvals'),
    annotations: sessionsTaking(items, 'annotations'),
  })
  step('erased')
  await explained(db, id, entry)
  step('explained')
  return runOf({ ...run, entry, state: 'explained' }, [...items, ...kept.items].map(itemOf))
}

/** A run's counts and items, had it been made now. */
export function dryRun(plan: Plan, by: RunBy, now: Date): RetentionRun {
  return {
    id: 'dry',
    dry: true,
    at: now.toISOString(),
    by: nameOf(by),
    ...countsOf(plan.items, plan),
    kept: plan.kept.count,
    more: plan.more,
    done: false,
    items: [...plan.items, ...plan.kept.items].map(itemOf).slice(0, MOST_SHOWN),
  }
}

function countsOf(items: readonly PlannedItem[], { loose }: Pick<Plan, 'loose'>) {
  return {
    recordings: sessionsTaking(items, 'recording').length,
    bytes: items.reduce((n, { bytes }) => n + bytes, 0),
    entries: lengthOf(merged([...items.map((item) => item.entries), loose.entries])),
  }
}

function sessionsTaking(items: readonly PlannedItem[], part: PlannedItem['takes'][number]): string[] {
  return items.filter(({ takes }) => takes.includes(part)).map(({ session }) => session)
}

function ruleOf(items: readonly PlannedItem[], { loose }: Pick<Plan, 'loose'>): string {
  const rules = new Set([
    ...items.flatMap(({ rule }) => rule.split(', ')),
    ...(loose.rule ? loose.rule.split(', ') : []),
  ])
  return [...rules].sort().join(', ') || 'nothing was due'
}

/** What of a plan may still go: time has passed since it was made. Holds win over everything. */
async function stillToGo(plan: Plan, { db, live, loose }: Committing): Promise<Pick<Plan, 'items' | 'kept' | 'loose'>> {
  const holds = await holdsInForce(db)
  const waiting = await db
    .selectFrom('approvals')
    .select('session')
    .where('state', 'in', ['pending', 'approved'])
    .where(
      'session',
      'in',
      sql<string>`(select value from json_each(${JSON.stringify(plan.items.map((i) => i.session))}))` as never,
    )
    .execute()
  const waits = new Set(waiting.map(({ session }) => session))
  const items: Plan['items'] = []
  const kept = { count: plan.kept.count, items: [...plan.kept.items] }
  for (const item of plan.items) {
    const heldBy = holds.on({ id: item.session, connection: item.connection, agent: item.agent })
    if (heldBy.length > 0) {
      const { entries: _, ...rest } = item
      kept.count++
      kept.items.push({ ...rest, heldBy })
    } else if (!live(item.session) && !waits.has(item.session)) items.push(item)
  }
  return { items, kept, loose: plan.loose.entries.length > 0 ? await loose(holds) : plan.loose }
}

async function explained(db: RetentionDb, id: string, entry: number): Promise<void> {
  await db.updateTable('retention_runs').set({ state: 'explained', entry }).where('id', '=', id).execute()
}

/**
 * Finds out of each run that was only planned, when something ended it, whether the ledger has its entry: then it goes
 * on, else it never was. Answers the runs that are to be removed, the oldest first.
 */
export async function settleRuns(db: RetentionDb, entries: () => Entries): Promise<string[]> {
  const planned = await db.selectFrom('retention_runs').selectAll().where('state', '=', 'planned').execute()
  for (const run of planned) {
    using log = entries()
    let entry: number | undefined
    for (const { n, payload } of log.byType('deletion.run', { from: run.ledger_size }))
      if (payload && (JSON.parse(Buffer.from(payload).toString()) as { run?: string }).run === run.id) entry = n
    if (entry !== undefined) await explained(db, run.id, entry)
    else
      await db.transaction().execute(async (tx) => {
        await tx.deleteFrom('retention_items').where('run', '=', run.id).execute()
        await tx.deleteFrom('retention_runs').where('id', '=', run.id).execute()
      })
  }
  const rows = await db
    .selectFrom('retention_runs')
    .select('id')
    .where('state', '=', 'explained')
    .orderBy('at')
    .orderBy('id')
    .execute()
  return rows.map(({ id }) => id)
}

/** The last runs, newest first, without items. */
export async function lastRuns(db: RetentionDb, limit: number): Promise<RetentionRun[]> {
  const rows = await db
    .selectFrom('retention_runs')
    .selectAll()
    .where('state', '!=', 'planned')
    .orderBy('at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.map((row) => runOf(row, []))
}

/** A run with what it took. Undefined where there is none. */
export async function oneRun(db: RetentionDb, id: string): Promise<RetentionRun | undefined> {
  const row = await db.selectFrom('retention_runs').selectAll().where('id', '=', id).executeTakeFirst()
  if (!row || row.state === 'planned') return undefined
  const items = await db
    .selectFrom('retention_items')
    .innerJoin('sessions', 'sessions.id', 'retention_items.session')
    .select(['retention_items.session', 'rule', 'takes', 'bytes', 'entries'])
    .select(['sessions.connection', 'sessions.agent', 'sessions.closed_at'])
    .where('run', '=', id)
    .orderBy('sessions.closed_at')
    .limit(MOST_SHOWN)
    .execute()
  return runOf(
    row,
    items.map(({ closed_at, takes, ...item }) => ({
      ...item,
      closedAt: closed_at!,
      takes: JSON.parse(takes),
      heldBy: [],
    })),
  )
}

function runOf(row: Selectable<RetentionRunsTable>, items: RetentionRun['items']): RetentionRun {
  return {
    id: row.id,
    dry: false,
    at: row.at,
    by: nameOf(JSON.parse(row.by) as RunBy),
    ...(row.entry !== null && { entry: row.entry }),
    recordings: row.recordings,
    bytes: row.bytes,
    entries: row.entries,
    kept: row.kept,
    more: row.more === 1,
    done: row.state === 'done',
    items: items.slice(0, MOST_SHOWN),
  }
}

function nameOf(by: RunBy): string {
  return by.kind === 'gateway' ? 'the gateway' : by.name
}

async function sizeOf(entries: () => Entries): Promise<number> {
  using log = entries()
  return log.count()
}
