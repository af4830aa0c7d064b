import { unlink } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { FoundCommands } from '@countersign/contract/evidence'
import type { PersonRef } from '@countersign/contract/identity'
import type { RecordingEvent } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import type { BaseLogger } from 'pino'
import type { Store } from '../store/store.ts'
import { atOnce } from './at-once.ts'
import { type End, Live, newSession } from './live.ts'
import { FileRecorder } from './recorder.ts'
import { eventsAfter, mend, placeOf, type RecordingPlace, readRecording, readSealed, seal } from './recording.ts'
import { recoverRecordings } from './recovery.ts'
import { createRows, type SessionQuery } from './rows.ts'
import type { RecordingLedger } from './scribe/scribe.ts'
import type { Finder } from './search/finder.ts'
import type { CommandSearch } from './search/search.ts'
import { EndReason, type LiveSession, type OpenRequest, SessionRefused, type Sessions } from './session.ts'
import type { PlayedWhat } from './tables.ts'

export type { SessionQuery } from './rows.ts'
export { BadCursor } from './rows.ts'

export interface SessionsOptions {
  store: Store
  /** The data folder; recordings lie in `recordings/YYYY/MM/DD/` under it. */
  folder: string
  /** Asked for each session, so that a reload counts at once. */
  limits: () => { sessions_per_agent: number; recorded_rows: number; recorded_bytes: number; recorded_output?: number }
  /** Milliseconds since the epoch. */
  clock?: () => number
  log: Pick<BaseLogger, 'info' | 'warn' | 'error'>
  /** Reads recordings along. Absent: there is none, and nothing waits for it. */
  ledger?: RecordingLedger
  /** Finds commands. Absent: nothing is found by words. */
  search?: Finder
  /** Version of the policy set in force, for a session's beginning. */
  policy?: () => string
  /** How long the owner of a session has to close it after it was ended, before it is closed here. */
  graceMs?: number
}

export interface EventsPage {
  events: RecordingEvent[]
  /** Whether there are more now. */
  more: boolean
  /** Whether the session may still add to it. */
  live: boolean
}

export interface SessionsRoom extends Sessions, AsyncDisposable {
  /**
   * Brings what a killed gateway left behind to an end: its open sessions become `interrupted`, their recordings get an
   * end, and what isn't sealed is sealed. To be called once, before sessions are opened, by the only gateway on this
   * data folder.
   */
  recover(): Promise<void>
  /** Sessions, newest first. @throws BadCursor */
  list(query: SessionQuery): Promise<{ items: Session[]; next: string | null }>
  /** Commands, newest first; with `heldFor` those of sessions in which something was held for one of these groups. @throws BadCommandCursor, SearchDamaged */
  commands(query: Omit<CommandSearch, 'sessions'> & { heldFor?: string[] }): Promise<FoundCommands>
  /** Whether an approval belongs to the session that one of these groups may decide. */
  isHeldFor(id: string, groups: string[]): Promise<boolean>
  /** Events with a `seq` above `after`; at most `limit`, and at most some MiB. Undefined where there is no recording. */
  events(id: string, after: number, limit: number): Promise<EventsPage | undefined>
  /** A recording as NDJSON, of a live session what is there now. An error where there is none. */
  recordingStream(id: string): Readable
  /** A sealed recording as it lies on disk, one zstd frame; undefined where it isn't sealed. */
  sealedRecording(id: string): Promise<{ stream: Readable; bytes: number } | undefined>
  /** Notes that a person saw a recording, and tells the ledger. */
  playedBack(id: string, by: PersonRef, what: PlayedWhat): Promise<void>
  /** Refuses new sessions from now on; resolves when none is live any more. */
  drain(): Promise<void>
  /** Ends all live sessions (EndReason `shutdown`); their owners close them. */
  endAll(message: string): void
  /** How many are live. */
  readonly live: number
  /** Whether a session is live, or its recording is still being sealed. */
  isLive(id: string): boolean
}

const eventsPageBytes = 8 * 1024 * 1024
const countsEveryMs = 2000
const sealsAtOnce = 4

/** Opens, ends, finds and plays back sessions. See {@link SessionsRoom}. */
export function createSessions(options: SessionsOptions): SessionsRoom {
  const { store, folder, limits, log, ledger } = options
  const clock = options.clock ?? Date.now
  const now = () => new Date(clock()).toISOString()
  const graceMs = options.graceMs ?? 10_000
  const rows = createRows(store, clock)
  const live = new Map<string, Live>()
  const perAgent = new Map<string, number>()
  const dirty = new Set<Live>()
  const sealing = atOnce(sealsAtOnce)
  const emptied = new Set<() => void>()
  /** Sessions that are closed, but whose recordings aren't sealed yet. */
  const unsealed = new Map<string, Promise<void>>()
  let draining = false
  let stopping: string | undefined
  let counting: NodeJS.Timeout | undefined

  const open = async (request: OpenRequest): Promise<LiveSession> => {
    try {
      return await opened(request)
    } catch (error) {
      request.entrance?.entry.left()
      throw error
    }
  }
  const opened = async (request: OpenRequest): Promise<LiveSession> => {
    if (draining) throw new SessionRefused('The gateway is stopping and takes no new sessions: connect again shortly.')
    if (request.agent.expiresAt.getTime() <= clock())
      throw new SessionRefused('The token has expired: get a new one and connect again.')
    if (ledger?.stopped) throw ledger.stopped
    const { sessions_per_agent, recorded_rows, recorded_bytes, recorded_output } = limits()
    const agent = request.agent.id
    const has = perAgent.get(agent) ?? 0
    if (has >= sessions_per_agent)
      throw new SessionRefused(
        `This agent has ${has} sessions open, as many as it may (limits.sessions_per_agent): close one first.`,
      )
    perAgent.set(agent, has + 1)
    try {
      const session = newSession(request, now())
      const place = placeOf(folder, session.id, session.openedAt)
      let self: Live | undefined
      const recorder = await FileRecorder.open({
        file: place.plain,
        header: {
          session: session.id,
          connection: session.connection,
          protocol: session.protocol,
          mode: session.mode,
          agent: session.identity,
          ...(request.purpose !== undefined && { purpose: request.purpose }),
          ...(session.grants && { grants: session.grants }),
          ...(request.agent.token?.grant !== undefined && { grant: request.agent.token.grant }),
          client: session.client,
          ...(options.policy && { policy: options.policy() }),
          startedAt: session.openedAt,
          resultBound: { rows: recorded_rows, bytes: recorded_bytes },
          ...(session.protocol === 'ssh' && recorded_output !== undefined && { outputBound: recorded_output }),
        },
        clock: options.clock ?? steadyFrom(session.openedAt),
        onAppend: () => {
          if (!self) return
          toCount(self)
          ledger?.poke(self.id)
        },
        onBroken: (error) => log.error({ session: session.id, error }, 'a recording broke: its session can’t go on'),
      })
      try {
        await rows.insert(session)
      } catch (error) {
        await recorder.close().catch(() => {})
        await unlink(place.plain).catch(() => {})
        throw error
      }
      self = new Live({ request, session, recorder, ...(ledger && { ledger }), clock, graceMs, log, close: closeLive })
      live.set(self.id, self)
      ledger?.begin({ session: session.id, ...place, bytes: () => recorder.bytes })
      if (stopping !== undefined) self.end(new EndReason('shutdown', stopping))
      tellEntrance(self, request)
      return self
    } catch (error) {
      release(agent)
      throw error
    }
  }

  /** Recording first, then the store: what the store calls closed has its whole recording on disk. */
  const closeLive = async (session: Live, end: End) => {
    const place = placeOf(folder, session.id, session.openedAt)
    const { file: recorder } = session
    let sealedLater: Promise<void> | undefined
    try {
      let complete = true
      try {
        recorder.append({ type: 'end', ...end })
        await recorder.close()
      } catch (error) {
        complete = false
        log.error({ session: session.id, error }, 'the end of a session could not be recorded')
        await recorder.close().catch(() => {})
      }
      dirty.delete(session)
      await rows.close(session.id, {
        ...end,
        // The ledger has it from the recording: the two are held against each other.
        at: recorder.lastAt,
        counts: recorder.counts,
        classes: recorder.classes,
        bytes: recorder.bytes,
        complete,
      })
      sealedLater = finish(place, session.id, end, complete)
    } finally {
      live.delete(session.id)
      dirty.delete(session)
      release(session.agent.id)
      session.leave()
    }
    await sealedLater
  }

  /** A recording that the ledger reads along is sealed once that has read it. */
  const finish = (place: RecordingPlace, id: string, end: End, complete: boolean): Promise<void> => {
    const work = (async () => {
      if (!complete && !(await mended(place, id, end))) return
      await ledger?.ended(id)
      await sealing(() => sealed(place, id))
    })().finally(() => unsealed.delete(id))
    unsealed.set(id, work)
    return work
  }

  const mended = async (place: RecordingPlace, id: string, end: End): Promise<boolean> => {
    try {
      const found = await mend(place.plain, end)
      if (found.end) await rows.complete(id, found)
      return true
    } catch (error) {
      log.error({ session: id, error }, 'a recording could not be brought to an end: it is at the next start')
      return false
    }
  }

  /** What can't be sealed now is sealed at the next start. */
  const sealed = async (place: RecordingPlace, id: string) => {
    try {
      await seal(place)
    } catch (error) {
      log.error({ session: id, error }, 'a recording could not be compressed: it stays as it is until the next start')
    }
  }

  const release = (agent: string) => {
    const left = (perAgent.get(agent) ?? 1) - 1
    if (left > 0) perAgent.set(agent, left)
    else perAgent.delete(agent)
    // Counts those that are being opened, too.
    if (perAgent.size === 0) for (const tell of emptied) tell()
  }

  const toCount = (session: Live) => {
    dirty.add(session)
    counting ??= setTimeout(() => {
      counting = undefined
      writeCounts().catch((error) => log.error({ error }, 'the counts of sessions could not be stored'))
    }, countsEveryMs).unref()
  }
  const writeCounts = async () => {
    const many = [...dirty]
    dirty.clear()
    await rows.count(many.map(({ id, file }) => ({ id, counts: file.counts, bytes: file.bytes })))
  }

  /** The store knows the counts of a live session a little late. */
  const current = (session: Session): Session => {
    const recorder = live.get(session.id)?.file
    if (!recorder || session.state !== 'open') return session
    return { ...session, counts: { ...recorder.counts }, recording: { bytes: recorder.bytes, complete: false } }
  }

  const placeFor = async (id: string): Promise<{ place: RecordingPlace; recorder?: FileRecorder } | undefined> => {
    const running = live.get(id)
    if (running) return { place: placeOf(folder, id, running.openedAt), recorder: running.file }
    const session = await rows.get(id)
    return session && { place: placeOf(folder, id, session.openedAt) }
  }

  const endAll = (message: string) => {
    stopping = message
    for (const session of live.values()) session.end(new EndReason('shutdown', message))
  }
  const drain = () => {
    draining = true
    if (perAgent.size === 0) return Promise.resolve()
    return new Promise<void>((resolve) => {
      const tell = () => {
        emptied.delete(tell)
        resolve()
      }
      emptied.add(tell)
    })
  }

  return {
    open,
    drain,
    endAll,
    get live() {
      return live.size
    },
    isLive: (id) => live.has(id) || unsealed.has(id),

    recover: () => recoverRecordings({ folder, rows, log, now }),

    async get(id) {
      const session = await rows.get(id)
      return session && current(session)
    },

    async list(query) {
      const { text } = query
      const having = text === undefined || text.trim() === '' ? undefined : await options.search?.sessionsWith(text)
      const { items, next } = await rows.list(query, having, (some) => options.search!.among(some, text!))
      return { items: items.map(current), next }
    },

    async commands({ heldFor, ...query }) {
      if (!options.search) return { items: [], next: null }
      const sessions = heldFor && (await rows.heldFor(heldFor))
      return options.search.commands({ ...query, ...(sessions && { sessions }) })
    },

    isHeldFor: rows.isHeldFor,

    async terminate(id, by, reason) {
      const session = live.get(id)
      const why = reason === '' ? '' : `: ${reason}`
      return session?.end(new EndReason('terminated', `terminated by ${by}${why}`), 'terminated') ?? false
    },

    async events(id, after, limit) {
      const found = await placeFor(id)
      if (!found) return undefined
      const { place, recorder } = found
      const stream = await readRecording(place, recorder && { bytes: recorder.bytes, from: recorder.markBefore(after) })
      if (!stream) return undefined
      const page = await eventsAfter(stream, after, { events: limit, bytes: eventsPageBytes })
      return { ...page, live: live.has(id) }
    },

    recordingStream(id) {
      return Readable.from(
        (async function* () {
          const found = await placeFor(id)
          const stream = found && (await readRecording(found.place, found.recorder && { bytes: found.recorder.bytes }))
          if (!stream) throw new Error(`There is no recording of ${id}.`)
          yield* stream
        })(),
        { objectMode: false, highWaterMark: 256 * 1024 },
      )
    },

    async sealedRecording(id) {
      if (live.has(id)) return undefined
      const found = await placeFor(id)
      return found && readSealed(found.place)
    },

    playedBack: (id, by, what) => rows.playback(id, by, what, now()),

    async [Symbol.asyncDispose]() {
      const empty = drain()
      endAll('the gateway is stopping')
      const late = setTimeout(() => {
        for (const session of live.values()) session.close('closed', 'the gateway stopped').catch(() => {})
      }, graceMs)
      await empty
      clearTimeout(late)
      clearTimeout(counting)
      await Promise.allSettled(unsealed.values())
    },
  }
}

/** From now on access that ends ends the session. */
function tellEntrance(session: Live, { entrance, purpose }: OpenRequest): void {
  entrance?.entry.opened({
    id: session.id,
    ...(purpose !== undefined && { purpose }),
    connect: entrance.connect,
    end: (reason) => void session.end(reason),
    lessened: (reason) => session.lessened(reason),
  })
}

/** Wall time at the beginning, from then on time that no correction of the machine's clock makes jump. */
function steadyFrom(openedAt: string): () => number {
  const offset = Date.parse(openedAt) - performance.now()
  return () => offset + performance.now()
}
