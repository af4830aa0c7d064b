import { Grant, Plan } from '@countersign/contract/access'
import type Database from 'better-sqlite3'
import type { z } from 'zod'
import type { Before } from '../../../access-api.ts'

const PlanHead = Plan.omit({ grants: true })
type PlanHead = z.infer<typeof PlanHead>

/** Grants and plans as the gateway told of them. */
export interface AccessRows {
  /** The newest first; `next` goes into `after`. */
  grants(query: { limit: number; after?: string | undefined }): { items: Grant[]; next: string | null }
  grant(id: string): Grant | undefined
  ids(): string[]
  count(): number
  /** The steps of a plan, in their order. */
  ofPlan(plan: string): Grant[]
  /** What the same agent was given on the same connection before a grant was asked for. */
  before(grant: Grant): Before
  save(grants: readonly Grant[]): void
  remove(ids: readonly string[]): void
  /** All but the `newest` that have ended. */
  trim(newest: number): string[]
  plan(id: string): PlanHead | undefined
  savePlan(plan: PlanHead): void
}

export function accessRows(db: Database.Database): AccessRows {
  const save = db.prepare(
    `INSERT INTO grants (id, state, agent, connection, plan, requested_at, body) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, plan = excluded.plan, body = excluded.body`,
  )
  const first = db.prepare('SELECT id, requested_at, body FROM grants ORDER BY requested_at DESC, id DESC LIMIT ?')
  const following = db.prepare(
    'SELECT id, requested_at, body FROM grants WHERE (requested_at, id) < (?, ?) ORDER BY requested_at DESC, id DESC LIMIT ?',
  )
  const one = db.prepare('SELECT body FROM grants WHERE id = ?')
  const ids = db.prepare('SELECT id FROM grants').pluck()
  const count = db.prepare('SELECT count(*) FROM grants').pluck()
  const ofPlan = db.prepare('SELECT body FROM grants WHERE plan = ?')
  const earlier = db.prepare(
    'SELECT body FROM grants WHERE agent = ? AND connection = ? AND requested_at < ? ORDER BY requested_at DESC LIMIT 1000',
  )
  const remove = db.prepare('DELETE FROM grants WHERE id = ?')
  const tooMany = db
    .prepare(
      `SELECT id FROM grants WHERE state NOT IN ('requested', 'active') ORDER BY requested_at DESC, id DESC LIMIT -1 OFFSET ?`,
    )
    .pluck()
  const onePlan = db.prepare('SELECT body FROM plans WHERE id = ?')
  const savePlan = db.prepare(
    'INSERT INTO plans (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body',
  )
  const drop = db.transaction((gone: readonly string[]) => {
    for (const id of gone) remove.run(id)
  })

  return {
    grants({ limit, after }) {
      const [at, id] = after === undefined ? [] : placeIn(after)
      const rows = (at === undefined ? first.all(limit + 1) : following.all(at, id, limit + 1)) as PlacedRow[]
      const page = rows.slice(0, limit)
      const last = page.at(-1)
      return { items: bodies(Grant, page), next: rows.length > limit ? `${last!.requested_at} ${last!.id}` : null }
    },
    grant: (id) => bodies(Grant, [one.get(id)])[0],
    ids: () => ids.all() as string[],
    count: () => count.get() as number,
    ofPlan: (plan) => bodies(Grant, ofPlan.all(plan)).sort((a, b) => (a.step?.number ?? 0) - (b.step?.number ?? 0)),
    before(grant) {
      const before: Before = { given: 0, denied: 0, longest: 0, actions: [] }
      const actions = new Set<string>()
      for (const old of bodies(Grant, earlier.all(grant.agent, grant.connection, grant.requestedAt))) {
        if (old.state === 'denied') before.denied += 1
        if (old.activeFrom === undefined) continue
        before.given += 1
        before.longest = Math.max(before.longest, old.seconds)
        before.lastAt ??= old.activeFrom
        for (const action of old.actions) actions.add(action)
      }
      return { ...before, actions: [...actions].sort() }
    },
    save: db.transaction((grants: readonly Grant[]) => {
      for (const g of grants)
        save.run(g.id, g.state, g.agent, g.connection, g.plan ?? null, g.requestedAt, JSON.stringify(g))
    }),
    remove: drop,
    trim(newest) {
      const gone = tooMany.all(newest) as string[]
      drop(gone)
      return gone
    },
    plan: (id) => bodies(PlanHead, [onePlan.get(id)])[0],
    savePlan({ id, ...rest }) {
      savePlan.run(id, JSON.stringify(PlanHead.parse({ id, ...rest })))
    },
  }
}

type Row = { body: string }
type PlacedRow = Row & { id: string; requested_at: string }

function placeIn(after: string): [string, string] {
  const at = after.indexOf(' ')
  return [after.slice(0, at), after.slice(at + 1)]
}

/** A row that no longer fits its schema is left out: the gateway will tell it anew. */
function bodies<T>(schema: z.ZodType<T>, rows: unknown[]): T[] {
  return rows.flatMap((row) => {
    if (!row) return []
    const parsed = schema.safeParse(JSON.parse((row as Row).body))
    return parsed.success ? [parsed.data] : []
  })
}
