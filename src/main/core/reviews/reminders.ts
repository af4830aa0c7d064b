import { randomBytes } from 'node:crypto'
import type { Me } from '@countersign/contract/identity'
import type { Campaign, CampaignReminder } from '@countersign/contract/review'
import type { z } from 'zod'
import type { Settings } from '../../../console-api.ts'
import { plainText, quietFor } from '../attention.ts'
import type { Clock } from '../ports/clock.ts'
import type { Notice, Notifier } from '../ports/notifier.ts'

type Reminder = z.infer<typeof CampaignReminder>

/** Tells a person, by the rules of attention.ts, that items of a campaign wait for them: one notice a campaign. */
export interface Reminders extends Disposable {
  /** One was told by the feed, perhaps for somebody else. */
  heard(reminder: Reminder): void
  /** How a campaign stands now: what is over needs nobody any more. */
  campaign(campaign: Campaign): void
  focused(focused: boolean): void
  settings(settings: Settings['notifications']): void
  /** The route that a notification opens; undefined for one that is gone or was never ours. */
  clicked(tag: string): string | undefined
  /** What was told is for nobody else's eyes. */
  forget(): void
}

export function createReminders(options: {
  notifier: Notifier
  clock: Clock
  settings: Settings['notifications']
  me(): Me | null
  newTag?: () => string
}): Reminders {
  const { notifier, clock } = options
  const newTag = options.newTag ?? (() => randomBytes(12).toString('hex'))
  /** By campaign: those that are on the screen, and those that wait for quiet hours to end. */
  const shown = new Map<string, string>()
  const waiting = new Map<string, Reminder>()
  let settings = options.settings
  let looking = false
  let cancelQuiet = () => {}

  function review() {
    cancelQuiet()
    cancelQuiet = () => {}
    if (!settings.enabled || waiting.size === 0) return
    const quiet = quietFor(settings.quietHours, clock.now())
    if (quiet > 0) {
      cancelQuiet = clock.after(quiet, review)
      return
    }
    for (const reminder of waiting.values()) {
      // The newest takes the place of the one before.
      const tag = shown.get(reminder.campaign) ?? newTag()
      shown.set(reminder.campaign, tag)
      notifier.show(reminderNotice(reminder, tag, settings.content, clock.now()))
    }
    waiting.clear()
  }

  function withdraw(campaign: string) {
    const tag = shown.get(campaign)
    if (tag !== undefined) notifier.withdraw(tag)
    shown.delete(campaign)
    waiting.delete(campaign)
  }

  function withdrawAll() {
    cancelQuiet()
    for (const campaign of [...shown.keys(), ...waiting.keys()]) withdraw(campaign)
  }

  return {
    heard(reminder) {
      const me = options.me()
      // The feed tells everybody; only who can act is meant.
      if (me?.kind !== 'person' || reminder.person !== me.id || looking || !settings.enabled) return
      waiting.set(reminder.campaign, reminder)
      review()
    },
    campaign(campaign) {
      if (campaign.state !== 'active' || campaign.counts.undecided === 0) withdraw(campaign.id)
    },
    focused(focused) {
      looking = focused
      if (focused) withdrawAll()
    },
    settings(next) {
      settings = next
      if (next.enabled) review()
      else withdrawAll()
    },
    clicked(tag) {
      for (const [campaign, each] of shown) {
        if (each !== tag) continue
        withdraw(campaign)
        return routeOf(campaign)
      }
      return undefined
    },
    forget: withdrawAll,
    [Symbol.dispose]: withdrawAll,
  }
}

const routeOf = (campaign: string) => `/reviews/${encodeURIComponent(campaign)}`

/** How many items of which campaign, and by when; never whom they are about. */
export function reminderNotice(
  reminder: Reminder,
  tag: string,
  content: Settings['notifications']['content'],
  now: number,
): Notice {
  const said = { tag, target: routeOf(reminder.campaign) }
  if (content === 'nothing') return { ...said, title: 'A review waits for you', body: 'Open Countersign to see it.' }
  const { open, dueAt } = reminder
  const left = Math.max(0, Math.ceil((Date.parse(dueAt) - now) / 86_400_000))
  const items = open === 1 ? '1 item waits' : `${open.toLocaleString('en-US')} items wait`
  const due = left === 0 ? 'due today' : left === 1 ? 'due tomorrow' : `due in ${left} days`
  return {
    ...said,
    title: `${items} for you: ${plainText(reminder.title, 80)}`,
    body: `${due[0]!.toUpperCase()}${due.slice(1)}.`,
  }
}
