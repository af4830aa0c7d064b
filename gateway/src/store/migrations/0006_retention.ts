import { type Kysely, sql } from 'kysely'

/** What sessions touched and what of them is gone, legal holds, and the runs that took it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // Null: not known, as of recordings that were made before this was noted.
  await db.schema.alterTable('sessions').addColumn('classes', 'text').execute()
  for (const part of ['recording', 'approvals', 'annotations', 'entries']) {
    await db.schema.alterTable('sessions').addColumn(`${part}_erased_at`, 'text').execute()
    // Only what is still there is looked through, and so the index grows with what is kept, not with what ever was.
    await sql`create index ${sql.ref(`sessions_with_${part}`)} on sessions (closed_at, id)
      where ${sql.ref(`${part}_erased_at`)} is null and closed_at is not null`.execute(db)
  }

  // Holds and searches name connections.
  await db.schema.createIndex('sessions_by_connection').on('sessions').columns(['connection', 'opened_at']).execute()

  await db.schema
    .createTable('legal_holds')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('by', 'text', (c) => c.notNull())
    .addColumn('reason', 'text', (c) => c.notNull())
    .addColumn('placed_at', 'text', (c) => c.notNull())
    .addColumn('sessions', 'text', (c) => c.notNull())
    .addColumn('connections', 'text', (c) => c.notNull())
    .addColumn('agents', 'text', (c) => c.notNull())
    .addColumn('lifted_by', 'text')
    .addColumn('lifted_reason', 'text')
    .addColumn('lifted_at', 'text')
    .execute()
  await db.schema.createIndex('legal_holds_by_time').on('legal_holds').columns(['placed_at', 'id']).execute()

  await db.schema
    .createTable('retention_runs')
    .addColumn('id', 'text', (c) => c.primaryKey().notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .addColumn('by', 'text', (c) => c.notNull())
    .addColumn('rule', 'text', (c) => c.notNull())
    .addColumn('state', 'text', (c) => c.notNull().check(sql`state in ('planned', 'explained', 'done')`))
    // The ledger's size when it was planned: its own entry, if it came to be, is at or after it.
    .addColumn('ledger_size', 'integer', (c) => c.notNull())
    .addColumn('entry', 'integer')
    .addColumn('recordings', 'integer', (c) => c.notNull())
    .addColumn('bytes', 'integer', (c) => c.notNull())
    .addColumn('entries', 'integer', (c) => c.notNull())
    .addColumn('kept', 'integer', (c) => c.notNull())
    .addColumn('more', 'integer', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('retention_runs_by_time').on('retention_runs').columns(['at', 'id']).execute()
  await db.schema
    .createTable('retention_items')
    .addColumn('run', 'text', (c) => c.notNull().references('retention_runs.id').onDelete('cascade'))
    .addColumn('session', 'text', (c) => c.notNull())
    .addColumn('rule', 'text', (c) => c.notNull())
    .addColumn('takes', 'text', (c) => c.notNull())
    // Digests go too: what they are of could be guessed.
    .addColumn('digests', 'integer', (c) => c.notNull())
    .addColumn('bytes', 'integer', (c) => c.notNull())
    .addColumn('entries', 'integer', (c) => c.notNull())
    .addPrimaryKeyConstraint('one_item_a_session', ['run', 'session'])
    .execute()
}
