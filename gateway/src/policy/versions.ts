import { hash } from 'node:crypto'
import type { PersonRef } from '@countersign/contract/identity'
import type { Kysely, Transaction } from 'kysely'
import { appendAudit } from '../store/audit.ts'
import { appendFeed } from '../store/feed.ts'
import type { Tables } from '../store/tables.ts'
import type { Policies } from './policy.ts'

/**
 * Keeps a policy set that is about to be in force, and tells the ledger of it unless it is the one that was told of
 * last. In a transaction of the caller's, before the set decides anything.
 * @param why in words, and who did it; without a person it was the gateway, from the folder
 * @returns whether it is another one than before
 */
export async function putInForce(
  tx: Kysely<Tables>,
  { version, texts }: Pick<Policies, 'version' | 'texts'>,
  why: string | { reason: string; by: PersonRef },
  at: Date = new Date(),
): Promise<boolean> {
  const { reason, by } = typeof why === 'string' ? { reason: why, by: undefined } : why
  // By its times, not by the versions: a store of before has versions, and no time of any.
  const last = await tx.selectFrom('policy_times').select(['version', 'at']).orderBy('id', 'desc').executeTakeFirst()
  if (last?.version === version) return false
  // Never before the last one, whatever the clock did meanwhile.
  const from = new Date(Math.max(at.getTime(), last ? Date.parse(last.at) + 1 : 0))
  const since = from.toISOString()
  const files = JSON.stringify(texts.map(({ file, text }) => ({ file, text })))
  await tx
    .insertInto('policy_versions')
    .values({ version, at: since, files })
    .onConflict((c) => c.column('version').doUpdateSet({ at: since }))
    .execute()
  const times = { version, at: since, by: by ? JSON.stringify(by) : null, reason }
  await tx.insertInto('policy_times').values(times).execute()
  await appendAudit(
    tx,
    'policy.changed',
    {
      version,
      files: texts.map(({ file, text }) => ({ path: file, sha256: hash('sha256', text) })),
      by: by ? { kind: 'person', ...by } : { kind: 'gateway' },
      reason,
    },
    from,
  )
  await appendFeed(
    tx as Transaction<Tables>,
    'policy.changed',
    { version, by: by?.name ?? 'the gateway', reason },
    from,
  )
  return true
}

/** The files that a policy version had; undefined where it never was in force. */
export async function filesOf(
  db: Kysely<Tables>,
  version: string,
): Promise<{ file: string; text: string }[] | undefined> {
  const row = await db.selectFrom('policy_versions').select('files').where('version', '=', version).executeTakeFirst()
  return row && JSON.parse(row.files)
}
