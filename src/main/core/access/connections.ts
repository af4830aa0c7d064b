import { ConnectionRecord, type Freeze } from '@countersign/contract/access'
import { z } from 'zod'
import type { ConsoleEvent } from '../../../console-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../store/store.ts'

/** The gateway's connections as it last told of them: environment, what they need, whether they are frozen. */
export interface Connections {
  known(): { items: ConnectionRecord[]; at: string | null }
  /** What the gateway tells now; what is known where it can't be asked. */
  look(): Promise<{ items: ConnectionRecord[]; at: string | null }>
  /** One was frozen or unfrozen, or all (`*`). */
  heard(freeze: Freeze): void
}

const Known = z.object({ items: z.array(ConnectionRecord), at: z.string() })

export function createConnections(options: {
  store: Store
  clock: Clock
  log: Log
  asking: Asking
  say(event: ConsoleEvent): void
}): Connections {
  const { store, clock, log, asking, say } = options
  const known = () => store.kept('connections', Known) ?? { items: [], at: null }
  const keep = (items: ConnectionRecord[]) => {
    store.keep('connections', { items, at: new Date(clock.now()).toISOString() })
    say({ type: 'connections', items })
  }
  /** How many freezes were heard of, and ends of such. */
  let heardOf = 0
  const look = async () => {
    for (;;) {
      const asked = await asking()
      if (!asked) return known()
      const before = heardOf
      const items = await asked.api.connections(asked.token)
      // An answer from before something was frozen would say that it isn't.
      if (heardOf !== before) continue
      keep(items)
      return known()
    }
  }
  return {
    known,
    look: () =>
      look().catch((error: Error) => {
        log.warn('connections could not be asked for', { problem: error.message })
        return known()
      }),
    heard(freeze) {
      heardOf++
      const concerns = ({ name }: ConnectionRecord) => freeze.connection === '*' || freeze.connection === name
      const { items } = known()
      if (!items.some(concerns)) return
      if (freeze.ended) {
        // Another freeze may still be in force, its own or that of everything: the gateway knows.
        void look().catch(() => {})
      }
      keep(
        items.map((one) => {
          if (!concerns(one)) return one
          const { freeze: before, ...rest } = one
          if (!freeze.ended) return { ...rest, freeze }
          return before?.id === freeze.id ? rest : one
        }),
      )
    },
  }
}
