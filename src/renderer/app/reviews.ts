import type { Campaign, CampaignItem, CampaignItemPage, ReviewSignals } from '@countersign/contract/review'
import { useEffect, useMemo } from 'react'
import { create } from 'zustand'
import type { CampaignsState, ItemsState, PendingReview } from '../../reviews-api.ts'
import { type Fetched, useFetched } from './agents.ts'
import { wordsOf } from './api.ts'
import { core, type Me, useConsole, useWorld } from './store.ts'

/** Campaigns and their items as the core tells of them, with what this person decided and the gateway doesn’t have yet. */
interface Known {
  readonly campaigns: ReadonlyMap<string, Campaign>
  /** undefined until the core has answered. */
  readonly state: CampaignsState | undefined
  /** By campaign. */
  readonly pending: ReadonlyMap<string, readonly PendingReview[]>
  readonly problem: string
}
interface KnownItems {
  readonly items: ReadonlyMap<string, CampaignItem>
  readonly state: ItemsState | undefined
  readonly reading: boolean
  readonly problem: string
}

const useKnown = create<Known>()(() => ({ campaigns: new Map(), state: undefined, pending: new Map(), problem: '' }))
/** By campaign, those that somebody looked at. */
const useItemsOf = create<{ readonly of: ReadonlyMap<string, KnownItems> }>()(() => ({ of: new Map() }))
const noItems: KnownItems = { items: new Map(), state: undefined, reading: true, problem: '' }
let following: object | undefined

function follow() {
  const { api } = useConsole.getState()
  if (!api || following === api) return
  following = api
  api.on((event) => {
    if (event.type === 'snapshot') {
      void read()
      for (const campaign of useItemsOf.getState().of.keys()) void readItems(campaign)
    }
    if (event.type === 'campaigns')
      useKnown.setState(({ campaigns }) => {
        const next = new Map(campaigns)
        for (const campaign of event.changed) next.set(campaign.id, campaign)
        for (const id of event.removed) next.delete(id)
        return { campaigns: next, state: event.state }
      })
    if (event.type === 'campaign-items' && useItemsOf.getState().of.has(event.campaign))
      put(event.campaign, (known) => {
        if (event.changed.length + event.removed.length === 0) return { state: event.state }
        const items = new Map(known.items)
        for (const item of event.changed) items.set(item.id, item)
        for (const id of event.removed) items.delete(id)
        return { items, state: event.state }
      })
    if (event.type === 'pending-reviews')
      useKnown.setState(({ pending }) => ({ pending: new Map(pending).set(event.campaign, event.items) }))
  })
  void read()
}

async function read() {
  try {
    const { items, state, pending } = await core().call('campaigns', {})
    useKnown.setState({
      campaigns: new Map(items.map((campaign) => [campaign.id, campaign])),
      state,
      pending: Map.groupBy(pending, (each) => each.campaign),
      problem: '',
    })
  } catch (error) {
    useKnown.setState({ problem: wordsOf(error) })
  }
}

const put = (campaign: string, change: (known: KnownItems) => Partial<KnownItems>) =>
  useItemsOf.setState(({ of }) => {
    const known = of.get(campaign) ?? noItems
    return { of: new Map(of).set(campaign, { ...known, ...change(known) }) }
  })

const loads = new Map<string, number>()
/** Reads all items that the core keeps, page by page; what is there already stays in sight meanwhile. */
async function readItems(campaign: string) {
  const mine = (loads.get(campaign) ?? 0) + 1
  loads.set(campaign, mine)
  const before = useItemsOf.getState().of.get(campaign)?.items ?? new Map()
  put(campaign, () => ({ reading: true, problem: '' }))
  const told = new Map<string, CampaignItem>()
  try {
    let after: string | undefined
    do {
      const page = await core().call('campaignItems', { campaign, ...(after !== undefined && { after }) })
      if (loads.get(campaign) !== mine) return
      for (const item of page.items) told.set(item.id, item)
      // The first page is there to be read while the others come.
      if (after === undefined && page.next !== null && before.size === 0)
        put(campaign, () => ({ items: new Map(told), state: page.state }))
      else if (after === undefined) put(campaign, () => ({ state: page.state }))
      after = page.next ?? undefined
    } while (after !== undefined)
    put(campaign, ({ items }) => {
      // What an event told meanwhile is not older than a page.
      for (const [id, item] of items) {
        const page = told.get(id)
        if (before.get(id) !== item && (!page || page.revision <= item.revision)) told.set(id, item)
      }
      return { items: told, reading: false }
    })
  } catch (error) {
    if (loads.get(campaign) === mine) put(campaign, () => ({ reading: false, problem: wordsOf(error) }))
  }
}

/** What is known of campaigns here. */
export function useReviews<T>(select: (known: Known) => T): T {
  follow()
  return useKnown(select)
}
/** Asks the core anew: after it could not answer, or since somebody looks at it now. */
export const readCampaigns = () => void read()
export const readCampaignItems = (campaign: string) => void readItems(campaign)

/** Items of a campaign; they are read once somebody looks at it. */
export function useItems(campaign: string): KnownItems {
  follow()
  useEffect(() => void readItems(campaign), [campaign])
  return useItemsOf(({ of }) => of.get(campaign)) ?? noItems
}

/** Items that wait for this person in campaigns that go on, without those that they decided here already. */
export function useWaitingItems(): number {
  const sees = useWorld((world) => seesReviews(world.me))
  return useReviews(({ campaigns, pending }) => {
    let count = 0
    if (!sees) return 0
    for (const { id, state, counts } of campaigns.values())
      if (state === 'active') count += Math.max(0, counts.mine - decisionsIn(pending.get(id) ?? none).size)
    return count
  })
}

const none: readonly PendingReview[] = []
/** Decisions of a campaign that the gateway doesn’t have yet, by item. */
export function decisionsIn(pending: readonly PendingReview[]): ReadonlyMap<string, PendingReview> {
  return new Map(pending.filter(({ kind }) => kind === 'decision').map((each) => [each.item, each]))
}
export function usePending(campaign: string): readonly PendingReview[] {
  return useReviews(({ pending }) => pending.get(campaign)) ?? none
}
export function usePendingDecisions(campaign: string): ReadonlyMap<string, PendingReview> {
  const pending = usePending(campaign)
  return useMemo(() => decisionsIn(pending), [pending])
}

/** An item with its evidence, asked for again whenever the gateway told that it changed. */
export function useItemPage(
  campaign: string,
  item: string,
  known: CampaignItem | undefined,
): Fetched<{ page: CampaignItemPage | null; source: 'gateway' | 'local' }> & { page: CampaignItemPage | undefined } {
  const fetched = useFetched(`item ${campaign} ${item}`, () => core().call('campaignItem', { campaign, item }))
  const { value, again } = fetched
  const shown = value?.page?.item
  const older = known && shown && (known.revision > shown.revision || known.comments > shown.comments)
  const is = `${known?.revision} ${known?.comments}`
  // biome-ignore lint/correctness/useExhaustiveDependencies: each news of it is asked about once
  useEffect(() => {
    if (older) again()
  }, [older, is, again])
  return { ...fetched, page: value?.page ?? undefined }
}

export const useSignals = (campaign: string, counted: number): Fetched<ReviewSignals> =>
  useFetched(`signals ${campaign} ${counted}`, () => core().call('reviewSignals', { campaign }))

export const useTemplates = () => useFetched('campaign templates', () => core().call('campaignTemplates', {}))

const has = (me: Me | null, ...roles: readonly string[]) =>
  me?.kind === 'person' && me.roles.some((role) => roles.includes(role))
/** Whether somebody’s roles let them see reviews, make campaigns, decide items (contract.md section 7). */
export const seesReviews = (me: Me | null): boolean => has(me, 'reviewer', 'auditor', 'admin')
export const makesCampaigns = (me: Me | null): boolean => has(me, 'reviewer', 'admin')
export const decidesItems = (me: Me | null): boolean => has(me, 'reviewer')
