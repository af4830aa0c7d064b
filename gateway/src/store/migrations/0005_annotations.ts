import type { Kysely } from 'kysely'

/** What people note on recordings, and which they played where the gateway didn't see it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('annotations')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('session', 'text', (c) => c.notNull())
    .addColumn('person', 'text', (c) => c.notNull())
    .addColumn('by', 'text', (c) => c.notNull())
    .addColumn('from_ms', 'real', (c) => c.notNull())
    .addColumn('to_ms', 'real')
    .addColumn('text', 'text', (c) => c.notNull())
    .addColumn('tags', 'text', (c) => c.notNull())
    .addColumn('made_at', 'text', (c) => c.notNull())
    .addColumn('received_at', 'text', (c) => c.notNull())
    .addColumn('withdrawn_at', 'text')
    .addColumn('withdrawn_reason', 'text')
    // The row of the audit outbox that was written last for it: once it is gone, the ledger has all of it.
    .addColumn('audit', 'integer', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('annotations_by_session')
    .on('annotations')
    .columns(['session', 'received_at', 'id'])
    .execute()
  await db.schema.createIndex('annotations_by_person').on('annotations').columns(['person', 'received_at']).execute()
  await db.schema
    .createTable('offline_playbacks')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('session', 'text', (c) => c.notNull())
    .addColumn('person', 'text', (c) => c.notNull())
    .addColumn('played_at', 'text', (c) => c.notNull())
    .addColumn('received_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('offline_playbacks_by_person')
    .on('offline_playbacks')
    .columns(['person', 'received_at'])
    .execute()
}
