import type { Kysely } from 'kysely'
import { appendAudit } from '../store/audit.ts'
import type { Tables } from '../store/tables.ts'

/** A connection as access depends on it. */
export interface ConfiguredConnection {
  name: string
  kind: string
  tags: string[]
  access: 'standing' | 'jit'
  mode: 'enforce' | 'observe'
}

/**
 * Keeps the connections that are about to be in force, and tells the ledger of them, unless they are those that were told
 * of last. In a transaction of the caller's, before anybody can open one.
 * @returns whether they are others than before
 */
export async function putConfigured(
  tx: Kysely<Tables>,
  configured: Iterable<ConfiguredConnection>,
  at: Date = new Date(),
): Promise<boolean> {
  const connections = [...configured]
    .map(({ name, kind, tags, access, mode }) => ({ name, kind, tags, access, mode }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const text = JSON.stringify(connections)
  const last = await tx
    .selectFrom('connection_versions')
    .select(['at', 'connections'])
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (last?.connections === text) return false
  // Never before the last one, whatever the clock did meanwhile.
  const since = new Date(Math.max(at.getTime(), last ? Date.parse(last.at) + 1 : 0))
  await tx.insertInto('connection_versions').values({ at: since.toISOString(), connections: text }).execute()
  await appendAudit(tx, 'connections.configured', { connections }, since)
  return true
}
