import type { CommandQuery, FoundCommand } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import type { LibraryItem, LibraryState, LibraryUsage, RecordingSummary } from '../../../library-api.ts'
import { type GatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import { type Clock, systemClock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { SecureStorage } from '../ports/secure-storage.ts'
import type { LibraryRow } from '../store/library-rows.ts'
import type { Store } from '../store/store.ts'
import { openBundle } from './bundle-file.ts'
import { type Asking, checkRoom, freeBytes, noGateway, type Pull, pullBundle, pullRecording } from './downloads.ts'
import { findIn } from './finding.ts'
import { findKeptCommands, saysAll } from './kept-commands.ts'
import { createKeptFiles, type Held } from './kept-files.ts'
import type { RecordingFile } from './recording-file.ts'
import { type BundledRecording, type Comparison, compareRecording } from './same-recording.ts'
import { Damaged } from './sealing.ts'
import { readWindow, summarized, type WindowAsked } from './windows.ts'

export interface LibraryOptions {
  /** Where recordings lie; made when there is one. */
  folder: string
  /** Which gateway the recordings are of. */
  gateway: () => string
  store: Store
  secrets: SecureStorage
  asking: Asking
  /** MiB for what was merely looked at. */
  room: () => number
  /** Bytes that the disk must keep free. */
  reserve?: number
  say(event: ConsoleEvent): void
  /** What the gateway told of a session. */
  known(session: Session): void
  /** What belongs to a pinned session besides its recording and bundle. */
  alongside?(session: string): Promise<void>
  /** A recording was played, or given away, without the gateway being asked for it. */
  played(session: string): void
  clock?: Clock
  log: Log
}

/** The recordings on this computer: fetched, kept sealed, played, searched. */
export interface Library extends AsyncDisposable {
  state(): Promise<LibraryState>
  /** @throws ConsoleError where it is neither here nor to be had */
  open(session: string, have?: HaveEdition): Promise<RecordingSummary>
  /** @throws ConsoleError not-kept, damaged-copy */
  window(asked: WindowAsked): ReturnType<typeof readWindow>
  /** Answers in how many steps the words are. */
  find(session: string, words: string, work: string, signal: AbortSignal): Promise<number>
  findCommands(
    query: CommandQuery & { limit: number },
    signal: AbortSignal,
  ): Promise<{ items: FoundCommand[]; looked: number; more: boolean }>
  /** Sessions of which a command that is kept here has all these words. */
  sessionsWith(text: string, signal: AbortSignal): Promise<Session[]>
  pin(sessions: readonly string[]): number
  unpin(sessions: readonly string[]): Promise<void>
  download(session: string): void
  cancelDownload(session: string): void
  forgetCached(): Promise<void>
  /** A recording whole, for an export: fetched first where it isn't here. */
  whole(session: string, signal: AbortSignal): Promise<{ session: Session; held: Held }>
  /** The bundle that is kept, if one is. @throws ConsoleError damaged-copy */
  bundle(session: string): Promise<{ bytes: number; read(): AsyncGenerator<Buffer> } | undefined>
  /** The copy that is here, held against the one in a bundle; undefined where none opens here. */
  compare(bundled: BundledRecording, signal: AbortSignal): Promise<Comparison | undefined>
  /** The link is live again: what is wanted goes on. */
  wake(): void
  /** What sessions came to: a pinned one that has ended is completed. */
  sessionsChanged(sessions: readonly Session[]): void
  /** Makes room, where the setting says that there is less. */
  trim(): Promise<void>
  /** Forgets everything, and the key. */
  forget(): Promise<void>
}

export type HaveEdition = { edition: string; seq: number; markers: number; moments: number }

const downloadsAtOnce = 2
const tellEveryMs = 250
const retryMs = 30_000
const defaultReserve = 512 * 1024 * 1024

export async function createLibrary(options: LibraryOptions): Promise<Library> {
  const { folder, store, secrets, asking, log } = options
  const clock = options.clock ?? systemClock
  const rows = store.library
  const files = createKeptFiles(folder, options.gateway, secrets)
  const pulls = new Map<string, Pull>()
  /** Pinned ones on their way: those that wait for their turn, and the bundles that come. */
  const wanted = new Set<string>()
  const running = new Map<string, AbortController>()
  const bundles = new Set<string>()
  /** Stopped by hand: not taken up again by itself. */
  const stopped = new Set<string>()
  const damaged = new Set<string>()
  const changed = new Set<string>()
  let telling: (() => void) | undefined
  let retrying: (() => void) | undefined
  let ended = false
  /** Counts the people that this library was of: what was asked for one is not kept for the next. */
  let era = 0

  if (!secrets.persistent) {
    // Sealed under a key that has ended with the process that had it.
    for (const { session } of rows.all()) rows.remove(session)
  }
  await files.sweep(rows.all().map(({ session }) => session))

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
    if (!ended) options.say(event)
  }

  const room = async () => {
    const reserve = options.reserve ?? defaultReserve
    const free = await freeBytes(folder)
    if (free !== null && free < reserve) await trim(reserve - free)
    await checkRoom(folder, reserve)
  }

  function pull(session: string): Pull {
    const underway = pulls.get(session)
    if (underway) return underway
    damaged.delete(session)
    const progress = (file: RecordingFile, saved: boolean) => {
      const total = store.session(session)?.recording.bytes ?? null
      const row = { bytes: file.bytes, total: total && Math.max(total, file.bytes), stored: storedOf(session, file) }
      if (saved) change(session, { ...row, complete: file.ended })
      else if (!telling) change(session, row)
    }
    const begun = pullRecording({ files, asking, progress, room }, session)
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
  const bundleBytes = new Map<string, number>()

  /** Works off what is pinned, some at once. */
  function work(): void {
    for (const session of wanted) {
      if (running.size >= downloadsAtOnce || ended) return
      wanted.delete(session)
      const stop = new AbortController()
      running.set(session, stop)
      void complete(session, stop.signal)
        .catch((error: Error) => {
          if (stop.signal.aborted || ended) return
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

  const notKept = () =>
    new ConsoleError(
      'not-kept',
      'This recording is not on this machine. It can be played once the gateway is reached again.',
    )
  const erasedThere = (at: string) =>
    new ConsoleError(
      'erased',
      `The gateway erased this recording on ${at.slice(0, 10)}, when its time was over. There is no whole copy of it on this computer.`,
    )
  const damagedCopy = (session: string) => {
    damaged.add(session)
    log.warn('a kept recording does not open', { session })
    if (rows.get(session)) change(session, { problem: 'The copy on this computer is damaged, or was changed.' })
    return new ConsoleError(
      'damaged-copy',
      'The copy of this recording on this computer is damaged, or somebody changed it. It is fetched anew once the gateway is reached.',
    )
  }

  async function take(session: string): Promise<Held> {
    try {
      const held = rows.get(session) && !damaged.has(session) ? await files.take(session) : undefined
      if (held) return held
    } catch (error) {
      throw error instanceof Damaged ? damagedCopy(session) : error
    }
    if (damaged.has(session)) throw damagedCopy(session)
    throw notKept()
  }

  /** Reads a kept recording; what doesn't open is told, and fetched anew at the next chance. */
  async function reading<T>(session: string, read: (file: RecordingFile) => Promise<T>): Promise<T> {
    using held = await take(session)
    try {
      return await read(held.file)
    } catch (error) {
      if (!(error instanceof Damaged)) throw error
      throw damagedCopy(session)
    }
  }

  async function open(session: string, have?: HaveEdition): Promise<RecordingSummary> {
    const asked = await asking()
    let known = store.session(session)
    let problem: string | undefined
    let source: 'gateway' | 'local' = 'local'
    if (asked) {
      try {
        if (!(have && pulls.has(session))) {
          const told = await sessionAt(asked.api, asked.token, session)
          if (!told && rowOf(session).bytes > 0)
            throw new ConsoleError(
              'copy-only',
              'The gateway says that there is no such session, or that it is not yours to see: this is the copy that you keep.',
            )
          known = told
        }
        if (!known) throw new ConsoleError('no-such-session', 'This session is not there, or not yours to see.')
        const erased = known.retention?.erasedAt
        if (erased && !rows.get(session)) throw erasedThere(erased)
        if (damaged.has(session) && !erased) await anew(session)
        if (!erased && !(await isWhole(session))) {
          const begun = pull(session)
          source = 'gateway'
          await Promise.race([begun.done, begun.enough])
        }
      } catch (error) {
        if (error instanceof ConsoleError && error.code === 'no-such-session') throw error
        // What is here can be shown all the same.
        if (!rows.get(session) || rowOf(session).bytes === 0) throw error
        problem = inWords(error as Error)
      }
    }
    if (!known) throw notKept()
    const of = known
    const summary = await reading(session, async (file) =>
      summarized(file, of, { have, source, loading: pulls.has(session), problem: problem ?? rowOf(session).problem }),
    )
    if (!have) {
      change(session, { usedAt: now() })
      if (source === 'local') options.played(session)
      void trim().catch(() => {})
    }
    return summary
  }

  async function isWhole(session: string): Promise<boolean> {
    if (!rows.get(session)) return false
    try {
      using held = await files.take(session)
      return held?.file.ended ?? false
    } catch (error) {
      if (error instanceof Damaged) return false // it is made anew
      throw error
    }
  }

  /** Gives up a copy that doesn't open; being pinned stays. */
  async function anew(session: string): Promise<void> {
    await files.remove(session)
    damaged.delete(session)
    bundleBytes.delete(session)
    change(session, { bytes: 0, stored: 0, complete: false, bundle: 'none', problem: null })
  }

  /** Takes what was looked at longest ago, until there is no more of it than there is room for (and `more` beside). */
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
    async state() {
      return { kept: secrets.persistent, items: rows.all().map(itemOf), ...(await usage()) }
    },
    open,
    window: (asked) => reading(asked.session, (file) => readWindow(file, asked)),
    find: (session, words, work, signal) =>
      reading(session, async (file) => {
        const seen = new Set<number>()
        let told = -Infinity
        let pending: number[] = []
        const total = file.bytes
        for await (const { hits, done } of findIn(file, words, signal)) {
          for (const { step } of hits) {
            if (step < 0 || seen.has(step)) continue
            seen.add(step)
            pending.push(step)
          }
          // The first at once, then in handfuls.
          if (seen.size === pending.length || performance.now() - told > 100 || done >= total) {
            options.say({ type: 'found', work, steps: pending.sort((a, b) => a - b), done, total })
            pending = []
            told = performance.now()
          }
        }
        return seen.size
      }),
    findCommands: (query, signal) => findKeptCommands(kept(), reading, query, signal),
    async sessionsWith(text, signal) {
      const found: Session[] = []
      for (const session of kept()) {
        signal.throwIfAborted()
        const says = await reading(session.id, (file) => saysAll(file, text, signal)).catch((error: Error) => {
          if (error instanceof ConsoleError) return false
          throw error
        })
        if (says) found.push(session)
      }
      return found
    },
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
    async whole(session, signal) {
      const asked = await asking()
      const fetched = asked !== undefined && !(await isWhole(session))
      if (asked && fetched) {
        const now = await sessionAt(asked.api, asked.token, session)
        if (!now) throw new ConsoleError('no-such-session', 'This session is not there, or not yours to see.')
        if (now.retention?.erasedAt) throw erasedThere(now.retention.erasedAt)
        if (damaged.has(session)) await anew(session)
        const begun = pull(session)
        const stop = () => begun.stop.abort()
        signal.addEventListener('abort', stop, { once: true })
        await begun.done.finally(() => signal.removeEventListener('abort', stop))
      }
      const known = store.session(session)
      if (!known) throw notKept()
      const held = await take(session)
      if (!fetched) options.played(session)
      change(session, { usedAt: now() })
      return { session: known, held }
    },
    bundle,
    async compare(bundled, signal) {
      if (!rows.get(bundled.session)?.bytes) return undefined
      return reading(bundled.session, (file) => compareRecording(file, bundled, signal)).catch((error: Error) => {
        if (error instanceof ConsoleError) return undefined // a copy that doesn't open isn't played either
        throw error
      })
    },
    wake,
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
    trim,
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
      ended = true
      telling?.()
      retrying?.()
      await files[Symbol.asyncDispose]()
      if (!secrets.persistent) for (const { session } of rows.all()) rows.remove(session)
    },
  }

  /** What is kept, with its session, newest first. */
  function kept(): Session[] {
    return rows
      .all()
      .flatMap(({ session, bytes }) => (bytes > 0 ? [store.session(session)] : []))
      .filter((session) => session !== undefined)
      .sort((a, b) => (a.openedAt < b.openedAt ? 1 : -1))
  }
}

function inWords(error: Error): string {
  if (error instanceof ConsoleError || error instanceof Refused || error instanceof Unreachable) return error.message
  if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return 'The disk of this computer is full.'
  return `Something in the console went wrong: ${error.message}`
}
