import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Approval } from '@countersign/contract/approval'
import { Session } from '@countersign/contract/session'
import Database from 'better-sqlite3'
import type { z } from 'zod'
import type { Seal } from '../outbox/seal.ts'
import { type AccessRows, accessRows } from './access-rows.ts'
import { type AgentRows, agentRows } from './agent-rows.ts'
import { type LibraryRows, libraryRows } from './library-rows.ts'
import { migrations } from './migrations.ts'
import { type PolicyRows, policyRows } from './policy-rows.ts'
import { type ReviewRows, reviewRows } from './review-rows.ts'

/** What the person saw, on this machine: there without a network. */
export interface Store extends Disposable {
  /** Pending approvals and the `closed` newest others, newest first. */
  approvals(closed?: number): Approval[]
  approval(id: string): Approval | undefined
  saveApprovals(approvals: readonly Approval[]): void
  /** The newest sessions that match, newest first. */
  sessions(query: LocalSessionQuery): { items: Session[]; next: string | null }
  session(id: string): Session | undefined
  saveSessions(sessions: readonly Session[]): void
  /** A small named value, checked against its schema; undefined where absent or no longer valid. */
  kept<T>(name: string, schema: z.ZodType<T>): T | undefined
  keep(name: string, value: unknown): void
  /** What is known of the recordings that are kept beside this store. */
  readonly library: LibraryRows
  readonly access: AccessRows
  readonly agents: AgentRows
  /** Campaigns and their items, which nobody reads without the seal. */
  reviews(seal: Seal): ReviewRows
  readonly policy: PolicyRows
  /** Runs `work` in one transaction. */
  together(work: () => void): void
  /** Empties the lists of approvals and sessions, to be filled anew. */
  forgetLists(): void
  /** Forgets what a person saw; settings stay. */
  forget(): void
}

export interface LocalSessionQuery {
  text?: string | undefined
  agent?: string | undefined
  connection?: string | undefined
  state?: string | undefined
  from?: string | undefined
  to?: string | undefined
  limit: number
  after?: string | undefined
}

/** What survives `forget`: it belongs to the machine, not to who signed in. */
const ofTheMachine = ['settings']

/**
 * Opens (and where needed makes or migrates) the store in `folder`, readable by this account only.
 * @throws Error when the store was written by a newer version
 */
export function openStore(folder: string): Store {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'console.sqlite')
  const db = new Database(file)
  if (process.platform !== 'win32') chmodSync(file, 0o600)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = NORMAL')
  db.pragma('busy_timeout = 2000')
  migrate(db, file)

  const saveApproval = db.prepare(
    `INSERT INTO approvals (id, state, requested_at, expires_at, body) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, expires_at = excluded.expires_at, body = excluded.body`,
  )
  const saveSession = db.prepare(
    `INSERT INTO sessions (id, state, opened_at, agent, connection, body) VALUES (?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET state = excluded.state, body = excluded.body`,
  )
  const pending = db.prepare(`SELECT body FROM approvals WHERE state IN ('pending', 'approved')`)
  const closedOnes = db.prepare(
    `SELECT body FROM approvals WHERE state NOT IN ('pending', 'approved') ORDER BY requested_at DESC, id LIMIT ?`,
  )
  const oneApproval = db.prepare('SELECT body FROM approvals WHERE id = ?')
  const oneSession = db.prepare('SELECT body FROM sessions WHERE id = ?')
  const oneKept = db.prepare('SELECT value FROM kept WHERE name = ?')
  const keepOne = db.prepare(
    'INSERT INTO kept (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value',
  )
  const together = db.transaction((work: () => void) => work())

  return {
    approvals(closed = 500) {
      return [...bodies(Approval, pending.all()), ...bodies(Approval, closedOnes.all(closed))].sort((a, b) =>
        b.requestedAt.localeCompare(a.requestedAt),
      )
    },
    approval: (id) => bodies(Approval, [oneApproval.get(id)])[0],
    saveApprovals(approvals) {
      together(() => {
        for (const a of approvals) saveApproval.run(a.id, a.state, a.requestedAt, a.expiresAt, JSON.stringify(a))
      })
    },
    sessions(query) {
      const { sql, values } = sessionSearch(query)
      const items = bodies(Session, db.prepare(sql).all(...values, query.limit + 1))
      const more = items.length > query.limit
      const page = items.slice(0, query.limit)
      return { items: page, next: more ? sessionPlace(page.at(-1)!) : null }
    },
    session: (id) => bodies(Session, [oneSession.get(id)])[0],
    saveSessions(sessions) {
      together(() => {
        for (const s of sessions)
          saveSession.run(s.id, s.state, s.openedAt, s.identity.name, s.connection, JSON.stringify(s))
      })
    },
    kept(name, schema) {
      const row = oneKept.get(name) as { value: string } | undefined
      if (!row) return undefined
      const parsed = schema.safeParse(JSON.parse(row.value))
      return parsed.success ? parsed.data : undefined
    },
    keep: (name, value) => void keepOne.run(name, JSON.stringify(value)),
    library: libraryRows(db),
    access: accessRows(db),
    agents: agentRows(db),
    reviews: (seal) => reviewRows(db, seal),
    policy: policyRows(db),
    together,
    // A kept recording is of use only with its session.
    forgetLists: () =>
      void db.exec('DELETE FROM approvals; DELETE FROM sessions WHERE id NOT IN (SELECT session FROM library)'),
    forget() {
      together(() => {
        db.exec(
          'DELETE FROM approvals; DELETE FROM sessions; DELETE FROM library; DELETE FROM grants; DELETE FROM plans; DELETE FROM agents; DELETE FROM policy; DELETE FROM campaigns; DELETE FROM campaign_items; DELETE FROM item_pages',
        )
        db.prepare(`DELETE FROM kept WHERE name NOT IN (${ofTheMachine.map(() => '?').join()})`).run(...ofTheMachine)
      })
    },
    [Symbol.dispose]: () => db.close(),
  }
}

function migrate(db: Database.Database, file: string): void {
  const version = db.pragma('user_version', { simple: true }) as number
  if (version > migrations.length)
    throw new Error(`${file} was written by a newer version of the console. Update this one, or move the file away.`)
  for (const [n, sql] of migrations.entries()) {
    if (n < version) continue
    db.transaction(() => {
      db.exec(sql)
      db.pragma(`user_version = ${n + 1}`)
    })()
  }
}

/** A row that no longer fits its schema (an older version wrote it) is left out: the gateway will tell it anew. */
function bodies<T>(schema: z.ZodType<T>, rows: unknown[]): T[] {
  const items: T[] = []
  for (const row of rows) {
    if (!row) continue
    const parsed = schema.safeParse(JSON.parse((row as { body: string }).body))
    if (parsed.success) items.push(parsed.data)
  }
  return items
}

const sessionPlace = (session: Session) => `${session.openedAt} ${session.id}`

function sessionSearch(query: LocalSessionQuery): { sql: string; values: unknown[] } {
  const conditions: string[] = ['1']
  const values: unknown[] = []
  const add = (sql: string, ...given: unknown[]) => {
    conditions.push(sql)
    values.push(...given)
  }
  if (query.connection) add('connection = ?', query.connection)
  if (query.agent) add(`(agent = ? OR json_extract(body, '$.agent') = ?)`, query.agent, query.agent)
  if (query.state) add('state = ?', query.state)
  if (query.from) add('opened_at >= ?', query.from)
  if (query.to) add('opened_at <= ?', query.to)
  if (query.after) add(`opened_at || ' ' || id < ?`, query.after)
  if (query.text) {
    const like = `%${query.text.replace(/[\\%_]/g, '\\$&')}%`
    const fields = ['id', 'agent', 'connection', `json_extract(body, '$.purpose')`]
    add(`(${fields.map((f) => `${f} LIKE ? ESCAPE '\\'`).join(' OR ')})`, ...fields.map(() => like))
  }
  return {
    sql: `SELECT body FROM sessions WHERE ${conditions.join(' AND ')} ORDER BY opened_at DESC, id DESC LIMIT ?`,
    values,
  }
}
