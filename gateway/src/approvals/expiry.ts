import type { Kysely } from 'kysely'
import type { BaseLogger } from 'pino'
import type { Tables } from '../store/tables.ts'
import type { Clock } from './clock.ts'
import { escalateDue } from './escalate.ts'
import { close } from './transitions.ts'

/** Why an approval expired, by the state it was in. */
export const late = { pending: 'nobody decided in time', approved: 'approved, but not used in time' } as const

/** One timer for whatever is due next, ends and escalations; what is due is in the store, so that it survives a restart. */
export interface Expiry {
  /** Something is due at this time (milliseconds since 1970), perhaps earlier than all else. */
  dueAt(at: number): void
  /** Expires and escalates what is due, and sets the timer for what is due next. */
  expireDue(): Promise<void>
  stop(): void
}

export function createExpiry(db: Kysely<Tables>, clock: Clock, log: Pick<BaseLogger, 'error'> | undefined): Expiry {
  let deadline = Number.POSITIVE_INFINITY
  let callOff = () => {}
  let stopped = false

  const dueAt = (at: number) => {
    if (stopped || at >= deadline) return
    deadline = at
    callOff()
    callOff = clock.wake(new Date(at), () => void expireDue())
  }
  const expireDue = async () => {
    deadline = Number.POSITIVE_INFINITY
    try {
      for (const at of await expireNow()) dueAt(Date.parse(at))
    } catch (error) {
      if (stopped) return
      log?.error({ error }, 'approvals could not be expired or escalated; trying again in a second')
      dueAt(clock.now().getTime() + 1000)
    }
  }
  /** @returns when something is due next */
  const expireNow = () =>
    db.transaction().execute(async (tx) => {
      const at = clock.now()
      const due = await tx
        .selectFrom('approvals')
        .select(['id', 'state'])
        .where((e) =>
          e.or([
            e('state', '=', 'pending').and('expires_at', '<=', at.toISOString()),
            e('state', '=', 'approved').and('use_by', '<=', at.toISOString()),
          ]),
        )
        .execute()
      for (const { id, state } of due)
        if (state === 'pending' || state === 'approved')
          await close(tx, id, [state], { state: 'expired', because: late[state], at })
      await escalateDue(tx, at)
      const { pending, approved, escalates } = await tx
        .selectFrom('approvals')
        .select((e) => [
          e.fn.min('expires_at').filterWhere('state', '=', 'pending').as('pending'),
          e.fn.min('use_by').filterWhere('state', '=', 'approved').as('approved'),
          e.fn.min('escalates_at').filterWhere('state', '=', 'pending').as('escalates'),
        ])
        .where('state', 'in', ['pending', 'approved'])
        .executeTakeFirstOrThrow()
      return [pending, approved, escalates].filter((next) => next !== null)
    })

  return {
    dueAt,
    expireDue,
    stop() {
      stopped = true
      callOff()
    },
  }
}
