import { join } from 'node:path'
import type { LegalHold, NewLegalHold, RetentionRun, RetentionState } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import type { Session } from '@countersign/contract/session'
import { sql } from 'kysely'
import type { BaseLogger } from 'pino'
import type { LoadedRetention } from '../../config/retention.ts'
import type { Store } from '../../store/store.ts'
import { type Entries, openEntries } from '../ledger/entries.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { bytesOf, classesIn, type Placed } from './files.ts'
import { type Holds, holdsInForce, liftHold, listHolds, placeHold } from './holds.ts'
import { looseEntries } from './loose.ts'
import { type Plan, planRun, type RunBounds, runBounds } from './plan.ts'
import { removeRun, type SearchIndex, StillRead } from './remove.ts'
import { duesOf, rulesOf, shortest } from './rules.ts'
import { commitRun, dryRun, lastRuns, oneRun, type RunBy, settleRuns } from './runs.ts'
import { createSchedule } from './schedule.ts'
import { type RetentionDb, tablesOf } from './tables.ts'

export { BadHoldCursor, HoldRefused } from './holds.ts'
export type { SearchIndex } from './remove.ts'
export type { RunBy } from './runs.ts'

export interface RetentionOptions {
  store: Store
  /** The data folder. */
  folder: string
  /** Asked at each run, so that a reload counts at once. */
  rules: () => LoadedRetention
  ledger: Pick<Ledger, 'erase' | 'sync'>
  /** Whether a session is live, or its recording being sealed. */
  live: (session: string) => boolean
  search: SearchIndex
  /** Names of the connections that are configured. */
  connections: () => Iterable<string>
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  metrics?: RetentionMetrics
  /** Milliseconds since the epoch. */
  clock?: () => number
  bounds?: Partial<RunBounds>
  /** Called at each step of a run, in whose place a test may end everything. */
  step?: (name: string) => void
}

export interface RetentionMetrics {
  runs: { inc(labels: { result: 'done' | 'failed' }): void }
  erasedRecordings: { inc(by: number): void }
  erasedBytes: { inc(by: number): void }
}

/** What is kept how long, who holds it, and the runs that take it. */
export interface Retention extends AsyncDisposable {
  /** Ends what was being removed when the gateway was ended. @throws what the disk says */
  recover(): Promise<void>
  /** Ends what was being removed when the gateway was ended, in the background, and looks every hour from now on. */
  start(): void
  /** Takes what is due. A dry run takes nothing, and answers what it would. @throws LedgerStopped, or what the disk says */
  run(options: { dry: boolean; by: RunBy }): Promise<RetentionRun>
  /** A run that was, with what it took. */
  one(id: string): Promise<RetentionRun | undefined>
  state(): Promise<RetentionState>
  /** What people may be told of how long sessions are kept. */
  described(sessions: readonly Session[]): Promise<Session[]>
  holds(page: { limit: number; after?: string }): Promise<{ items: LegalHold[]; next: string | null }>
  /** Holds from now on; waits for a run that is just taking. @throws HoldRefused */
  hold(by: PersonRef, asked: NewLegalHold): Promise<LegalHold>
  /** @throws HoldRefused */
  lift(id: string, by: PersonRef, reason: string): Promise<LegalHold>
}

const day = 86_400_000

/** Opens the room. See {@link Retention}. */
export function createRetention(options: RetentionOptions): Retention {
  const { store, folder, rules, ledger, live, log, metrics, search, step } = options
  const clock = options.clock ?? Date.now
  const db = tablesOf(store)
  const entries = (): Entries => openEntries(join(folder, 'ledger'))
  const removing = { db, folder, search, now: () => new Date(clock()), ...(step && { step }) }
  const alone = oneAfterAnother()
  const runs = oneAfterAnother()

  const plan = async (holds: Holds): Promise<Plan> => {
    const retention = rules()
    const now = clock()
    using log = entries()
    return await planRun({
      db: store.db,
      retention,
      holds,
      now,
      bounds: { ...runBounds, ...options.bounds },
      live,
      classesOf: (session) => noteClasses(session),
      bytesOf: (session) => bytesOf(folder, session),
      entriesOf: (session) => withPayload(log, session),
      loose: () => looseEntries(log, retention, holds, now),
    })
  }

  /** Of recordings made before classes were noted: read once, when it first matters. */
  const noteClasses = async (session: Placed): Promise<string[]> => {
    const classes = await classesIn(folder, session)
    await db
      .updateTable('sessions')
      .set({ classes: JSON.stringify(classes) })
      .where('id', '=', session.id)
      .execute()
    return classes
  }

  const finish = async () => {
    for (const id of await alone(() => settleRuns(db, entries))) await removeRun(id, removing)
  }

  const takeNow = async (by: RunBy): Promise<RetentionRun> => {
    await finish()
    let run: RetentionRun | undefined
    while (!run) {
      await ledger.sync()
      const retention = rules()
      const planned = await plan(await holdsInForce(db))
      run = await alone(async () => {
        // A reload may keep longer what was planned to go.
        if (rules() !== retention) return undefined
        using log = entries()
        return await commitRun(planned, {
          ...{ db, ledger, entries, now: new Date(clock()), by, live, ...(step && { step }) },
          loose: (holds) => looseEntries(log, retention, holds, clock()),
        })
      })
    }
    await removeRun(run.id, removing)
    const { id, entry, recordings, bytes, kept } = run
    log.info({ run: id, entry, recordings, bytes, entries: run.entries, kept }, 'retention took what was due')
    metrics?.erasedRecordings.inc(recordings)
    metrics?.erasedBytes.inc(bytes)
    return { ...run, done: true }
  }

  const take = async (by: RunBy): Promise<RetentionRun> => {
    try {
      const run = await runs(() => takeNow(by))
      metrics?.runs.inc({ result: 'done' })
      if (run.more) schedule.soon()
      return run
    } catch (error) {
      metrics?.runs.inc({ result: 'failed' })
      schedule.soon()
      throw error
    }
  }

  const dry = async (by: RunBy): Promise<RetentionRun> => {
    await ledger.sync()
    return dryRun(await plan(await holdsInForce(db)), by, new Date(clock()))
  }

  /** What the schedule does. A run that takes nothing is made once a day, so that the log shows that it was looked at. */
  const look = async () => {
    try {
      await runs(finish)
      const [last] = await lastRuns(db, 1)
      const would = await dry({ kind: 'gateway' })
      const nothing = would.entries === 0 && would.items.every(({ heldBy }) => heldBy.length > 0)
      if (nothing && last && clock() - Date.parse(last.at) < day) return
      await take({ kind: 'gateway' })
    } catch (error) {
      if (error instanceof StillRead) log.warn({}, error.message)
      else log.error({ error }, 'retention could not take what is due: it is tried again')
      schedule.soon()
    }
  }
  const schedule = createSchedule(look, clock)

  return {
    recover: () => runs(finish),
    start() {
      schedule.start()
      void runs(finish).catch((error) => {
        log.error({ error }, 'what retention was removing could not be ended: it is tried again')
        schedule.soon()
      })
    },
    run: ({ dry: isDry, by }) => (isDry ? dry(by) : take(by)),
    one: (id) => oneRun(db, id),

    async state() {
      const retention = rules()
      const next = schedule.next
      return {
        rules: rulesOf(retention),
        ...(next !== undefined && { nextRun: new Date(next).toISOString() }),
        waiting: await countWaiting(db, retention, clock()),
        runs: await lastRuns(db, 20),
      }
    },

    async described(sessions) {
      const holds = await holdsInForce(db)
      const retention = rules()
      const rows = await db
        .selectFrom('sessions')
        .select(['id', 'classes'])
        .where(
          'id',
          'in',
          sql<string>`(select value from json_each(${JSON.stringify(sessions.map(({ id }) => id))}))` as never,
        )
        .execute()
      const classes = new Map(rows.map((row) => [row.id, JSON.parse(row.classes ?? '[]') as string[]]))
      return sessions.map((session) => {
        const { id, connection, agent, closedAt } = session
        const heldBy = holds.on({ id, connection, agent })
        if (session.retention?.erasedAt) return { ...session, retention: { ...session.retention, heldBy } }
        const due =
          closedAt === undefined
            ? Number.POSITIVE_INFINITY
            : duesOf({ connection, closedAt: Date.parse(closedAt), classes: classes.get(id) ?? [] }, retention)
                .recording.at
        const until = Number.isFinite(due) ? { until: new Date(due).toISOString() } : {}
        return { ...session, retention: { ...until, heldBy } }
      })
    },

    holds: (page) => listHolds(db, page),
    hold: (by, asked) =>
      alone(async () => {
        // Whether a run that something ended has taken what is to be held must be known.
        await settleRuns(db, entries)
        return placeHold(db, by, asked, { configured: new Set(options.connections()), at: new Date(clock()) })
      }),
    lift: (id, by, reason) => alone(() => liftHold(db, id, by, reason, new Date(clock()))),

    async [Symbol.asyncDispose]() {
      await schedule[Symbol.asyncDispose]()
      await runs(async () => {})
    },
  }
}

/** Sessions whose recording is due, or may be, and of which the ledger hasn't the end. */
async function countWaiting(db: RetentionDb, retention: LoadedRetention, now: number): Promise<number> {
  const kept = shortest('recording', retention)
  if (kept === Number.POSITIVE_INFINITY) return 0
  const rows = await db
    .selectFrom('sessions')
    .select('id')
    .where('recording_erased_at', 'is', null)
    .where('closed_at', 'is not', null)
    .where('closed_at', '<=', new Date(Math.max(0, now - kept)).toISOString())
    .where('in_ledger', '=', 0)
    .limit(10_000)
    .execute()
  return rows.length
}

function* withPayload(log: Entries, session: string): Generator<{ n: number; type: string }> {
  for (const { n, type, payload } of log.entriesOf(session)) if (payload) yield { n, type }
}

/** Work of which each piece begins when the one before has ended, however. */
function oneAfterAnother(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }
}
