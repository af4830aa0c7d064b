import type { LedgerState } from '@countersign/contract/evidence'
import { LedgerError } from '@countersign/contract/ledger/errors'
import type { LedgerCrypto } from '@countersign/contract/ledger/ports'
import type { LedgerStopped } from '../ledger/ledger.ts'
import type { LedgerLog, NewLedgerEntry } from '../ledger/log.ts'
import { stopped } from '../ledger/stopped.ts'
import { ReadAlong } from './along.ts'
import { Followed } from './followed.ts'
import type { RecordingReader } from './line.ts'
import {
  type FromScribe,
  LOST,
  type OutboxRow,
  type Over,
  type Question,
  type RecordingFiles,
  type SearchQuestion,
  type SyncTargets,
} from './messages.ts'
import type { TailEntry } from './tail.ts'
import { instead, payloadOf, unwritable } from './unwritable.ts'
import { mayWitness, withWitness, witnessesIn } from './witnesses.ts'

/** So many entries are committed together at most: more take longer than a held command should wait. */
const TOGETHER = 1000
/** A checkpoint is signed at most so often (ms). */
export const SIGN_MS = 1000
/** So many sealed recordings are read at a time. */
const STREAMS = 2

/** `meta`: the last row of the outbox that is an entry. */
const OUTBOX = 'outbox'

interface Waiter extends SyncTargets {
  id: number
  outbox: number
  sign: boolean
}

/**
 * Writes the ledger: reads recordings along, takes what the outbox has, and commits both in groups, each with how far it
 * came. What it was given stays in mind over a reopening of the log, which knows what it has of it.
 */
export class LedgerWriter {
  readonly #crypto: LedgerCrypto
  readonly #say: (message: FromScribe) => void
  readonly #along: ReadAlong
  #log: LedgerLog
  readonly #followed = new Map<string, Followed>()
  /** Which of them may have grown. */
  #dirty = new Set<Followed>()
  /** Sealed ones that wait for their turn. */
  #sealed: Followed[] = []
  #streams = 0
  #outbox: OutboxRow[] = []
  readonly #lives: string
  /** How often the log was opened. */
  #opened = 0
  /** The last row of the outbox that was handed over, and the last one committed. */
  #handed = 0
  #committed = 0
  #waiting: Waiter[] = []
  /** Entries queued since the last commit. */
  #queued = 0
  /** Whether anything was put into the log since the last commit. */
  #changed = false
  #signedAt = Number.NEGATIVE_INFINITY
  /** Why a stream ended that shouldn't have. */
  #failed: LedgerStopped | undefined
  readonly #wake: () => void

  /** @param wake there is something to do that no message told of */
  constructor(options: {
    log: LedgerLog
    crypto: LedgerCrypto
    say: (message: FromScribe) => void
    wake: () => void
    /** Another one for each writer. */
    lives: string
    readers?: RecordingReader[]
  }) {
    this.#log = options.log
    this.#crypto = options.crypto
    this.#say = options.say
    this.#wake = options.wake
    this.#lives = options.lives
    this.#along = new ReadAlong(options.readers ?? [], options.say)
    this.#start()
  }

  /** Goes on with the log opened anew. */
  reopen(log: LedgerLog): void {
    this.#log = log
    this.#queued = 0
    this.#changed = false
    this.#sealed = []
    this.#failed = undefined
    for (const followed of this.#followed.values()) {
      followed.restart()
      this.#dirty.add(followed)
    }
    this.#start()
  }

  #start(): void {
    this.#opened++
    this.#committed = Number(this.#log.meta(OUTBOX) ?? 0)
    this.#handed = this.#committed
    this.#outbox = []
  }

  /** Which opening of the log this is; of no two writers the same. */
  get life(): string {
    return `${this.#lives}.${this.#opened}`
  }
  get log(): LedgerLog {
    return this.#log
  }
  get committedOutbox(): number {
    return this.#committed
  }
  get state(): LedgerState {
    const { origin, head, keys, handovers } = this.#log
    return { origin, size: head.size, keys, handovers, witnesses: witnessesIn(this.#log) }
  }

  follow(recordings: RecordingFiles[], live: boolean): void {
    for (const files of recordings) {
      const known = this.#followed.get(files.session)
      if (known) {
        known.live &&= live
        this.#dirty.add(known)
        continue
      }
      const followed = new Followed({
        files,
        live,
        sha256: this.#crypto.sha256Running,
        ...(this.#along.some && { onLine: this.#along.linesOf(files.session) }),
      })
      this.#followed.set(files.session, followed)
      this.#dirty.add(followed)
    }
  }

  grown(sessions: string[]): void {
    for (const session of sessions) {
      const followed = this.#followed.get(session)
      if (followed) this.#dirty.add(followed)
    }
  }

  ended(session: string): void {
    const followed = this.#followed.get(session)
    if (!followed) return
    followed.live = false
    this.#dirty.add(followed)
  }

  outbox(rows: OutboxRow[], life: string): void {
    if (life !== this.life) return // they are handed over again
    for (const row of rows) {
      if (row.id <= this.#handed) continue
      this.#outbox.push(row)
      this.#handed = row.id
    }
  }

  /** Answers once all of it is on disk. */
  wait(id: number, { sessions, rest }: SyncTargets, sign: boolean): void {
    const all = rest
      ? [...this.#followed.values()].filter(({ live }) => !live).map(({ session }): [string, null] => [session, null])
      : []
    this.#waiting.push({ id, sessions: [...sessions, ...all], rest, outbox: this.#handed, sign })
    for (const [session] of sessions) this.grown([session])
  }

  /** Whether somebody waits for what is to be committed. */
  get urgent(): boolean {
    return this.#waiting.length > 0
  }
  /** When a checkpoint is due (performance.now()); undefined: there is nothing new. */
  get signDue(): number | undefined {
    return this.#log.size > this.#log.head.size ? this.#signedAt + SIGN_MS : undefined
  }

  /**
   * Reads a portion of what there is, commits it, and answers who waited for it.
   * @returns whether there is more to do at once
   * @throws LedgerStopped
   */
  round(now: number): boolean {
    if (this.#failed) throw this.#failed
    this.#takeOutbox()
    const targets = this.#targets()
    // First what somebody waits for.
    const dirty = [...this.#dirty].sort((a, b) => Number(targets.has(b.session)) - Number(targets.has(a.session)))
    for (const followed of dirty) {
      if (this.#queued >= TOGETHER) break
      if (!this.#read(followed, targets.get(followed.session) ?? 0)) this.#dirty.delete(followed)
    }
    this.#commit(now)
    if (this.#dirty.size > 0 || this.#outbox.length > 0) return true
    // Of entries that are older than the counting of use, while there is nothing else to do.
    return this.#log.countUse()
  }

  /** Cuts chunks that are due, and signs where that is. @throws LedgerStopped */
  tick(now: number): void {
    const at = new Date()
    for (const followed of this.#followed.values()) {
      const entries = guarded(() => followed.cut(now, at))
      if (entries.length > 0) this.#put(followed, entries)
    }
    this.#commit(now)
    const due = this.signDue
    if (due !== undefined && due <= now) this.sign(now)
  }

  /** @throws LedgerStopped */
  sign(now: number): void {
    const before = this.#log.head.size
    const head = this.#log.sign()
    this.#signedAt = now
    if (head.size !== before) this.#say({ is: 'head', head, state: this.state })
  }

  /** Commits what is queued, signs it, and closes the log. */
  close(): void {
    this.#commit(0)
    this.sign(0)
    this.#log.commit() // what signing has written down for the next start
    this.#log.close()
  }

  /** What is asked for beside what happens; `more` gives others their turn. @throws LedgerStopped, LedgerError, RangeError */
  async ask(
    question: Exclude<Question, SearchQuestion | { ask: 'sync' | 'signed' }>,
    more: () => Promise<void>,
  ): Promise<unknown> {
    const log = this.#log
    switch (question.ask) {
      case 'erase': {
        const steps = log.erasing(question.erasure)
        for (;;) {
          const { done, value } = steps.next()
          this.#tellHead()
          if (done) return value
          await more()
          if (this.#log !== log)
            throw stopped('The deletion', new Error('the ledger was opened anew: it goes on there'))
        }
      }
      case 'recount':
        log.recountUse()
        return undefined
      case 'rotateKey': {
        const key = log.rotateKey(question.reason, question.by)
        this.#tellHead()
        return key
      }
      case 'cosign': {
        mayWitness(log, { key: question.key, person: question.by })
        const head = log.cosign(question.key, question.note)
        withWitness(log, { key: question.key, person: question.by, size: head.size })
        log.commit()
        this.#tellHead()
        return undefined
      }
    }
  }

  #tellHead(): void {
    this.#say({ is: 'head', head: this.#log.head, state: this.state })
  }

  #takeOutbox(): void {
    const rows = this.#outbox.splice(0, TOGETHER)
    for (const { at, type, payload: text, id } of rows) {
      const payload = payloadOf(text)
      const session = typeof payload === 'object' && payload !== null ? payload.session : undefined
      this.#add({ at, type, payload, session: typeof session === 'string' ? session : undefined })
      this.#log.setMeta(OUTBOX, id)
    }
  }

  /** Answers whether there is more to read at once. */
  #read(followed: Followed, settled: number): boolean {
    if (followed.streaming) return false
    const portion = guarded(() => followed.read(() => this.#log.tail(followed.session), settled))
    if (portion === 'sealed') {
      followed.streaming = true
      this.#sealed.push(followed)
      this.#nextStream()
      return false
    }
    this.#put(followed, portion.entries)
    if (followed.over) this.#changed = true
    return portion.more
  }

  #put(followed: Followed, entries: TailEntry[]): void {
    const { session, tail } = followed
    for (const entry of entries) this.#add({ ...entry, session })
    if (!tail) return
    const { kept } = followed
    if (kept?.offset === tail.offset && kept.chunkFrom === tail.chunkFrom) return
    this.#log.setTail(session, tail)
    followed.kept = tail
    this.#changed = true
  }

  #add(entry: NewLedgerEntry): void {
    try {
      this.#log.add(entry)
    } catch (error) {
      if (!(error instanceof TypeError || error instanceof RangeError || error instanceof LedgerError)) throw error
      // One entry that can't be written must not keep all others waiting. That it happened is written.
      const { type, session } = entry
      this.#say({ is: 'said', level: 'error', fields: { type, session, error: error.message }, text: unwritable })
      this.#log.add(instead(entry, error.message))
    }
    this.#queued++
    this.#changed = true
  }

  #nextStream(): void {
    while (this.#streams < STREAMS && this.#sealed.length > 0) {
      this.#streams++
      const followed = this.#sealed.shift()!
      void this.#stream(followed, this.#log).finally(() => {
        this.#streams--
        this.#nextStream()
        this.#wake()
      })
    }
  }

  async #stream(followed: Followed, log: LedgerLog): Promise<void> {
    try {
      for await (const entries of followed.readSealed(() => log.tail(followed.session))) {
        if (this.#log !== log) return
        this.#put(followed, entries)
        if (this.#queued >= TOGETHER) {
          this.#wake()
          await new Promise((resolve) => setImmediate(resolve))
        }
        if (this.#log !== log) return
      }
      this.#changed = true
    } catch (error) {
      if (this.#log !== log) return
      this.#failed = stopped(unreadable, error)
    } finally {
      if (this.#log === log) followed.streaming = false
    }
  }

  /** @throws LedgerStopped */
  #commit(now: number): void {
    const changed = this.#changed
    if (changed) {
      this.#log.commit()
      this.#changed = false
      this.#queued = 0
      this.#committed = Number(this.#log.meta(OUTBOX) ?? 0)
      const over: { session: string; over: Over }[] = []
      for (const followed of this.#followed.values())
        if (followed.over && !followed.streaming)
          over.push({ session: followed.session, over: this.#overOf(followed.session, followed.over) })
      for (const { session } of over) this.#followed.delete(session)
      this.#say({ is: 'committed', outbox: this.#committed, size: this.#log.size, over })
    }
    if (this.#waiting.length > 0) this.#answer(now)
    // After those who wait for the ledger were answered.
    if (changed) this.#along.commit()
  }

  /** Who was told of an end may not have lived to note it. */
  #overOf(session: string, over: Over): Over {
    const end = over.how === 'ended' && over.before ? this.#log.interruption(session) : undefined
    return end?.reason.startsWith(LOST) ? { how: 'lost', why: end.reason.slice(LOST.length), end } : over
  }

  #answer(now: number): void {
    const there = this.#waiting.filter((waiter) => this.#reached(waiter))
    if (there.length === 0) return
    if (there.some(({ sign }) => sign)) this.sign(now)
    this.#waiting = this.#waiting.filter((waiter) => !there.includes(waiter))
    for (const { id, sign } of there) this.#say({ is: 'answer', id, value: sign ? this.#log.head : undefined })
  }

  #reached({ outbox, sessions }: Waiter): boolean {
    if (this.#committed < outbox) return false
    // A session that isn't followed any more is in the log to its end.
    return sessions.every(([session, bytes]) => this.#followed.get(session)?.reaches(bytes) ?? true)
  }

  /** Up to where each session's recording is waited for. */
  #targets(): Map<string, number> {
    const targets = new Map<string, number>()
    for (const { sessions } of this.#waiting)
      for (const [session, bytes] of sessions) targets.set(session, Math.max(targets.get(session) ?? 0, bytes ?? 0))
    return targets
  }

  /** Nobody who waits now is to be answered. @returns who waited */
  giveUp(): number[] {
    const ids = this.#waiting.map(({ id }) => id)
    this.#waiting = []
    return ids
  }
}

const unreadable = 'A recording can’t be read for the ledger'

/** What reading meets (a full table of files, a disk that fails) stops the ledger, in words, until it is over. @throws LedgerStopped */
function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw stopped(unreadable, error)
  }
}
