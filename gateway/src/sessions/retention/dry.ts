import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { RetentionRun } from '@countersign/contract/evidence'
import Database from 'better-sqlite3'
import { Kysely } from 'kysely'
import type { LoadedRetention } from '../../config/retention.ts'
import { CountersignSqliteDialect } from '../../store/sqlite.ts'
import { openEntries } from '../ledger/entries.ts'
import { bytesOf, classesIn } from './files.ts'
import { holdsInForce } from './holds.ts'
import { looseEntries } from './loose.ts'
import { planRun, runBounds } from './plan.ts'
import { dryRun } from './runs.ts'
import type { RetentionTables } from './tables.ts'

/** There is nothing to look at, with a sentence that says why. */
export class NothingKept extends Error {
  override name = 'NothingKept'
}

/**
 * What a run would take now, read from a data folder whether a gateway runs on it or not. Changes nothing.
 * @throws NothingKept, LedgerStopped, or what the disk says
 */
export async function dryRunOf(data: string, retention: LoadedRetention, now = Date.now()): Promise<RetentionRun> {
  const file = join(data, 'countersign.sqlite')
  if (!existsSync(file)) throw new NothingKept(`there is nothing in ${data} yet: no gateway ever ran on it`)
  const database = new Database(file, { readonly: true, fileMustExist: true, timeout: 5000 })
  const db = new Kysely<RetentionTables>({ dialect: new CountersignSqliteDialect({ database }) })
  try {
    const known = database.prepare("select 1 from sqlite_master where name = 'retention_runs'").get()
    if (!known) throw new NothingKept(`${file} is of an earlier version: start the gateway once`)
    using entries = openEntries(join(data, 'ledger'))
    const holds = await holdsInForce(db)
    const plan = await planRun({
      db: db as never,
      retention,
      holds,
      now,
      bounds: runBounds,
      live: () => false,
      classesOf: (session) => classesIn(data, session),
      bytesOf: (session) => bytesOf(data, session),
      *entriesOf(session) {
        for (const { n, type, payload } of entries.entriesOf(session)) if (payload) yield { n, type }
      },
      loose: () => looseEntries(entries, retention, holds, now),
    })
    return dryRun(plan, { kind: 'gateway' }, new Date(now))
  } finally {
    await db.destroy()
  }
}
