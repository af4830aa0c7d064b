import type { Kysely } from 'kysely'

/** What the keys of `data_classes` stood for, so that a column renamed while the gateway is down stays masked. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('classified_columns')
    .addColumn('database', 'text', (c) => c.notNull())
    .addColumn('key', 'text', (c) => c.notNull())
    .addColumn('oid', 'text', (c) => c.notNull())
    .addColumn('attnum', 'integer', (c) => c.notNull())
    .addColumn('newest', 'integer', (c) => c.notNull())
    .addColumn('at', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('one_column_a_key', ['database', 'key'])
    .execute()
}
