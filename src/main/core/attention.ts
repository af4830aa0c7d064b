import { randomBytes } from 'node:crypto'
import type { Approval } from '@countersign/contract/approval'
import type { Settings } from '../../console-api.ts'
import { span } from '../../span.ts'
import type { Badge } from './ports/badge.ts'
import type { Clock } from './ports/clock.ts'
import type { Notice, Notifier } from './ports/notifier.ts'

/** What deserves a person's attention now: notifications and the badge. */
export interface Attention extends Disposable {
  /** Tells what is pending; notifications follow: new ones shown, those of decided ones withdrawn. */
  pending(approvals: readonly Approval[]): void
  /** Whether the person is looking at the console: then it needs no notification. */
  focused(focused: boolean): void
  settings(settings: Settings['notifications']): void
  /** The route that a notification opens; undefined for one that is gone or was never ours. */
  clicked(tag: string): string | undefined
  /** Deny from the notification itself: done after a short time, in which a click undoes it. */
  denied(tag: string): void
}

/** Milliseconds in which a Deny from a notification can be undone. */
export const undoTime = 6_000

/** What is escalated is said again this often (ms), until somebody has decided. */
export const loudEvery = 120_000

interface Announced {
  tag: string
  approval: Approval
  loud: boolean
  cancelRepeat(): void
  denying?: () => void
}

/** Whether an approval waits for this person. */
export const waitsForMe = (approval: Approval) => approval.state === 'pending' && approval.mayDecide === true

/** Whether others were asked, since nobody answered: it may not be overheard. */
export const isLoud = (approval: Approval) => approval.requirements.some((need) => need.escalatedTo?.length)

/** Whether a policy says that it may disturb in quiet hours. */
export const isCritical = (approval: Approval) => approval.requirements.some((need) => need.critical)

export function createAttention(options: {
  notifier: Notifier
  badge: Badge
  clock: Clock
  settings: Settings['notifications']
  deny(approval: Approval): void
  /** A fresh notification name; opaque, so that nothing of the command is in it. */
  newTag?: () => string
}): Attention {
  const { notifier, badge, clock } = options
  const newTag = options.newTag ?? (() => randomBytes(12).toString('hex'))
  const announced = new Map<string, Announced>()
  const seen = new Set<string>()
  let settings = options.settings
  let looking = false
  let waiting: readonly Approval[] = []
  let cancelQuiet = () => {}

  function show(entry: Announced) {
    notifier.show(noticeOf(entry.approval, entry.tag, settings.content))
  }

  function announce(approval: Approval, repeatOnly: boolean) {
    const entry: Announced = { tag: newTag(), approval, loud: false, cancelRepeat: () => {} }
    announced.set(approval.id, entry)
    if (!repeatOnly) show(entry)
    if (isLoud(approval)) return repeat(entry)
    const start = Math.max(clock.now(), Date.parse(approval.requestedAt))
    const half =
      Date.parse(approval.requestedAt) + (Date.parse(approval.expiresAt) - Date.parse(approval.requestedAt)) / 2
    if (half <= start) return
    entry.cancelRepeat = clock.after(half - clock.now(), () => again(entry))
  }

  /** Says it once more, where nobody looks and it may be said now. */
  function again(entry: Announced) {
    if (!looking && mayNotify(entry.approval) && !entry.denying) show(entry)
  }

  /** Says it again and again, for as long as it can be decided. */
  function repeat(entry: Announced) {
    entry.cancelRepeat()
    entry.loud = true
    if (clock.now() + loudEvery >= Date.parse(entry.approval.expiresAt)) return
    entry.cancelRepeat = clock.after(loudEvery, () => {
      again(entry)
      repeat(entry)
    })
  }

  function end(id: string, entry: Announced) {
    entry.cancelRepeat()
    entry.denying?.()
    notifier.withdraw(entry.tag)
    announced.delete(id)
  }

  const mayNotify = (approval: Approval) =>
    settings.enabled && (isCritical(approval) || quietFor(settings.quietHours, clock.now()) === 0)

  function review() {
    const mine = new Map(waiting.filter(waitsForMe).map((approval) => [approval.id, approval]))
    badge.set(mine.size)
    for (const [id, entry] of announced) {
      const now = mine.get(id)
      if (now) entry.approval = now
      else end(id, entry)
    }
    for (const id of seen) if (!mine.has(id)) seen.delete(id)
    cancelQuiet()
    cancelQuiet = () => {}
    if (!settings.enabled) return
    const quiet = quietFor(settings.quietHours, clock.now())
    // What still waits when the night is over is said then.
    if (quiet > 0 && mine.size > 0) cancelQuiet = clock.after(quiet, review)
    for (const approval of mine.values()) {
      if (!mayNotify(approval)) continue
      const entry = announced.get(approval.id)
      if (entry) {
        if (entry.loud || !isLoud(approval)) continue
        again(entry)
        repeat(entry)
        continue
      }
      // What came in under the person's eyes isn't said at once; only if it still waits at half time, and nobody looks.
      announce(approval, looking || seen.has(approval.id))
      seen.add(approval.id)
    }
  }

  function byTag(tag: string): Announced | undefined {
    for (const entry of announced.values()) if (entry.tag === tag) return entry
    return undefined
  }

  return {
    pending(approvals) {
      waiting = approvals
      review()
    },
    focused(focused) {
      looking = focused
      if (focused) for (const entry of announced.values()) if (!entry.denying) notifier.withdraw(entry.tag)
    },
    settings(next) {
      settings = next
      if (!next.enabled) for (const [id, entry] of announced) end(id, entry)
      review()
    },
    clicked(tag) {
      const entry = byTag(tag)
      if (!entry) return undefined
      if (entry.denying) {
        entry.denying()
        delete entry.denying
      }
      notifier.withdraw(tag)
      return `/queue/${encodeURIComponent(entry.approval.id)}`
    },
    denied(tag) {
      const entry = byTag(tag)
      if (!entry || entry.denying) return
      const { approval } = entry
      entry.denying = clock.after(undoTime, () => {
        delete entry.denying
        notifier.withdraw(tag)
        options.deny(approval)
      })
      notifier.show({
        ...noticeOf(approval, tag, settings.content),
        title: `Denying in ${undoTime / 1000} s`,
        body: 'Click to undo and look at it.',
        action: 'undo',
      })
    },
    [Symbol.dispose]() {
      cancelQuiet()
      for (const [id, entry] of announced) end(id, entry)
      badge.set(0)
    },
  }
}

/** What a notification says of a held command, or of a request for access; how much is the person's setting, since a lock screen shows it too. */
export function noticeOf(approval: Approval, tag: string, content: Settings['notifications']['content']): Notice {
  const target = `/queue/${encodeURIComponent(approval.id)}`
  if (content === 'nothing')
    return { tag, target, title: 'Something waits for you', body: 'Open Countersign to see it.' }
  const who = plainText(approval.identity.name, 60)
  const where = plainText(approval.connection, 60)
  const loud = isLoud(approval)
  const urgent = loud ? ({ urgent: true } as const) : {}
  const does = approval.access ? `${who} asks for access to ${where}` : `${who} waits on ${where}`
  const title = loud ? `Nobody answered: ${does}` : does
  const said = { tag, target, title, action: 'deny', ...urgent } as const
  if (approval.access) return { ...said, body: content === 'name' ? 'It waits for your decision.' : askedFor(approval) }
  if (content === 'name') return { ...said, body: 'A command is held for your decision.' }
  const [first = '', ...more] = approval.command.text.trim().split(/\r\n|\r|\n/)
  const body = plainText(first, 180) + (more.length > 0 ? ` … (${more.length + 1} lines)` : '')
  return { ...said, body }
}

/** for 2 h: refund of ticket 8812 */
function askedFor({ access, purpose = '' }: Approval): string {
  const { plan, title = '', grants, seconds } = access!
  const what = plan ? `${plainText(title, 80)}, ${grants.length} steps` : `for ${span(seconds)}`
  return `${what}: ${plainText(purpose, 120)}`
}

/** One line without control, bidi and other invisible characters: a command can't rewrite what a notification says. */
export function plainText(text: string, longest: number): string {
  const visible = text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu, '\uFFFD')
  const letters = [...visible]
  return letters.length > longest ? `${letters.slice(0, longest - 1).join('')}…` : visible
}

/** Milliseconds until quiet hours (local time, HH:MM; may pass midnight) are over; 0 outside of them. */
export function quietFor(hours: Settings['notifications']['quietHours'], now: number): number {
  if (!hours) return 0
  const from = minutes(hours.from)
  const to = minutes(hours.to)
  if (from === undefined || to === undefined || from === to) return 0
  const date = new Date(now)
  const at = date.getHours() * 60 + date.getMinutes()
  const inside = from < to ? at >= from && at < to : at >= from || at < to
  if (!inside) return 0
  const left = (to - at + 24 * 60) % (24 * 60)
  return left * 60_000 - (now % 60_000)
}

function minutes(time: string): number | undefined {
  const match = /^([01]?\d|2[0-3]):([0-5]\d)$/.exec(time)
  return match ? Number(match[1]) * 60 + Number(match[2]) : undefined
}
