import type { AgentRecord } from '@countersign/contract/access'
import { z } from 'zod'
import type { AgentsState } from '../../../agents-api.ts'
import type { ConsoleEvent } from '../../../console-api.ts'
import { Refused } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { Store } from '../store/store.ts'

/** The registry of agents: fetched once somebody looks, followed by the feed, kept for when there is no network. */
export interface Agents extends Disposable {
  state(): AgentsState
  /** What came by the feed and is stored, or what an answer told. */
  take(agents: readonly AgentRecord[]): void
  /** The link is live, or no longer. */
  link(live: boolean): void
  /** Somebody looks: what isn't here is fetched, and what the feed doesn't tell (use, sessions) is asked for anew. */
  refresh(): void
  /** What is stored may have gaps, or belongs to somebody else. */
  doubt(): void
}

/** So many are kept; what is more is found at the gateway. */
const MOST = 20_000
/** Asked for anew at most so often (ms), and a failed fetch is tried again after so long. */
const REFRESH = 15_000
const AGAIN = 30_000

/** What is kept of how much is here. */
const Known = z.object({ at: z.string().nullable(), whole: z.boolean(), more: z.boolean() })
const nothing: z.infer<typeof Known> = { at: null, whole: false, more: false }

export function createAgents(options: {
  store: Store
  clock: Clock
  log: Log
  asking: Asking
  say(event: ConsoleEvent): void
}): Agents {
  const { store, clock, log, asking, say } = options
  let live = false
  /** Whether a screen asked for it since the start: until then nothing is fetched. */
  let wanted = false
  let fetching: AbortController | undefined
  let problem: string | undefined
  /** Those that were told by something else while all are fetched. */
  let meanwhile: Set<string> | undefined
  let fetchedAt = -Infinity
  let cancelAgain = () => {}

  const known = () => store.kept('agents', Known) ?? nothing
  const keep = (what: Partial<z.infer<typeof Known>>) => store.keep('agents', { ...known(), ...what })
  const now = () => new Date(clock.now()).toISOString()

  const state = (): AgentsState => {
    const { at, whole, more } = known()
    return {
      at: live && whole ? now() : at,
      whole,
      more,
      loading: fetching !== undefined,
      stored: store.agents.count(),
      ...(problem ? { problem } : {}),
    }
  }
  const tell = (changed: readonly AgentRecord[], removed: readonly string[] = []) =>
    say({ type: 'agents', changed: [...changed], removed: [...removed], state: state() })

  function take(given: readonly AgentRecord[]): void {
    const news = given.filter((agent) => JSON.stringify(agent) !== JSON.stringify(store.agents.agent(agent.id)))
    store.agents.save(news)
    for (const { id } of given) meanwhile?.add(id)
    if (news.length > 0) tell(news)
  }

  /** All that the gateway has, page by page; what it no longer tells goes. */
  async function fetchAll(signal: AbortSignal): Promise<void> {
    const told = new Set<string>()
    let after: string | undefined
    do {
      const asked = await asking()
      if (!asked || signal.aborted) return
      const page = await asked.api.agentsPage(asked.token, after)
      if (signal.aborted) return
      // A page that was asked for before a message was read must not undo it.
      const fresh = page.items.filter(({ id }) => !meanwhile?.has(id))
      const before = meanwhile
      meanwhile = undefined
      take(fresh)
      meanwhile = before
      for (const { id } of page.items) told.add(id)
      after = page.next ?? undefined
    } while (after !== undefined && told.size < MOST)
    const more = after !== undefined
    const gone = more ? [] : store.agents.ids().filter((id) => !told.has(id) && !meanwhile?.has(id))
    store.agents.remove(gone)
    keep({ at: now(), whole: true, more })
    if (gone.length > 0) tell([], gone)
  }

  function fetch(): void {
    if (fetching || !live || !wanted) return
    const mine = new AbortController()
    fetching = mine
    meanwhile = new Set()
    problem = undefined
    fetchedAt = clock.now()
    cancelAgain()
    fetchAll(mine.signal)
      .catch((error: Error) => {
        if (mine.signal.aborted) return
        problem = inWords(error)
        if (error instanceof Refused && error.status === 403) {
          const gone = store.agents.ids()
          store.agents.remove(gone)
          tell([], gone)
          return
        }
        log.warn('agents could not be fetched', { problem: error.message })
        cancelAgain = clock.after(AGAIN, fetch)
      })
      .finally(() => {
        if (fetching !== mine) return
        fetching = undefined
        meanwhile = undefined
        tell([])
      })
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
    link(next) {
      if (live && !next) {
        if (known().whole) keep({ at: now() })
        stop()
      }
      const came = next && !live
      live = next
      if (came && wanted) fetch()
    },
    refresh() {
      wanted = true
      if (!known().whole || clock.now() - fetchedAt >= REFRESH) fetch()
    },
    doubt() {
      stop()
      problem = undefined
      fetchedAt = -Infinity
      keep({ whole: false })
      if (live) fetch()
    },
    [Symbol.dispose]: stop,
  }
}

function inWords(error: Error): string {
  if (error instanceof Refused && error.status === 403) return 'Your role sees no agents.'
  if (error instanceof Refused && error.status === 404)
    return 'This gateway keeps no registry of agents: it needs an update.'
  return error.message
}
