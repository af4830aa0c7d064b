import type { Session } from '@countersign/contract/session'
import { ConsoleError } from '../../../console-api.ts'
import type { LibraryItem, LibraryUsage } from '../../../library-api.ts'
import type { Clock } from '../ports/clock.ts'
import type { LibraryRow } from '../store/library-rows.ts'
import { freeBytes, type Pull } from './downloads.ts'
import type { LibraryOptions } from './library.ts'

const tellEveryMs = 250

export type Catalogue = ReturnType<typeof createCatalogue>

/** What the library knows of each recording that is kept, in rows and for this run, and telling of what changed. */
export function createCatalogue({ folder, store, say, log }: LibraryOptions, clock: Clock) {
  const rows = store.library
  const pulls = new Map<string, Pull>()
  /** Pinned ones on their way: those that wait for their turn, and the bundles that come. */
  const wanted = new Set<string>()
  const running = new Map<string, AbortController>()
  const bundles = new Set<string>()
  /** Stopped by hand: not taken up again by itself. */
  const stopped = new Set<string>()
  const damaged = new Set<string>()
  const changed = new Set<string>()
  /** Bytes that a recording's bundle has on disk. */
  const bundleBytes = new Map<string, number>()
  let telling: (() => void) | undefined
  let ended = false

  const now = () => new Date(clock.now()).toISOString()
  const rowOf = (session: string): LibraryRow =>
    rows.get(session) ?? {
      session,
      pinnedAt: null,
      usedAt: now(),
      bytes: 0,
      total: null,
      stored: 0,
      complete: false,
      bundle: 'none',
      problem: null,
    }
  const change = (session: string, what: Partial<LibraryRow>) => {
    if (ended) return
    rows.save({ ...rowOf(session), ...what })
    tell(session)
  }

  function itemOf(row: LibraryRow): LibraryItem {
    const { session, complete, problem, ...rest } = row
    const state = pulls.has(session)
      ? 'downloading'
      : damaged.has(session)
        ? 'damaged'
        : complete
          ? 'complete'
          : wanted.has(session) || running.has(session)
            ? 'waiting'
            : store.session(session)?.state === 'open' && row.bytes > 0
              ? 'live'
              : 'partial'
    const bundle =
      row.bundle === 'kept' || row.bundle === 'failed'
        ? row.bundle
        : bundles.has(session)
          ? 'downloading'
          : row.pinnedAt
            ? 'waiting'
            : 'none'
    return { ...rest, session, state, bundle, ...(problem ? { problem } : {}) }
  }

  async function usage(): Promise<LibraryUsage> {
    let pinned = 0
    let cached = 0
    for (const row of rows.all()) {
      if (row.pinnedAt) pinned += row.stored
      else cached += row.stored
    }
    return { pinned, cached, free: await freeBytes(folder).then((free) => free ?? freeBytes(`${folder}/..`)) }
  }

  /** Tells what changed, some times a second at most. */
  function tell(session: string): void {
    changed.add(session)
    telling ??= clock.after(tellEveryMs, () => void tellNow().catch(() => {}))
  }
  async function tellNow(): Promise<void> {
    telling = undefined
    const sessions = [...changed]
    changed.clear()
    const told: LibraryItem[] = []
    const removed: string[] = []
    for (const session of sessions) {
      const row = rows.get(session)
      if (row) told.push(itemOf(row))
      else removed.push(session)
    }
    const event = { type: 'library', changed: told, removed, usage: await usage() } as const
    if (!ended) say(event)
  }

  /** What is kept, with its session, newest first. */
  function kept(): Session[] {
    return rows
      .all()
      .flatMap(({ session, bytes }) => (bytes > 0 ? [store.session(session)] : []))
      .filter((session) => session !== undefined)
      .sort((a, b) => (a.openedAt < b.openedAt ? 1 : -1))
  }

  const damagedCopy = (session: string) => {
    damaged.add(session)
    log.warn('a kept recording does not open', { session })
    if (rows.get(session)) change(session, { problem: 'The copy on this computer is damaged, or was changed.' })
    return new ConsoleError(
      'damaged-copy',
      'The copy of this recording on this computer is damaged, or somebody changed it. It is fetched anew once the gateway is reached.',
    )
  }

  return {
    rows,
    pulls,
    wanted,
    running,
    bundles,
    stopped,
    damaged,
    bundleBytes,
    now,
    rowOf,
    /** Saves and tells; nothing once it has ended. */
    change,
    itemOf,
    usage,
    tell,
    kept,
    /** Remembers that a copy doesn't open; answers the error that says so. */
    damagedCopy,
    /** Whether something is about to be told. */
    isTelling: () => telling !== undefined,
    hasEnded: () => ended,
    [Symbol.dispose]() {
      ended = true
      telling?.()
    },
  }
}
