import { setImmediate as turn } from 'node:timers/promises'
import type { TokenRecord } from '@countersign/contract/access'
import type { Kysely } from 'kysely'
import type { Tables } from '../../store/tables.ts'
import { recordOf } from './rows.ts'

export interface TokenQuery {
  agent?: string
  connection?: string
  /** Only those that may be used now, or only those that may not. */
  live?: boolean
  limit: number
  /** A `next` that was answered before. */
  after?: string
  /** Leaves out what the caller may not see. */
  sees?: (token: TokenRecord) => boolean
}

export class BadTokenCursor extends Error {
  override name = 'BadTokenCursor'
}

/** So many rows are read at a time, and so many for one page at most: who sees few of many gets a short page. */
const BATCH = 1000
const MOST_READ = 20_000

/** Tokens, newest first. @throws BadTokenCursor */
export async function listTokens(
  db: Kysely<Tables>,
  { agent, connection, live, limit, after, sees }: TokenQuery,
  now: Date,
): Promise<{ items: TokenRecord[]; next: string | null }> {
  const items: TokenRecord[] = []
  let cursor = after === undefined ? undefined : readCursor(after)
  const time = now.toISOString()
  const size = sees ? BATCH : limit
  for (let read = 0; ; ) {
    const rows = await db
      .selectFrom('tokens')
      .selectAll()
      .$if(agent !== undefined, (q) => q.where('agent', '=', agent!))
      .$if(connection !== undefined, (q) => q.where('connection', '=', connection!))
      .$if(live === true, (q) => q.where('expires_at', '>', time).where('revoked_at', 'is', null))
      .$if(live === false, (q) => q.where((e) => e.or([e('expires_at', '<=', time), e('revoked_at', 'is not', null)])))
      .$if(cursor !== undefined, (q) =>
        q.where((e) =>
          e.or([e('issued_at', '<', cursor!.at), e('issued_at', '=', cursor!.at).and('id', '<', cursor!.id)]),
        ),
      )
      .orderBy('issued_at', 'desc')
      .orderBy('id', 'desc')
      .limit(size + 1)
      .execute()
    for (const row of rows.slice(0, size)) {
      if (items.length === limit) return { items, next: cursorOf(cursor!) }
      cursor = { at: row.issued_at, id: row.id }
      const record = recordOf(row)
      if (!sees || sees(record)) items.push(record)
    }
    read += size
    if (rows.length <= size) return { items, next: null }
    if (items.length === limit || read >= MOST_READ) return { items, next: cursorOf(cursor!) }
    // SQLite answers at once: others have a turn in between.
    await turn()
  }
}

function cursorOf({ at, id }: { at: string; id: string }): string {
  return Buffer.from(`${at} ${id}`).toString('base64url')
}

function readCursor(after: string): { at: string; id: string } {
  const match = /^(\d{4}-[\dT:.-]{1,30}Z) (tk_[0-9a-z]{1,40})$/.exec(Buffer.from(after, 'base64url').toString())
  if (!match) throw new BadTokenCursor('`after` is not one that a list gave out: use the `next` of the page before.')
  return { at: match[1]!, id: match[2]! }
}
