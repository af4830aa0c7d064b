import type { OutboxItem, OutboxState } from '../../../annotations-api.ts'

const many = (n: number, one: string, more: string) => `${n.toLocaleString('en-US')} ${n === 1 ? one : more}`

/** What the footer says of the outbox; empty where there is nothing to say. */
export function outboxWords({ notes, waiting, conflicts }: OutboxState, live: boolean): string {
  const parts: string[] = []
  if (notes > 0)
    parts.push(
      live ? `sending ${many(notes, 'note', 'notes')}…` : `${many(notes, 'note waits', 'notes wait')} to be sent`,
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
  }
}
