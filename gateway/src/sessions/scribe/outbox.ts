import { type Kysely, sql } from 'kysely'
import type { Tables } from '../../store/tables.ts'
import type { OutboxRow } from './messages.ts'

/** So many rows are handed over at a time. */
const PAGE = 500

/** The store's side of the outbox: rows are read in their order, and go once the ledger has them on disk. */
export interface Outbox {
  /**
   * The ledger has all rows up to this one: they go, and the next to be handed over is the one after it.
   * @param life which opening of the ledger this is; told with every row from now on
   * @returns what doesn't fit, in words: the store or the ledger was put back from an older copy
   */
  begin(has: number, life: string): Promise<string[]>
  /** Hands over what was committed before the call. One call at a time does it; others wait for it. */
  handOver(): Promise<void>
  /** The ledger has all rows up to this one on disk. */
  acknowledge(upTo: number): void
  /** Rows that wait, as of the last look. */
  readonly waiting: number
  /** Ends with what was acknowledged gone. */
  stop(): Promise<void>
}

/** @param hand told of rows, each once a life */
export function createOutbox(options: {
  db: Kysely<Tables>
  hand: (rows: OutboxRow[], life: string) => void
  log: { error(fields: object, text: string): void }
}): Outbox {
  const { db, hand, log } = options
  let handed = 0
  let life = ''
  let acknowledged = 0
  let removed = 0
  let last: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined
  let removing: Promise<void> | undefined

  const read = async () => {
    for (;;) {
      const after = handed
      const rows = await db
        .selectFrom('audit_outbox')
        .selectAll()
        .where('id', '>', after)
        .orderBy('id')
        .limit(PAGE)
        .execute()
      if (rows.length === 0) return
      if (handed !== after) continue // begun anew meanwhile
      handed = rows.at(-1)!.id
      hand(rows, life)
      if (rows.length < PAGE) return
    }
  }
  const remove = async () => {
    while (removed < acknowledged) {
      const upTo = acknowledged
      await db.deleteFrom('audit_outbox').where('id', '<=', upTo).execute()
      removed = upTo
    }
  }

  return {
    async begin(has, now) {
      const found = await db.transaction().execute(async (tx) => {
        const { first, most } = await tx
          .selectFrom('audit_outbox')
          .select((e) => [e.fn.min('id').as('first'), e.fn.max('id').as('most')])
          .executeTakeFirstOrThrow()
        const given = await sql<{ seq: number }>`select seq from sqlite_sequence where name = 'audit_outbox'`.execute(
          tx,
        )
        const seq = Math.max(Number(given.rows[0]?.seq ?? 0), Number(most ?? 0))
        if (seq < has) {
          // Numbers that the ledger has must not be given out again: it would take new rows for old ones.
          await sql`delete from sqlite_sequence where name = 'audit_outbox'`.execute(tx)
          await sql`insert into sqlite_sequence (name, seq) values ('audit_outbox', ${has})`.execute(tx)
          return [
            `the store is older than the ledger, as after it was put back from a copy: what it said last was number ${seq}, the ledger has number ${has}`,
          ]
        }
        const next = first === null ? seq + 1 : Number(first)
        if (next > has + 1)
          return [
            `the ledger is older than the store, as after it was put back from a copy: it lacks what the store said as numbers ${has + 1} to ${next - 1}`,
          ]
        return []
      })
      handed = has
      life = now
      acknowledged = Math.max(acknowledged, has)
      await remove()
      return found
    },
    handOver() {
      // What runs may have looked before the latest commit: whoever comes now waits for the one after it.
      next ??= last
        .catch(() => {})
        .then(() => {
          next = undefined
          last = read()
          return last
        })
      return next
    },
    acknowledge(upTo) {
      if (upTo <= acknowledged) return
      acknowledged = upTo
      removing ??= remove()
        .catch((error) => log.error({ error }, 'what the ledger has could not be removed from the outbox: it is later'))
        .finally(() => {
          removing = undefined
        })
    },
    get waiting() {
      return Math.max(0, handed - acknowledged)
    },
    async stop() {
      await removing
    },
  }
}
