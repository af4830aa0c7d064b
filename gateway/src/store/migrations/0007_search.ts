import type { Kysely } from 'kysely'

/** Commands are found by an index of their own, data/search.sqlite, which is filled from the recordings. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.dropTable('command_index').execute()
  await db.schema.dropTable('command_texts').execute()
}
