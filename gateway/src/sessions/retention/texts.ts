import { setImmediate as turn } from 'node:timers/promises'
import { sql } from 'kysely'
import type { RetentionDb } from './tables.ts'

/** So many sessions are one transaction; so many pages of the index are merged before others have their turn. */
const TOGETHER = 25
const PAGES = 200

/**
 * Takes commands of these sessions out of the store's full-text index. FTS5 only notes that a row is gone and drops its
 * words when it merges what it has: so it is merged, bit by bit, until there is nothing left to merge.
 */
export async function forgetTexts(db: RetentionDb, sessions: readonly string[]): Promise<void> {
  const { rows } = await sql`select 1 from sqlite_master where name = 'command_index'`.execute(db)
  if (rows.length === 0) return
  for (let at = 0; at < sessions.length; at += TOGETHER) {
    const some = sql`(select value from json_each(${JSON.stringify(sessions.slice(at, at + TOGETHER))}))`
    await db.transaction().execute(async (tx) => {
      await sql`delete from command_index where rowid in (select id from command_texts where session in ${some})`.execute(
        tx,
      )
      await sql`delete from command_texts where session in ${some}`.execute(tx)
    })
    await turn()
  }
  // The first number below zero makes everything be of one level, so that all of it is merged.
  for (let pages = -PAGES; ; pages = PAGES) {
    const before = await changes(db)
    await sql`insert into command_index (command_index, rank) values ('merge', ${pages})`.execute(db)
    // FTS5: fewer than two changes say that there was nothing to merge.
    if (pages > 0 && (await changes(db)) - before < 2) return
    await turn()
  }
}

async function changes(db: RetentionDb): Promise<number> {
  const { rows } = await sql<{ n: number }>`select total_changes() as n`.execute(db)
  return rows[0]!.n
}
