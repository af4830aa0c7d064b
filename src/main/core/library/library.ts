import type { CommandQuery, FoundCommand } from '@countersign/contract/evidence'
import type { Session } from '@countersign/contract/session'
import { ConsoleError, type ConsoleEvent } from '../../../console-api.ts'
import type { LibraryState, RecordingSummary } from '../../../library-api.ts'
import { type Clock, systemClock } from '../ports/clock.ts'
import type { Log } from '../ports/log.ts'
import type { SecureStorage } from '../ports/secure-storage.ts'
import type { Store } from '../store/store.ts'
import { createTerminals, type Terminals } from '../terminal/terminal.ts'
import { createCatalogue } from './catalogue.ts'
import type { Asking } from './downloads.ts'
import { findIn } from './finding.ts'
import { followRecording } from './following.ts'
import { createKeeping, inWords } from './keeping.ts'
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
  /**
   * Fetches what is new of a session that goes on, again and again, and tells it by `tail`.
   * @returns once its end is here  @throws ConsoleError where it isn't to be had any more
   */
  follow(session: string, work: string, signal: AbortSignal): Promise<void>
  /** What was said in channels of SSH. */
  readonly terminals: Terminals
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

export async function createLibrary(options: LibraryOptions): Promise<Library> {
  const { folder, store, secrets, asking } = options
  const clock = options.clock ?? systemClock
  const files = createKeptFiles(folder, options.gateway, secrets)
  const catalogue = createCatalogue(options, clock)
  const { rows, pulls, damaged, now, rowOf, change, itemOf, usage, kept, damagedCopy } = catalogue
  const keeping = createKeeping(options, catalogue, files, clock)
  const { pull, sessionAt, anew, trim } = keeping
  const terminals = createTerminals(reading, options.say)

  if (!secrets.persistent) {
    // Sealed under a key that has ended with the process that had it.
    for (const { session } of rows.all()) rows.remove(session)
  }
  await files.sweep(rows.all().map(({ session }) => session))

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
    terminals,
    follow: (session, work, signal) =>
      followRecording({ asking, pull, reading, terminals, say: options.say, clock }, session, work, signal),
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
    async compare(bundled, signal) {
      if (!rows.get(bundled.session)?.bytes) return undefined
      return reading(bundled.session, (file) => compareRecording(file, bundled, signal)).catch((error: Error) => {
        if (error instanceof ConsoleError) return undefined // a copy that doesn't open isn't played either
        throw error
      })
    },
    pin: keeping.pin,
    unpin: keeping.unpin,
    download: keeping.download,
    cancelDownload: keeping.cancelDownload,
    forgetCached: keeping.forgetCached,
    bundle: keeping.bundle,
    wake: keeping.wake,
    sessionsChanged: keeping.sessionsChanged,
    trim,
    async forget() {
      terminals.forget()
      await keeping.forget()
    },
    async [Symbol.asyncDispose]() {
      terminals[Symbol.dispose]()
      await keeping[Symbol.asyncDispose]()
      await files[Symbol.asyncDispose]()
      if (!secrets.persistent) for (const { session } of rows.all()) rows.remove(session)
    },
  }
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
