import type { RetentionItem, RetentionRule } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { age, dateAndClock } from '../../parts/time.ts'

const DAY = 86_400_000

/** Until when a session is kept, in a sentence. */
export function keptUntil(retention: NonNullable<Session['retention']>, open: boolean, now: number): string {
  const { until, heldBy, erasedAt } = retention
  if (erasedAt)
    return `on ${dateAndClock(erasedAt, now)}, when its time was over: its recording can’t be fetched any more.`
  const due = until === undefined ? undefined : Date.parse(until)
  if (heldBy.length > 0) {
    const by = heldBy.length === 1 ? 'a legal hold' : `${heldBy.length} legal holds`
    if (open) return `Kept by ${by}; by the rules its time begins when it ends.`
    if (due === undefined) return `Kept by ${by}, and no rule would end it.`
    return due <= now
      ? `Kept by ${by} alone: its time was over on ${dateAndClock(due, now)}.`
      : `Kept by ${by}; by the rules until ${dateAndClock(due, now)}.`
  }
  if (open) return 'The time that it is kept begins when it ends.'
  if (due === undefined) return 'Kept for ever: no rule ends it.'
  if (due <= now) return `Its time was over on ${dateAndClock(due, now)}: it goes with the next run.`
  return `Kept until ${dateAndClock(due, now)}, ${age(due - now)} from now.`
}

/** What stands in place of a held command that the gateway has erased: of one that it still has, its text is never empty. */
export const erasedCommand = 'erased: its time was over'

/** 90 days, 36 h, for ever. */
export function kept(ms: number | null): string {
  if (ms === null) return 'for ever'
  return ms % DAY === 0 ? `${ms / DAY} ${ms === DAY ? 'day' : 'days'}` : age(ms)
}

const subjects: Record<RetentionRule['what'], string> = {
  recordings: 'Recordings',
  approvals: 'What approvals say',
  annotations: 'Annotations',
  entries: 'What entries say',
  class: 'What touched',
}

export function subjectOf({ what, class: of }: RetentionRule): string {
  return what === 'class' ? `${subjects.class} ${of}` : subjects[what]
}

const parts: Record<RetentionItem['takes'][number], string> = {
  recording: 'recording',
  approvals: 'approvals’ texts',
  annotations: 'annotations',
  entries: 'entries',
}

export function takenOf({ takes }: RetentionItem): string {
  return takes.map((part) => parts[part]).join(', ')
}
