import type { Session } from '@countersign/contract/session'
import type { LibraryItem } from '../../../library-api.ts'
import { keep, useLibrary, useTrouble } from '../../app/library.ts'
import { core, useWorld } from '../../app/store.ts'
import { Button, Key } from '../../parts/basics.tsx'
import { size } from '../../parts/size.ts'

/** Whether a session is kept on this computer, how far that is, and the way to change it. */
export function Kept({ session }: { session: Session }) {
  const item = useLibrary((library) => library?.items.get(session.id))
  const kept = useLibrary((library) => library?.kept)
  const live = useWorld((world) => world.link.state === 'live')
  const trouble = useTrouble((state) => state.text)
  if (kept === undefined) return null
  if (!kept)
    return (
      <p className="mt-5 rounded-box bg-sunken px-4 py-2.5 text-dim">
        This computer offers no safe place for a key, so that no recording is kept on it.
      </p>
    )
  const pinned = Boolean(item?.pinnedAt)
  const { words, ink } = wordsOf(item, live)
  return (
    <section aria-label="On this computer" className="mt-5 rounded-box border border-line bg-panel px-4 py-3">
      <div className="flex flex-wrap items-center gap-3">
        <div className="min-w-48 flex-1">
          <p className="font-semibold">{pinned ? 'Kept on this computer' : 'On this computer'}</p>
          <p role="status" className={`text-fine tabular-nums ${ink}`}>
            {words}
          </p>
        </div>
        <Transfer item={item} live={live} />
        <Button onClick={() => void keep([session.id], !pinned)}>
          {pinned ? 'Stop keeping' : 'Keep'} <Key>P</Key>
        </Button>
      </div>
      <Progress item={item} />
      {session.retention?.erasedAt && item && item.bytes > 0 ? (
        <p className="mt-1.5 text-fine text-warn">
          The gateway has erased this recording, its time being over. This copy stays because somebody keeps it: stop
          keeping it to have it removed.
        </p>
      ) : null}
      {item?.problem || trouble ? <p className="mt-1.5 text-fine text-warn">{item?.problem ?? trouble}</p> : null}
    </section>
  )
}

/** Stops what comes, or goes on with what has stopped. */
export function Transfer({ item, live }: { item: LibraryItem | undefined; live: boolean }) {
  if (!item) return null
  const { session, state, bundle } = item
  if (state === 'downloading' || state === 'waiting' || bundle === 'downloading')
    return <Button onClick={() => void core().call('cancelDownload', { session })}>Cancel</Button>
  const more =
    state === 'partial' || state === 'damaged' || (item.pinnedAt && bundle !== 'kept' && state === 'complete')
  if (!more || !live) return null
  return (
    <Button onClick={() => void core().call('download', { session })}>
      {state === 'damaged' ? 'Fetch anew' : item.bytes > 0 ? 'Resume' : 'Fetch'}
    </Button>
  )
}

export function Progress({ item }: { item: LibraryItem | undefined }) {
  if (item?.state !== 'downloading' || !item.total) return null
  const part = Math.min(1, item.bytes / item.total)
  return (
    <div
      role="progressbar"
      aria-label={`Download of ${item.session}`}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.round(part * 100)}
      className="mt-2 h-1.5 overflow-hidden rounded-full bg-sunken"
    >
      <div className="h-full rounded-full bg-accent" style={{ width: `${part * 100}%` }} />
    </div>
  )
}

/** How much of a recording is here, in words. */
export function wordsOf(item: LibraryItem | undefined, live: boolean): { words: string; ink: string } {
  if (!item || (item.bytes === 0 && !item.pinnedAt))
    return {
      words: 'Not here: it is fetched when it is played, and can be kept for when there is no network.',
      ink: 'text-dim',
    }
  const so = item.total && item.total > item.bytes ? `${size(item.bytes)} of ${size(item.total)}` : size(item.bytes)
  const disk = item.stored > 0 ? `, ${size(item.stored)} on the disk, encrypted` : ''
  const bundle = {
    none: '',
    waiting: '; its bundle follows',
    downloading: '; its bundle is on its way',
    kept: ', with its bundle',
    failed: '',
  }[item.bundle]
  switch (item.state) {
    case 'downloading':
      return { words: `on its way: ${so}`, ink: 'text-dim' }
    case 'waiting':
      return { words: live ? 'waits for its turn' : 'is fetched once the gateway is reached', ink: 'text-dim' }
    case 'live':
      return { words: `${so} so far; completed when the session ends`, ink: 'text-dim' }
    case 'complete':
      return {
        words: `whole: ${so}${disk}${bundle}${item.pinnedAt ? '' : '; goes when room is needed'}`,
        ink: 'text-dim',
      }
    case 'damaged':
      return { words: 'what is here does not open', ink: 'text-warn' }
    case 'partial':
      return {
        words: `${so}: not whole${live ? '' : '; the rest is fetched once the gateway is reached'}`,
        ink: 'text-warn',
      }
  }
}
