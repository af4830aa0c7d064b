import type { Session } from '@countersign/contract/session'
import { ConsoleError } from '../../../console-api.ts'
import { type GatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import type { Clock } from '../ports/clock.ts'
import { openBundle } from './bundle-file.ts'
import type { Catalogue } from './catalogue.ts'
import { checkRoom, freeBytes, noGateway, type Pull, pullBundle, pullRecording } from './downloads.ts'
import type { KeptFiles } from './kept-files.ts'
import type { Library, LibraryOptions } from './library.ts'
import type { RecordingFile } from './recording-file.ts'
import { Damaged } from './sealing.ts'

const downloadsAtOnce = 2
const retryMs = 30_000
const defaultReserve = 512 * 1024 * 1024

type Wishes = Pick<
  Library,
  | 'pin'
  | 'unpin'
  | 'download'
  | 'cancelDownload'
  | 'forgetCached'
  | 'bundle'
  | 'wake'
  | 'sessionsChanged'
  | 'forget'
  | typeof Symbol.asyncDispose
>

/** What comes to this computer, and what goes: downloads, the queue of what is pinned, room on the disk, forgetting. */
export interface Keeping extends Wishes {
  /** Fetches what is missing of a recording, unless it is on its way already. */
  pull(session: string, lazily?: boolean): Pull
  /** What the gateway says of a session now; a copy that shall not be kept any more is removed. @throws ConsoleError */
  sessionAt(api: GatewayApi, token: string, session: string): Promise<Session | undefined>
  /** Gives up a copy that doesn't open; being pinned stays. */
  anew(session: string): Promise<void>
  /** Takes what was looked at longest ago, until there is no more of it than there is room for (and `more` bytes beside). */
  trim(more?: number): Promise<void>
}

export function createKeeping(options: LibraryOptions, catalogue: Catalogue, files: KeptFiles, clock: Clock): Keeping {
  const { folder, store, secrets, asking, log } = options
  const { rows, pulls, wanted, running, bundles, stopped, damaged, bundleBytes } = catalogue
  const { now, rowOf, change, tell, damagedCopy } = catalogue
  let retrying: (() => void) | undefined
  /** Counts the people that this library was of: what was asked for one is not kept for the next. */
  let era = 0

  const room = async () => {
    const reserve = options.reserve ?? defaultReserve
    const free = await freeBytes(folder)
    if (free !== null && free < reserve) await trim(reserve - free)
    await checkRoom(folder, reserve)
  }

  function pull(session: string, lazily = false): Pull {
    const underway = pulls.get(session)
    if (underway) return underway
    damaged.delete(session)
    const progress = (file: RecordingFile, saved: boolean) => {
      const total = store.session(session)?.recording.bytes ?? null
      const row = { bytes: file.bytes, total: total && Math.max(total, file.bytes), stored: storedOf(session, file) }
      if (saved) change(session, { ...row, complete: file.ended })
      else if (!catalogue.isTelling()) change(session, row)
    }
    const begun = pullRecording({ files, asking, progress, room }, session, lazily)
    pulls.set(session, begun)
    change(session, { problem: null })
    const over = (problem: string | null) => {
      pulls.delete(session)
      const row = rows.get(session)
      if (problem !== null && row?.bytes === 0 && !row.pinnedAt) void discard(session).catch(() => {})
      else if (problem !== null && row) change(session, { problem })
      else tell(session)
    }
    begun.done.then(
      () => over(null),
      (error: Error) => over(begun.stop.signal.aborted ? null : inWords(error)),
    )
    return begun
  }

  const storedOf = (session: string, file: RecordingFile) => file.stored + (bundleBytes.get(session) ?? 0)

  /** Works off what is pinned, some at once. */
  function work(): void {
    for (const session of wanted) {
      if (running.size >= downloadsAtOnce || catalogue.hasEnded()) return
      wanted.delete(session)
      const stop = new AbortController()
      running.set(session, stop)
      void complete(session, stop.signal)
        .catch((error: Error) => {
          if (stop.signal.aborted || catalogue.hasEnded()) return
          log.info('a recording could not be fetched', { problem: error.message })
          change(session, { problem: inWords(error) })
          // Without a gateway the next link takes it up; else after a while.
          if (!(error instanceof Refused)) retrying ??= clock.after(retryMs, wake)
        })
        .finally(() => {
          running.delete(session)
          tell(session)
          work()
        })
    }
  }

  async function complete(session: string, signal: AbortSignal): Promise<void> {
    const asked = await asking()
    if (!asked) throw noGateway()
    const known = await sessionAt(asked.api, asked.token, session)
    if (!known) throw new ConsoleError('no-such-session', 'This session is not there any more, or not yours to see.')
    if (damaged.has(session)) await anew(session)
    const begun = pull(session)
    signal.addEventListener('abort', () => begun.stop.abort(), { once: true })
    await begun.done
    signal.throwIfAborted()
    const row = rowOf(session)
    if (row.pinnedAt) await options.alongside?.(session).catch(() => {})
    if (!row.pinnedAt || !row.complete || row.bundle === 'kept') return
    bundles.add(session)
    tell(session)
    try {
      await room()
      const problem = await pullBundle(files, asking, session, signal, () => tell(session), room)
      const kept = await bundle(session)
      signal.throwIfAborted()
      bundleBytes.set(session, kept?.stored ?? 0)
      change(session, { bundle: 'kept', problem: problem ?? null, stored: rowOf(session).stored + (kept?.stored ?? 0) })
    } catch (error) {
      if (error instanceof Refused && !signal.aborted)
        return change(session, { bundle: 'failed', problem: `Its bundle can’t be had: ${error.message}` })
      throw error
    } finally {
      bundles.delete(session)
      tell(session)
    }
  }

  async function sessionAt(api: GatewayApi, token: string, session: string): Promise<Session | undefined> {
    const mine = era
    const known = await api.session(token, session)
    if (mine !== era) throw new ConsoleError('signed-out', 'You were signed out meanwhile. Sign in to see this.')
    if (known) {
      options.known(known)
      if (goes(known)) await discard(session)
      return known
    }
    // What isn't ours to see any more isn't ours to keep; but no gateway talks an auditor's evidence off their desk.
    if (!rows.get(session)?.pinnedAt) await discard(session)
    return undefined
  }

  /** The gateway has erased it, and nobody asked for a copy to be kept: what somebody keeps on purpose is theirs to remove. */
  function goes({ id, retention }: Session): boolean {
    const row = rows.get(id)
    return retention?.erasedAt !== undefined && row !== undefined && !row.pinnedAt
  }

  async function discard(session: string): Promise<void> {
    pulls.get(session)?.stop.abort()
    running.get(session)?.abort()
    wanted.delete(session)
    await pulls.get(session)?.done.catch(() => {})
    await files.remove(session)
    bundleBytes.delete(session)
    damaged.delete(session)
    rows.remove(session)
    tell(session)
  }

  async function anew(session: string): Promise<void> {
    await files.remove(session)
    damaged.delete(session)
    bundleBytes.delete(session)
    change(session, { bytes: 0, stored: 0, complete: false, bundle: 'none', problem: null })
  }

  async function trim(more = 0): Promise<void> {
    const cached = rows
      .all()
      .filter(({ pinnedAt }) => !pinnedAt)
      .sort((a, b) => (a.usedAt < b.usedAt ? -1 : 1))
    let over = cached.reduce((sum, { stored }) => sum + stored, 0) - options.room() * 2 ** 20
    if (more > 0) over = Math.max(over, more)
    for (const { session, stored } of cached) {
      if (over <= 0) return
      if (files.inUse(session) || pulls.has(session)) continue
      await discard(session)
      over -= stored
    }
  }

  async function bundle(session: string) {
    if (rows.get(session)?.bundle === 'none' && !bundles.has(session)) return undefined
    const { place, key } = await files.bundlePlace(session)
    try {
      return await openBundle(place, key)
    } catch (error) {
      throw error instanceof Damaged ? damagedCopy(session) : error
    }
  }

  function wake(): void {
    retrying?.()
    retrying = undefined
    for (const row of rows.all())
      if (row.pinnedAt && !stopped.has(row.session) && !(row.complete && row.bundle !== 'none')) wanted.add(row.session)
    work()
  }

  return {
    pull,
    sessionAt,
    anew,
    trim,
    bundle,
    wake,
    pin(sessions) {
      if (!secrets.persistent)
        throw new ConsoleError(
          'nothing-kept',
          'This computer offers no safe place for a key, so that no recordings are kept on it.',
        )
      for (const session of sessions) {
        stopped.delete(session)
        const row = rowOf(session)
        rows.save({ ...row, pinnedAt: row.pinnedAt ?? now() })
        if (!(row.complete && row.bundle === 'kept')) wanted.add(session)
        tell(session)
      }
      work()
      return sessions.length
    },
    async unpin(sessions) {
      for (const session of sessions) {
        if (!rows.get(session)) continue
        wanted.delete(session)
        running.get(session)?.abort()
        const bundled = bundleBytes.get(session) ?? (await bundle(session).catch(() => undefined))?.stored ?? 0
        await files.removeBundle(session)
        bundleBytes.delete(session)
        const { stored } = rowOf(session)
        change(session, { pinnedAt: null, bundle: 'none', stored: Math.max(0, stored - bundled) })
        const known = store.session(session)
        if (known && goes(known)) await discard(session)
      }
      await trim()
    },
    download(session) {
      stopped.delete(session)
      if (rowOf(session).pinnedAt) {
        wanted.add(session)
        work()
      } else if (damaged.has(session))
        void anew(session).then(
          () => pull(session),
          () => {},
        )
      else pull(session)
    },
    cancelDownload(session) {
      stopped.add(session)
      wanted.delete(session)
      running.get(session)?.abort()
      pulls.get(session)?.stop.abort()
      tell(session)
    },
    async forgetCached() {
      for (const { session, pinnedAt } of rows.all()) if (!pinnedAt && !files.inUse(session)) await discard(session)
    },
    sessionsChanged(sessions) {
      for (const session of sessions) {
        const { id, state, retention } = session
        if (goes(session))
          void discard(id).catch((error: Error) =>
            log.warn('an erased recording could not be removed', { session: id, problem: error.message }),
          )
        else if (retention?.erasedAt) wanted.delete(id)
        else if (state !== 'open' && rows.get(id)?.pinnedAt && !rowOf(id).complete && !stopped.has(id)) wanted.add(id)
      }
      work()
    },
    async forget() {
      era += 1
      for (const stop of running.values()) stop.abort()
      for (const { stop } of pulls.values()) stop.abort()
      await Promise.allSettled([...pulls.values()].map(({ done }) => done))
      wanted.clear()
      stopped.clear()
      damaged.clear()
      bundleBytes.clear()
      for (const { session } of rows.all()) {
        rows.remove(session)
        tell(session)
      }
      await files.forget()
    },
    async [Symbol.asyncDispose]() {
      wanted.clear()
      for (const stop of running.values()) stop.abort()
      for (const { stop } of pulls.values()) stop.abort()
      await Promise.allSettled([...pulls.values()].map(({ done }) => done))
      catalogue[Symbol.dispose]()
      retrying?.()
    },
  }
}

/** What went wrong, for a person to read. */
export function inWords(error: Error): string {
  if (error instanceof ConsoleError || error instanceof Refused || error instanceof Unreachable) return error.message
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return 'The disk of this computer is full.'
  return `Something in the console went wrong: ${error.message}`
}
