import type { Me } from '@countersign/contract/identity'
import type { Campaign, CampaignItem, CampaignItemPage } from '@countersign/contract/review'
import { z } from 'zod'
import type { ConsoleEvent } from '../../../console-api.ts'
import type { ItemsState } from '../../../reviews-api.ts'
import { Refused } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Clock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { ReviewRows } from '../store/review-rows.ts'
import type { Store } from '../store/store.ts'
import { nextOf } from './campaigns.ts'

/**
 * Items of campaigns. Those of campaigns that somebody looks at, or in which this person may decide, are fetched and
 * followed by the feed; the evidence of what this person may decide is kept, so that it can be decided offline.
 */
export interface Items extends Disposable {
  state(campaign: string): ItemsState
  take(item: CampaignItem, from: 'feed' | 'answer'): void
  /** Keeps a page that was fetched, where it is one to keep. */
  takePage(page: CampaignItemPage): void
  /** Somebody looks at a campaign, or may decide in it. */
  want(campaign: string): void
  /** Many of them changed at once. */
  refetch(campaign: string): void
  /** Asks for one again: what was answered doesn’t say how it stands. */
  look(campaign: string, item: string): void
  /** How it stands, or that it is over, says what is to be kept. */
  campaign(campaign: Campaign): void
  link(live: boolean): void
  doubt(): void
  /** What was followed was somebody else's. */
  forget(): void
}

/** So many items of one campaign, and so much evidence, are kept. */
const MOST = 50_000
const MOST_EVIDENCE = 5_000
const AGAIN = 30_000
const REFRESH = 15_000
/** Where the gateway counts otherwise than what is kept here, all are fetched anew, at most this often (ms). */
const HEAL = 5_000
/** News of items are told together, at most this often (ms). */
const TOGETHER = 50

const Known = z.object({ at: z.string().nullable(), whole: z.boolean() })

export function createItems(options: {
  store: Store
  rows: ReviewRows
  clock: Clock
  log: Log
  asking: Asking
  me(): Me | null
  say(event: ConsoleEvent): void
}): Items {
  const { store, rows, clock, log, asking, say } = options
  interface Following {
    fetching: AbortController | undefined
    keeping: AbortController | undefined
    /** While evidence is fetched, something that needs it came. */
    more: boolean
    problem: string | undefined
    fetchedAt: number
    changed: Map<string, CampaignItem>
    removed: Set<string>
    meanwhile: Set<string> | undefined
    cancelTell: (() => void) | undefined
    cancelAgain: () => void
  }
  const followed = new Map<string, Following>()
  let live = false

  const now = () => new Date(clock.now()).toISOString()
  const known = (campaign: string) => store.kept(`items ${campaign}`, Known) ?? { at: null, whole: false }
  const follow = (campaign: string): Following => {
    let one = followed.get(campaign)
    if (!one) {
      one = {
        ...{ fetching: undefined, keeping: undefined, more: false, problem: undefined, fetchedAt: -Infinity },
        ...{ changed: new Map(), removed: new Set(), meanwhile: undefined, cancelTell: undefined },
        cancelAgain() {},
      }
      followed.set(campaign, one)
    }
    return one
  }
  const state = (campaign: string): ItemsState => {
    const one = followed.get(campaign)
    const { at, whole } = known(campaign)
    return {
      at: live && whole ? now() : at,
      whole,
      loading: one?.fetching !== undefined,
      stored: rows.count(campaign),
      evidence: rows.evidence(campaign),
      ...(one?.problem !== undefined && { problem: one.problem }),
    }
  }
  const flush = (campaign: string, one: Following) => {
    one.cancelTell = undefined
    const [changed, removed] = [[...one.changed.values()], [...one.removed]]
    one.changed.clear()
    one.removed.clear()
    say({ type: 'campaign-items', campaign, changed, removed, state: state(campaign) })
  }
  const tellSoon = (campaign: string, changed: readonly CampaignItem[] = []) => {
    const one = follow(campaign)
    for (const item of changed) one.changed.set(item.id, item)
    one.cancelTell ??= clock.after(TOGETHER, () => flush(campaign, one))
  }

  /** Whether it waits for this person. */
  const forMe = (item: CampaignItem) => item.mine && item.verdict === 'undecided'
  function take(given: CampaignItem, from: 'feed' | 'answer'): void {
    const before = rows.item(given.id)
    if (before && before.revision > given.revision) return
    const item = from === 'feed' ? { ...given, mine: isMine(given, before, options.me()) } : given
    if (JSON.stringify(before) === JSON.stringify(item)) return
    // Items of campaigns that nobody follows here are found once somebody does.
    if (!before && !followed.has(item.campaign)) return
    rows.saveItems([item])
    follow(item.campaign).meanwhile?.add(item.id)
    const page = rows.page(item.id)
    if (page && !forMe(item)) rows.savePage({ ...page, item })
    tellSoon(item.campaign, [item])
    // Who decides in somebody's place isn't among those whom the feed names.
    if (from === 'feed' && before && forMe(before) && item.verdict === 'undecided' && !item.mine)
      look(item.campaign, item.id)
    if (!forMe(item) || !live || before?.revision === item.revision) return
    const one = follow(item.campaign)
    if (one.keeping) one.more = true
    else if (!one.fetching) keepEvidence(item.campaign)
  }

  async function fetchAll(campaign: string, one: Following, signal: AbortSignal): Promise<void> {
    const told = new Set<string>()
    let after: string | undefined
    do {
      const asked = await asking()
      if (!asked || signal.aborted) return
      const page = await asked.api.itemsPage(asked.token, campaign, after)
      if (signal.aborted) return
      const count = told.size
      const fresh = page.items.filter((item) => {
        told.add(item.id)
        const before = rows.item(item.id)
        // A page that was asked for before a message was read must not undo it.
        if (before && (before.revision > item.revision || one.meanwhile?.has(item.id))) return false
        return JSON.stringify(before) !== JSON.stringify(item)
      })
      rows.saveItems(fresh)
      tellSoon(campaign, fresh)
      after = nextOf(page.next, told.size - count)
    } while (after !== undefined && told.size < MOST)
    const gone = after === undefined ? rows.itemIds(campaign).filter((id) => !told.has(id)) : []
    rows.removeItems(gone)
    rows.removePages(gone)
    for (const id of gone) one.removed.add(id)
    store.keep(`items ${campaign}`, { at: now(), whole: after === undefined })
  }

  function fetch(campaign: string): void {
    const one = follow(campaign)
    if (one.fetching || !live) return
    const mine = new AbortController()
    one.fetching = mine
    one.meanwhile = new Set()
    one.problem = undefined
    one.fetchedAt = clock.now()
    one.cancelAgain()
    fetchAll(campaign, one, mine.signal)
      .catch((error: Error) => {
        if (mine.signal.aborted) return
        one.problem = error.message
        if (error instanceof Refused && (error.status === 403 || error.status === 404)) return
        log.warn('items of a campaign could not be fetched', { problem: error.message })
        one.cancelAgain = clock.after(AGAIN, () => fetch(campaign))
      })
      .finally(() => {
        if (one.fetching !== mine) return
        one.fetching = undefined
        one.meanwhile = undefined
        tellSoon(campaign)
        keepEvidence(campaign)
      })
  }

  /** Evidence of what this person may decide, one after the other; goes on where it was left. */
  function keepEvidence(campaign: string): void {
    const one = follow(campaign)
    if (one.keeping || !live || rows.campaign(campaign)?.state === 'closed') return
    const mine = new AbortController()
    one.keeping = mine
    const keepAll = async () => {
      do {
        one.more = false
        for (const [n, item] of rows.withoutEvidence(campaign, MOST_EVIDENCE).entries()) {
          const asked = await asking()
          if (!asked || mine.signal.aborted) return
          const page = await asked.api.item(asked.token, campaign, item)
          if (mine.signal.aborted) return
          if (page) take(page.item, 'answer')
          if (page) rows.savePage(page)
          if (n % 20 === 19) tellSoon(campaign)
        }
      } while (one.more)
    }
    keepAll()
      .catch((error: Error) => {
        if (mine.signal.aborted) return
        log.warn('evidence of a campaign could not be kept', { problem: error.message })
        one.cancelAgain = clock.after(AGAIN, () => keepEvidence(campaign))
      })
      .finally(() => {
        if (one.keeping !== mine) return
        one.keeping = undefined
        tellSoon(campaign)
      })
  }

  function takePage(page: CampaignItemPage): void {
    take(page.item, 'answer')
    // What was looked at once can be looked at again without a network, while its campaign goes on.
    if (rows.campaign(page.item.campaign)?.state === 'active') rows.savePage(page)
  }

  function look(campaign: string, item: string): void {
    const ask = async () => {
      const asked = await asking()
      const page = asked && (await asked.api.item(asked.token, campaign, item))
      if (page) takePage(page)
    }
    ask().catch((error: Error) => log.warn('an item could not be asked for', { problem: error.message }))
  }

  function stop(one: Following): void {
    one.cancelAgain()
    one.cancelTell?.()
    one.cancelTell = undefined
    one.fetching?.abort()
    one.keeping?.abort()
    one.fetching = undefined
    one.keeping = undefined
    one.meanwhile = undefined
  }

  return {
    state,
    take,
    takePage,
    want(campaign) {
      const one = follow(campaign)
      if (!known(campaign).whole || clock.now() - one.fetchedAt >= REFRESH) fetch(campaign)
    },
    refetch(campaign) {
      const one = follow(campaign)
      one.fetching?.abort()
      one.fetching = undefined
      fetch(campaign)
    },
    look,
    campaign(campaign) {
      if (campaign.state === 'closed') rows.removePages(rows.pages(campaign.id))
      else if (campaign.state === 'active' && live) {
        const { mine } = campaign.counts
        const known = followed.get(campaign.id)
        // Whose an item is may change without a word about the item: duty that is handed over, somebody who leaves.
        const differs = known && mine !== rows.evidence(campaign.id).of && clock.now() - known.fetchedAt >= HEAL
        if (differs) fetch(campaign.id)
        else if (mine > 0) this.want(campaign.id)
      }
    },
    link(next) {
      if (live && !next)
        for (const [campaign, one] of followed) {
          if (known(campaign).whole) store.keep(`items ${campaign}`, { at: now(), whole: true })
          stop(one)
        }
      const came = next && !live
      live = next
      if (came) for (const campaign of followed.keys()) fetch(campaign)
    },
    doubt() {
      for (const [campaign, one] of followed) {
        stop(one)
        store.keep(`items ${campaign}`, { ...known(campaign), whole: false })
        if (live) fetch(campaign)
      }
    },
    forget() {
      for (const one of followed.values()) stop(one)
      followed.clear()
    },
    [Symbol.dispose]() {
      for (const one of followed.values()) stop(one)
    },
  }
}

/** The feed tells everybody the same: whether it is mine is read from who may decide it. */
function isMine(item: CampaignItem, before: CampaignItem | undefined, me: Me | null): boolean {
  if (item.reviewers.some(({ id }) => id === me?.id)) return true
  return item.mine || (item.reviewers.length === 0 && before?.stage === item.stage && before.mine)
}
