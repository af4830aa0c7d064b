import type { Logger } from 'pino'
import { type Classification, classify } from '../masking/classes.ts'
import { loadColumns } from '../masking/columns.ts'
import type { Masking } from '../masking/masking.ts'
import { type Catalog, loadCatalog } from './effects/catalog.ts'
import type { PostgresTarget } from './target.ts'
import { KeptReader } from './upstream/kept.ts'

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

/** Reads which columns hold data of which classes. @param before as of an earlier look at the same database */
export async function readClassification(
  query: (sql: string) => Promise<Rows>,
  { dataClasses, earlier }: Pick<Masking, 'dataClasses' | 'earlier'>,
  before: Classification | undefined,
): Promise<Classification> {
  const columns = await loadColumns(query)
  const keys = before ? undefined : earlier?.load()
  const { keys: known } = before ?? {}
  const classification = classify(dataClasses, columns, before ?? (keys && { keys }))
  if (JSON.stringify([...classification.keys]) !== JSON.stringify([...(known ?? keys ?? [])])) {
    earlier?.save(classification.keys)
  }
  return classification
}

/** A catalog as of a moment, with the classes of its columns where the connection has rules of masking. */
export class Snapshot {
  readonly catalog: Catalog
  readonly classification: Classification | undefined
  readonly #at: number
  #outdated = false

  /** @param at when its reading began (performance.now()) */
  constructor(catalog: Catalog, classification?: Classification, at = performance.now()) {
    this.catalog = catalog
    this.classification = classification
    this.#at = at
  }

  /** Milliseconds since it was taken; infinite where it is known to hold no longer. */
  get age(): number {
    return this.#outdated ? Number.POSITIVE_INFINITY : performance.now() - this.#at
  }

  /** Whether it tells of all that was committed until that moment, as far as is known (performance.now()). */
  tellsOf(moment: number): boolean {
    return !this.#outdated && this.#at > moment
  }

  /** Something that it tells of was changed at this moment, or before. */
  outdate(moment: number): void {
    this.#outdated ||= this.#at <= moment
  }
}

interface Database {
  readonly reader: KeptReader
  snapshot?: Snapshot
  /** When a session last changed what the catalog tells. */
  changedAt?: number
  loading?: Promise<Snapshot>
  /** A load that begins once the present one is over, for those who must see what was committed in the meantime. */
  next?: Promise<Snapshot>
}

/** So many databases' catalogs are kept while no session uses them: after reloads many may be of no use any more. */
export const KEPT_IDLE = 64

/** The catalogs of the databases, shared by all sessions, each read by a connection of the gateway's own. */
export class Catalogs {
  /** All that sessions use, or that are kept: never two of one database, since sessions tell each other of DDL by it. */
  readonly #databases = new Map<string, WeakRef<Database>>()
  /** Those kept, the one that was last asked for by a new session last. */
  readonly #kept = new Set<Database>()
  /** The same by the sessions' own objects, which are asked for with every command. */
  readonly #byTarget = new WeakMap<PostgresTarget, Database>()
  readonly #log: Logger
  readonly #stopped: AbortSignal

  constructor(log: Logger, stopped: AbortSignal) {
    this.#log = log
    this.#stopped = stopped
  }

  /** How many databases are known, and how many of them are kept whether a session uses them or not. */
  get sizes(): { known: number; kept: number } {
    return { known: this.#databases.size, kept: this.#kept.size }
  }

  /** What was read last, however old. */
  current(target: PostgresTarget): Snapshot | undefined {
    return this.#database(target).snapshot
  }

  /** A session has connected to the database: what it will read is read where it is. */
  joined(target: PostgresTarget): void {
    this.#database(target).reader.joined()
  }

  /** What was committed until that moment (performance.now()), read from now on or since. @throws UpstreamError */
  async since(target: PostgresTarget, moment: number): Promise<Snapshot> {
    const { snapshot } = this.#database(target)
    return snapshot?.tellsOf(moment) ? snapshot : this.refresh(target)
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

  /** What was read until now holds no longer: no session decides by it any more. */
  outdate(target: PostgresTarget): void {
    const database = this.#database(target)
    database.changedAt = performance.now()
    database.snapshot?.outdate(database.changedAt)
  }

  /** Whether a session has changed since that moment what the catalog tells (performance.now()). */
  changedSince(target: PostgresTarget, moment: number): boolean {
    return (this.#database(target).changedAt ?? Number.NEGATIVE_INFINITY) >= moment
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
    database.loading = this.#read(target, database)
      .then((snapshot) => {
        if (database.changedAt !== undefined) snapshot.outdate(database.changedAt)
        database.snapshot = snapshot
        return snapshot
      })
      .finally(() => {
        delete database.loading
      })
    return database.loading
  }

  async #read(target: PostgresTarget, { reader, snapshot }: Database): Promise<Snapshot> {
    const from = performance.now()
    const signal = AbortSignal.any([this.#stopped, AbortSignal.timeout(60_000)])
    const { masking } = target
    const before = snapshot?.classification
    const [catalog, classification] = await reader.read(target, signal, async (query) => [
      await readCatalog(query),
      masking && (await readClassification(query, masking, before)),
    ])
    if (classification) masking?.told?.(classification.problems)
    const problems = classification?.problems.map(({ problem }) => problem) ?? []
    if (problems.length > 0 && problems.join() !== before?.problems.map(({ problem }) => problem).join())
      this.#log.warn({ connection: target.ref.name, problems }, 'data_classes do not fit the database')
    this.#log.debug({ connection: target.ref.name, ms: Math.round(performance.now() - from) }, 'catalog read')
    return new Snapshot(catalog, classification, from)
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
    const { host, port, user, masking } = target
    const key = JSON.stringify([host, port, target.database, user, masking?.dataClasses])
    let database = this.#databases.get(key)?.deref()
    if (!database) {
      for (const [other, gone] of this.#databases) if (!gone.deref()) this.#databases.delete(other)
      database = { reader: new KeptReader(this.#stopped) }
      this.#databases.set(key, new WeakRef(database))
    }
    this.#kept.delete(database)
    this.#kept.add(database)
    if (this.#kept.size > KEPT_IDLE) this.#kept.delete(this.#kept.values().next().value!)
    return database
  }
}
