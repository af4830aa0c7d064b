import { chmodSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { Annotation } from '@countersign/contract/evidence'
import Database from 'better-sqlite3'
import type { Seal } from './seal.ts'

/** Whose an entry is: a person at a gateway. It waits for exactly these two. */
export interface Owner {
  gateway: string
  person: string
}

/** Something that waits to be sent. */
export interface Entry {
  /** The id under which the gateway gets it: what is sent twice is there once. */
  id: string
  kind: string
  session: string
  /** What it is about: later entries about it wait while it is a conflict. */
  subject: string
  at: string
  /** Whether it was ever on its way, so that it may have arrived. */
  tried: boolean
  /** Set where the gateway refused it. */
  conflict: { status: number; problem: string } | undefined
  /** Undefined where it can't be read any more. */
  body: unknown
}

/**
 * What waits to be sent, and the annotations that the gateway told of, in a file of its own (outbox.sqlite): what a
 * person wrote outlives a sign-out, and is on disk before the screen says that it is kept.
 */
export interface OutboxStore extends Disposable {
  /** At the end of the line. */
  add(owner: Owner, entry: Pick<Entry, 'id' | 'kind' | 'session' | 'subject' | 'at' | 'body'>): void
  entry(owner: Owner, id: string): Entry | undefined
  /** What waits about a session, in the order in which it was added. */
  entriesOf(owner: Owner, session: string): Entry[]
  /** What waits about all sessions whose names begin so, in the order in which it was added. */
  entriesUnder(owner: Owner, prefix: string): Entry[]
  /** Conflicts first, then in the order in which they were added. */
  foremost(owner: Owner, limit: number): Entry[]
  counts(owner: Owner): { all: number; conflicts: number; playbacks: number; reviews: number }
  /** The next one to send of these kinds, and not about something that an earlier one is in conflict about. */
  next(owner: Owner, kinds: readonly string[]): Entry | undefined
  /** Changes what is said, in its place; `id` gives it another one, and to what waits behind it about the same. */
  change(owner: Owner, id: string, to: Partial<Pick<Entry, 'id' | 'at' | 'tried' | 'conflict' | 'body'>>): void
  remove(owner: Owner, id: string): void
  /** Entries of everybody else, and of this person at other gateways. */
  others(owner: Owner | undefined): number
  together<T>(work: () => T): T

  annotations(owner: Owner, session: string): Annotation[]
  /** Sessions whose annotations were fetched, those that were used last first. */
  fetched(owner: Owner): string[]
  isFetched(owner: Owner, session: string): boolean
  /** What the gateway has of a session, all of it. */
  replaceAnnotations(owner: Owner, session: string, annotations: readonly Annotation[]): void
  saveAnnotation(owner: Owner, annotation: Annotation): void
  /** Sessions with annotations of which the ledger doesn't have everything yet, as far as this console knows. */
  unlogged(owner: Owner): string[]
  /** How often each tag was used. */
  tags(owner: Owner): Map<string, number>
  /** Forgets annotations that were fetched, but for this owner's; what waits to be sent stays. */
  forgetAnnotations(but?: Owner): void
}

const schema = [
  `
  CREATE TABLE outbox (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    kind TEXT NOT NULL,
    session TEXT NOT NULL,
    subject TEXT NOT NULL,
    at TEXT NOT NULL,
    tried INTEGER NOT NULL DEFAULT 0,
    status INTEGER,
    problem TEXT,
    body BLOB NOT NULL
  ) STRICT;
  CREATE INDEX outbox_by_owner ON outbox (owner, n);
  CREATE TABLE annotations (
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    session TEXT NOT NULL,
    logged INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (owner, id)
  ) STRICT;
  CREATE INDEX annotations_by_session ON annotations (owner, session);
  CREATE TABLE fetched (
    owner TEXT NOT NULL,
    session TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (owner, session)
  ) STRICT;
  `,
]

interface Row {
  id: string
  kind: string
  session: string
  subject: string
  at: string
  tried: number
  status: number | null
  problem: string | null
  body: Buffer
}

/**
 * Opens (and where needed makes) the outbox in `folder`, readable by this account only.
 * @throws Error when it was written by a newer version
 */
export function openOutboxStore(folder: string, seal: Seal): OutboxStore {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'outbox.sqlite')
  const db = new Database(file)
  if (process.platform !== 'win32') chmodSync(file, 0o600)
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('secure_delete = ON')
  db.pragma('busy_timeout = 2000')
  migrate(db, file)

  const columns = 'id, kind, session, subject, at, tried, status, problem, body'
  const insert = db.prepare(
    'INSERT INTO outbox (id, owner, kind, session, subject, at, body) VALUES (?, ?, ?, ?, ?, ?, ?)',
  )
  const one = db.prepare(`SELECT ${columns} FROM outbox WHERE owner = ? AND id = ?`)
  const ofOneSession = db.prepare(`SELECT ${columns} FROM outbox WHERE owner = ? AND session = ? ORDER BY n`)
  const underPrefix = db.prepare(
    `SELECT ${columns} FROM outbox WHERE owner = ? AND substr(session, 1, ?) = ? ORDER BY n`,
  )
  const first = db.prepare(`SELECT ${columns} FROM outbox WHERE owner = ? ORDER BY status IS NULL, n LIMIT ?`)
  const count = db.prepare(
    `SELECT count(*) AS "all", count(status) AS conflicts,
       count(*) FILTER (WHERE kind = 'playback' AND status IS NULL) AS playbacks,
       count(*) FILTER (WHERE kind LIKE 'review-%' AND status IS NULL) AS reviews
     FROM outbox WHERE owner = ?`,
  )
  const firstFree = db.prepare(
    `SELECT ${columns} FROM outbox AS o
     WHERE owner = ? AND status IS NULL AND kind IN (SELECT value FROM json_each(?))
       AND NOT EXISTS (SELECT 1 FROM outbox AS e WHERE e.owner = o.owner AND e.subject = o.subject AND e.n < o.n AND e.status IS NOT NULL)
     ORDER BY n LIMIT 1`,
  )
  const update = db.prepare(
    'UPDATE outbox SET id = ?, subject = ?, at = ?, tried = ?, status = ?, problem = ?, body = ? WHERE owner = ? AND id = ?',
  )
  const retarget = db.prepare('UPDATE outbox SET subject = ? WHERE owner = ? AND subject = ?')
  const drop = db.prepare('DELETE FROM outbox WHERE owner = ? AND id = ?')
  const countOthers = db.prepare('SELECT count(*) AS n FROM outbox WHERE owner <> ?')
  const ofSession = db.prepare('SELECT id, body FROM annotations WHERE owner = ? AND session = ?')
  const ofOwner = db.prepare('SELECT id, body FROM annotations WHERE owner = ? ORDER BY rowid DESC LIMIT 5000')
  const saveOne = db.prepare(
    `INSERT INTO annotations (owner, id, session, logged, body) VALUES (?, ?, ?, ?, ?)
     ON CONFLICT (owner, id) DO UPDATE SET session = excluded.session, logged = excluded.logged, body = excluded.body`,
  )
  const clearSession = db.prepare('DELETE FROM annotations WHERE owner = ? AND session = ?')
  const markFetched = db.prepare(
    'INSERT INTO fetched (owner, session, at) VALUES (?, ?, ?) ON CONFLICT (owner, session) DO UPDATE SET at = excluded.at',
  )
  const fetchedOnes = db.prepare('SELECT session FROM fetched WHERE owner = ? ORDER BY at DESC')
  const fetchedOne = db.prepare('SELECT 1 FROM fetched WHERE owner = ? AND session = ?')
  const notLogged = db.prepare('SELECT DISTINCT session FROM annotations WHERE owner = ? AND logged = 0')
  const together = db.transaction((work: () => unknown) => work())

  const entryOf = (owner: Owner, row: Row): Entry => {
    let body: unknown
    let conflict = row.status === null ? undefined : { status: row.status, problem: row.problem ?? '' }
    try {
      body = seal.open(row.body, aboutEntry(owner, row.id, row.kind))
    } catch (error) {
      conflict = { status: 0, problem: (error as Error).message }
    }
    return {
      id: row.id,
      kind: row.kind,
      session: row.session,
      subject: row.subject,
      at: row.at,
      tried: row.tried === 1,
      conflict,
      body,
    }
  }
  const annotationsOf = (owner: Owner, rows: unknown[]): Annotation[] =>
    (rows as { id: string; body: Buffer }[]).flatMap(({ id, body }) => {
      try {
        // What can't be read (an older form, another key) is left out: the gateway tells it anew.
        return [Annotation.parse(seal.open(body, aboutAnnotation(owner, id)))]
      } catch {
        return []
      }
    })
  const saveAnnotation = (owner: Owner, annotation: Annotation) => {
    const body = seal.shut(annotation, aboutAnnotation(owner, annotation.id))
    saveOne.run(nameOf(owner), annotation.id, annotation.session, annotation.logged ? 1 : 0, body)
  }

  return {
    add(owner, { id, kind, session, subject, at, body }) {
      insert.run(id, nameOf(owner), kind, session, subject, at, seal.shut(body, aboutEntry(owner, id, kind)))
    },
    entry(owner, id) {
      const row = one.get(nameOf(owner), id) as Row | undefined
      return row && entryOf(owner, row)
    },
    entriesOf: (owner, session) =>
      (ofOneSession.all(nameOf(owner), session) as Row[]).map((row) => entryOf(owner, row)),
    entriesUnder: (owner, prefix) =>
      (underPrefix.all(nameOf(owner), prefix.length, prefix) as Row[]).map((row) => entryOf(owner, row)),
    foremost: (owner, limit) => (first.all(nameOf(owner), limit) as Row[]).map((row) => entryOf(owner, row)),
    counts: (owner) => count.get(nameOf(owner)) as ReturnType<OutboxStore['counts']>,
    next(owner, kinds) {
      const row = firstFree.get(nameOf(owner), JSON.stringify(kinds)) as Row | undefined
      return row && entryOf(owner, row)
    },
    change(owner, id, to) {
      together(() => {
        const row = one.get(nameOf(owner), id) as Row | undefined
        if (!row) return
        const next = { ...entryOf(owner, row), ...to }
        const subject = row.subject === id ? next.id : row.subject
        const body = next.body === undefined ? row.body : seal.shut(next.body, aboutEntry(owner, next.id, row.kind))
        update.run(
          next.id,
          subject,
          next.at,
          next.tried ? 1 : 0,
          next.conflict?.status ?? null,
          next.conflict?.problem ?? null,
          body,
          nameOf(owner),
          id,
        )
        if (subject !== row.subject) retarget.run(subject, nameOf(owner), row.subject)
      })
    },
    remove: (owner, id) => void drop.run(nameOf(owner), id),
    others: (owner) => (countOthers.get(owner ? nameOf(owner) : '') as { n: number }).n,
    together: <T>(work: () => T) => together(work) as T,

    annotations: (owner, session) => annotationsOf(owner, ofSession.all(nameOf(owner), session)),
    fetched: (owner) => (fetchedOnes.all(nameOf(owner)) as { session: string }[]).map(({ session }) => session),
    isFetched: (owner, session) => fetchedOne.get(nameOf(owner), session) !== undefined,
    replaceAnnotations(owner, session, annotations) {
      together(() => {
        clearSession.run(nameOf(owner), session)
        for (const annotation of annotations) saveAnnotation(owner, annotation)
        markFetched.run(nameOf(owner), session, new Date().toISOString())
      })
    },
    saveAnnotation,
    unlogged: (owner) => (notLogged.all(nameOf(owner)) as { session: string }[]).map(({ session }) => session),
    tags(owner) {
      const used = new Map<string, number>()
      for (const { tags } of annotationsOf(owner, ofOwner.all(nameOf(owner))))
        for (const tag of tags) used.set(tag, (used.get(tag) ?? 0) + 1)
      return used
    },
    forgetAnnotations(but) {
      together(() => {
        db.prepare('DELETE FROM annotations WHERE owner <> ?').run(but ? nameOf(but) : '')
        db.prepare('DELETE FROM fetched WHERE owner <> ?').run(but ? nameOf(but) : '')
      })
    },
    [Symbol.dispose]: () => db.close(),
  }
}

const nameOf = ({ gateway, person }: Owner) => `${gateway} ${person}`
const aboutEntry = (owner: Owner, id: string, kind: string) => `outbox\n${nameOf(owner)}\n${kind}\n${id}`
const aboutAnnotation = (owner: Owner, id: string) => `annotation\n${nameOf(owner)}\n${id}`

function migrate(db: Database.Database, file: string): void {
  const version = db.pragma('user_version', { simple: true }) as number
  if (version > schema.length)
    throw new Error(`${file} was written by a newer version of the console. Update this one, or move the file away.`)
  for (const [n, sql] of schema.entries()) {
    if (n < version) continue
    db.transaction(() => {
      db.exec(sql)
      db.pragma(`user_version = ${n + 1}`)
    })()
  }
}
