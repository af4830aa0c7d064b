import { type EntryType, type PayloadInput, payloads } from '@countersign/contract/ledger/payloads'
import type { Kysely, Transaction } from 'kysely'
import type { Tables } from './tables.ts'

/**
 * Says something that the ledger is to have, in the transaction that makes it true: either both happen or neither, and
 * what is committed comes into the ledger even where the gateway is killed the moment after. Only what commands do is
 * not said here: that the ledger takes from the recordings.
 * A payload with a member `session` is found with that session's evidence.
 * @returns the row's number: the ledger has the entry, on disk, once the row is gone
 * @throws ZodError where the payload is not one of its type
 */
export async function appendAudit<T extends EntryType>(
  tx: Transaction<Tables> | Kysely<Tables>,
  type: T,
  payload: PayloadInput<T>,
  at: Date = new Date(),
): Promise<number> {
  // Whoever hands rows over is told of the commits of transactions.
  if (!tx.isTransaction) return tx.transaction().execute((own) => appendAudit(own, type, payload, at))
  const checked = payloads[type].parse(payload)
  const { id } = await tx
    .insertInto('audit_outbox')
    .values({ at: at.toISOString(), type, payload: JSON.stringify(checked) })
    .returning('id')
    .executeTakeFirstOrThrow()
  return id
}

/** As {@link appendAudit}, of many of one type: in their order, with few statements. */
export async function appendAudits<T extends EntryType>(
  tx: Transaction<Tables>,
  type: T,
  many: readonly PayloadInput<T>[],
  at: Date = new Date(),
): Promise<void> {
  for (let i = 0; i < many.length; i += 100)
    await tx
      .insertInto('audit_outbox')
      .values(
        many.slice(i, i + 100).map((payload) => {
          const checked = payloads[type].parse(payload)
          return { at: at.toISOString(), type, payload: JSON.stringify(checked) }
        }),
      )
      .execute()
}
