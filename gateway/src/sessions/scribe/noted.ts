import { appendFeed } from '../../store/feed.ts'
import type { Store } from '../../store/store.ts'
import { sessionOf } from '../rows.ts'
import type { LostEnd, Over } from './messages.ts'

/**
 * Notes in the store that the ledger has these sessions to their end. One whose recording was lost ends in its row as it
 * does in the ledger: no other end of it will ever come into the ledger.
 */
export async function noteInLedger(store: Store, all: { session: string; over: Over }[]): Promise<void> {
  await store.db.transaction().execute(async (tx) => {
    const ids = all.map(({ session }) => session)
    await tx.updateTable('sessions').set({ in_ledger: 1 }).where('id', 'in', ids).execute()
    for (const { session, over } of all) {
      if (over.how !== 'lost' || !over.end) continue
      const row = await tx
        .updateTable('sessions')
        .set(endedAs(over.end))
        .where('id', '=', session)
        .where((e) => e.or([e('closed_because', 'is', null), e('closed_because', '!=', over.end!.reason)]))
        .returningAll()
        .executeTakeFirst()
      if (row) await appendFeed(tx, 'session.closed', sessionOf(row), new Date(over.end.at))
    }
  })
}

const endedAs = ({ at, reason, bytes }: LostEnd) => ({
  state: 'interrupted' as const,
  closed_at: at,
  closed_because: reason,
  recording_bytes: bytes,
  recording_complete: 0 as const,
})
