import type { Campaign, CampaignItem } from '@countersign/contract/review'
import type { BaseLogger } from 'pino'
import type { ConfiguredConnection } from '../../access/connections.ts'
import { type Clock, systemClock } from '../../approvals/clock.ts'
import type { PersonPrincipal } from '../../identity/principal.ts'
import type { Registry } from '../../identity/registry/registry.ts'
import { createPermittedSets } from '../../policy/permitted/reading.ts'
import type { Policies } from '../../policy/policy.ts'
import { filesOf } from '../../policy/versions.ts'
import type { Used } from '../../sessions/ledger/used.ts'
import type { Store } from '../../store/store.ts'
import { type Closing, createClosing, type Enforcing } from './closing.ts'
import { createDrafts, type Drafts } from './drafts.ts'
import { mineIn, readItem } from './items.ts'
import { type AskAnew, replaceLeavers } from './leaving.ts'
import { remind } from './reminders.ts'
import { reviewersKnown } from './reviewers.ts'
import { createSchedule } from './schedule.ts'
import { createStarting, type Examining } from './starting.ts'
import { createTemplates, type Templates } from './templates.ts'
import { createTriggers } from './triggers.ts'

type Observing = { coverage: NonNullable<Campaign['coverage']> }

export interface CampaignsOptions<Observed extends Observing> {
  store: Store
  registry: Registry
  policies: () => Policies
  /** As they are configured now. */
  connections: () => readonly ConfiguredConnection[]
  /** Data classes that they have. */
  classes: () => readonly string[]
  used: Pick<Used, 'connections' | 'of' | 'days'>
  evidence: Examining<Observed>
  enforcing: Enforcing
  askAnew: AskAnew
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Milliseconds since the epoch. */
  clock: () => number
  wake?: Clock['wake'] | undefined
}

/** Campaigns from draft to sign-off, by people, by calendars and by what changes (docs/reviews.md, "Campaigns"). */
export interface Campaigns extends Drafts, Pick<Closing, 'close' | 'signOff'>, AsyncDisposable {
  templates: Pick<Templates, 'list' | 'get' | 'save' | 'remove'>
  /** Begins to take the snapshot of a draft; how far it is is told by the campaign. @throws CampaignRefused */
  start(campaign: string, by: PersonPrincipal): Promise<void>
  /** How a campaign's counts and an item of the feed are for who looks. */
  seenBy(looking: PersonPrincipal): {
    campaign(campaign: Campaign): Promise<Campaign>
    item(item: CampaignItem): Promise<CampaignItem>
  }
  /** From now on: goes on with what an earlier run left, and does what is due when it is. */
  open(): Promise<void>
  /** Does what is due now: resolves when it is done, and when nothing is being started. */
  tick(): Promise<void>
}

export function createCampaigns<Observed extends Observing>(options: CampaignsOptions<Observed>): Campaigns {
  const { store, registry, policies, connections, used, log, clock } = options
  const wake = options.wake ?? systemClock.wake
  const sets = createPermittedSets()
  const setOf = ({ version, texts }: Policies) => sets.of(version, async () => texts)
  const people = () => reviewersKnown(registry)

  const starting = createStarting({
    ...{ store, registry, policies, connections, used, log, clock },
    permitted: setOf,
    examining: options.evidence,
    begun: () => schedule.changed(),
  })
  const drafts = createDrafts({ store, starting: starting.progress, clock })
  const closing = createClosing({ store, enforcing: options.enforcing, clock })
  const templates = createTemplates({
    ...{ store, starting, log, clock },
    classes: options.classes,
    changed: () => schedule.changed(),
  })
  const triggers = createTriggers({
    ...{ store, registry, used, templates, connections, log, clock, wake },
    async permitted(version) {
      const files = await filesOf(store.db, version)
      return files && sets.of(version, async () => files)
    },
  })
  const schedule = createSchedule({
    ...{ clock, wake, log },
    async due(now) {
      await closing.closeDue()
      await replaceLeavers(store, people(), options.askAnew, now)
      const wanted = [await templates.beginDue(), await remind(store, people, now), await triggers.look(now)]
      const { next } = await store.db
        .selectFrom('campaigns')
        .select((e) => e.fn.min('due_at').as('next'))
        .where('state', '=', 'active')
        .executeTakeFirstOrThrow()
      if (next !== null) wanted.push(Date.parse(next))
      return Math.min(...wanted.filter((at) => at !== undefined))
    },
  })
  const ends: (() => void)[] = []

  return {
    ...drafts,
    start: starting.start,
    templates,
    seenBy: (looking) => ({
      async campaign(campaign) {
        const mine = (await mineIn(store.db, [campaign.id], looking)).get(campaign.id) ?? 0
        return { ...campaign, counts: { ...campaign.counts, mine } }
      },
      async item(item) {
        const now = await readItem(store.db, item.id, looking)
        // As it was then, but for whether it is theirs: a later message tells what has changed since.
        return { ...item, mine: now?.revision === item.revision && now.mine }
      },
    }),
    async close(campaign, by, reason) {
      await closing.close(campaign, by, reason)
    },
    signOff: closing.signOff,
    async open() {
      await starting.resume()
      await triggers.start()
      ends.push(
        store.feed.subscribe((message) => {
          // Who is asked at a stage that was just reached is told.
          if (message.type === 'campaign.item' && message.data.stage > 0) schedule.changed()
          // Who has come to be a reviewer is, too; who is none any more, or has left, is asked no more.
          if (message.type === 'person.changed') schedule.changed()
        }),
      )
      schedule.start()
    },
    async tick() {
      await schedule.tick()
      await triggers.flush()
      await starting.settled()
      await schedule.tick()
    },
    async [Symbol.asyncDispose]() {
      for (const end of ends) end()
      await triggers[Symbol.asyncDispose]()
      await schedule[Symbol.asyncDispose]()
      await starting[Symbol.asyncDispose]()
      await sets[Symbol.asyncDispose]()
    },
  }
}
