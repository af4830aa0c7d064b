import type { Kysely } from 'kysely'

/** What waits to be written into the ledger, which sessions it has whole, and the policies that its entries name. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('audit_outbox')
    // AUTOINCREMENT never gives a number out again: the ledger knows by it what it has
    .addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())
    .addColumn('at', 'text', (c) => c.notNull())
    .addColumn('type', 'text', (c) => c.notNull())
    .addColumn('payload', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createTable('policy_versions')
    .addColumn('version', 'text', (c) => c.primaryKey().notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .addColumn('files', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .alterTable('sessions')
    .addColumn('in_ledger', 'integer', (c) => c.notNull().defaultTo(0))
    .execute()
  await db.schema.createIndex('sessions_by_ledger').on('sessions').columns(['in_ledger', 'opened_at']).execute()
}
