import { randomUUID } from 'node:crypto'
import type { Freeze } from '@countersign/contract/access'
import type { PersonRef } from '@countersign/contract/identity'
import type { FreezesTable } from '../store/access-tables.ts'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { Store } from '../store/store.ts'

/** What a freeze of everything has as its connection. */
export const EVERYTHING = '*'

export interface Freezes {
  /** The freeze that a connection is under now, its own or that of everything. In memory. */
  over(connection: string): Freeze | undefined
  /** The freeze of that very name, `*` for everything. */
  of(name: string): Freeze | undefined
  /**
   * Takes no sessions on a connection any more, or, with `*`, on any. Those that were told by `onFrozen` have ended
   * what is open when this resolves.
   * @returns the freeze, or `already` where it is frozen
   */
  freeze(name: string, by: PersonRef, reason: string): Promise<Freeze | 'already'>
  /** Ends a freeze, also that of a connection that is configured no more. @returns it, or `not-frozen` */
  unfreeze(name: string, by: PersonRef, reason: string): Promise<Freeze | 'not-frozen'>
  /** Told of each freeze once it is in force. */
  onFrozen(listener: (freeze: Freeze) => void): () => void
}

/**
 * Connections that take no sessions until they are unfrozen; kept in the store, so that a restart lifts nothing.
 * @param clock milliseconds since the epoch
 */
export async function openFreezes({ store, clock }: { store: Store; clock: () => number }): Promise<Freezes> {
  const listeners = new Set<(freeze: Freeze) => void>()
  const rows = await store.db.selectFrom('freezes').selectAll().where('ended_at', 'is', null).execute()
  const inForce = new Map(rows.map((row) => [row.connection, freezeOf(row)]))

  return {
    over: (connection) => inForce.get(EVERYTHING) ?? inForce.get(connection),
    of: (name) => inForce.get(name),

    async freeze(name, by, reason) {
      const at = new Date(clock())
      const freeze: Freeze = { id: `fr_${randomUUID()}`, connection: name, by, reason, at: at.toISOString() }
      const row = { id: freeze.id, connection: name, by: JSON.stringify(by), reason, at: freeze.at }
      const frozen = await store.db.transaction().execute(async (tx) => {
        const same = tx.selectFrom('freezes').select('id').where('connection', '=', name).where('ended_at', 'is', null)
        if (await same.executeTakeFirst()) return false
        await tx
          .insertInto('freezes')
          .values({ ...row, ended_at: null, ended_by: null, ended_because: null })
          .execute()
        await appendAudit(tx, 'connection.frozen', { freeze: freeze.id, connection: name, by, reason }, at)
        await appendFeed(tx, 'connection.frozen', freeze, at)
        return true
      })
      if (!frozen) return 'already'
      // In force first: who comes in while the others are told is refused.
      inForce.set(name, freeze)
      for (const tell of listeners) tell(freeze)
      return freeze
    },

    async unfreeze(name, by, reason) {
      const at = new Date(clock())
      const ended = await store.db.transaction().execute(async (tx) => {
        const row = await tx
          .updateTable('freezes')
          .set({ ended_at: at.toISOString(), ended_by: JSON.stringify(by), ended_because: reason })
          .where('connection', '=', name)
          .where('ended_at', 'is', null)
          .returningAll()
          .executeTakeFirst()
        if (!row) return undefined
        const freeze = freezeOf(row)
        await appendAudit(tx, 'connection.unfrozen', { freeze: freeze.id, connection: name, by, reason }, at)
        await appendFeed(tx, 'connection.unfrozen', freeze, at)
        return freeze
      })
      if (!ended) return 'not-frozen'
      if (inForce.get(name)?.id === ended.id) inForce.delete(name)
      return ended
    },

    onFrozen(listener) {
      const own = (freeze: Freeze) => listener(freeze)
      listeners.add(own)
      return () => void listeners.delete(own)
    },
  }
}

/** What a client and the log are told. */
export function frozenWords({ connection, by, reason }: Freeze): string {
  const what = connection === EVERYTHING ? 'everything was frozen' : `${connection} was frozen`
  return `${what} by ${by.name}: ${reason}`
}

function freezeOf(row: FreezesTable): Freeze {
  return {
    id: row.id,
    connection: row.connection,
    by: JSON.parse(row.by),
    reason: row.reason,
    at: row.at,
    ...(row.ended_at !== null && {
      ended: { by: JSON.parse(row.ended_by!), reason: row.ended_because!, at: row.ended_at },
    }),
  }
}
