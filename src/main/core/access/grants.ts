import type { Grant, GrantState } from '@countersign/contract/access'
import type { Me } from '@countersign/contract/identity'
import { z } from 'zod'
import type { GrantsState } from '../../../access-api.ts'
import type { ConsoleEvent } from '../../../console-api.ts'
import { Refused } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../store/store.ts'

/** The grants that this person may see: fetched once, followed by the feed, kept for when there is no network. */
export interface Grants extends Disposable {
  state(): GrantsState
  /** What came by the feed and is stored. */
  heard(newer: readonly Grant[]): void
  /** What an answer told. */
  take(grants: readonly Grant[]): void
  /** The link is live, or no longer: what isn't here is fetched. */
  link(live: boolean): void
  /** Asks what changed of those that are live; the feed doesn't tell of their use. */
  refresh(): void
  /** What is stored may have gaps, or belongs to somebody else. */
  doubt(): void
}

/** Those of a page, and how many are kept: what is older is found at the gateway. */
const PAGE = 1000
const MOST = 50_000
/** Live ones are asked for anew at most so often (ms), and a failed fetch is tried again after so long. */
const REFRESH = 15_000
const AGAIN = 30_000

/** What is kept of how much is here. */
const Known = z.object({ at: z.string().nullable(), whole: z.boolean(), more: z.boolean(), by: z.string() })
const nothing: z.infer<typeof Known> = { at: null, whole: false, more: false, by: '' }

const order: Record<GrantState, number> = { requested: 0, active: 1, expired: 2, revoked: 2, denied: 2 }

export function createGrants(options: {
  store: Store
  clock: Clock
  log: Log
  asking: Asking
  me: () => Me | null
  say(event: ConsoleEvent): void
}): Grants {
  const { store, clock, log, asking, say } = options
  let live = false
  let fetching: AbortController | undefined
  let problem: string | undefined
  /** Those that were told by something else while all are fetched. */
  let meanwhile: Set<string> | undefined
  let refreshedAt = -Infinity
  let cancelAgain = () => {}

  const known = () => store.kept('grants', Known) ?? nothing
  const keep = (what: Partial<z.infer<typeof Known>>) => store.keep('grants', { ...known(), ...what })
  const now = () => new Date(clock.now()).toISOString()
  const seesAll = () => seesEverything(options.me())
  const by = () => standingOf(options.me())

  const state = (): GrantsState => {
    const { at, whole, more } = known()
    return {
      at: live && whole ? now() : at,
      whole,
      more,
      loading: fetching !== undefined,
      stored: store.access.count(),
      seesAll: seesAll(),
      ...(problem ? { problem } : {}),
    }
  }
  const tell = (changed: readonly Grant[], removed: readonly string[] = []) =>
    say({ type: 'grants', changed: [...changed], removed: [...removed], state: state() })

  function take(given: readonly Grant[]): void {
    const newer = newerGrants(store, given)
    store.access.save(newer)
    for (const { id } of newer) meanwhile?.add(id)
    if (newer.length > 0) tell(newer)
  }

  /** All that the gateway has for this person, page by page; what it no longer tells goes. */
  async function fetchAll(signal: AbortSignal): Promise<void> {
    const told = new Set<string>()
    let after: string | undefined
    do {
      const asked = await asking()
      if (!asked || signal.aborted) return
      const page = await asked.api.grants(asked.token, { limit: PAGE, after })
      if (signal.aborted) return
      for (const { id } of page.items) told.add(id)
      take(page.items)
      after = page.next ?? undefined
    } while (after !== undefined && told.size < MOST)
    const more = after !== undefined
    const gone = more ? [] : store.access.ids().filter((id) => !told.has(id) && !meanwhile?.has(id))
    store.access.remove(gone)
    const tooMany = store.access.trim(MOST)
    keep({ at: now(), whole: true, more: more || tooMany.length > 0, by: by() })
    if (gone.length + tooMany.length > 0) tell([], [...gone, ...tooMany])
  }

  function fetch(): void {
    if (fetching || !live) return
    const mine = new AbortController()
    fetching = mine
    meanwhile = new Set()
    problem = undefined
    cancelAgain()
    fetchAll(mine.signal)
      .catch((error: Error) => {
        if (mine.signal.aborted) return
        problem = inWords(error)
        if (error instanceof Refused && error.status === 403) {
          const gone = store.access.ids()
          store.access.remove(gone)
          tell([], gone)
          return
        }
        log.warn('grants could not be fetched', { problem: error.message })
        cancelAgain = clock.after(AGAIN, fetch)
      })
      .finally(() => {
        if (fetching !== mine) return
        fetching = undefined
        meanwhile = undefined
        tell([])
      })
  }

  async function refresh(): Promise<void> {
    if (!live || fetching || clock.now() - refreshedAt < REFRESH) return
    refreshedAt = clock.now()
    for (const wanted of ['active', 'requested'] as const) {
      const asked = await asking()
      if (!asked) return
      take((await asked.api.grants(asked.token, { state: wanted, limit: PAGE })).items)
    }
  }

  function stop(): void {
    cancelAgain()
    fetching?.abort()
    fetching = undefined
    meanwhile = undefined
  }

  return {
    state,
    take,
    heard(newer) {
      for (const { id } of newer) meanwhile?.add(id)
      if (newer.length > 0) tell(newer)
    },
    link(next) {
      if (live && !next) {
        if (known().whole) keep({ at: now() })
        stop()
      }
      const came = next && !live
      live = next
      // Another role or group may see others.
      if (came && known().by !== by()) keep({ whole: false })
      if (came && !known().whole) fetch()
    },
    refresh() {
      if (!known().whole) return fetch()
      refresh().catch((error: Error) => log.warn('live grants could not be asked for', { problem: error.message }))
    },
    doubt() {
      stop()
      problem = undefined
      refreshedAt = -Infinity
      markPartial(store)
      if (live) fetch()
    },
    [Symbol.dispose]: stop,
  }
}

/** Whether a person sees the grants of everybody. */
export function seesEverything(me: Me | null): boolean {
  return me?.kind === 'person' && me.roles.some((role) => role !== 'approver')
}

/** What is stored may have gaps from now on; until all were fetched anew. */
export function markPartial(store: Store): void {
  store.keep('grants', { ...(store.kept('grants', Known) ?? nothing), whole: false })
}

/** Those of them that say more than what is stored: a state never goes back. */
export function newerGrants(store: Store, given: readonly Grant[]): Grant[] {
  return given.flatMap((grant) => {
    const stored = store.access.grant(grant.id)
    if (!stored) return [grant]
    const usedBy = grant.usedBy ?? stored.usedBy
    const newer = { ...grant, ...(usedBy && { usedBy }) }
    return grantSupersedes(newer, stored) && JSON.stringify(newer) !== JSON.stringify(stored) ? [newer] : []
  })
}

/** A list that was asked for before a message was read must not undo it. */
export function grantSupersedes(given: Grant, stored: Grant): boolean {
  if (order[given.state] !== order[stored.state]) return order[given.state] > order[stored.state]
  return given.sessions >= stored.sessions && given.approvedBy.length >= stored.approvedBy.length
}

function standingOf(me: Me | null): string {
  if (me?.kind !== 'person') return me?.id ?? ''
  return [me.id, [...me.roles].sort().join(), [...me.groups].sort().join()].join(' ')
}

function inWords(error: Error): string {
  if (error instanceof Refused && error.status === 403) return 'Your role sees no grants.'
  if (error instanceof Refused && error.status === 404) return 'This gateway knows no grants: it needs an update.'
  return error.message
}
