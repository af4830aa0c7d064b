import type { BaseLogger } from 'pino'
import type { Clock } from '../approvals/clock.ts'
import type { Store } from '../store/store.ts'

/** Counts which sessions use which grants, written behind: whoever opens a session waits for none of it. */
export interface Uses {
  /** Quick, never throws. The same again says that it is still used. */
  used(grants: readonly string[], session: string): void
  /** Writes what was counted so far. */
  flush(): Promise<void>
  /** Whether it was used since the gateway started. */
  wasUsed(grant: string): boolean
  /** It has ended. */
  forget(grant: string): void
}

/** So long uses are gathered (ms). */
const GATHER_MS = 500
/** Beyond so many nothing more is counted until they are written. */
const MOST = 100_000

export function createUses(store: Store, clock: Clock, log: Pick<BaseLogger, 'error'> | undefined): Uses {
  let gathered = new Map<string, Map<string, string>>()
  let many = 0
  let waiting = false
  const ever = new Set<string>()

  const flush = async () => {
    waiting = false
    const uses = gathered
    gathered = new Map()
    many = 0
    if (uses.size === 0) return
    try {
      await store.db.transaction().execute(async (tx) => {
        for (const [grant, sessions] of uses) {
          let added = 0
          let last = ''
          for (const [session, at] of sessions) {
            const { numInsertedOrUpdatedRows } = await tx
              .insertInto('grant_sessions')
              .values({ grant, session, at })
              .onConflict((conflict) => conflict.doNothing())
              .executeTakeFirst()
            added += Number(numInsertedOrUpdatedRows ?? 0n)
            if (at > last) last = at
          }
          await tx
            .updateTable('grants')
            .set((e) => ({ sessions: e('sessions', '+', added), last_used_at: last }))
            .where('id', '=', grant)
            .execute()
        }
      })
    } catch (error) {
      log?.error({ error }, 'which sessions used which grants could not be written down')
    }
  }

  return {
    used(grants, session) {
      const at = clock.now().toISOString()
      for (const grant of grants) {
        ever.add(grant)
        if (many >= MOST) continue
        const sessions = gathered.get(grant) ?? new Map<string, string>()
        gathered.set(grant, sessions)
        if (!sessions.has(session)) many++
        sessions.set(session, at)
      }
      if (waiting || gathered.size === 0) return
      waiting = true
      clock.wake(new Date(clock.now().getTime() + GATHER_MS), () => void flush())
    },
    flush,
    wasUsed: (grant) => ever.has(grant),
    forget: (grant) => void ever.delete(grant),
  }
}
