import type Database from 'better-sqlite3'
import { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { BaseLogger } from 'pino'
import { createFeed, FEED_KEEPS, type Feed } from './feed.ts'
import { migrations } from './migrations/migrations.ts'
import { CountersignSqliteDialect, driven, openSqlite } from './sqlite.ts'
import type { Tables } from './tables.ts'

export interface Store extends AsyncDisposable {
  /**
   * There is one connection to SQLite: a transaction waits for the one before it, and inside a transaction only `tx`
   * may be asked, or it waits for itself.
   */
  readonly db: Kysely<Tables>
  readonly feed: Feed
  /** Calls `listener` after each commit of a transaction. Must be quick and must not throw. Answers the function that ends it. */
  onCommit(listener: () => void): () => void
}

export class StoreError extends Error {
  readonly code: 'newer' | 'foreign' | 'unusable'
  constructor(code: StoreError['code'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'StoreError'
    this.code = code
  }
}

/**
 * Opens the gateway's SQLite store, making or migrating it as needed.
 * @param file path of the database, made with mode 0600 where it isn't there
 * @param options feedKeeps: messages of the feed that are kept (100,000); log: told what has nobody to be thrown at
 * @throws StoreError where the file was made by a newer version, by something else, or can't be used
 */
export async function openStore(
  file: string,
  options: { feedKeeps?: number; log?: Pick<BaseLogger, 'error'> } = {},
): Promise<Store> {
  const database = open(file)
  let committed = () => {}
  const db = new Kysely<Tables>({
    dialect: new CountersignSqliteDialect({ database: driven(database, () => committed()) }),
  })
  try {
    refuseForeign(database, file)
    await migrate(db, file)
    const feed = await createFeed(db, { keeps: options.feedKeeps ?? FEED_KEEPS, log: options.log })
    const listeners = new Set<() => void>()
    committed = () => {
      feed.committed()
      for (const listener of listeners) listener()
    }
    return {
      db,
      feed: feed.feed,
      onCommit(listener) {
        const own = () => listener()
        listeners.add(own)
        return () => void listeners.delete(own)
      },
      async [Symbol.asyncDispose]() {
        await feed.stop()
        await db.destroy()
      },
    }
  } catch (error) {
    database.close()
    throw error
  }
}

function open(file: string): Database.Database {
  try {
    return openSqlite(file)
  } catch (error) {
    throw new StoreError(
      'unusable',
      `${file}: the store can't be opened (${wordsOf(error)}): check that it is a file of this gateway, that its folder may be written and that the disk isn't full`,
      { cause: error },
    )
  }
}

/** Knows from the migrations that were run whose database this is. */
function refuseForeign(database: Database.Database, file: string): void {
  const tables = database
    .prepare("select name from sqlite_master where type = 'table' and name not like 'sqlite_%'")
    .all()
    .map((row) => (row as { name: string }).name)
  if (tables.length === 0) return
  if (!tables.includes('kysely_migration'))
    throw new StoreError('foreign', `${file}: not a store of Countersign: give the gateway a data folder of its own`)
  const unknown = database
    .prepare('select name from kysely_migration order by name')
    .all()
    .map((row) => (row as { name: string }).name)
    .filter((name) => !(name in migrations))
  if (unknown.length > 0)
    throw new StoreError(
      'newer',
      `${file}: made by a newer version of Countersign (it has ${unknown.join(', ')}): run that version, or restore the backup that was made before it`,
    )
}

async function migrate(db: Kysely<Tables>, file: string): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error)
    throw new StoreError('unusable', `${file}: the store could not be brought up to date (${wordsOf(error)})`, {
      cause: error,
    })
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
