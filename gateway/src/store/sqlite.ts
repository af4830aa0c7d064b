import { chmodSync, closeSync, openSync, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { type DialectAdapter, SqliteAdapter, type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'

/** SQLite's DDL is transactional; Kysely says otherwise only because some PRAGMAs are not, and we use none in migrations. */
class TransactionalDdlAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

export class CountersignSqliteDialect extends SqliteDialect {
  override createAdapter(): DialectAdapter {
    return new TransactionalDdlAdapter()
  }
}

/**
 * Opens the file for nobody but its owner (mode 0600; SQLite gives -wal and -shm the mode of the file itself), with
 * write-ahead log, a sync at every commit, and foreign keys.
 */
export function openSqlite(file: string): Database.Database {
  if (file !== ':memory:') {
    closeSync(openSync(file, 'a', 0o600))
    if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600)
  }
  const database = new Database(file, { timeout: 5000 })
  try {
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = FULL')
    database.pragma('foreign_keys = ON')
    database.pragma('trusted_schema = OFF')
    // What is deleted is overwritten, and statements keep no copies of it in files of their own.
    database.pragma('secure_delete = ON')
    database.pragma('temp_store = MEMORY')
  } catch (error) {
    database.close()
    throw error
  }
  return database
}

const noStatement: SqliteStatement = {
  reader: false,
  all: () => [],
  run: () => ({ changes: 0, lastInsertRowid: 0 }),
  iterate: () => [][Symbol.iterator](),
}

/**
 * What Kysely drives: prepared statements are kept (the same few are asked for all the time), a transaction takes the
 * write lock when it begins, and `committed` is called after each commit.
 */
export function driven(database: Database.Database, committed: () => void): SqliteDatabase {
  const kept = new Map<string, SqliteStatement>()
  const prepare = (sql: string): SqliteStatement => {
    const known = kept.get(sql)
    if (known) return known
    const statement = database.prepare(sql) as unknown as SqliteStatement
    if (kept.size >= 500) kept.delete(kept.keys().next().value!)
    kept.set(sql, statement)
    return statement
  }
  const commit: SqliteStatement = {
    ...noStatement,
    run: () => {
      const result = database.prepare('commit').run()
      committed()
      return result
    },
  }
  return {
    close: () => {
      kept.clear()
      database.close()
    },
    prepare: (sql) => {
      // BEGIN IMMEDIATE: a read that turns into a write later may fail with SQLITE_BUSY whatever the timeout is.
      if (sql === 'begin') return prepare('begin immediate')
      if (sql === 'commit') return commit
      // SQLite has rolled back by itself after SQLITE_FULL and its like; a second rollback would hide the first error.
      if (sql === 'rollback' && !database.inTransaction) return noStatement
      return prepare(sql)
    },
  }
}
