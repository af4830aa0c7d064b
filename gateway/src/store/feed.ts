import type { FeedMessage } from '@countersign/contract/feed'
import type { Kysely, Transaction } from 'kysely'
import type { BaseLogger } from 'pino'
import type { FeedTable, Tables } from './tables.ts'

/** What is said on the feed; `reset` is never stored, it is what a listener is told that comes too late. */
export type StoredMessage = Exclude<FeedMessage, { type: 'reset' }>
export type FeedType = StoredMessage['type']
export type FeedData<T extends FeedType> = Extract<StoredMessage, { type: T }>['data']

/** `reset`: what comes after the number asked for is no longer kept (or never was); the feed goes on from `seq`. */
export type FeedPage = { reset: false; messages: StoredMessage[] } | { reset: true; seq: number }

export interface Feed {
  /** Messages after `seq`, oldest first, at most `limit` of them (1000). */
  since(seq: number, limit?: number): Promise<FeedPage>
  /** Number of the oldest message still kept; `newest() + 1` where none is. */
  oldest(): Promise<number>
  /** Number of the newest message ever written; 0 before the first. */
  newest(): Promise<number>
  /**
   * Calls `listener` with each message once it is committed, in the order of `seq`, none left out. A message that was
   * committed shortly before subscribing may still come: who resumes subscribes first, then asks `since`, and drops
   * what has a number it has had.
   */
  subscribe(listener: (message: StoredMessage) => void): () => void
}

/** How many messages are kept at least. */
export const FEED_KEEPS = 100_000

/**
 * Says something on the feed, in the transaction that makes it true: either both happen or neither.
 * @returns the message's number
 */
export async function appendFeed<T extends FeedType>(
  tx: Transaction<Tables>,
  type: T,
  data: FeedData<T>,
  at: Date = new Date(),
): Promise<number> {
  const { seq } = await tx
    .insertInto('feed')
    .values({ at: at.toISOString(), type, data: JSON.stringify(data) })
    .returning('seq')
    .executeTakeFirstOrThrow()
  return seq
}

/** The feed of a store, and what its owner calls after each commit. */
export async function createFeed(
  db: Kysely<Tables>,
  options: { keeps: number; log: Pick<BaseLogger, 'error'> | undefined },
): Promise<{ feed: Feed; committed: () => void; stop: () => Promise<void> }> {
  const listeners = new Set<(message: StoredMessage) => void>()
  let delivered = 0
  let stopped = false
  let asked = false
  let running: Promise<void> | undefined

  const newest = async () => {
    // the newest row is never trimmed
    const row = await db.selectFrom('feed').select('seq').orderBy('seq', 'desc').limit(1).executeTakeFirst()
    return row?.seq ?? 0
  }
  const oldest = async () => {
    const row = await db.selectFrom('feed').select('seq').orderBy('seq', 'asc').limit(1).executeTakeFirst()
    return row?.seq ?? 1
  }
  const read = (seq: number, limit: number) =>
    db.selectFrom('feed').selectAll().where('seq', '>', seq).orderBy('seq').limit(limit).execute()

  const deliver = async () => {
    while (asked && !stopped) {
      asked = false
      for (;;) {
        const rows = await read(delivered, 500)
        if (rows.length === 0) break
        await trim(rows.at(-1)!.seq)
        for (const row of rows) {
          const message = toMessage(row)
          delivered = row.seq
          for (const listener of listeners) {
            try {
              listener(message)
            } catch (error) {
              options.log?.error({ error, seq: row.seq }, 'a listener of the feed failed')
            }
          }
        }
      }
    }
  }
  const trim = async (last: number) => {
    // A hundredth more than promised is kept, so that not every message pays for a deletion.
    if (last - (await oldest()) + 1 <= options.keeps + Math.ceil(options.keeps / 100)) return
    await db
      .deleteFrom('feed')
      .where('seq', '<=', last - options.keeps)
      .execute()
  }
  const committed = () => {
    asked = true
    if (stopped || running) return
    running = deliver()
      .catch((error) => {
        // What wasn't delivered is delivered after the next commit: `delivered` only moves with a message.
        if (!stopped) options.log?.error({ error }, 'the feed could not be read')
      })
      .finally(() => {
        running = undefined
        if (asked && !stopped) committed()
      })
  }

  delivered = await newest()
  return {
    committed,
    stop: async () => {
      stopped = true
      listeners.clear()
      await running
    },
    feed: {
      newest,
      oldest,
      async since(seq, limit = 1000) {
        // Rows before ends: what is trimmed in between can only make the answer a reset too many, never a gap.
        const rows = await read(seq, limit)
        const ends = await db
          .selectFrom('feed')
          .select((e) => [e.fn.min('seq').as('oldest'), e.fn.max('seq').as('newest')])
          .executeTakeFirstOrThrow()
        const last = ends.newest ?? 0
        // A number from the future is one of another life of this store (a restored backup, say).
        if (seq > last || seq < (ends.oldest ?? 1) - 1) return { reset: true, seq: last }
        return { reset: false, messages: rows.map(toMessage) }
      },
      subscribe(listener) {
        // Wrapped, so that the same function given twice is two subscriptions.
        const own = (message: StoredMessage) => listener(message)
        listeners.add(own)
        return () => void listeners.delete(own)
      },
    },
  }
}

function toMessage(row: Omit<FeedTable, 'seq'> & { seq: number }): StoredMessage {
  return { seq: row.seq, at: row.at, type: row.type, data: JSON.parse(row.data) } as StoredMessage
}
