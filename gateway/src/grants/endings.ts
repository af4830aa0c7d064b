import { setImmediate as turn } from 'node:timers/promises'
import type { Grant } from '@countersign/contract/access'
import type { BaseLogger } from 'pino'
import type { Clock } from '../approvals/clock.ts'
import type { GrantChange } from './grants.ts'
import type { LiveGrants } from './live.ts'
import { ended, moveGrant, type Tx, theGateway } from './transitions.ts'

/** What ends because its time is over. */
export interface Endings {
  /** A grant ends at this time (milliseconds since 1970), perhaps before all others. */
  dueAt(at: number): void
  /** Ends what is due, and sets the timer for what is due next. */
  expireDue(): Promise<void>
  stop(): void
}

/** So many are written down in one transaction. */
const AT_ONCE = 50
const AGAIN_MS = 1000

/**
 * One timer for the grant that ends first. What is due is gone from memory at that moment, whether or not the store can
 * write it down then: nobody works on because a disk is full.
 */
export function createEndings({
  live,
  clock,
  change,
  tell,
  log,
}: {
  live: LiveGrants
  clock: Clock
  change: (work: (tx: Tx, at: Date) => Promise<{ grants: Grant[] }>) => Promise<{ grants: Grant[] }>
  tell: (change: GrantChange) => void
  log: Pick<BaseLogger, 'error'> | undefined
}): Endings {
  let deadline = Number.POSITIVE_INFINITY
  let callOff = () => {}
  let stopped = false

  const dueAt = (at: number) => {
    if (stopped || at >= deadline) return
    deadline = at
    callOff()
    // A clock may wake us early, where a timer can't wait for so long.
    callOff = clock.wake(new Date(at), () => void expireDue())
  }
  const expireDue = async () => {
    callOff()
    deadline = Number.POSITIVE_INFINITY
    const over = live.due(clock.now().getTime())
    for (const id of over) {
      const holder = live.remove(id)!
      tell({ ...holder, grant: id, state: 'expired', words: `grant ${id} has expired` })
    }
    dueAt(live.next())
    try {
      while (!stopped && (await writeDown()) === AT_ONCE) await turn()
    } catch (error) {
      if (stopped) return
      log?.error({ error }, 'grants that have expired could not be written down; trying again in a second')
      dueAt(clock.now().getTime() + AGAIN_MS)
    }
  }
  /** @returns how many there were */
  const writeDown = async (): Promise<number> => {
    const { grants } = await change(async (tx, at) => {
      const due = await tx
        .selectFrom('grants')
        .select(['id', 'expires_at'])
        .where('state', '=', 'active')
        .where('expires_at', '<=', at.toISOString())
        .limit(AT_ONCE)
        .execute()
      const expired: Grant[] = []
      for (const { id, expires_at } of due) {
        // Access ended when it was due, whenever that is written down.
        const to = ended('expired', theGateway, 'its time was over', expires_at!)
        expired.push((await moveGrant(tx, id, ['active'], to, theGateway, at))!)
      }
      return { grants: expired }
    })
    return grants.length
  }

  return {
    dueAt,
    expireDue,
    stop() {
      stopped = true
      callOff()
    },
  }
}
