import { chmodSync, closeSync, existsSync, openSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'

/**
 * data/search.sqlite: what commands are found by. It is derived from the recordings: where it is missing, damaged or of
 * another version it is made anew and filled from them.
 */

/** Changed with the tables, and with what counts as a word. */
export const VERSION = 1
/** "Csix" */
const APPLICATION = 0x43736978

/** Where it lies. @param folder the data folder */
export function searchFile(folder: string): string {
  return join(folder, 'search.sqlite')
}

const tables = `
  create table names (
    n integer primary key,
    kind text not null,
    name text not null,
    uses integer not null default 0,
    unique (kind, name)
  );
  create table sessions (
    n integer primary key,
    id text not null unique,
    agent integer not null,
    agent_name text not null,
    connection integer not null,
    started integer not null,
    last integer not null,
    bytes integer not null default 0,
    whole integer not null default 0,
    gone integer not null default 0
  );
  create index sessions_by_last on sessions (last);
  create index sessions_gone on sessions (n) where gone = 1;
  create table commands (
    id integer primary key,
    session integer not null,
    hash blob not null,
    verdict integer not null,
    kind text not null,
    seq integer not null,
    t real not null,
    count integer not null,
    last integer not null
  );
  create unique index commands_once on commands (session, hash);
  create table texts (id integer primary key, text text not null, tables text not null);
  create table parts (
    n integer primary key autoincrement,
    low integer not null unique,
    commands integer not null default 0,
    untidy integer not null default 0
  );
  create table meta (name text primary key, value integer not null) without rowid;
`

/** Why an index that was there could not be used. */
export type Unusable = 'missing' | 'damaged' | 'of another version'

/**
 * Opens the index for writing, made anew where it can't be used. Mode 0600, as it holds what recordings hold.
 * @param patienceMs how long to wait for who else holds it
 * @returns why it was made anew, if it was
 */
export function openForWriting(file: string, patienceMs = 5000): { db: Database.Database; made: Unusable | undefined } {
  const unusable = existsSync(file) ? whyUnusable(file) : 'missing'
  if (unusable === undefined) return { db: configured(new Database(file, { timeout: patienceMs })), made: undefined }
  remove(file)
  closeSync(openSync(file, 'a', 0o600))
  chmodSync(file, 0o600)
  const db = configured(new Database(file, { timeout: patienceMs }))
  db.transaction(() => {
    db.exec(tables)
    db.pragma(`application_id = ${APPLICATION}`)
    db.pragma(`user_version = ${VERSION}`)
  })()
  return { db, made: unusable }
}

/** Opens the index for asking; undefined where there is none of this version (yet). */
export function openForReading(file: string): Database.Database | undefined {
  if (!existsSync(file)) return undefined
  const db = new Database(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  try {
    if (versionOf(db) !== VERSION) throw new Error('another version')
    db.pragma('cache_size = -65536')
    return db
  } catch {
    db.close()
    return undefined
  }
}

/** Removes an index and what SQLite keeps beside it. */
export function remove(file: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(`${file}${suffix}`, { force: true, recursive: true })
}

/** Whether an error says that the file itself is not as SQLite left it. */
export function isDamage(error: unknown): boolean {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' && /^SQLITE_(CORRUPT|NOTADB)/.test(code)
}

function configured(db: Database.Database): Database.Database {
  db.pragma('journal_mode = WAL')
  // What a power cut takes is read from the recordings again.
  db.pragma('synchronous = NORMAL')
  db.pragma('secure_delete = ON')
  db.pragma('cache_size = -65536')
  return db
}

function versionOf(db: Database.Database): number | undefined {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION) return undefined
  return db.pragma('user_version', { simple: true }) as number
}

/** Looks at the beginning of each table; what is damaged further in is noticed when it is met. */
function whyUnusable(file: string): Unusable | undefined {
  let db: Database.Database | undefined
  try {
    db = new Database(file, { timeout: 5000 })
    if (versionOf(db) !== VERSION) return 'of another version'
    for (const table of ['names', 'sessions', 'commands', 'texts', 'parts', 'meta'])
      db.prepare(`select * from ${table} limit 1`).all()
    return undefined
  } catch (error) {
    if (isDamage(error) || (error as { code?: string }).code === 'SQLITE_ERROR') return 'damaged'
    throw error
  } finally {
    db?.close()
  }
}
