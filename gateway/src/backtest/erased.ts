import type { BacktestResult } from '@countersign/contract/policies'
import type { Kysely } from 'kysely'
import type { Tables } from '../store/tables.ts'
import { ERASED } from './samples.ts'

/**
 * A result without the texts of commands whose recordings retention has erased since; nor does the store keep them any
 * longer.
 */
export async function withoutErased(db: Kysely<Tables>, id: string, result: BacktestResult): Promise<BacktestResult> {
  const shown = result.changes.flatMap(({ samples }) => samples).filter(({ text }) => text !== ERASED)
  const sessions = [...new Set(shown.map(({ session }) => session))]
  const gone = new Set<string>()
  for (let from = 0; from < sessions.length; from += 500) {
    const rows = await db
      .selectFrom('sessions')
      .select(['id', 'recording_erased_at'])
      .where('id', 'in', sessions.slice(from, from + 500))
      .execute()
    for (const row of rows) if (row.recording_erased_at !== null) gone.add(row.id)
  }
  if (gone.size === 0) return result
  const left: BacktestResult = {
    ...result,
    changes: result.changes.map((change) => ({
      ...change,
      samples: change.samples.map((one) => (gone.has(one.session) ? { ...one, text: ERASED } : one)),
    })),
  }
  await db
    .updateTable('backtests')
    .set({ result: JSON.stringify(left) })
    .where('id', '=', id)
    .execute()
  return left
}

/** Does that for all that are kept: retention is not to wait for somebody to look. */
export async function forgetErased(db: Kysely<Tables>): Promise<void> {
  const rows = await db.selectFrom('backtests').select('id').where('result', 'is not', null).execute()
  for (const { id } of rows) {
    const row = await db.selectFrom('backtests').select('result').where('id', '=', id).executeTakeFirst()
    if (row?.result) await withoutErased(db, id, JSON.parse(row.result))
  }
}
