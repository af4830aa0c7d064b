import type { Principal } from '../identity/principal.ts'
import { ISSUER_GONE } from './entrance.ts'

/** Why somebody who listens must go: their token has ended, or they themselves are barred. */
export interface Gone {
  because: 'token' | 'barred'
  /** Without a full stop. */
  words: string
}

export interface Watchers {
  /**
   * Tells, once and perhaps at once, when somebody must go.
   * @returns ends the watch
   */
  watch(who: Principal, gone: (gone: Gone) => void): () => void
  tokenEnded(token: string, words: string): void
  /** Issuers are others: whose isn't trusted any more goes. */
  issuersChanged(trusts: (who: Principal) => boolean): void
  /** An agent was disabled, or a person has left. */
  barred(id: string, words: string): void
  /** How many are watched. */
  readonly size: number
}

/** Tokens of issuers that can be asked again are asked about so often (ms). */
export const RECHECK_MS = 60_000

/**
 * Whoever stays connected beside the sessions of protocols (the feed), and what ends that.
 * @param options barred: why somebody may do nothing, as it is now; tokenOver: as now, why their token is good no more
 */
export function createWatchers(options: {
  barred: (who: Principal) => string | undefined
  tokenOver: (who: Principal) => Promise<string | undefined>
}): Watchers {
  const all = new Set<Watcher>()

  const end = (one: Watcher, gone: Gone) => {
    if (!all.delete(one)) return
    clearInterval(one.timer)
    one.gone(gone)
  }
  const look = async (one: Watcher) => {
    const words = await options.tokenOver(one.who)
    if (words !== undefined) end(one, { because: 'token', words })
  }

  return {
    watch(who, gone) {
      const one: Watcher = { who, gone, timer: undefined }
      all.add(one)
      const barred = options.barred(who)
      if (barred !== undefined) end(one, { because: 'barred', words: barred })
      else {
        // Between its check and now it may have been revoked.
        void look(one)
        if (who.proof !== undefined) one.timer = setInterval(() => void look(one), RECHECK_MS).unref()
      }
      return () => {
        clearInterval(one.timer)
        all.delete(one)
      }
    },
    tokenEnded(token, words) {
      for (const one of [...all])
        if (one.who.kind === 'agent' && one.who.token?.id === token) end(one, { because: 'token', words })
    },
    issuersChanged(trusts) {
      for (const one of [...all]) if (!trusts(one.who)) end(one, { because: 'token', words: ISSUER_GONE })
    },
    barred(id, words) {
      for (const one of [...all]) if (one.who.id === id) end(one, { because: 'barred', words })
    },
    get size() {
      return all.size
    },
  }
}

interface Watcher {
  who: Principal
  gone: (gone: Gone) => void
  timer: NodeJS.Timeout | undefined
}
