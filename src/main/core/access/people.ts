import { BreakGlass, Delegation } from '@countersign/contract/access'
import { z } from 'zod'
import type { PeopleState } from '../../../agents-api.ts'
import type { ConsoleEvent } from '../../../console-api.ts'
import { Refused } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../store/store.ts'

/** Who decides in whose place, and who decided alone in an emergency: as the gateway last told. */
export interface Duty extends Disposable {
  known(): PeopleState
  /** What the gateway tells now; what is known where it can't be asked. */
  look(): Promise<PeopleState>
  delegation(delegation: Delegation): void
  emergency(use: BreakGlass): void
}

/** So many of each are asked for and kept: the latest. */
const MOST = 500

const Known = z.object({ delegations: z.array(Delegation), breakGlass: z.array(BreakGlass), at: z.string() })

export function createDuty(options: {
  store: Store
  clock: Clock
  log: Log
  asking: Asking
  say(event: ConsoleEvent): void
}): Duty {
  const { store, clock, log, asking, say } = options
  const known = (): PeopleState =>
    (stopped ? undefined : store.kept('duty', Known)) ?? { delegations: [], breakGlass: [], at: null }
  /** Raised by every message: a list that was asked for before one must not undo it. */
  let heard = 0
  let stopped = false
  const keep = (what: Partial<PeopleState>) => {
    if (stopped) return
    store.keep('duty', { ...known(), ...what, at: new Date(clock.now()).toISOString() })
    say({ type: 'duty', duty: known() })
  }
  const look = async (again = 2): Promise<PeopleState> => {
    const asked = await asking()
    if (!asked) return known()
    const before = heard
    const [delegations, breakGlass] = await Promise.all([
      none(asked.api.delegations(asked.token, MOST)),
      none(asked.api.breakGlass(asked.token, MOST)),
    ])
    if (heard !== before && again > 0) return look(again - 1)
    keep({ delegations: delegations.items, breakGlass: breakGlass.items })
    return known()
  }
  return {
    known,
    look: () =>
      look().catch((error: Error) => {
        log.warn('delegations and break-glass could not be asked for', { problem: error.message })
        return known()
      }),
    delegation(delegation) {
      heard += 1
      keep({ delegations: withOne(known().delegations, delegation) })
    },
    emergency(use) {
      heard += 1
      const before = known().breakGlass.find(({ id }) => id === use.id)
      // What was reviewed stays so.
      if (before?.review && !use.review) return
      keep({ breakGlass: withOne(known().breakGlass, use) })
    },
    [Symbol.dispose]() {
      stopped = true
    },
  }
}

/** In its place, or the latest. */
function withOne<T extends { id: string }>(list: readonly T[], one: T): T[] {
  const at = list.findIndex(({ id }) => id === one.id)
  return at < 0 ? [one, ...list].slice(0, MOST) : list.with(at, one)
}

/** Who has no role sees none; an older gateway knows none. */
async function none<T>(page: Promise<{ items: T[] }>): Promise<{ items: T[] }> {
  try {
    return await page
  } catch (error) {
    if (error instanceof Refused && (error.status === 403 || error.status === 404)) return { items: [] }
    throw error
  }
}
