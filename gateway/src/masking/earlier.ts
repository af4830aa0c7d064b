import type { Logger } from 'pino'
import type { Store } from '../store/store.ts'
import type { EarlierKeys } from './masking.ts'
import type { KnownColumn } from './resolve.ts'

/** Where a database is, as the configuration has it. */
export interface DatabaseAddress {
  host: string
  port: number
  database: string
}

/** What the keys of `data_classes` stood for, by database, kept in the store. */
export interface KnownColumns extends AsyncDisposable {
  /** Of the keys that are configured for a database now. */
  of(address: DatabaseAddress, dataClasses: Readonly<Record<string, string>>): EarlierKeys
  /** Forgets what no connection of the configuration names any more: who corrects a key is done with it. */
  keepOnly(connections: Iterable<DatabaseAddress & { data_classes: Readonly<Record<string, string>> }>): void
  /** Resolves once all that was told has been written, or can't be. */
  written(): Promise<void>
}

/**
 * Reads what was known when the gateway ran last. Afterwards nothing waits for the store: it is written behind.
 * @throws whatever the store throws
 */
export async function openKnownColumns(
  { db }: Pick<Store, 'db'>,
  log: Pick<Logger, 'error'>,
  now: () => Date = () => new Date(),
): Promise<KnownColumns> {
  const known = new Map<string, Map<string, KnownColumn>>()
  for (const { database, key, oid, attnum, newest } of await db.selectFrom('classified_columns').selectAll().execute())
    keysOf(known, database).set(key, { oid, attnum, newest })

  /** What is to be written: keys by database. A key that isn't known any more is to be deleted. */
  const changed = new Map<string, Set<string>>()
  let writing: Promise<void> | undefined
  const change = (database: string, key: string) => {
    const keys = changed.get(database) ?? new Set()
    changed.set(database, keys.add(key))
    writing ??= write().finally(() => {
      writing = undefined
    })
  }
  const write = async () => {
    // What is told in one go is written in one go.
    await Promise.resolve()
    while (changed.size > 0) {
      const batch = new Map(changed)
      changed.clear()
      try {
        await db.transaction().execute(async (tx) => {
          for (const [database, keys] of batch) {
            for (const key of keys) {
              const column = known.get(database)?.get(key)
              const delete_ = tx
                .deleteFrom('classified_columns')
                .where('database', '=', database)
                .where('key', '=', key)
              await delete_.execute()
              if (!column) continue
              const { oid, attnum, newest = 0 } = column
              const row = { database, key, oid, attnum, newest, at: now().toISOString() }
              await tx.insertInto('classified_columns').values(row).execute()
            }
          }
        })
      } catch (error) {
        log.error({ error }, 'what data_classes stand for could not be kept: it is tried again with the next change')
        for (const [database, keys] of batch)
          changed.set(database, new Set([...keys, ...(changed.get(database) ?? [])]))
        return
      }
    }
  }

  const written = async () => {
    while (writing) await writing
  }
  return {
    of(address, dataClasses) {
      const database = nameOf(address)
      return {
        load() {
          const keys = [...(known.get(database) ?? [])].filter(([key]) => Object.hasOwn(dataClasses, key))
          return keys.length > 0 ? new Map(keys) : undefined
        },
        save(keys) {
          const own = keysOf(known, database)
          for (const [key, column] of keys) {
            const before = own.get(key)
            if (before?.oid === column.oid && before.attnum === column.attnum && before.newest === column.newest)
              continue
            own.set(key, { ...column })
            change(database, key)
          }
        },
      }
    },
    keepOnly(connections) {
      const wanted = new Map<string, Set<string>>()
      for (const { data_classes, ...address } of connections) {
        const keys = wanted.get(nameOf(address)) ?? new Set()
        for (const key of Object.keys(data_classes)) keys.add(key)
        wanted.set(nameOf(address), keys)
      }
      for (const [database, columns] of known) {
        for (const key of [...columns.keys()]) {
          if (wanted.get(database)?.has(key)) continue
          columns.delete(key)
          change(database, key)
        }
      }
    },
    written,
    [Symbol.asyncDispose]: written,
  }
}

const nameOf = ({ host, port, database }: DatabaseAddress) => `${host}:${port}/${database}`

function keysOf(known: Map<string, Map<string, KnownColumn>>, database: string): Map<string, KnownColumn> {
  const keys = known.get(database) ?? new Map<string, KnownColumn>()
  known.set(database, keys)
  return keys
}
