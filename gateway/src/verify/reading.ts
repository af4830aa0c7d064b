import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import Database from 'better-sqlite3'

/** A database as it was at one moment, whoever writes into it meanwhile. */
export interface Snapshot extends Disposable {
  readonly database: Database.Database
}

/** What SQLite says of a file that is not as SQLite wrote it, or not of our form; everything else is a trouble of ours. */
export function isDamage(error: unknown): error is Error & { code: string } {
  if (!(error instanceof Database.SqliteError)) return error instanceof RangeError
  return /^SQLITE_(CORRUPT|NOTADB|ERROR|FORMAT|SCHEMA|TOOBIG|MISMATCH|RANGE|CONSTRAINT|INTERNAL)/.test(error.code)
}

/**
 * Opens a database for reading, without ever writing into it, and holds it as it is now. Where the folder can't be
 * written to (a copy on a medium that is read-only), SQLite can't keep its index of the write-ahead log there: then a
 * copy of it is read.
 * @throws SqliteError
 */
export function snapshotOf(file: string): Snapshot {
  try {
    return held(file)
  } catch (error) {
    if (!/^SQLITE_(CANTOPEN|READONLY)/.test((error as { code?: string }).code ?? '') || !existsSync(file)) throw error
    const folder = mkdtempSync(join(tmpdir(), 'countersign-verify-'))
    const remove = () => rmSync(folder, { recursive: true, force: true })
    try {
      for (const name of [basename(file), `${basename(file)}-wal`])
        if (existsSync(join(file, '..', name))) copyFileSync(join(file, '..', name), join(folder, name))
      return held(join(folder, basename(file)), remove)
    } catch (error) {
      remove()
      throw error
    }
  }
}

function held(file: string, after = () => {}): Snapshot {
  const database = new Database(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  try {
    database.pragma('trusted_schema = OFF')
    database.pragma('cell_size_check = ON')
    database.exec('begin')
    // A deferred transaction is of the moment of its first reading.
    database.prepare('select count(*) from sqlite_master').get()
  } catch (error) {
    database.close()
    throw error
  }
  return {
    database,
    [Symbol.dispose]() {
      database.close()
      after()
    },
  }
}

/** What SQLite itself finds wrong with a file, the first few things; empty where it is sound. */
export function damageOf({ database }: Snapshot): string[] {
  const said = database.prepare('pragma integrity_check(5)').pluck().all() as string[]
  return said.length === 1 && said[0] === 'ok' ? [] : said
}

/** Whether a gateway has the data folder now. It is asked for by taking part in its lock for a moment. */
export function isRunning(data: string): boolean {
  const file = join(data, 'gateway.lock')
  if (!existsSync(file)) return false
  let lock: Database.Database | undefined
  try {
    lock = new Database(file, { readonly: true, fileMustExist: true, timeout: 0 })
    lock.prepare('select count(*) from sqlite_master').get()
    return false
  } catch (error) {
    return /^SQLITE_(BUSY|LOCKED)/.test((error as { code?: string }).code ?? '')
  } finally {
    lock?.close()
  }
}
