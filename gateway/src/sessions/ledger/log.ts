import { mkdir } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { LedgerHead } from '@countersign/contract/evidence'
import type { GrowingLog } from '@countersign/contract/ledger/growth'
import { formatVerifierKey, type SignerKey } from '@countersign/contract/ledger/note'
import { type Actor, neverErased } from '@countersign/contract/ledger/payloads'
import type { LedgerCrypto, LedgerSigning } from '@countersign/contract/ledger/ports'
import type { z } from 'zod'
import { Checkpoints } from './checkpoints.ts'
import { type Disk, realDisk } from './disk.ts'
import { type KeyLink, newKey, writeKey } from './key.ts'
import type { Erasure } from './ledger.ts'
import { LedgerStopped } from './ledger.ts'
import { openLog } from './opening.ts'
import { type NewLedgerEntry, Pending } from './pending.ts'
import type { EntryRows, Meta, Tail } from './rows.ts'
import { passes, stopped } from './stopped.ts'
import type { TileFolder } from './tile-folder.ts'

export type { NewLedgerEntry } from './pending.ts'

export interface LogOptions {
  /** `data/ledger`; made with mode 0700 in a folder that is there. */
  folder: string
  /** The log's name, used when it is made: a URL without its scheme (C2SP tlog-checkpoint). */
  origin?: string
  crypto: LedgerCrypto & LedgerSigning
  disk?: Disk
}

/** What opening has found, and a log goes on with. */
export interface LogParts {
  options: LogOptions & { disk: Disk }
  rows: EntryRows
  tiles: TileFolder
  growing: GrowingLog
  /** The newest checkpoint on disk. */
  head: LedgerHead | undefined
  /** First key first, the one in force last. */
  keys: KeyLink[]
  signer: SignerKey
  /** The key that is being replaced by `signer`. */
  replaced?: SignerKey
  lock: { close(): void }
}

/** Names in `meta` that are the log's own. */
const OWN = 'log.'

/**
 * The gateway's log, written by one process and one thread: entries are queued by `add`, on disk after `commit`, covered
 * by a signed checkpoint after `sign`. All of it is synchronous, so that nothing comes between.
 * Whatever moment the process or the machine ends at, what was committed is there when it is opened again.
 */
export class LedgerLog {
  readonly #parts: LogParts
  readonly #checkpoints: Checkpoints
  readonly #pending: Pending
  #size: number
  #broken: LedgerStopped | undefined
  /** What was erased is still in the write-ahead log. */
  #scrubbing = false

  /**
   * Opens the log, making folder and key where it is the first time, and mends what a crash has left.
   * @returns found: what was mended or lost, in words
   * @throws LedgerStopped where it can't go on
   */
  static async open(options: LogOptions): Promise<{ log: LedgerLog; found: string[] }> {
    try {
      await mkdir(options.folder, { recursive: true, mode: 0o700 })
      const origin = options.origin ?? `${hostname().replace(/[\s+]/gu, '-')}/ledger`
      const { parts, found } = await openLog({ ...options, origin, disk: options.disk ?? realDisk })
      try {
        const log = new LedgerLog(parts)
        log.#mend(found)
        return { log, found }
      } catch (error) {
        parts.rows.close()
        parts.lock.close()
        throw error
      }
    } catch (error) {
      throw stopped("The ledger can't be opened", error)
    }
  }

  private constructor(parts: LogParts) {
    this.#parts = parts
    this.#size = parts.growing.size
    this.#pending = new Pending(parts.options.crypto.sha256)
    this.#checkpoints = new Checkpoints(parts, (name, value) => void this.#pending.meta.set(OWN + name, value))
  }

  get origin(): string {
    return this.#parts.signer.name
  }
  /** Entries that are committed. */
  get size(): number {
    return this.#size
  }
  /** Verifier keys, the first one first, the one in force last. */
  get keys(): string[] {
    return this.#parts.keys.map(({ vkey }) => vkey)
  }
  /** The signed checkpoints by which one key was handed over to the next. */
  get handovers(): string[] {
    return this.#parts.keys.flatMap(({ handover }) => handover ?? [])
  }
  /** Set once it can't be known what is on disk: only opening it again helps. */
  get broken(): LedgerStopped | undefined {
    return this.#broken
  }
  /** The newest signed checkpoint, with its cosignatures. */
  get head(): LedgerHead {
    return this.#checkpoints.newest!
  }
  /** Size of the oldest checkpoint that still takes cosignatures. */
  get cosignableFrom(): number {
    return this.#checkpoints.oldest
  }

  /**
   * Queues an entry and answers its number. It counts once `commit` has returned.
   * @throws TypeError where the payload has no canonical form; LedgerError where type or time make no leaf
   */
  add(entry: NewLedgerEntry): number {
    const n = this.#size + this.#pending.entries.length
    this.#pending.add(n, entry)
    return n
  }

  /** As it will be after the next commit. */
  tail(session: string): Tail | undefined {
    return this.#pending.tails.has(session) ? this.#pending.tails.get(session) : this.#parts.rows.tail(session)
  }
  /** All that are on disk. */
  tails(): { session: string; tail: Tail }[] {
    return this.#parts.rows.tails()
  }
  /** The interruption that a session ended with, if that is on disk and was not erased. */
  interruption(session: string): { at: string; reason: string; bytes: number } | undefined {
    const { at, payload } = this.#parts.rows.newest(session, 'session.interrupted') ?? {}
    if (at === undefined || !payload) return undefined
    const { reason, recording } = JSON.parse(Buffer.from(payload).toString('utf8')) as {
      reason?: unknown
      recording?: { bytes?: unknown }
    }
    return typeof reason === 'string' ? { at, reason, bytes: Number(recording?.bytes ?? 0) } : undefined
  }
  setTail(session: string, tail: Tail): void {
    this.#pending.tails.set(session, tail)
  }
  dropTail(session: string): void {
    this.#pending.tails.set(session, undefined)
  }

  /** As it will be after the next commit. */
  meta(name: string): Meta | undefined {
    return this.#pending.meta.has(name) ? this.#pending.meta.get(name) : this.#parts.rows.meta(name)
  }
  /** Undefined removes it. */
  setMeta(name: string, value: Meta | undefined): void {
    if (name.startsWith(OWN)) throw new RangeError(`names that begin with ${OWN} are the log's own`)
    this.#pending.meta.set(name, value)
  }

  /**
   * Has everything queued on disk, in one transaction.
   * @throws LedgerStopped: nothing of it counts, all of it stays queued, and the next commit tries again
   */
  commit(): void {
    if (this.#pending.empty) return
    this.#attempt("The ledger can't be written", () => {
      const { rows, growing } = this.#parts
      rows.write(this.#pending)
      for (const { leaf } of this.#pending.entries) growing.append(leaf)
      this.#size = growing.size
      this.#pending.clear()
    })
    this.#writeFull()
  }

  /** Full tiles are written at once, a few at a time, so that signing takes no longer after many entries. */
  #writeFull(): void {
    if (!this.#checkpoints.takeFull()) return
    try {
      this.#attempt("The ledger's tiles can't be written", () => this.#checkpoints.writeTiles())
    } catch {
      // The entries are on disk: it is for signing to say it, which tries again.
    }
  }

  /**
   * Counts the use that entries of before tell of, bit by bit.
   * @returns whether there is more
   * @throws LedgerStopped
   */
  countUse(): boolean {
    return this.#attempt("Use can't be counted", () => this.#parts.rows.countUse(COUNTED_AT_ONCE))
  }

  /** Has all use counted anew, by `countUse`. @throws LedgerStopped */
  recountUse(): void {
    this.#attempt("Use can't be counted", () => this.#parts.rows.recountUse())
  }

  /**
   * A signed checkpoint of all that is committed; its tiles are on disk before it is.
   * @throws LedgerStopped; a later call tries again
   */
  sign(): LedgerHead {
    if (this.#scrubbing) this.scrub()
    const { head } = this
    if (head && head.size === this.#size && !this.#parts.replaced) return head
    return this.#attempt("The ledger's checkpoint can't be written", () => this.#checkpoints.sign())
  }

  /**
   * Puts a new key in the place of the one in force: entry, new key and handover are on disk when it returns.
   * Answers the new verifier key.
   * @throws LedgerStopped; once its entry is committed, the next `sign` or opening goes on with it
   */
  rotateKey(reason: string, by: z.input<typeof Actor>): string {
    const { options, keys, signer } = this.#parts
    if (this.#parts.replaced) this.sign()
    const next = newKey(options.crypto, this.origin)
    const to = formatVerifierKey(next)
    this.commit()
    this.#attempt("The new key can't be written", () => writeKey(options.disk, join(options.folder, 'key.next'), next))
    const from = keys.at(-1)!.vkey
    const links = [...keys, { vkey: to, entry: this.#size }]
    this.#commitAlone({ at: new Date().toISOString(), type: 'key.rotated', payload: { from, to, reason, by } }, [
      `${OWN}keys`,
      JSON.stringify(links),
    ])
    this.#parts.keys = links
    this.#parts.replaced = signer
    this.#parts.signer = next
    this.sign()
    return to
  }

  /** What must not be committed by a later try, since whoever wanted it has been told that it failed. Nothing is queued before it. */
  #commitAlone(entry: NewLedgerEntry, [name, value]: [name: string, value: Meta]): void {
    const before = this.#pending.meta.get(name)
    const had = this.#pending.meta.has(name)
    this.add(entry)
    this.#pending.meta.set(name, value)
    try {
      this.commit()
    } catch (error) {
      this.#pending.entries.pop()
      if (had) this.#pending.meta.set(name, before)
      else this.#pending.meta.delete(name)
      throw error
    }
  }

  /**
   * Adds a witness's cosignature to the checkpoint that it is for, and answers that with it.
   * @param key the witness's verifier key
   * @param note the checkpoint with its line
   * @throws LedgerError where it is not good, or for none of the last checkpoints; LedgerStopped
   */
  cosign(key: string, note: string): LedgerHead {
    const cosigned = this.#checkpoints.withCosignature(key, note)
    this.#attempt("The cosignature can't be written", () => this.#checkpoints.keepCosigned(cosigned))
    return cosigned
  }

  /**
   * Writes the deletion.run entry, has it on disk and covered by a checkpoint, then erases. Answers the entry's number.
   * As `erasing`, all at once.
   * @throws LedgerStopped
   */
  erase(erasure: Erasure, at: Date = new Date()): number {
    const steps = this.erasing(erasure, at)
    for (;;) {
      const { done, value } = steps.next()
      if (done) return value
    }
  }

  /**
   * Erases payloads and salts bit by bit: between two steps the log may be used as ever. The first step has the
   * deletion.run entry on disk; if the process ends before the last one, opening the log goes on with it.
   * @throws LedgerStopped; RangeError for entries that aren't there
   */
  *erasing(erasure: Erasure, at: Date = new Date()): Generator<void, number> {
    for (const [first, last] of erasure.entries)
      if (!Number.isSafeInteger(first) || first < 0 || !(last >= first) || last >= this.#size)
        throw new RangeError(`entries ${first} to ${last} can't be erased: there are ${this.#size}`)
    this.commit()
    const n = this.#size
    this.#commitAlone({ at: at.toISOString(), type: 'deletion.run', payload: erasure }, [
      `${OWN}erasing`,
      JSON.stringify([...this.#unfinished(), { n, entries: erasure.entries }]),
    ])
    this.sign()
    yield
    yield* this.#erase(n, erasure.entries)
    return n
  }

  #unfinished(): { n: number; entries: [number, number][] }[] {
    return JSON.parse((this.meta(`${OWN}erasing`) as string | undefined) ?? '[]')
  }

  *#erase(n: number, entries: readonly [number, number][]): Generator<void> {
    const { rows } = this.#parts
    for (const [first, last] of entries)
      for (let from = first; from <= last; from += ERASED_AT_ONCE) {
        const to = Math.min(last, from + ERASED_AT_ONCE - 1)
        this.#attempt("The ledger's entries can't be erased", () => rows.erase(from, to, [...neverErased]))
        yield
      }
    const rest = this.#unfinished().filter((one) => one.n !== n)
    this.#pending.meta.set(`${OWN}erasing`, rest.length > 0 ? JSON.stringify(rest) : undefined)
    this.#pending.meta.set(`${OWN}scrub`, 1)
    this.commit()
    this.scrub()
  }

  /**
   * Removes what erased entries have left in the write-ahead log. False where a reader still holds on to it: then it is
   * tried again before each checkpoint.
   */
  scrub(): boolean {
    this.#scrubbing = this.meta(`${OWN}scrub`) !== undefined
    if (!this.#scrubbing) return true
    const { rows } = this.#parts
    return this.#attempt("The ledger's write-ahead log can't be emptied", () => {
      if (!rows.emptyLog()) return false
      this.#scrubbing = false
      this.#pending.meta.set(`${OWN}scrub`, undefined)
      this.commit()
      return true
    })
  }

  /** What was begun before the log was opened. */
  #mend(found: string[]): void {
    for (const { n, entries } of this.#unfinished()) {
      found.push(`the deletion of entry ${n} had not ended: it has now`)
      for (const _ of this.#erase(n, entries));
    }
    this.scrub()
    this.sign()
  }

  /** Ends it; what is queued is not committed. */
  close(): void {
    this.#parts.rows.close()
    this.#parts.lock.close()
  }

  #attempt<T>(doing: string, work: () => T): T {
    if (this.#broken) throw this.#broken
    try {
      return work()
    } catch (error) {
      const why = stopped(doing, error)
      if (!(error instanceof LedgerStopped) && !passes(error)) this.#broken = why
      throw why
    }
  }
}

const ERASED_AT_ONCE = 5000
const COUNTED_AT_ONCE = 1000
