import type { Logger } from 'pino'
import { type Catalog, loadCatalog } from './effects/catalog.ts'
import type { PostgresTarget } from './target.ts'
import { Reader } from './upstream/reader.ts'

type Rows = (string | null)[][]

const sources = new WeakMap<Catalog, Rows>()

/** loadCatalog(), remembering the rows: a catalog can't be sent to another thread, what it was made of can. */
export async function readCatalog(query: (sql: string) => Promise<Rows>): Promise<Catalog> {
  let rows: Rows | undefined
  const catalog = await loadCatalog(async (sql) => {
    if (rows) throw new Error('a catalog is read by one query')
    rows = await query(sql)
    return rows
  })
  if (rows) sources.set(catalog, rows)
  return catalog
}

/** The rows that loadCatalog() made a catalog of. */
export function sourceOf(catalog: Catalog): Rows {
  const rows = sources.get(catalog)
  if (!rows) throw new Error('this catalog was made by other means')
  return rows
}

/** A catalog as of a moment. */
export class Snapshot {
  readonly catalog: Catalog
  readonly #at = performance.now()

  constructor(catalog: Catalog) {
    this.catalog = catalog
  }

  /** Milliseconds since it was taken. */
  get age(): number {
    return performance.now() - this.#at
  }
}

interface Database {
  snapshot?: Snapshot
  loading?: Promise<Snapshot>
  /** A load that begins once the present one is over, for those who must see what was committed in the meantime. */
  next?: Promise<Snapshot>
}

/** The catalogs of the databases, shared by all sessions, each read by a connection of the gateway's own. */
export class Catalogs {
  readonly #databases = new Map<string, Database>()
  /** The same by the sessions' own objects, which are asked for with every command. */
  readonly #byTarget = new WeakMap<PostgresTarget, Database>()
  readonly #log: Logger
  readonly #stopped: AbortSignal

  constructor(log: Logger, stopped: AbortSignal) {
    this.#log = log
    this.#stopped = stopped
  }

  /** What was read last, however old. */
  current(target: PostgresTarget): Snapshot | undefined {
    return this.#database(target).snapshot
  }

  /** What is read from now on. @throws UpstreamError */
  refresh(target: PostgresTarget): Promise<Snapshot> {
    const database = this.#database(target)
    if (!database.loading) return this.#load(target, database)
    database.next ??= database.loading.then(
      () => this.#load(target, database),
      () => this.#load(target, database),
    )
    return database.next
  }

  /** Reads anew without anybody waiting for it, unless that is under way. */
  refreshLater(target: PostgresTarget): void {
    if (this.#database(target).loading) return
    this.refresh(target).catch((error) => {
      this.#log.warn({ connection: target.ref.name, error: (error as Error).message }, 'the catalog could not be read')
    })
  }

  #load(target: PostgresTarget, database: Database): Promise<Snapshot> {
    delete database.next
    database.loading = this.#read(target)
      .then((catalog) => {
        database.snapshot = new Snapshot(catalog)
        return database.snapshot
      })
      .finally(() => {
        delete database.loading
      })
    return database.loading
  }

  async #read(target: PostgresTarget): Promise<Catalog> {
    const from = performance.now()
    const signal = AbortSignal.any([this.#stopped, AbortSignal.timeout(60_000)])
    await using reader = await Reader.open(target, signal)
    const catalog = await readCatalog((sql) => reader.query(sql))
    this.#log.debug({ connection: target.ref.name, ms: Math.round(performance.now() - from) }, 'catalog read')
    return catalog
  }

  #database(target: PostgresTarget): Database {
    let database = this.#byTarget.get(target)
    if (!database) {
      database = this.#sameDatabase(target)
      this.#byTarget.set(target, database)
    }
    return database
  }

  #sameDatabase(target: PostgresTarget): Database {
    const key = JSON.stringify([target.host, target.port, target.database, target.user])
    let database = this.#databases.get(key)
    if (!database) {
      database = {}
      this.#databases.set(key, database)
    }
    return database
  }
}
