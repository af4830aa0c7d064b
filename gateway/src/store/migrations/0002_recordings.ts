import { type Kysely, sql } from 'kysely'

/** Full text of commands, and who played which recording back. */
export async function up(db: Kysely<unknown>): Promise<void> {
  // The index holds no text of its own (the recording does), only which distinct command of which session it was.
  await db.schema
    .createTable('command_texts')
    .addColumn('id', 'integer', (c) => c.primaryKey().notNull())
    .addColumn('session', 'text', (c) => c.notNull())
    .addColumn('hash', 'blob', (c) => c.notNull())
    .addUniqueConstraint('one_text_a_session', ['session', 'hash'])
    .execute()
  await sql`create virtual table command_index using fts5(text, content='', contentless_delete=1, tokenize='unicode61')`.execute(
    db,
  )

  await db.schema
    .createTable('playbacks')
    .addColumn('id', 'integer', (c) => c.primaryKey().autoIncrement())
    .addColumn('at', 'text', (c) => c.notNull())
    .addColumn('session', 'text', (c) => c.notNull())
    .addColumn('person', 'text', (c) => c.notNull())
    .addColumn('person_name', 'text', (c) => c.notNull())
    .addColumn('what', 'text', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('playbacks_by_session').on('playbacks').columns(['session', 'at']).execute()
}
