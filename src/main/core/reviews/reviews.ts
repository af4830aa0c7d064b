import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'
import { Campaign } from '@countersign/contract/review'
import type { ConsoleEvent, Settings } from '../../../console-api.ts'
import type { GatewayApi } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Outbox, ReviewsOutcome } from '../outbox/outbox.ts'
import type { Seal } from '../outbox/seal.ts'
import type { Clock } from '../ports/clock.ts'
import type { Downloads } from '../ports/downloads.ts'
import type { Log } from '../ports/log.ts'
import type { Notifier } from '../ports/notifier.ts'
import type { Printer } from '../ports/printer.ts'
import type { Store } from '../store/store.ts'
import { reviewAnswers } from './answers.ts'
import { createCampaigns } from './campaigns.ts'
import { itemIn } from './gateway-reviews.ts'
import { createItems } from './items.ts'
import { createReminders } from './reminders.ts'
import { createWaiting } from './waiting.ts'

/** Access reviews on this desktop: campaigns, items and evidence as they are kept, decisions on their way. */
export interface Reviews extends Disposable {
  readonly answers: ReturnType<typeof reviewAnswers>
  /** What comes of decisions and comments, from the outbox. */
  readonly outcome: ReviewsOutcome
  link(live: boolean): void
  /** Every message of the feed. */
  heard(message: FeedMessage | { type: 'unknown' }): void
  /** What is stored may have gaps, or belongs to somebody else. */
  doubt(): void
  focused(focused: boolean): void
  settings(settings: Settings['notifications']): void
  clicked(tag: string): string | undefined
  /** Somebody else signs in, or nobody does. */
  forget(): void
}

/** @param options outbox: as it is by the time of the first call; it is opened with `outcome` */
export function createReviews(options: {
  store: Store
  seal: Seal
  clock: Clock
  log: Log
  notifier: Notifier
  settings: Settings['notifications']
  outbox: () => Outbox
  asking: Asking
  live: () => Promise<{ api: GatewayApi; token: string }>
  me(): Me | null
  downloads: Downloads
  printer?: Printer | undefined
  say(event: ConsoleEvent): void
}): Reviews {
  const { store, clock, log, asking, me, say } = options
  const rows = store.reviews(options.seal)
  const from = { store, rows, clock, log, asking, me, say }
  const items = createItems(from)
  const reminders = createReminders({ notifier: options.notifier, clock, settings: options.settings, me })
  const campaigns = createCampaigns({
    ...from,
    changed(campaign) {
      reminders.campaign(campaign)
      items.campaign(campaign)
    },
    fetched() {
      for (const campaign of rows.campaigns()) items.campaign(campaign)
    },
  })
  const waiting = createWaiting({
    sending: () => options.outbox().sending,
    clock,
    me,
    say,
  })
  const answers = reviewAnswers({
    ...{ rows, campaigns, items, waiting, asking, say },
    live: options.live,
    downloads: options.downloads,
    printer: options.printer,
  })

  return {
    answers,
    outcome: {
      changed: (campaign) => waiting.tell(campaign),
      took(campaign, item, told) {
        if (told) items.take(told, 'answer')
        // Comments, decisions and who is next stand on its page.
        items.look(campaign, item)
        campaigns.lookSoon(campaign)
      },
      refused(entry, _, problem) {
        const now = itemIn(problem)
        const closed = Campaign.safeParse((problem as { campaign?: unknown } | undefined)?.campaign)
        if (closed.success) campaigns.take(closed.data, 'answer')
        const { campaign, item } = (entry.body ?? {}) as { campaign?: string; item?: string }
        if (now) items.take(now, 'answer')
        if (campaign === undefined) return
        campaigns.lookSoon(campaign)
        if (item !== undefined) items.look(campaign, item)
      },
    },
    link(live) {
      items.link(live)
      campaigns.link(live)
    },
    heard(message) {
      switch (message.type) {
        case 'campaign.started':
        case 'campaign.changed':
        case 'campaign.closed':
          return campaigns.take(message.data, 'feed')
        case 'campaign.item':
          return items.take(message.data, 'feed')
        case 'campaign.reminder':
          return reminders.heard(message.data)
      }
    },
    doubt() {
      items.doubt()
      campaigns.doubt()
    },
    focused: reminders.focused,
    settings: reminders.settings,
    clicked: reminders.clicked,
    forget() {
      reminders.forget()
      items.forget()
    },
    [Symbol.dispose]() {
      answers[Symbol.dispose]()
      items[Symbol.dispose]()
      campaigns[Symbol.dispose]()
      reminders[Symbol.dispose]()
    },
  }
}
