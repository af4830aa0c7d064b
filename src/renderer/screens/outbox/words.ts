import type { OutboxItem, OutboxState } from '../../../annotations-api.ts'

const many = (n: number, one: string, more: string) => `${n.toLocaleString('en-US')} ${n === 1 ? one : more}`

/** What the footer says of the outbox; empty where there is nothing to say. */
export function outboxWords({ notes, reviews, waiting, conflicts }: OutboxState, live: boolean): string {
  const parts: string[] = []
  const word = reviews > 0 ? 'change' : 'note'
  if (notes > 0)
    parts.push(
      live
        ? `sending ${many(notes, word, `${word}s`)}…`
        : `${many(notes, `${word} waits`, `${word}s wait`)} to be sent`,
    )
  else if (waiting > 0) parts.push(live ? 'telling your playback…' : 'your playback is on record when you are back')
  if (conflicts > 0) parts.push(`${conflicts.toLocaleString('en-US')} refused: choose`)
  return parts.join(' · ')
}

/** What an item is, in words. */
export function itemWords(item: OutboxItem): string {
  switch (item.kind) {
    case 'annotation':
      return 'Note'
    case 'withdrawal':
      return 'Withdrawal of a note'
    case 'playback':
      return 'Playback without the gateway'
    case 'review-decision':
      return `Decision: ${item.review?.verdict ?? ''}`.trimEnd()
    case 'review-comment':
      return 'Comment in a review'
  }
}
