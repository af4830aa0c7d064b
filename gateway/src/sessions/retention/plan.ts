import { setImmediate as turn } from 'node:timers/promises'
import type { RetentionItem, RetentionPart } from '@countersign/contract/evidence'
import { type Kysely, sql } from 'kysely'
import type { LoadedRetention } from '../../config/retention.ts'
import type { Tables } from '../../store/tables.ts'
import type { Holds } from './holds.ts'
import type { LooseEntries } from './loose.ts'
import { type Ranges, rangesOf } from './ranges.ts'
import { duesOf, shortest, shortestOf, withoutClasses } from './rules.ts'

/** What a run takes of one session. */
export interface PlannedItem {
  session: string
  connection: string
  agent: string
  openedAt: string
  closedAt: string
  takes: RetentionPart[]
  /** Digests go too, by which values that are few could be guessed. */
  digests: boolean
  rule: string
  /** Of its recording on disk. */
  bytes: number
  /** Entries whose payload and salt go. */
  entries: Ranges
}

export interface Plan {
  items: PlannedItem[]
  /** Whose time is over, but which legal holds keep. */
  kept: { count: number; items: (Omit<PlannedItem, 'entries'> & { heldBy: string[] })[] }
  /** Entries of no session. */
  loose: LooseEntries
  more: boolean
  /** Whose time is over, and which the ledger hasn't got. */
  waiting: number
}

/** What planning looks at; it changes nothing but what is noted of classes. */
export interface Planning {
  db: Kysely<Tables>
  retention: LoadedRetention
  holds: Holds
  /** Milliseconds since the epoch. */
  now: number
  bounds: RunBounds
  /** Whether it may still be written to, or sealed. */
  live: (session: string) => boolean
  /** Classes that a recording touched of which nobody has noted them. */
  classesOf: (session: { id: string; opened_at: string }) => Promise<string[]>
  bytesOf: (session: { id: string; opened_at: string }) => Promise<number>
  /** Entries of a session that have a payload, by rising number. */
  entriesOf: (session: string) => Iterable<{ n: number; type: string }>
  loose: () => Promise<LooseEntries>
}

/** What one run takes at most: the next one goes on. */
export interface RunBounds {
  sessions: number
  ranges: number
}

export const runBounds: RunBounds = { sessions: 500, ranges: 20_000 }

const LOOKED_AT = 500
/** Of what legal holds keep so many are named. */
const MOST_KEPT_SHOWN = 1000
const parts = ['recording', 'approvals', 'annotations', 'entries'] as const

interface Row {
  id: string
  connection: string
  agent: string
  opened_at: string
  closed_at: string
  classes: string | null
  in_ledger: 0 | 1
  waits: 0 | 1
  recording_erased_at: string | null
  approvals_erased_at: string | null
  annotations_erased_at: string | null
  entries_erased_at: string | null
}

/** Finds what is to go now, and what would if nobody held it. In steps: in between others have their turn. */
export async function planRun(planning: Planning): Promise<Plan> {
  const { bounds, holds, live } = planning
  const plan: Plan = {
    items: [],
    kept: { count: 0, items: [] },
    loose: { entries: [], rule: '' },
    more: false,
    waiting: 0,
  }
  const seen = new Set<string>()
  let ranges = 0
  for (const part of parts) {
    for await (const row of candidates(planning, part)) {
      if (seen.has(row.id)) continue
      const { takes, rules, byClass } = await takenOf(row, planning)
      if (takes.length === 0) continue
      seen.add(row.id)
      if (row.in_ledger === 0 || live(row.id)) {
        plan.waiting++
        continue
      }
      if (row.waits === 1) continue // an approval of it may still be decided or used
      const heldBy = holds.on(row)
      if (heldBy.length > 0 && plan.kept.items.length >= MOST_KEPT_SHOWN) {
        plan.kept.count++
        continue
      }
      if (heldBy.length === 0 && (plan.items.length >= bounds.sessions || ranges >= bounds.ranges)) {
        plan.more = true
        break
      }
      const item = {
        session: row.id,
        connection: row.connection,
        agent: row.agent,
        openedAt: row.opened_at,
        closedAt: row.closed_at,
        takes,
        digests: byClass || takes.includes('entries'),
        rule: rules.join(', '),
        bytes: takes.includes('recording') ? await planning.bytesOf(row) : 0,
      }
      if (heldBy.length > 0) {
        plan.kept.count++
        plan.kept.items.push({ ...item, heldBy })
        continue
      }
      const going = goingTypes(takes, byClass)
      const entries = rangesOf(planning.entriesOf(row.id), ({ type }) => going(type))
      ranges += entries.length
      plan.items.push({ ...item, entries })
    }
  }
  plan.loose = await planning.loose()
  plan.more ||= plan.loose.more === true
  return plan
}

/** Sessions that still have this part, and ended so long ago that a rule may take it; the oldest first. */
async function* candidates({ db, retention, now }: Planning, part: RetentionPart): AsyncGenerator<Row> {
  const kept = shortest(part, retention)
  if (kept === Number.POSITIVE_INFINITY) return
  const before = (ms: number) => (ms === Number.POSITIVE_INFINITY ? '' : new Date(Math.max(0, now - ms)).toISOString())
  const { all, own } = shortestOf(part, retention)
  const others = [...own].filter(([, ms]) => ms !== all).map(([name, ms]) => sql`when ${name} then ${before(ms)}`)
  const until =
    others.length === 0 ? sql`${before(all)}` : sql`case connection ${sql.join(others, sql` `)} else ${before(all)} end`
  const remaining = db
    .selectFrom('sessions')
    .where(`${part}_erased_at`, 'is', null)
    .where('closed_at', 'is not', null)
    .orderBy('closed_at')
    .orderBy('id')
  for (let after = ['', '']; ; ) {
    const rest = remaining.where(sql<boolean>`(closed_at, id) > (${after[0]}, ${after[1]})`)
    // So many are looked at before others have their turn, whether any of them is due or not.
    const last = await rest
      .select(['closed_at', 'id'])
      .limit(1)
      .offset(LOOKED_AT - 1)
      .executeTakeFirst()
    yield* (await rest
      .select(['id', 'connection', 'agent', 'opened_at', 'closed_at', 'classes', 'in_ledger'])
      .select(['recording_erased_at', 'approvals_erased_at', 'annotations_erased_at', 'entries_erased_at'])
      .select(
        sql<0 | 1>`exists (select 1 from approvals where approvals.session = sessions.id
          and approvals.state in ('pending', 'approved'))`.as('waits'),
      )
      .where('closed_at', '<=', last?.closed_at ?? before(kept))
      .$if(last !== undefined, (query) =>
        query.where(sql<boolean>`(closed_at, id) <= (${last!.closed_at}, ${last!.id})`),
      )
      .where('state', '!=', 'open')
      .where(sql<boolean>`closed_at <= ${until}`)
      .$if(part === 'approvals', (query) =>
        // Without a held command there are none.
        query.where((e) => e.or([e('held', '>', 0), e('recording_erased_at', 'is not', null)])),
      )
      .execute()) as Row[]
    if (!last) return
    after = [last.closed_at!, last.id]
    await turn()
  }
}

/** The parts whose time is over, and by which rules. */
async function takenOf(
  row: Row,
  planning: Planning,
): Promise<{ takes: RetentionPart[]; rules: string[]; byClass: boolean }> {
  const { retention, now } = planning
  const closedAt = Date.parse(row.closed_at)
  const asks = closedAt + withoutClasses(row.connection, retention) <= now
  const noted = row.classes === null ? undefined : (JSON.parse(row.classes) as string[])
  const gone = row.recording_erased_at !== null && row.approvals_erased_at !== null
  const classes = noted ?? (asks && !gone ? await planning.classesOf(row) : [])
  const dues = duesOf({ connection: row.connection, closedAt, classes }, retention)
  const takes = parts.filter((part) => row[`${part}_erased_at`] === null && dues[part].at <= now)
  const rules = [...new Set(takes.map((part) => dues[part].rule))]
  return { takes, rules, byClass: dues.byClass && dues.recording.at <= now }
}

/** Types of the entries whose payloads go with these parts. */
export function goingTypes(takes: readonly RetentionPart[], byClass: boolean): (type: string) => boolean {
  const notes = /^annotation(\.|$)/
  const done = /^(command|recording\.chunk)$/
  const digests = /^approval\.(opened|decided)$/
  return (type) => {
    if (notes.test(type)) return takes.includes('annotations')
    if (takes.includes('entries')) return true
    return takes.includes('recording') && (done.test(type) || (byClass && digests.test(type)))
  }
}

/** A plan's item as people are shown it. */
export function itemOf(item: PlannedItem | Plan['kept']['items'][number]): RetentionItem {
  const { session, connection, agent, closedAt, rule, takes, bytes } = item
  const going = 'entries' in item ? item.entries.reduce((n, [first, last]) => n + last - first + 1, 0) : 0
  return {
    ...{ session, connection, agent, closedAt, rule, takes, bytes },
    entries: going,
    heldBy: 'heldBy' in item ? item.heldBy : [],
  }
}
