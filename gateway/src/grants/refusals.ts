import { GrantRefused } from './refused.ts'

/** Who is refused again and again is told to wait, and the same refusal is written down once. */
export interface Refusals {
  /** @throws GrantRefused `full` where too much of somebody's was refused lately */
  mayAsk(who: string): void
  /** The refusal that the same question had lately. */
  same(who: string, question: string): GrantRefused | undefined
  refused(who: string, question: string, because: GrantRefused): void
  /** Policy has changed: what was refused may not be any more. */
  forget(): void
}

/** So many different refusals within this time (ms) … */
const MOST = 60
const WITHIN_MS = 10 * 60_000
/** … of so many who ask are kept in mind … */
const WHO_MOST = 10_000
/** … and a refusal is good for so long (ms): policy may have changed. */
const SAME_MS = 10_000

interface Refused {
  since: number
  times: number
  last: Map<string, { at: number; because: GrantRefused }>
}

/** @param now milliseconds */
export function createRefusals(now: () => number): Refusals {
  const all = new Map<string, Refused>()
  const current = (who: string): Refused | undefined => {
    const found = all.get(who)
    if (found && now() - found.since < WITHIN_MS) return found
    all.delete(who)
    return undefined
  }
  return {
    mayAsk(who) {
      const found = current(who)
      if (found && found.times >= MOST)
        throw new GrantRefused('full', `${MOST} of your requests were refused lately: wait ten minutes`)
    },
    same(who, question) {
      const found = current(who)?.last.get(question)
      return found && now() - found.at < SAME_MS ? found.because : undefined
    },
    refused(who, question, because) {
      const found = current(who) ?? { since: now(), times: 0, last: new Map() }
      if (!all.has(who)) {
        if (all.size >= WHO_MOST) all.delete(all.keys().next().value!)
        all.set(who, found)
      }
      found.times++
      found.last.set(question, { at: now(), because })
    },
    forget() {
      for (const { last } of all.values()) last.clear()
    },
  }
}
