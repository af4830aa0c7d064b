import type { Me } from '@countersign/contract/identity'
import type { Campaign } from '@countersign/contract/review'
import { z } from 'zod'
import type { ConsoleEvent } from '../../../console-api.ts'
import type { CampaignsState } from '../../../reviews-api.ts'
import { Refused } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { ReviewRows } from '../store/review-rows.ts'
import type { Store } from '../store/store.ts'

/** Campaigns: fetched while there is a link, followed by the feed, kept for when there is no network. */
export interface Campaigns extends Disposable {
  state(): CampaignsState
  /** Those due first on top, what is over last. */
  list(): Campaign[]
  /** What the feed or an answer told. `mine` of its counts is for whoever asked: of the feed it isn’t ours. */
  take(campaign: Campaign, from: 'feed' | 'answer'): void
  gone(id: string): void
  link(live: boolean): void
  refresh(): void
  /** Asks for one again soon; several wishes within a short time are one. */
  lookSoon(id: string): void
  doubt(): void
}

/** Whether the roles of somebody let them see campaigns (contract.md section 7). */
export function seesCampaigns(me: Me | null): boolean {
  return me?.kind === 'person' && me.roles.some((role) => role === 'reviewer' || role === 'auditor' || role === 'admin')
}

const AGAIN = 30_000
const REFRESH = 15_000
const SOON = 1_000

const Known = z.object({ at: z.string().nullable(), whole: z.boolean(), forbidden: z.boolean() })
const nothing: z.infer<typeof Known> = { at: null, whole: false, forbidden: false }

export function createCampaigns(options: {
  store: Store
  rows: ReviewRows
  clock: Clock
  log: Log
  asking: Asking
  me(): Me | null
  say(event: ConsoleEvent): void
  /** What is kept of it may have to follow. */
  changed(campaign: Campaign): void
  /** All of them were fetched. */
  fetched(): void
}): Campaigns {
  const { store, rows, clock, log, asking, say } = options
  let live = false
  let fetching: AbortController | undefined
  let problem: string | undefined
  let fetchedAt = -Infinity
  let cancelAgain = () => {}
  let meanwhile: Set<string> | undefined
  const soon = new Map<string, () => void>()

  const known = () => store.kept('reviews', Known) ?? nothing
  const keep = (what: Partial<z.infer<typeof Known>>) => store.keep('reviews', { ...known(), ...what })
  const now = () => new Date(clock.now()).toISOString()
  const state = (): CampaignsState => {
    const { at, whole, forbidden } = known()
    return {
      at: live && whole ? now() : at,
      whole,
      loading: fetching !== undefined,
      forbidden: forbidden || !seesCampaigns(options.me()),
      ...(problem !== undefined && { problem }),
    }
  }
  const tell = (changed: readonly Campaign[], removed: readonly string[] = []) =>
    say({ type: 'campaigns', changed: [...changed], removed: [...removed], state: state() })

  function save(campaign: Campaign): void {
    const before = rows.campaign(campaign.id)
    if (JSON.stringify(before) === JSON.stringify(campaign)) return
    rows.saveCampaigns([campaign])
    tell([campaign])
    options.changed(campaign)
  }

  function take(campaign: Campaign, from: 'feed' | 'answer'): void {
    meanwhile?.add(campaign.id)
    const before = rows.campaign(campaign.id)
    // A campaign that is over stays that.
    if (before?.state === 'closed' && campaign.state !== 'closed' && from === 'feed') return
    const mine = from === 'answer' ? campaign.counts.mine : (before?.counts.mine ?? 0)
    save({ ...campaign, counts: { ...campaign.counts, mine } })
    if (from === 'feed' && campaign.state === 'active') lookSoon(campaign.id)
  }

  async function fetchAll(signal: AbortSignal): Promise<void> {
    const told = new Set<string>()
    let after: string | undefined
    do {
      const asked = await asking()
      if (!asked || signal.aborted) return
      const page = await asked.api.campaignsPage(asked.token, after)
      if (signal.aborted) return
      const before = told.size
      for (const campaign of page.items) {
        told.add(campaign.id)
        if (!meanwhile?.has(campaign.id)) save(campaign)
      }
      after = nextOf(page.next, told.size - before)
    } while (after !== undefined)
    const lost = rows
      .campaigns()
      .map(({ id }) => id)
      .filter((id) => !told.has(id) && !meanwhile?.has(id))
    drop(lost)
    keep({ at: now(), whole: true, forbidden: false })
    options.fetched()
  }

  function drop(ids: readonly string[]): void {
    if (ids.length === 0) return
    rows.removeCampaigns(ids)
    tell([], ids)
  }

  function fetch(): void {
    if (fetching || !live || !seesCampaigns(options.me())) return
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
          drop(rows.campaigns().map(({ id }) => id))
          keep({ forbidden: true, whole: false })
          return
        }
        if (error instanceof Refused && error.status === 404) return
        log.warn('campaigns could not be fetched', { problem: error.message })
        cancelAgain = clock.after(AGAIN, fetch)
      })
      .finally(() => {
        if (fetching !== mine) return
        fetching = undefined
        meanwhile = undefined
        tell([])
      })
  }

  async function look(id: string): Promise<void> {
    const asked = await asking()
    if (!asked) return
    const campaign = await asked.api.campaign(asked.token, id)
    if (campaign) save(campaign)
    else drop([id])
  }

  function lookSoon(id: string): void {
    if (soon.has(id) || !live) return
    soon.set(
      id,
      clock.after(SOON, () => {
        soon.delete(id)
        look(id).catch((error: Error) => log.warn('a campaign could not be asked for', { problem: error.message }))
      }),
    )
  }

  function stop(): void {
    cancelAgain()
    fetching?.abort()
    fetching = undefined
    meanwhile = undefined
    for (const cancel of soon.values()) cancel()
    soon.clear()
  }

  return {
    state,
    list: () => rows.campaigns().sort(byDue),
    take,
    gone: (id) => drop([id]),
    link(next) {
      if (live && !next) {
        if (known().whole) keep({ at: now() })
        stop()
      }
      const came = next && !live
      live = next
      if (came) fetch()
    },
    refresh() {
      if (!known().whole || clock.now() - fetchedAt >= REFRESH) fetch()
    },
    lookSoon,
    doubt() {
      stop()
      problem = undefined
      fetchedAt = -Infinity
      keep({ whole: false, forbidden: false })
      if (live) fetch()
    },
    [Symbol.dispose]: stop,
  }
}

const rank = { active: 0, draft: 1, closed: 2 }
const byDue = (a: Campaign, b: Campaign) =>
  rank[a.state] - rank[b.state] ||
  (a.state === 'active'
    ? (a.dueAt ?? a.createdAt).localeCompare(b.dueAt ?? b.createdAt)
    : (b.closedAt ?? b.createdAt).localeCompare(a.closedAt ?? a.createdAt)) ||
  a.id.localeCompare(b.id)

/**
 * What to ask for after a page.
 * @param fresh how many of it were not told before
 * @throws Error where there would be no end
 */
export function nextOf(next: string | null, fresh: number): string | undefined {
  if (next !== null && fresh === 0) throw new Error('The gateway’s list has no end: it tells the same again.')
  return next ?? undefined
}

function inWords(error: Error): string {
  if (error instanceof Refused && error.status === 403) return 'Your role sees no reviews.'
  if (error instanceof Refused && error.status === 404) return 'This gateway has no reviews: it needs an update.'
  return error.message
}
