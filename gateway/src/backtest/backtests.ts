import { randomBytes } from 'node:crypto'
import type { PersonRef } from '@countersign/contract/identity'
import type { Backtest, BacktestRequest, BacktestResult, PolicyText } from '@countersign/contract/policies'
import { type Selectable, sql } from 'kysely'
import type { BaseLogger } from 'pino'
import type { z } from 'zod'
import type { Checking } from '../policy/drafts/checking.ts'
import { type Drafts, refuseFiles } from '../policy/drafts/drafts.ts'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { BacktestsTable } from '../store/review-tables.ts'
import type { Store } from '../store/store.ts'
import { withoutErased } from './erased.ts'
import type { Progress, Replay } from './replay.ts'
import { replayed } from './running.ts'
import { windowOf } from './window.ts'

/** So many are kept, the newest; */
const KEPT = 100
/** and so long (ms) between two words about how far one is. */
const TOLD_EACH_MS = 1000

const STOPPED = 'The gateway was stopped while it ran: run it again.'

/** What can't be done with a backtest, and why, in a sentence. */
export class BacktestRefused extends Error {
  override name = 'BacktestRefused'
  readonly code: 'unknown' | 'wrong' | 'busy' | 'over'
  constructor(code: BacktestRefused['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** As it was asked for, in the words of the row. */
interface Asked {
  from: string
  to: string
  against: 'recorded' | 'in-force'
  agents?: string[] | undefined
  connections?: string[] | undefined
  overlays: boolean
}

/** Drafts over recorded commands: one at a time, in a thread of its own. */
export interface Backtests extends AsyncDisposable {
  /** @throws BacktestRefused, DraftRefused, BadWindow */
  start(request: z.output<typeof BacktestRequest>, person: PersonRef): Promise<Backtest>
  get(id: string): Promise<Backtest | undefined>
  /** The newest first; without results. @throws BacktestRefused */
  list(query: { limit: number; after?: string | undefined }): Promise<{ items: Backtest[]; next: string | null }>
  /** Ends one that runs, and answers it as it is then. @throws BacktestRefused */
  cancel(id: string, by: string): Promise<Backtest>
  /** What ran when the gateway was killed has failed. To be called once, before any is started. */
  recover(): Promise<void>
  /** Resolves once nothing runs. */
  idle(): Promise<void>
}

export interface BacktestsOptions {
  store: Store
  /** The data folder. */
  folder: string
  drafts: Pick<Drafts, 'get'>
  checking: Pick<Checking, 'check'>
  /** The set in force with its overlays among the texts, and these alone. */
  inForce: () => { texts: readonly PolicyText[]; overlays: readonly PolicyText[] }
  log: Pick<BaseLogger, 'warn' | 'error'>
  clock: () => number
  /** For tests. */
  replay?: typeof replayed
}

export function createBacktests(options: BacktestsOptions): Backtests {
  const { store, log, clock } = options
  const { db } = store
  const replay = options.replay ?? replayed
  let running: { id: string; progress: Progress; abort: AbortController; over: Promise<void> } | undefined
  let starting = false
  let stopping = false
  const now = () => new Date(clock()).toISOString()
  const find = (id: string) => db.selectFrom('backtests').selectAll().where('id', '=', id).executeTakeFirst()
  const view = (row: Selectable<BacktestsTable>) => viewOf(row, running?.id === row.id ? running.progress : undefined)

  /** Says on the feed what a row is now. */
  const ended = async (id: string, change: Pick<BacktestsTable, 'state' | 'problem' | 'result'>) => {
    await db.transaction().execute(async (tx) => {
      const row = await tx
        .updateTable('backtests')
        .set({ ...change, ended_at: now() })
        .where('id', '=', id)
        .where('state', '=', 'running')
        .returningAll()
        .executeTakeFirst()
      if (row) await appendFeed(tx, 'backtest.changed', headOf(viewOf(row)), new Date(clock()))
    })
  }
  const tell = throttled(async (id: string) => {
    const row = await find(id)
    if (row?.state !== 'running' || running?.id !== id) return
    const head = headOf(view(row))
    await db.transaction().execute((tx) => appendFeed(tx, 'backtest.changed', head, new Date(clock())))
  })

  const run = async (id: string, asked: Replay, abort: AbortController) => {
    try {
      const result = await replay(asked, {
        signal: abort.signal,
        onProgress: (progress) => {
          if (running?.id === id) running.progress = progress
          tell(id, (error) => log.warn({ error }, 'how far a backtest is could not be told'))
        },
      })
      await ended(id, { state: 'done', problem: null, result: JSON.stringify(result) })
    } catch (error) {
      const because = (error as Error).message
      if (stopping) await ended(id, { state: 'failed', problem: STOPPED, result: null })
      else if (abort.signal.aborted) await ended(id, { state: 'cancelled', problem: because, result: null })
      else await ended(id, { state: 'failed', problem: `It could not be done: ${because}`, result: null })
    }
  }

  return {
    async start(request, person) {
      if (stopping) throw new BacktestRefused('busy', 'The gateway is stopping: try again shortly.')
      if (running || starting)
        throw new BacktestRefused('busy', 'Another backtest is running: wait until it is done, or cancel it.')
      starting = true
      try {
        const window = windowOf(request.since, request.until, clock())
        const { title, files } = await filesOf(request, options.drafts)
        const { texts, overlays } = options.inForce()
        const behind = request.overlays ? overlays : []
        const cedar = files.filter(({ file }) => file.endsWith('.cedar'))
        const check = await options.checking.check(cedar, behind)
        const [problem] = check.problems
        if (check.version === undefined)
          throw new BacktestRefused(
            'wrong',
            `These policies don’t load: ${problem ? `${problem.file}:${problem.line}: ${problem.message}; ${problem.mend}` : 'run a check'}.`,
          )
        const { against, agents, connections } = request
        const asked: Asked = {
          ...window,
          against,
          overlays: request.overlays,
          ...(agents && { agents }),
          ...(connections && { connections }),
        }
        const by = refOf(person)
        const row = {
          ...{
            id: newId(),
            state: 'running' as const,
            title,
            by: JSON.stringify(by),
            at: now(),
            version: check.version,
          },
          ...{ asked: JSON.stringify(asked), files: JSON.stringify(cedar), warnings: JSON.stringify(check.warnings) },
          ...{ ended_at: null, problem: null, result: null },
        }
        const { id, version } = row
        await db.transaction().execute(async (tx) => {
          await tx.insertInto('backtests').values(row).execute()
          const told = { backtest: id, by, version, since: asked.from, until: asked.to }
          await appendAudit(tx, 'backtest.run', told, new Date(row.at))
          await appendFeed(tx, 'backtest.changed', headOf(viewOf(row)), new Date(row.at))
          await tx
            .deleteFrom('backtests')
            .where('state', '<>', 'running')
            .where('id', 'not in', (e) =>
              e.selectFrom('backtests').select('id').orderBy('at', 'desc').orderBy('id', 'desc').limit(KEPT),
            )
            .execute()
        })
        const abort = new AbortController()
        const replaying: Replay = {
          ...{ data: options.folder, policies: [...cedar, ...behind], from: asked.from, to: asked.to },
          ...(against === 'in-force' && { against: texts }),
          ...(agents && { agents }),
          ...(connections && { connections }),
        }
        const over = run(id, replaying, abort)
          .catch((error) => log.error({ error, backtest: id }, 'what became of a backtest could not be kept'))
          .finally(() => {
            running = undefined
          })
        running = { id, progress: { commands: 0 }, abort, over }
        return view(row)
      } finally {
        starting = false
      }
    },

    async get(id) {
      const row = await find(id)
      if (!row) return undefined
      const found = view(row)
      return found.result ? { ...found, result: await withoutErased(db, id, found.result) } : found
    },

    async list({ limit, after }) {
      const from = after === undefined ? undefined : cursorIn(after)
      // Without files and what was found: all of them together may be more than there is memory for.
      let query = db
        .selectFrom('backtests')
        .select(['id', 'state', 'title', 'by', 'at', 'version', 'asked', 'warnings', 'ended_at', 'problem'])
        .select([
          sql<string>`'[]'`.as('files'),
          sql<
            string | null
          >`case when result is not null then json_object('commands', json_extract(result, '$.commands')) end`.as(
            'result',
          ),
        ])
        .orderBy('at', 'desc')
        .orderBy('id', 'desc')
      if (from)
        query = query.where((e) => e.or([e('at', '<', from[0]), e.and([e('at', '=', from[0]), e('id', '<', from[1])])]))
      const rows = await query.limit(limit + 1).execute()
      const items = rows.slice(0, limit).map((row) => headOf(view(row)))
      const { at, id } = items.at(-1) ?? {}
      return {
        items,
        next: rows.length > limit ? Buffer.from(JSON.stringify([at, id])).toString('base64url') : null,
      }
    },

    async cancel(id, by) {
      const row = await find(id)
      if (!row) throw new BacktestRefused('unknown', 'There is no such backtest: only the newest are kept.')
      if (row.state !== 'running' || running?.id !== id)
        throw new BacktestRefused('over', `It is ${row.state}: there is nothing to cancel.`)
      const { abort, over } = running
      abort.abort(new Error(`cancelled by ${by}`))
      await over
      return view((await find(id))!)
    },

    async recover() {
      const rows = await db.selectFrom('backtests').select('id').where('state', '=', 'running').execute()
      for (const { id } of rows)
        await ended(id, {
          state: 'failed',
          problem: 'The gateway was stopped while it ran: run it again.',
          result: null,
        })
    },

    async idle() {
      await running?.over
    },

    async [Symbol.asyncDispose]() {
      stopping = true
      running?.abort.abort(new Error('the gateway is stopping'))
      await running?.over
    },
  }
}

async function filesOf(
  { draft, files }: z.output<typeof BacktestRequest>,
  drafts: Pick<Drafts, 'get'>,
): Promise<{ title: string; files: readonly PolicyText[] }> {
  if ((draft === undefined) === (files === undefined))
    throw new BacktestRefused('wrong', 'Name a draft, or send files: one of them.')
  if (files) {
    refuseFiles(files)
    return { title: 'policies that were sent', files }
  }
  const found = await drafts.get(draft!)
  if (!found) throw new BacktestRefused('wrong', 'There is no such draft: it may have been deleted.')
  return found
}

function viewOf(row: Selectable<BacktestsTable>, progress?: Progress): Backtest {
  const { from, to, against } = JSON.parse(row.asked) as Asked
  const result = row.result === null ? undefined : (JSON.parse(row.result) as BacktestResult)
  const counted = result ? { commands: result.commands, of: result.commands } : { commands: 0 }
  return {
    ...{ id: row.id, state: row.state, by: JSON.parse(row.by), at: row.at, title: row.title, version: row.version },
    ...{ against, since: from, until: to, progress: progress ?? counted },
    ...(row.problem !== null && { problem: row.problem }),
    check: { warnings: JSON.parse(row.warnings) },
    ...(result && { result }),
  }
}

function headOf({ result: _, ...head }: Backtest): Omit<Backtest, 'result'> {
  return head
}

/** Calls at most once in a while, and the last time that it is asked to within it not at all. */
function throttled(call: (id: string) => Promise<void>): (id: string, onError: (error: unknown) => void) => void {
  let last = Number.NEGATIVE_INFINITY
  return (id, onError) => {
    const now = performance.now()
    if (now - last < TOLD_EACH_MS) return
    last = now
    call(id).catch(onError)
  }
}

function cursorIn(after: string): [string, string] {
  try {
    const [at, id] = JSON.parse(Buffer.from(after, 'base64url').toString())
    if (typeof at === 'string' && typeof id === 'string') return [at, id]
  } catch {}
  throw new BacktestRefused('wrong', '`after` is not one that this list gave: begin without it.')
}

const refOf = ({ id, issuer, subject, name }: PersonRef): PersonRef => ({ id, issuer, subject, name })

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'
const newId = () => `bt_${Array.from(randomBytes(16), (byte) => CROCKFORD[byte & 31]).join('')}`
